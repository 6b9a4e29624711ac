//! What of an expression may be a secret: the texts in it, and its comments. Shown are names between brackets, as in
//! `request.headers["x-key"]`.

use std::ops::Range;

use super::lua;

/// Masks the texts and comments of an expression that stands at `start`. It may be one that is not well formed.
pub(super) fn mask(text: &str, start: usize, masks: &mut Vec<Range<usize>>) {
    let mut found = Vec::new();
    if texts(text, start, &mut found).is_none() {
        found.clear();
        let from = [text.find(['"', '\'']), text.find("//")].into_iter().flatten().min();
        lua::hide(text, from.unwrap_or(text.len())..text.len(), start, &mut found);
    }
    masks.append(&mut found);
}

/// The message of a fault without the text that the parser met.
pub(crate) fn masked_message(message: &str) -> String {
    for opening in ["input '", "at: '", "at '"] {
        let Some(from) = message.find(opening).map(|at| at + opening.len()) else { continue };
        let rest = &message[from..];
        // The message may be cut: then its last quote is one of the text.
        let end = rest.rfind("' expecting").or_else(|| rest.strip_suffix('\'').map(str::len));
        let end = end.unwrap_or(rest.len());
        let met = &rest[..end];
        if met != "<EOF>" && met.contains(|letter: char| letter.is_alphanumeric()) {
            return format!("{}***{}", &message[..from], &rest[end..]);
        }
        break;
    }
    message.to_owned()
}

/// `None` where it is not certain which of the quotes begin a text.
fn texts(text: &str, start: usize, masks: &mut Vec<Range<usize>>) -> Option<()> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (inside, next) = match byte {
            b'/' if bytes.get(at + 1) == Some(&b'/') => lua::line(text, at + 2),
            b'"' | b'\'' => {
                let (inside, next) = lua::quoted(bytes, at);
                let closed = inside.end + 1 == next && !bytes[inside.clone()].contains(&b'\n');
                // Before it `r` and `b` say how to read it; three quotes are a text with lines.
                let apart =
                    |byte: Option<&u8>| !byte.is_some_and(|byte| is_word(*byte) || b"\"'".contains(byte));
                if !closed || !apart(bytes[..at].last()) || !apart(bytes.get(next)) {
                    return None;
                }
                if is_index(&bytes[..at], &bytes[next..]) {
                    at = next;
                    continue;
                }
                (inside, next)
            }
            _ => (at..at, at + 1),
        };
        lua::hide(text, inside, start, masks);
        at = next;
    }
    Some(())
}

/// Whether a text between these says which member is meant, and is no element of a list.
fn is_index(before: &[u8], behind: &[u8]) -> bool {
    let Some(whole) = before.trim_ascii_end().strip_suffix(b"[").map(<[u8]>::trim_ascii_end) else {
        return false;
    };
    let word = whole.rsplit(|byte| !is_word(*byte)).next().unwrap_or_default();
    let of = whole.last().is_some_and(|byte| is_word(*byte) || b")]".contains(byte)) && word != b"in";
    of && behind.trim_ascii_start().starts_with(b"]")
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_hidden() {
        for (text, expect) in [
            ("request.headers[\"x-key\"] == \"abc\" &&", vec!["abc"]),
            ("request.headers['x-a'] == 'it\\'s' // was 'b'", vec!["it\\'s", "was 'b'"]),
            ("consumer in [\"a\"] || consumer in['b', 'c'] || [ 'd' ][0] == x", vec!["a", "b", "c", "d"]),
            ("claims.x == \"\"", vec![]),
            ("a == 1 ? b : c / d", vec![]),
            // Which quotes begin a text is not certain.
            ("headers[\"x] == \"abc\"", vec!["\"x] == \"abc\""]),
            ("headers[x\"] == \"abc", vec!["\"] == \"abc"]),
            ("x == r'a\\' || y == 'b'", vec!["'a\\' || y == 'b'"]),
            ("x == '''a'b'''", vec!["'''a'b'''"]),
            ("x == 'a\n && y == 'b'", vec!["'a", "&& y == 'b'"]),
        ] {
            let mut masks = Vec::new();
            mask(text, 3, &mut masks);
            let hidden: Vec<&str> = masks.iter().map(|mask| &text[mask.start - 3..mask.end - 3]).collect();
            assert_eq!(hidden, expect, "{text}");
        }
    }

    #[test]
    fn messages_do_not_repeat_texts() {
        for (message, expect) in [
            ("mismatched input '\"it's\"' expecting {'a'}", "mismatched input '***' expecting {'a'}"),
            ("token recognition error at: '\"abc'", "token recognition error at: '***'"),
            ("token recognition error at: ''abc", "token recognition error at: '***"),
            ("missing ')' at '\"abc\"'", "missing ')' at '***'"),
            ("mismatched input '<EOF>' expecting {'['}", "mismatched input '<EOF>' expecting {'['}"),
            ("extraneous input ')' expecting '('", "extraneous input ')' expecting '('"),
            ("there is no `claim`", "there is no `claim`"),
        ] {
            assert_eq!(masked_message(message), expect);
        }
    }
}
