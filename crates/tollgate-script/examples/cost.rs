//! What a call costs: `cost <work> <calls>` makes so many calls of one kind, for a clock or for callgrind.
//!
//! The difference between two runs with different numbers of calls, divided by the difference of the numbers, is the
//! cost of one: what it takes to begin is in both.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tollgate_script::{Claims, Compiler, Limits, Request, Response, Session, Silent, Source, Vm};
use tollgate_wire::{HeaderBlock, Name};

/// Name, source, and whether the response is called too.
const WORK: &[(&str, &str)] = &[
    ("empty", "function request(req) end"),
    ("header", "function request(req) req.headers[\"x-a\"] = \"b\" end"),
    ("read", "function request(req) local a = req.headers[\"x-a\"] end"),
    ("answer", "function response(res, req) res.headers[\"x-a\"] = \"b\" end"),
    (
        "both",
        "function request(req) req.headers[\"x-a\"] = \"b\" end function response(res) res.headers[\"x-a\"] = \"b\" end",
    ),
    ("json", "function response(res) res.json.total = 1 end"),
    ("look", "function response(res) local a = res.json.total end"),
    ("claims", "function request(req) local a = req.claims.roles end"),
    ("token", "function request(req) local a = req.claims.roles end"),
    ("stock", include_str!("../../../examples/vps/stock.lua")),
    ("query", "function request(req) req.query.a = \"2\" end"),
    ("loop", "function request(req) for i = 1, 10000 do end end"),
    ("pattern", "local s = (\"a\"):rep(1000) function request(req) return nil, s:find(\"b.\") end"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let work = arguments.next().unwrap_or_else(|| "header".to_owned());
    let calls: u32 = arguments.next().map_or(Ok(100_000), |calls| calls.parse())?;
    let (_, text) = WORK.iter().find(|(name, _)| *name == work).ok_or("no such work")?;
    let limits = Limits { time: Duration::from_secs(60), ..Limits::default() };
    let with = serde_json::json!({ "edition": 1, "costs_for": "buying" });
    let source = Source { with, ..Source::inline("cost.lua", text) };
    let script = Compiler::new()?.compile(source, limits)?;
    let mut vm = Vm::new(Rc::new(Silent))?;
    let mut request = Request { query: Some(b"a=1&b=2".to_vec()), ..Request::default() };
    let body: &[u8] = match work.as_str() {
        "stock" => br#"{"id":7,"name":"a box of screws","price_cents":1250,"cost_cents":990,"left":40}"#,
        _ => br#"{"id":7,"items":[{"id":1},{"id":2}],"name":"Ada Lovelace","total":0}"#,
    };
    let claims = serde_json::json!({
        "iss": "https://id.example.com", "sub": "owner-17", "aud": ["shop"], "exp": 1_795_000_000, "iat": 1_794_990_000,
        "jti": "4b1c6a0e-5a2e-4b4c", "scope": "items:read orders:read", "roles": ["buying", "staff"], "tenant": { "id": 4 },
    });
    // More tokens than are remembered, where each call has another one.
    let tokens = if work == "token" { 1000 } else { 1 };
    let tokens: Vec<Rc<dyn Claims>> = (0..tokens).map(|_| Rc::new(claims.clone()) as _).collect();
    let mut tokens = tokens.iter().cycle();
    let mut response = Response { status: 200, ..Response::default() };
    let mut sent = HeaderBlock::new();
    for (name, value) in
        [("host", "api.example.com"), ("user-agent", "cost"), ("accept", "*/*"), ("x-b", "1")]
    {
        sent.append(&Name::new(name).map_err(|_| "no name")?, value.as_bytes());
    }
    let started = Instant::now();
    for _ in 0..calls {
        request.headers.clone_from(&sent);
        response.headers.clone_from(&sent);
        if script.needs().response_body {
            response.body = Some(body.to_vec());
        }
        request.facts.claims = tokens.next().cloned();
        let mut session = Session::default();
        vm.request(&script, &mut session, &mut request)?;
        vm.response(&script, &mut session, &mut request, &mut response)?;
    }
    let each = started.elapsed().as_nanos() as f64 / f64::from(calls.max(1));
    let mut out = std::io::stdout().lock();
    std::io::Write::write_fmt(
        &mut out,
        format_args!("{work}: {each:.0} ns a call, {} bytes held\n", vm.used_bytes()),
    )?;
    Ok(())
}
