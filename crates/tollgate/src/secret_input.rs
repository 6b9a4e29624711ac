//! Reads a secret from standard input: one line, not shown when a person types it.

use std::io::{self, BufRead, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::output;

/// More is no key and no password, but a file that was piped in by mistake.
const MAX_BYTES: u64 = 4096;

/// One line of standard input without its end. A person is prompted, and asked again when `confirmed`.
pub(crate) fn read(what: &str, confirmed: bool) -> Result<String, String> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        let mut bytes = Vec::new();
        stdin.lock().take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        return line(bytes, what);
    }
    let first = ask(&format!("{what}: "), what)?;
    if confirmed && ask(&format!("{what} again: "), what)? != first {
        return Err(format!("the two are different: no {what} was read"));
    }
    Ok(first)
}

fn ask(prompt: &str, what: &str) -> Result<String, String> {
    output::err(prompt);
    let hidden = Hidden::echo();
    let mut bytes = Vec::new();
    let read = io::stdin().lock().take(MAX_BYTES + 1).read_until(b'\n', &mut bytes);
    drop(hidden);
    output::err("\n");
    read.map_err(|error| error.to_string())?;
    line(bytes, what)
}

fn line(bytes: Vec<u8>, what: &str) -> Result<String, String> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("a {what} has at most {MAX_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| format!("the {what} is not UTF-8"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    // A second line is a mistake that would otherwise become part of the secret unseen.
    match text.contains(char::is_control) {
        true => Err(format!("the {what} is more than one line, or holds a control character")),
        false if text.is_empty() => Err(format!("no {what} was given on standard input")),
        false => Ok(text.to_owned()),
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden(Option<Termios>);

impl Hidden {
    fn echo() -> Hidden {
        let Ok(before) = tcgetattr(io::stdin()) else { return Hidden(None) };
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        let changed = tcsetattr(io::stdin(), OptionalActions::Flush, &quiet);
        Hidden(changed.is_ok().then_some(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line() {
        let cases: &[(&[u8], Result<&str, &str>)] = &[
            (b"tg_x\n", Ok("tg_x")),
            (b"tg_x\r\n", Ok("tg_x")),
            (b"tg_x", Ok("tg_x")),
            (b" with spaces ", Ok(" with spaces ")),
            ("p\u{e4}ss".as_bytes(), Ok("p\u{e4}ss")),
            (b"", Err("no key was given on standard input")),
            (b"\n", Err("no key was given on standard input")),
            (b"a\nb\n", Err("the key is more than one line, or holds a control character")),
            (b"a\0", Err("the key is more than one line, or holds a control character")),
            (b"\xff", Err("the key is not UTF-8")),
            (&[b'x'; 4097], Err("a key has at most 4096 bytes")),
        ];
        for (bytes, expect) in cases {
            let seen = line(bytes.to_vec(), "key");
            assert_eq!(seen.as_deref().map_err(String::as_str), *expect);
        }
    }
}
