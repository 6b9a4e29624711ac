//! Finding the way through JSON text that is known to be valid. Nothing here checks anything.

use memchr::{memchr2, memchr2_iter};

/// The offset of the first byte at or after `at` that is no whitespace.
pub(crate) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The offset behind the value that begins at `at`.
pub(crate) fn skip_value(text: &[u8], at: usize) -> usize {
    match text.get(at) {
        Some(b'"') => skip_string(text, at),
        Some(b'{' | b'[') => skip_container(text, at),
        _ => {
            let rest = text.get(at..).unwrap_or_default();
            let end = rest
                .iter()
                .position(|byte| matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r'));
            end.map_or(text.len(), |end| at + end)
        }
    }
}

/// The offset behind the string whose quote stands at `at`.
fn skip_string(text: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        match memchr2(b'"', b'\\', rest) {
            Some(found) if rest.get(found) == Some(&b'"') => return at + found + 1,
            // The byte behind a backslash is part of the escape, whatever it is.
            Some(found) => at += found + 2,
            None => return text.len(),
        }
    }
}

fn skip_container(text: &[u8], at: usize) -> usize {
    let (mut at, mut depth) = (at, 0usize);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = skip_string(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// How deep lists and objects stand in each other.
pub(crate) fn depth(text: &[u8]) -> usize {
    // A text with few brackets cannot be deep, and need not be looked at closely.
    let brackets = memchr2_iter(b'[', b'{', text).count();
    if brackets < 16 {
        return brackets;
    }
    let (mut at, mut open, mut deepest) = (0, 0usize, 0);
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = skip_string(text, at);
                continue;
            }
            b'{' | b'[' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' => open = open.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    deepest
}
