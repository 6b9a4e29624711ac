//! base64url without padding, canonical only (RFC 7515 §2): one text for one value.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Appends what the text stands for. `None`: a byte outside the alphabet, padding, white space, a length that
/// cannot be, or left-over bits that are not zero.
pub(crate) fn decode_into(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    URL_SAFE_NO_PAD.decode_vec(text, out).ok()
}

/// What the text stands for.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// The one text for these bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_for_one_value() {
        for text in ["", "AA", "-_-_", "Zg", "Zm8", "Zm9v"] {
            assert_eq!(decode(text).map(|bytes| encode(&bytes)).as_deref(), Some(text));
        }
        for text in
            ["A", "AAAAA", "AB", "Zh", "Zm9", "AA==", "AA=", "+/+/", "A A", "AA\n", " AA", "Zm8.", "Zmé"]
        {
            assert_eq!(decode(text), None, "{text:?}");
        }
    }
}
