//! What of a script may be a secret: the texts in it, and its comments, in which texts stand that were taken out.
//!
//! Shown are names: what stands alone between brackets, as in `req.headers["x-user"]`, and modules behind `require`.

use std::ops::Range;

/// Masks the texts and comments of a script that stands at `start`.
pub(crate) fn mask(script: &str, start: usize, masks: &mut Vec<Range<usize>>) {
    let bytes = script.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (inside, next) = match byte {
            b'-' if bytes.get(at + 1) == Some(&b'-') => {
                long(script, at + 2).unwrap_or_else(|| line(script, at + 2))
            }
            b'"' | b'\'' | b'`' => {
                let (inside, next) = quoted(bytes, at);
                if is_name(&bytes[..at], &bytes[next..]) {
                    at = next;
                    continue;
                }
                (inside, next)
            }
            b'[' => long(script, at).unwrap_or((at..at, at + 1)),
            _ => (at..at, at + 1),
        };
        hide(script, inside, start, masks);
        at = next;
    }
}

/// The message of a fault without the text that the parser met.
pub(crate) fn masked_message(message: &str) -> String {
    for quote in ["got \"", "got `"] {
        let Some(from) = message.find(quote).map(|at| at + quote.len()) else { continue };
        let rest = &message[from..];
        // The text may have quotes of its own, and the message may be cut.
        let end = rest.rfind(&quote[4..]).unwrap_or(rest.len());
        return format!("{}***{}", &message[..from], &rest[end..]);
    }
    message.to_owned()
}

/// What stands between quotes that open at `at`, and where it goes on. Without an end it ends with its line.
pub(super) fn quoted(bytes: &[u8], at: usize) -> (Range<usize>, usize) {
    let mut end = at + 1;
    loop {
        match (bytes.get(end), bytes.get(end + 1)) {
            (None, _) => return (at + 1..bytes.len(), bytes.len()),
            (Some(b'\n'), _) => return (at + 1..end, end),
            (Some(byte), _) if *byte == bytes[at] => return (at + 1..end, end + 1),
            // Leaves out white space, also ends of lines.
            (Some(b'\\'), Some(b'z')) => {
                let space = bytes[end + 2..].iter().take_while(|byte| byte.is_ascii_whitespace());
                end += 2 + space.count();
            }
            (Some(b'\\'), Some(b'\r')) => end += 2 + usize::from(bytes.get(end + 2) == Some(&b'\n')),
            (Some(b'\\'), Some(_)) => end += 2,
            (Some(_), _) => end += 1,
        }
    }
}

/// The same for long brackets: `[[…]]`, `[=[…]=]`.
fn long(script: &str, at: usize) -> Option<(Range<usize>, usize)> {
    let rest = script.get(at..)?.strip_prefix('[')?;
    let level = rest.bytes().take_while(|byte| *byte == b'=').count();
    let inside = rest[level..].strip_prefix('[')?;
    let (from, close) = (at + level + 2, format!("]{}]", "=".repeat(level)));
    Some(match inside.find(&close) {
        Some(length) => (from..from + length, from + length + close.len()),
        None => (from..script.len(), script.len()),
    })
}

/// The rest of the line.
pub(super) fn line(script: &str, at: usize) -> (Range<usize>, usize) {
    let end = script[at..].find('\n').map_or(script.len(), |length| at + length);
    (at..end, end)
}

/// Whether a text between these is a name.
fn is_name(before: &[u8], behind: &[u8]) -> bool {
    let (before, behind) = (before.trim_ascii_end(), behind.trim_ascii_start());
    let call = before.strip_suffix(b"(").map_or(before, <[u8]>::trim_ascii_end);
    (before.ends_with(b"[") && behind.starts_with(b"]")) || call.ends_with(b"require")
}

/// Lines keep their places.
pub(super) fn hide(script: &str, inside: Range<usize>, start: usize, masks: &mut Vec<Range<usize>>) {
    let mut at = inside.start;
    for line in script.get(inside).unwrap_or_default().split_inclusive('\n') {
        let shown = line.trim();
        if !shown.is_empty() {
            let from = start + at + (line.len() - line.trim_start().len());
            masks.push(from..from + shown.len());
        }
        at += line.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_comments_are_hidden() {
        for (script, expect) in [
            ("local k = 'abc' .. \"d e\"", vec!["abc", "d e"]),
            ("req.headers[\"x-key\"] = 'abc'", vec!["abc"]),
            ("t[ 'a' ] = t['b' .. c]", vec!["b"]),
            ("local m = require \"lib/m\"; n = require('n')", vec![]),
            ("x = 'it\\'s' y = 'z'", vec!["it\\'s", "z"]),
            ("x = 'abc\ny = 1", vec!["abc"]),
            ("x = 'abc\\\ndef' y = 1", vec!["abc\\", "def"]),
            ("x = 'abc\\\r\ndef' y = 1", vec!["abc\\", "def"]),
            ("x = 'abc\\z\n  def'", vec!["abc\\z", "def"]),
            ("x = [[a\nb]] .. [=[c]]d]=] .. e", vec!["a", "b", "c]]d"]),
            ("x = [[a", vec!["a"]),
            ("x = a[b[1]]", vec![]),
            ("x = `a{b}c`", vec!["a{b}c"]),
            ("x = 1 -- was 'abc'\ny = 'd'", vec!["was 'abc'", "d"]),
            ("--[[ a\nb ]] x = 'c'", vec!["a", "b", "c"]),
            ("x = 1 - -1 \"é\\é\"", vec!["é\\é"]),
            ("x = \"", vec![]),
            ("x = '\\", vec!["\\"]),
        ] {
            let mut masks = Vec::new();
            mask(script, 3, &mut masks);
            let hidden: Vec<&str> = masks.iter().map(|mask| &script[mask.start - 3..mask.end - 3]).collect();
            assert_eq!(hidden, expect, "{script}");
        }
    }

    #[test]
    fn messages_do_not_repeat_texts() {
        for (message, expect) in [
            ("Expected '=', got \"a \"b\" c\"", "Expected '=', got \"***\""),
            ("Expected '=', got \"cut", "Expected '=', got \"***"),
            ("Expected '=', got `a` b", "Expected '=', got `***` b"),
            ("Expected '=', got 'x'", "Expected '=', got 'x'"),
            (
                "cannot read `lib/none.lua`: it does not exist",
                "cannot read `lib/none.lua`: it does not exist",
            ),
        ] {
            assert_eq!(masked_message(message), expect);
        }
    }
}
