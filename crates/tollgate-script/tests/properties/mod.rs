//! What holds for any script and any request at all. Used by the fuzz target, and by the tests here on its seeds, so that
//! what a fuzzer finds becomes a test by copying its file.

#![allow(dead_code, reason = "each fuzz target uses its part")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tollgate_script::{
    Cause, Compiler, Facts, Failure, Host, Level, Limits, Request, Respond, Response, Session, Source,
    Verdict, Vm,
};
use tollgate_wire::{HeaderBlock, Method, Name};

/// Few steps and little memory: a fuzzer waits for nobody. The time is so long that steps end a script first.
const LIMITS: Limits = Limits { memory_bytes: 1 << 20, time: Duration::from_secs(4), steps: 20_000 };

/// Nothing takes so long, also where code is instrumented and the machine is busy.
const SOON: Duration = Duration::from_secs(8);

/// Lines that one call may log, and bytes of a line.
const LOGGED: (usize, usize) = (32, 1024);

/// A script, and behind a NUL what of a request and an answer it is handed. Whether it ran to its end.
pub(crate) fn lua(bytes: &[u8]) -> bool {
    let at = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (text, message) = (String::from_utf8_lossy(&bytes[..at]), bytes.get(at + 1..).unwrap_or_default());
    let source =
        Source { name: "s.lua", text: &text, with: json!({ "a": "1", "n": [1, null] }), modules: None };
    let begun = Instant::now();
    let compiled = Compiler::new().expect("a compiler").compile(source, LIMITS);
    let Ok(script) = compiled else { return false };
    let log = Rc::new(Log::default());
    let mut vm = Vm::new(log.clone()).expect("a machine");
    let (mut session, mut request, mut response) = (Session::default(), request(message), response(message));
    let before = (request.headers.clone(), request.path.clone(), request.query.clone(), request.body.clone());
    let verdict = vm.request(&script, &mut session, &mut request);
    ended(&verdict, &text);
    if verdict.is_ok() {
        path(&request, &text);
        lines(&request.headers, &text);
        let changed = request.changed;
        let kept = [
            changed.headers || request.headers == before.0,
            changed.path || request.path == before.1,
            changed.query || request.query == before.2,
            changed.body || request.body == before.3,
            changed.method || request.method == Method::Get,
        ];
        assert_eq!(kept, [true; 5], "a change that is not told, of {text:?}");
    }
    let goes_on = matches!(verdict, Ok(Verdict::Continue));
    let verdict =
        if goes_on { vm.response(&script, &mut session, &mut request, &mut response) } else { verdict };
    ended(&verdict, &text);
    assert!(begun.elapsed() < SOON, "{text:?} took {:?}", begun.elapsed());
    assert!(
        log.0.borrow().iter().all(|line| line.len() <= LOGGED.1 && !line.chars().any(char::is_control)),
        "{text:?}"
    );
    assert!(log.0.borrow().len() <= 3 * LOGGED.0, "{text:?}");
    if goes_on && verdict.is_ok() {
        assert!((200..=599).contains(&response.status), "{} of {text:?}", response.status);
        lines(&response.headers, &text);
    }
    // The next request finds the machine as it was.
    let plain = Compiler::new()
        .expect("a compiler")
        .compile(Source::inline("t.lua", UNTOUCHED), LIMITS)
        .expect("a script");
    let after = vm.request(&plain, &mut Session::default(), &mut Request::default());
    assert!(matches!(after, Ok(Verdict::Continue)), "{after:?} after {text:?}");
    verdict.is_ok()
}

/// Fails where another script left something behind.
const UNTOUCHED: &str = r#"
function request(req)
    assert(leaked == nil and x == nil and a == nil and string.leaked == nil)
    assert(tostring(1) == "1" and ("a"):upper() == "A" and #json.encode({ 1 }) == 3)
    assert(req.method == "GET")
end
"#;

#[derive(Default)]
struct Log(RefCell<Vec<String>>);

impl Host for Log {
    fn unix_time(&self) -> Duration {
        Duration::from_secs(1_900_000_000)
    }

    fn log(&self, _: &str, _: Level, line: &str) {
        self.0.borrow_mut().push(line.to_owned());
    }
}

/// An answer that can be sent, or a failure for which the script is to blame.
fn ended(verdict: &Result<Verdict, Failure>, text: &str) {
    match verdict {
        Ok(Verdict::Continue) => {}
        Ok(Verdict::Respond(Respond { status, headers, body })) => {
            assert!((200..=599).contains(status), "{status} of {text:?}");
            assert!(!matches!(status, 204 | 304) || body.is_empty(), "{text:?}");
            lines(headers, text);
            let framing = ["content-length", "transfer-encoding", "connection"]
                .map(|name| Name::new(name).expect("a name"));
            assert!(!framing.iter().any(|name| headers.contains(name)), "{text:?}");
        }
        Err(failure) => {
            assert_ne!(failure.cause, Cause::Full, "{text:?}");
            assert!(
                !failure.message.chars().any(|c| c.is_control() && c != '\n' && c != '\t'),
                "{:?} of {text:?}",
                failure.message
            );
        }
    }
}

/// Each line is one line, whatever the script said.
fn lines(headers: &HeaderBlock, text: &str) {
    for (name, value) in headers.iter() {
        assert!(Name::from_bytes(name).is_ok(), "{} of {text:?}", name.escape_ascii());
        assert!(
            !value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t'),
            "{} of {text:?}",
            value.escape_ascii()
        );
    }
    let mut written = Vec::new();
    headers.write_to(&mut written);
    let ends = written.windows(2).filter(|pair| pair == b"\r\n").count();
    assert_eq!(ends, headers.len(), "{} of {text:?}", written.escape_ascii());
}

/// What a script may leave of a path goes into a request line.
fn path(request: &Request, text: &str) {
    let shown = format!("{:?} of {text:?}", request.path);
    assert!(request.path.starts_with('/'), "{shown}");
    assert!(request.path.bytes().all(|byte| byte.is_ascii_graphic() && !b"?#\\".contains(&byte)), "{shown}");
    assert!(!request.path.split('/').any(|segment| matches!(segment, "." | "..")), "{shown}");
    let query = request.query.as_deref().unwrap_or_default();
    assert!(
        query.iter().all(|byte| (byte.is_ascii_graphic() && *byte != b'#') || *byte >= 0x80),
        "{} of {text:?}",
        query.escape_ascii()
    );
    assert!(
        !request.method.as_str().is_empty() && Method::parse(request.method.as_str().as_bytes()).is_some(),
        "{text:?}"
    );
}

fn request(message: &[u8]) -> Request {
    let text = String::from_utf8_lossy(message).into_owned();
    // As in the target of a request.
    let query: Vec<u8> =
        message.iter().copied().filter(|byte| byte.is_ascii_graphic() && *byte != b'#').collect();
    Request {
        path: "/orders/7".to_owned(),
        query: Some(query),
        headers: block(message),
        body: Some(message.to_vec()),
        facts: Facts {
            host: "api.example.com".to_owned(),
            client_ip: Some("192.0.2.1".parse().expect("an address")),
            consumer: Some(text.clone()),
            params: vec![("id".to_owned(), text.clone())],
            claims: Some(std::rc::Rc::new(json!({ "sub": text, "n": 1.5, "list": [1, [2], null] }))),
        },
        ..Request::default()
    }
}

fn response(message: &[u8]) -> Response {
    Response { status: 200, headers: block(message), body: Some(message.to_vec()), ..Response::default() }
}

/// The message as header lines, as a parser would let them pass.
fn block(message: &[u8]) -> HeaderBlock {
    let mut block = HeaderBlock::new();
    block.append(&Name::new("X-One").expect("a name"), b"1");
    for line in message.split(|byte| byte.is_ascii_control()).take(8) {
        let mut halves = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
        if let Ok(name) = Name::from_bytes(name) {
            block.append(&name, value.trim_ascii());
        }
    }
    block
}
