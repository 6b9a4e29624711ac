//! A request through one script, and what came of it as text.

#![allow(dead_code, reason = "each test file uses its part")]

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use serde_json::json;
use tollgate_script::{
    Compiler, Facts, Failure, Host, Level, Limits, Request, Respond, Response, Script, ScriptError, Session,
    Source, Verdict, Vm,
};
use tollgate_wire::{HeaderBlock, Name};

/// 2025-11-22T07:57:05.250Z
pub(crate) const NOW: Duration = Duration::from_millis(1_763_798_225_250);

/// A host that keeps what is logged, at a time that stands.
#[derive(Default)]
pub(crate) struct Notebook(pub(crate) RefCell<Vec<String>>);

impl Host for Notebook {
    fn unix_time(&self) -> Duration {
        NOW
    }

    fn log(&self, script: &str, level: Level, line: &str) {
        self.0.borrow_mut().push(format!("{script} {level:?} {line}"));
    }
}

/// One worker's scripts.
pub(crate) struct Bench {
    pub(crate) vm: Vm,
    pub(crate) notebook: Rc<Notebook>,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let notebook = Rc::new(Notebook::default());
        Bench { vm: Vm::new(notebook.clone()).unwrap(), notebook }
    }

    /// Calls `request` and, if it lets the request pass, `response`.
    pub(crate) fn exchange(
        &mut self,
        script: &Script,
        request: &mut Request,
        response: &mut Response,
    ) -> Result<Verdict, Failure> {
        let mut session = Session::default();
        match self.vm.request(script, &mut session, request)? {
            Verdict::Continue => self.vm.response(script, &mut session, request, response),
            answer => Ok(answer),
        }
    }

    /// Calls `request` with a plain request, and gives what it answers.
    pub(crate) fn ask(&mut self, script: &Script) -> Result<Respond, Failure> {
        match self.vm.request(script, &mut Session::default(), &mut request())? {
            Verdict::Respond(answer) => Ok(answer),
            Verdict::Continue => Ok(Respond::default()),
        }
    }
}

pub(crate) fn compile(text: &str) -> Result<Script, ScriptError> {
    compile_with(text, &[], patient())
}

/// Limits of which the time does not depend on what else the machine has to do.
pub(crate) fn patient() -> Limits {
    Limits { time: Duration::from_secs(30), ..Limits::default() }
}

pub(crate) fn compile_with(
    text: &str,
    modules: &[(&str, &str)],
    limits: Limits,
) -> Result<Script, ScriptError> {
    let mut load = |path: &str| {
        let found = modules.iter().find(|(name, _)| *name == path);
        found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
    };
    let source = Source {
        name: "s.lua",
        text,
        with: json!({ "limit": 3, "names": ["a", "b"], "none": null }),
        modules: Some(&mut load),
    };
    Compiler::new().unwrap().compile(source, limits)
}

/// A request that has something of everything.
pub(crate) fn request() -> Request {
    Request {
        path: "/orders/7".to_owned(),
        query: Some(b"a=1&tag=x%20y&tag=z+&empty=&flag".to_vec()),
        headers: headers(&[("Host", "api.example.com"), ("X-One", "1"), ("Accept", "a"), ("accept", "b")]),
        body: Some(br#"{"id":7,"items":[],"name":"Ada","none":null}"#.to_vec()),
        facts: Facts {
            host: "api.example.com".to_owned(),
            client_ip: Some("192.0.2.1".parse().unwrap()),
            consumer: Some("mobile-app".to_owned()),
            params: vec![("id".to_owned(), "7".to_owned())],
            claims: Some(Rc::new(json!({ "sub": "u1", "roles": ["admin"], "address": { "country": "DE" } }))),
        },
        ..Request::default()
    }
}

pub(crate) fn response() -> Response {
    Response {
        status: 200,
        headers: headers(&[
            ("Content-Type", "application/json"),
            ("Set-Cookie", "a=1"),
            ("set-cookie", "b=2"),
        ]),
        body: Some(br#"{"total": 1.50, "items": [{"id": 1}], "big": 12345678901234567890}"#.to_vec()),
        ..Response::default()
    }
}

pub(crate) fn headers(lines: &[(&str, &str)]) -> HeaderBlock {
    let mut block = HeaderBlock::new();
    for (name, value) in lines {
        block.append(&Name::new(name).unwrap(), value.as_bytes());
    }
    block
}

/// Header lines as `name: value`, in order.
pub(crate) fn lines(block: &HeaderBlock) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    block.iter().map(|(name, value)| format!("{}: {}", text(name), text(value))).collect()
}

/// Runs `body` as a request function of which the result is shown, or its error.
pub(crate) fn eval(body: &str) -> String {
    let text = format!(
        "function request(req)\nlocal function run()\n{body}\nend\nreturn respond(200, show(run()))\nend\n{SHOW}"
    );
    let script = match compile(&text) {
        Ok(script) => script,
        Err(error) => return format!("does not load: {error}"),
    };
    match Bench::new().ask(&script) {
        Ok(answer) => String::from_utf8_lossy(&answer.body).into_owned(),
        Err(failure) => format!("{:?}: {}", failure.cause, failure.message),
    }
}

const SHOW: &str = r#"
function show(...)
    local parts = table.pack(...)
    for i = 1, parts.n do
        local v = parts[i]
        if v == json.null then parts[i] = "null"
        elseif type(v) == "table" then parts[i] = json.encode(v)
        else parts[i] = tostring(v) end
    end
    return table.concat(parts, " ")
end
"#;
