//! Texts that are JSON by its grammar (RFC 8259) and that the parser does not take: a value that somebody stored in a document
//! must not make scripts see none of it.

/// The text with what the parser takes in the place of what it does not: no byte order mark (section 8.1), U+FFFD for halves
/// of surrogate pairs (section 8.2), the largest double for numbers beyond it (section 6). None where there is nothing of it.
pub(super) fn mended(text: &[u8]) -> Option<Vec<u8>> {
    let mut rest = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut out = Vec::with_capacity(rest.len());
    let mut mends = rest.len() < text.len();
    while let [first, ..] = rest {
        let piece = match first {
            b'"' => string(rest),
            b'-' | b'0'..=b'9' => number(rest),
            _ => Piece { length: 1, mended: None },
        };
        let (read, behind) = rest.split_at_checked(piece.length).unwrap_or((rest, &[]));
        mends |= piece.mended.is_some();
        out.extend_from_slice(piece.mended.as_deref().unwrap_or(read));
        rest = behind;
    }
    mends.then_some(out)
}

/// So many bytes of the text, and what stands in their place.
struct Piece {
    length: usize,
    mended: Option<Vec<u8>>,
}

fn number(text: &[u8]) -> Piece {
    let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
    let length = text.iter().position(|byte| !is_part(byte)).unwrap_or(text.len());
    let read = text.get(..length).and_then(|digits| std::str::from_utf8(digits).ok());
    let number: Option<f64> = read.and_then(|digits| digits.parse().ok());
    let largest = number.filter(|number| number.is_infinite()).map(|number| f64::MAX.copysign(number));
    Piece { length, mended: largest.map(|largest| format!("{largest:e}").into_bytes()) }
}

/// A string, from its quotation mark on.
fn string(text: &[u8]) -> Piece {
    let (mut at, mut kept) = (1, 0);
    let mut mended: Option<Vec<u8>> = None;
    while let Some(byte) = text.get(at) {
        match (byte, escape(text, at)) {
            (b'"', _) => {
                at += 1;
                break;
            }
            (b'\\', Some(0xd800..=0xdbff)) if matches!(escape(text, at + 6), Some(0xdc00..=0xdfff)) => {
                at += 12
            }
            (b'\\', Some(0xd800..=0xdfff)) => {
                let mended = mended.get_or_insert_default();
                mended.extend_from_slice(text.get(kept..at).unwrap_or_default());
                mended.extend_from_slice(b"\\ufffd");
                at += 6;
                kept = at;
            }
            (b'\\', _) => at += 2,
            _ => at += 1,
        }
    }
    let length = at.min(text.len());
    if let Some(mended) = &mut mended {
        mended.extend_from_slice(text.get(kept..length).unwrap_or_default());
    }
    Piece { length, mended }
}

/// The code that `\uXXXX` at a place stands for.
fn escape(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::mended;

    #[test]
    fn what_the_parser_does_not_take() {
        for (text, expect) in [
            (r#"{"a":"\ud800"}"#, Some(r#"{"a":"\ufffd"}"#)),
            (r#""\udc00\ud800\udc00\ud83d x""#, Some(r#""\ufffd\ud800\udc00\ufffd x""#)),
            (r#""\ud800\ud800\udc00""#, Some(r#""\ufffd\ud800\udc00""#)),
            (r#"["\\ud800","\\\ud800","\"\ud800"]"#, Some(r#"["\\ud800","\\\ufffd","\"\ufffd"]"#)),
            (r#"{"\ud800":1}"#, Some(r#"{"\ufffd":1}"#)),
            (
                "[1e400,-1E999,1e308,\"1e400\"]",
                Some("[1.7976931348623157e308,-1.7976931348623157e308,1e308,\"1e400\"]"),
            ),
            ("\u{feff}{}", Some("{}")),
            ("{\"a\":\"\u{feff}\"}", None),
            (r#"{"a":"\ud83d\ude00","b":[1,-2.5e3]}"#, None),
            (r#""\ud8"#, None),
            (r#""\"#, None),
            (r#""\ud800"#, Some(r#""\ufffd"#)),
            (r#""\u+123""#, None),
            ("-", None),
            ("", None),
        ] {
            let mended = mended(text.as_bytes()).map(|mended| String::from_utf8(mended).unwrap());
            assert_eq!(mended.as_deref(), expect, "{text}");
        }
    }
}
