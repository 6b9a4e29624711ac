//! What one call may use: in time, also where the engine itself is at work, and in memory over many requests.

mod drive;

use std::time::{Duration, Instant};

use drive::{Bench, compile, compile_with, request};
use tollgate_script::{Cause, Limits, MAX_MACHINE_BYTES, Session};

/// However loaded the machine is that runs the tests, a call that nothing ends takes far longer than this.
const SOON: Duration = Duration::from_secs(3);

fn check(body: &str) {
    let script = compile_with(&format!("function request(req) {body} end"), &[], Limits::default()).unwrap();
    let started = Instant::now();
    let result = Bench::new().ask(&script);
    let took = started.elapsed();
    assert!(took < SOON, "{body}: {took:?}");
    if let Err(failure) = result {
        assert_ne!(failure.cause, Cause::Full, "{body}");
    }
}

#[test]
fn patterns_that_backtrack_end_in_time() {
    for body in [
        "return (('a'):rep(40) .. 'b'):find(('a*'):rep(30) .. 'c')",
        "pcall(string.find, ('a'):rep(1e5), '.-.-.-.-b')",
        "pcall(string.match, ('a'):rep(1e5), '(.*)(.*)(.*)(.*)x')",
        "pcall(string.gsub, ('a'):rep(1e5), '.-.-b', '')",
        "for x in string.gmatch(('a'):rep(1e5), '.-.-b') do end",
        "pcall(string.find, ('('):rep(1e6), '%b()')",
        "pcall(string.find, ('a'):rep(1e6), '%f[b].*.*c')",
        "pcall(string.find, ('a'):rep(2e6), ('a?'):rep(100) .. 'b')",
    ] {
        check(body);
    }
}

#[test]
fn the_engines_own_loops_end_in_time() {
    for body in [
        // Plain searches whose time is the product of both lengths.
        "string.find(('a'):rep(3e6), ('a'):rep(1e6) .. 'b', 1, true)",
        "string.find(('a'):rep(3e6), ('a'):rep(1e6) .. 'b')",
        "pcall(string.split, ('a'):rep(3e6), ('a'):rep(1e6) .. 'b')",
        "string.gsub(('a'):rep(3e6), ('a'):rep(1e6) .. 'b', '')",
        "local t = table.create(3e5, 'x') for i = 1, 3e5 do t[i] = (i * 7919) % 300007 end table.sort(t)",
        "local t = table.create(3e5, 1) for i = 1, 1e6 do table.insert(t, 1, 1) table.remove(t, 1) end",
        "local s = ('x'):rep(2e6) for i = 1, 1e6 do local u = s:upper() end",
        "local s = ('x'):rep(1e6) for i = 1, 1e6 do local u = hmac.sha256(s, s) end",
        "local t = table.create(2e5, 1) for i = 1, 1e6 do local u = table.concat(t) end",
        "pcall(table.move, {}, 1, 2^31 - 2, 1, {})",
        "pcall(table.concat, {}, '', -2^31, 2^31 - 1)",
        "local x = ('x'):rep(1e6) for i = 1, 1e6 do json.encode({x, x, x}) end",
        "local x = '[' .. ('1,'):rep(2e5) .. '1]' for i = 1, 1e6 do json.decode(x) end",
        "local t = {} for i = 1, 20 do t = {t, t} end pcall(json.encode, t)",
        "local t = {} for i = 1, 60 do t = {t, t} end pcall(json.encode, t)",
        "local b = buffer.create(4e6) for i = 1, 1e6 do buffer.fill(b, 0, 1) end",
        "for i = 1, 1e6 do pcall(req.headers) for k, v in req.headers do end end",
    ] {
        check(body);
    }
}

#[test]
fn a_long_search_finds_what_the_engine_finds() {
    let text = "local s = ('ab'):rep(5e5) .. 'needle' .. ('x'):rep(100)
        local n = 'needle' .. ('x'):rep(100)
        assert(s:find(n) == 1000001 and select(2, s:find(n, 1, true)) == 1000106)
        assert(s:find(n, 1000002, true) == nil and s:find(n, -106) == 1000001 and s:find(n, 2e6) == nil)
        assert(s:find(n .. '?') == 1000001)
        local list = {} for i = 1, 5000 do list[i] = (i * 7919) % 5003 end table.sort(list)
        for i = 2, 5000 do assert(list[i - 1] <= list[i]) end";
    let limits = Limits { time: SOON, steps: 100_000_000, ..Limits::default() };
    let script = compile_with(&format!("function request(req) {text} end"), &[], limits).unwrap();
    Bench::new().ask(&script).unwrap();
}

#[test]
fn steps_are_counted_however_fast_the_machine_is() {
    let limits = Limits { steps: 1000, time: SOON, ..Limits::default() };
    let within = compile_with("function request(req) for i = 1, 900 do end end", &[], limits).unwrap();
    Bench::new().ask(&within).unwrap();
    let over = compile_with("function request(req) for i = 1, 1100 do end end", &[], limits).unwrap();
    let failure = Bench::new().ask(&over).unwrap_err();
    assert_eq!((failure.cause, failure.line), (Cause::Steps, 1));
    assert_eq!(failure.to_string(), "s.lua:1: made more steps than a call may");
    // Each call has its own account.
    let mut bench = Bench::new();
    for _ in 0..5 {
        bench.ask(&within).unwrap();
    }
}

#[test]
fn what_is_run_when_loading_is_limited_too() {
    let limits = Limits { steps: 1000, time: SOON, ..Limits::default() };
    let error = compile_with("while true do end function request() end", &[], limits).unwrap_err();
    assert_eq!(error.to_string(), "s.lua:1: made more steps than a call may, when it was loaded");
    let error = compile("local x = ('x'):rep(1e9) function request() end").unwrap_err();
    assert_eq!(error.message, "used more memory than a call may, when it was loaded");
}

#[test]
fn the_limit_of_memory_is_for_a_call_and_not_for_what_is_there() {
    let limits = Limits { memory_bytes: 1 << 20, time: SOON, ..Limits::default() };
    let keeps = "function request(req) kept = ('x'):rep(3e5) .. req.path end function response(res) assert(#kept > 3e5) end";
    let script = compile_with(keeps, &[], limits).unwrap();
    let mut bench = Bench::new();
    let mut waiting: Vec<_> = (0..20).map(|_| (Session::default(), request())).collect();
    for (at, (session, request)) in waiting.iter_mut().enumerate() {
        request.path = format!("/{at}");
        bench.vm.request(&script, session, request).unwrap();
    }
    assert!(bench.vm.used_bytes() > 20 * 300_000);
    // One that uses too much takes nothing away from those that wait.
    let bomb = compile_with("function request(req) string.rep('x', 1e8) end", &[], limits).unwrap();
    assert_eq!(bench.ask(&bomb).unwrap_err().cause, Cause::Memory);
    assert_eq!(bench.vm.replaced(), 1);
    for (session, request) in &mut waiting {
        bench.vm.response(&script, session, request, &mut drive::response()).unwrap();
    }
    drop(waiting);
    assert!(bench.vm.used_bytes() < 1 << 20, "{}", bench.vm.used_bytes());
}

#[test]
fn requests_that_wait_cannot_fill_the_machine() {
    let keeps = "function request(req) kept = ('x'):rep(5e6) .. req.path end function response(res) end";
    let limits = Limits { memory_bytes: 16 << 20, time: SOON, ..Limits::default() };
    let script = compile_with(keeps, &[], limits).unwrap();
    let mut bench = Bench::new();
    let mut waiting = Vec::new();
    let failure = loop {
        let (mut session, mut request) = (Session::default(), request());
        request.path = format!("/{}", waiting.len());
        match bench.vm.request(&script, &mut session, &mut request) {
            Ok(_) => waiting.push(session),
            Err(failure) => break failure,
        }
        assert!(waiting.len() < 30);
    };
    assert_eq!(failure.cause, Cause::Full);
    assert!(bench.vm.used_bytes() < MAX_MACHINE_BYTES + (32 << 20));
    waiting.clear();
    bench.vm.request(&script, &mut Session::default(), &mut request()).unwrap();
}

#[test]
fn memory_stays_flat_over_many_requests() {
    let script = compile(
        "local t = {} function request(req) t[1] = req.json t.x = req.query req.headers.a = ('x'):rep(1000) end
         function response(res) res.json.t = 1 end",
    )
    .unwrap();
    let mut bench = Bench::new();
    let mut most = 0;
    for turn in 0..3000 {
        bench.exchange(&script, &mut request(), &mut drive::response()).unwrap();
        most = most.max(bench.vm.used_bytes());
        assert!(most < 4 << 20, "{most} after {turn}");
    }
}

#[test]
fn scripts_of_old_configurations_are_forgotten() {
    let mut bench = Bench::new();
    let text = format!("local s = '{}' function request(req) end", "x".repeat(10_000));
    for turn in 0..200 {
        let script = compile(&text.replacen('x', &turn.to_string(), 1)).unwrap();
        bench.ask(&script).unwrap();
    }
    assert!(bench.vm.used_bytes() < 2 << 20, "{}", bench.vm.used_bytes());
}
