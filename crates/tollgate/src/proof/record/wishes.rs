//! What is to be sent: one request of the command line, or those of a file.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde_json::Value;

/// Requests that are sent at most: each is one test, and a file of tests is read by people.
pub(super) const REQUESTS_MAX: usize = 400;

/// Bytes of one line.
const LINE_BYTES_MAX: u64 = 256 * 1024;

/// Lines that are read. An access log has many alike.
const LINES_MAX: usize = 10_000_000;

/// Stands in access records where a credential was.
const MASK: &str = "***";

/// Headers that say how a request is framed: that is the client's own affair.
const FRAMING: [&str; 4] = ["host", "connection", "content-length", "transfer-encoding"];

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Wish {
    pub(crate) method: String,
    /// Path and query.
    pub(crate) target: String,
    /// None: that of the URL.
    pub(crate) host: Option<String>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Option<String>,
}

/// What a file asks for.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// Each once.
    pub(crate) all: Vec<Wish>,
    /// Requests that are not sent, and why.
    pub(crate) left: Vec<(String, &'static str)>,
    /// Requests beyond the most that are sent.
    pub(crate) beyond: usize,
}

impl Wishes {
    /// Reads lines: access records, or `METHOD PATH`. `common` are headers of all of them, `any_method` lets methods be sent
    /// that may change something.
    pub(crate) fn read(path: &Path, common: &[(String, String)], any_method: bool) -> Result<Wishes, String> {
        let input: Box<dyn Read> = if path == Path::new("-") {
            Box::new(io::stdin().lock())
        } else {
            Box::new(File::open(path).map_err(|error| format!("{}: {error}", path.display()))?)
        };
        Wishes::of(BufReader::new(input), common, any_method).map_err(|why| {
            format!(
                "{}{why}",
                if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
            )
        })
    }

    fn of(mut lines: impl BufRead, common: &[(String, String)], any_method: bool) -> Result<Wishes, String> {
        let mut wishes = Wishes::default();
        let mut seen = HashSet::new();
        let mut line = Vec::new();
        for number in 1..=LINES_MAX {
            line.clear();
            let read = (&mut lines).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
            if read.map_err(|error| format!(": {error}"))? == 0 {
                break;
            }
            let text = std::str::from_utf8(&line).map_err(|_| format!(":{number}: not UTF-8"))?.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            if line.len() as u64 == LINE_BYTES_MAX {
                return Err(format!(":{number}: a line of more than {LINE_BYTES_MAX} bytes"));
            }
            let wish = match parse(text) {
                Ok(Some(wish)) => wish,
                // A connection that sent no request is recorded, too.
                Ok(None) => continue,
                Err(why) => return Err(format!(":{number}: {why}")),
            };
            if seen.insert(wish.clone()) {
                wishes.take(wish, common, any_method);
            }
        }
        if seen.is_empty() {
            return Err(": no request in it".to_owned());
        }
        Ok(wishes)
    }

    fn take(&mut self, mut wish: Wish, common: &[(String, String)], any_method: bool) {
        let why = if wish.target.contains(MASK) {
            Some("the record does not hold the credential in its query")
        } else if !any_method && !matches!(wish.method.as_str(), "GET" | "HEAD") {
            Some("it may change something: --any-method sends it")
        } else {
            None
        };
        if let Some(why) = why {
            // As many as are told.
            if self.left.len() < REQUESTS_MAX {
                self.left.push((wish.shown(), why));
            }
            return;
        }
        if self.all.len() == REQUESTS_MAX {
            self.beyond += 1;
            return;
        }
        let given = |name: &str| common.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        // What the command line says is meant.
        wish.headers.retain(|(name, value)| value != MASK && !given(name));
        wish.headers.extend(common.iter().cloned());
        self.all.push(wish);
    }
}

impl Wish {
    /// For people. Without the query, which may hold a credential.
    pub(crate) fn shown(&self) -> String {
        let path = self.target.split('?').next().unwrap_or_default();
        format!("{} {path}", self.method)
    }

    /// The value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }

    /// Whether a test can hold it, and a client send it.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let graphic = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let token =
            |text: &str| graphic(text) && !text.bytes().any(|byte| b"\"(),/:;<=>?@[\\]{}".contains(&byte));
        if !token(&self.method) {
            return Err("its method is none");
        }
        if !self.target.starts_with('/')
            || !graphic(&self.target)
            || self.target.bytes().any(|b| b"#<>".contains(&b))
        {
            return Err("its path must begin with a slash, and what cannot be sent be percent-encoded");
        }
        if self.host.as_deref().is_some_and(|host| !graphic(host)) {
            return Err("its host is none");
        }
        let framing = |name: &str| FRAMING.iter().any(|known| name.eq_ignore_ascii_case(known));
        let line = |(name, value): &(String, String)| {
            token(name)
                && !framing(name)
                && !value.chars().any(|letter| letter.is_control() && letter != '\t')
        };
        if !self.headers.iter().all(line) {
            return Err("a header of it cannot be sent");
        }
        Ok(())
    }
}

/// One line; none for a record of no request.
fn parse(line: &str) -> Result<Option<Wish>, String> {
    if line.starts_with('{') {
        let record: Value = serde_json::from_str(line).map_err(|_| "the line is no whole JSON".to_owned())?;
        return Ok(of_record(&record).filter(|wish| wish.check().is_ok()));
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(target), None) = (words.next(), words.next(), words.next()) else {
        return Err("neither a record of an access log nor `METHOD PATH`".to_owned());
    };
    let wish = Wish {
        method: method.to_ascii_uppercase(),
        target: target.to_owned(),
        host: None,
        headers: Vec::new(),
        body: None,
    };
    wish.check().map_err(|why| format!("neither a record of an access log nor `METHOD PATH`: {why}"))?;
    Ok(Some(wish))
}

fn of_record(record: &Value) -> Option<Wish> {
    let text = |key: &str| record.get(key).and_then(Value::as_str);
    let path = text("path")?;
    let target = match text("query") {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let headers = record.get("headers").and_then(Value::as_object).into_iter().flatten();
    let headers = headers.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    Some(Wish {
        method: text("method")?.to_owned(),
        target,
        host: text("host").filter(|host| !host.is_empty()).map(str::to_owned),
        headers: headers.collect(),
        body: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, any_method: bool) -> Result<Wishes, String> {
        Wishes::of(text.as_bytes(), &[("x-a".to_owned(), "1".to_owned())], any_method)
    }

    #[test]
    fn lines_are_requests() {
        let text = "# comment\n\nget /a?b=1\nGET /a?b=1\nPOST /a\n\
                    {\"method\":\"GET\",\"path\":\"/b\",\"query\":\"c=2\",\"host\":\"h\",\"headers\":{\"user-agent\":\"x\",\"x-a\":\"2\",\"x-b\":\"***\",\"x-c\":null}}\n\
                    {\"method\":\"GET\",\"path\":\"/b\",\"query\":\"key=***\",\"host\":\"h\"}\n\
                    {\"method\":null,\"path\":\"\",\"status\":400}\n";
        let wishes = read(text, false).expect("requests");
        let shown: Vec<String> =
            wishes.all.iter().map(|one| format!("{} {}", one.method, one.target)).collect();
        assert_eq!(shown, ["GET /a?b=1", "GET /b?c=2"]);
        let second = &wishes.all[1];
        assert_eq!(second.host.as_deref(), Some("h"));
        assert_eq!(
            second.headers,
            [("user-agent".to_owned(), "x".to_owned()), ("x-a".to_owned(), "1".to_owned())]
        );
        let left: Vec<&str> = wishes.left.iter().map(|(one, _)| &**one).collect();
        assert_eq!(left, ["POST /a", "GET /b"]);
        assert_eq!(read(text, true).expect("requests").all.len(), 3);
    }

    #[test]
    fn other_lines_have_their_place() {
        for (text, expect) in [
            ("", ": no request in it"),
            ("# nothing\n\n", ": no request in it"),
            ("{\"status\":400}\n", ": no request in it"),
            ("GET /a\nhello\n", ":2: neither"),
            ("GET a\n", ":1: neither"),
            ("GET /a b\n", ":1: neither"),
            ("{\"method\":\n", ":1: the line is no whole JSON"),
            ("GET /\u{e4}\n", ":1: neither"),
        ] {
            let why = read(text, false).expect_err(text);
            assert!(why.starts_with(expect), "{text}: {why}");
        }
        assert!(Wishes::of(&b"GET /\xff\n"[..], &[], false).is_err_and(|why| why == ":1: not UTF-8"));
        let long = format!("GET /{}\n", "a".repeat(LINE_BYTES_MAX as usize));
        assert!(read(&long, false).is_err_and(|why| why.starts_with(":1: a line of more")));
    }

    #[test]
    fn not_more_are_sent_than_people_read() {
        let text: String = (0..REQUESTS_MAX + 3).map(|at| format!("GET /{at}\n")).collect();
        let wishes = read(&text, false).expect("requests");
        assert_eq!((wishes.all.len(), wishes.beyond), (REQUESTS_MAX, 3));
    }
}
