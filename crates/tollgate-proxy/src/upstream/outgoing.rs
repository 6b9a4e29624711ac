//! Edits of what goes out that only its upstream asks for.

use tollgate_plan::secret::CREDENTIAL_HEADERS;
use tollgate_wire::{name, write_header};

use crate::exchange::Outgoing;

/// What describes a body.
const OF_THE_BODY: [&str; 9] = [
    "content-digest",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-type",
    "expect",
    "trailer",
    "transfer-encoding",
];

impl Outgoing {
    /// Shows these credentials, and nobody else's.
    pub(super) fn authorize(&mut self, line: &str) {
        self.remove(&["authorization"]);
        write_header(&mut self.lines, &name::AUTHORIZATION, line.as_bytes());
    }

    /// Takes every line out that may hold a credential.
    pub(super) fn remove_credentials(&mut self) {
        self.remove(&CREDENTIAL_HEADERS);
    }

    /// Takes the lines out that ask whether what is kept is still right.
    pub(super) fn remove_conditions(&mut self) {
        self.remove(&["if-none-match", "if-modified-since"]);
    }

    /// Takes the lines out that stand for a body.
    pub(super) fn remove_body_lines(&mut self) {
        self.remove(&OF_THE_BODY);
    }

    /// Takes the lines of these names out, in every case and spelling: an application that reads CGI names cannot tell
    /// `_` from `-`.
    fn remove(&mut self, names: &[&str]) {
        let (mut kept, mut at) = (0, 0);
        while let Some(rest) = self.lines.get(at..).filter(|rest| !rest.is_empty()) {
            let end = memchr::memmem::find(rest, b"\r\n").map_or(rest.len(), |end| end + 2);
            let name = rest.split(|byte| *byte == b':').next().unwrap_or_default();
            if !names.iter().any(|wanted| spells(name, wanted)) {
                self.lines.copy_within(at..at + end, kept);
                kept += end;
            }
            at += end;
        }
        self.lines.truncate(kept);
    }
}

fn spells(name: &[u8], wanted: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    name.len() == wanted.len() && name.iter().zip(wanted.bytes()).all(|(sent, own)| fold(*sent) == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(edit: fn(&mut Outgoing), before: &[&str], after: &[&str]) {
        let lines = |list: &[&str]| list.iter().map(|line| format!("{line}\r\n")).collect::<String>();
        let mut outgoing = Outgoing { target: Vec::new(), lines: lines(before).into_bytes() };
        edit(&mut outgoing);
        assert_eq!(String::from_utf8_lossy(&outgoing.lines), lines(after));
    }

    #[test]
    fn lines_go_in_every_spelling() {
        let authorize = |outgoing: &mut Outgoing| outgoing.authorize("Bearer own");
        let own = "authorization: Bearer own";
        check(authorize, &[], &[own]);
        check(authorize, &["a: 1", "Authorization: x", "b: 2", "AUTHORIZATION:y"], &["a: 1", "b: 2", own]);
        check(
            authorize,
            &["authorization: Bearer old", "x-authorization: stays"],
            &["x-authorization: stays", own],
        );
        check(
            Outgoing::remove_credentials,
            &[
                "cookie: a",
                "X_Api_Key: b",
                "accept: authorization",
                "x-api-keys: c",
                "Proxy-Authorization: d",
            ],
            &["accept: authorization", "x-api-keys: c"],
        );
        check(
            Outgoing::remove_body_lines,
            &[
                "Content-Length: 3",
                "transfer-encoding: chunked",
                "content-type: x",
                "accept: y",
                "te: trailers",
            ],
            &["accept: y", "te: trailers"],
        );
    }
}
