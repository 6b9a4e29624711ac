//! Character classes of RFC 9110, and white space as it allows it.

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

/// Whether a byte of `text` is a control character other than HTAB. Written without an early return, so
/// that it becomes vector code.
pub(crate) fn has_control(text: &[u8]) -> bool {
    text.iter().fold(false, |found, &b| found | is_control(b))
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
