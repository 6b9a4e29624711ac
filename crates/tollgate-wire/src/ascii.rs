//! Character classes of RFC 9110, and white space as it allows it.

#![expect(clippy::indexing_slicing, reason = "a table of 256 entries, indexed by a byte")]

/// Whether `b` is a token character (RFC 9110 section 5.6.2).
pub(crate) const fn is_token(b: u8) -> bool {
    TOKEN[b as usize]
}

/// Whether `text` is a token: not empty, token characters only.
pub(crate) fn is_token_text(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&b| is_token(b))
}

/// Whether `b` may not stand in a header value: a control character other than HTAB.
pub(crate) const fn is_control(b: u8) -> bool {
    (b < 0x20 && b != b'\t') || b == 0x7f
}

/// Whether a byte of `text` is a control character other than HTAB.
///
/// Eight bytes at a time: values are short, and nearly all have none. A word that may have one is looked at
/// byte by byte.
pub(crate) fn has_control(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    words
        .iter()
        .any(|word| may_have_control(u64::from_ne_bytes(*word)) && word.iter().any(|&b| is_control(b)))
        || rest.iter().any(|&b| is_control(b))
}

/// Whether a byte of the word is below 0x20 or 0x7f; now and then true for one that is neither (the borrow of
/// a subtraction reaches the next byte), never false for one that is.
fn may_have_control(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = ONES << 7;
    let below = word.wrapping_sub(ONES * 0x20) & !word;
    let delete = word ^ (ONES * 0x7f);
    let is_delete = delete.wrapping_sub(ONES) & !delete;
    (below | is_delete) & TOPS != 0
}

/// `text` without spaces and tabs around it.
pub(crate) fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = matches!(b as u8,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*'
            | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~');
        b += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{has_control, is_control};

    /// Every byte at every place of words and of what is left behind them.
    #[test]
    fn a_control_character_is_found_wherever_it_stands() {
        for around in [b'a', 0xff, b' ', b'\t', 0x80, b'~'] {
            for length in [1, 7, 8, 9, 16, 17] {
                for at in 0..length {
                    for byte in 0..=u8::MAX {
                        let mut text = vec![around; length];
                        text[at] = byte;
                        assert_eq!(
                            has_control(&text),
                            is_control(byte),
                            "{byte} at {at} of {length} in {around}"
                        );
                    }
                }
            }
        }
    }
}
