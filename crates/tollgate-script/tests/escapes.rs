//! What a script must not reach, each by the ways that are known.

mod drive;

use drive::{Bench, compile, compile_with, eval, patient, request, response};
use tollgate_script::{Cause, Limits, Session, Verdict};
use tollgate_wire::Name;

fn check(body: &str, expect: &str) {
    assert_eq!(eval(body), expect, "{body}");
}

/// The script ends in an error of its own, and the machine goes on.
fn check_error(body: &str, part: &str) {
    let shown = eval(body);
    assert!(shown.starts_with("Error: ") && shown.contains(part), "{body}\n{shown}");
}

#[test]
fn only_what_is_listed_is_there() {
    let names = [
        "io",
        "os",
        "debug",
        "package",
        "loadstring",
        "load",
        "loadfile",
        "dofile",
        "getfenv",
        "setfenv",
        "newproxy",
        "gcinfo",
        "_G",
        "module",
        "jit",
        "ffi",
        "vector",
        "integer",
        "class",
        "rust",
        "ticket",
        "script",
        "shared",
        "task",
        "game",
        "_ENV",
        "__index",
    ];
    for name in names {
        check(&format!("return {name}"), "nil");
    }
    for name in ["string.dump", "math.randomseed", "coroutine.finally", "table.foreach_", "hmac.key"] {
        check(&format!("return {name}"), "nil");
    }
    for library in
        ["string", "table", "math", "utf8", "bit32", "buffer", "json", "base64", "hmac", "time", "log"]
    {
        check(&format!("return type({library})"), "table");
    }
}

#[test]
fn files_and_processes_are_out_of_reach() {
    check_error("return io.open('/etc/passwd')", "attempt to index nil with 'open'");
    check_error("return os.execute('id')", "attempt to index nil with 'execute'");
    check_error("return os.getenv('HOME')", "attempt to index nil with 'getenv'");
    check_error("return debug.getinfo(1)", "attempt to index nil with 'getinfo'");
    check_error("collectgarbage('collect')", "only `collectgarbage(\"count\")`");
    check_error("collectgarbage('stop')", "only `collectgarbage(\"count\")`");
    check_error("collectgarbage()", "only `collectgarbage(\"count\")`");
    check("return collectgarbage('count') > 0", "true");
}

#[test]
fn code_from_strings_does_not_run() {
    check_error("return load('return 1')()", "attempt to call a nil value");
    check_error("return loadstring('return 1')()", "attempt to call a nil value");
    check_error("return dofile('/etc/passwd')", "attempt to call a nil value");
    check_error("return getfenv(0)", "attempt to call a nil value");
    check_error("setfenv(1, {})", "attempt to call a nil value");
    check_error("return newproxy(true)", "attempt to call a nil value");
    check_error("return string.dump(print)", "attempt to call a nil value");
}

#[test]
fn bytecode_is_never_loaded() {
    // What compiled code begins with: a version of the format.
    for version in 0u8..=12 {
        let text = format!("{}\u{2}\u{0}\u{0}", version as char);
        let error = compile(&text).unwrap_err();
        assert_eq!(error.file, "s.lua", "{version}");
    }
    compile("\u{1b}LuaQ").unwrap_err();
    compile_with("local m = require 'm' function request() end", &[("m.lua", "\u{6}\u{3}\u{0}")], patient())
        .unwrap_err();
}

#[test]
fn modules_come_from_the_folder_alone() {
    let modules = [("a.lua", "return { n = 1 }"), ("lib/b.lua", "return require('a').n + 1")];
    let works = "local a, b = require 'a', require('./lib/b') function request(req) return respond(200, a.n .. b) end";
    let script = compile_with(works, &modules, patient()).unwrap();
    assert_eq!(Bench::new().ask(&script).unwrap().body, b"12");
    for name in [
        "../a",
        "/etc/passwd",
        "lib/../a",
        "a.lua",
        "a\\\\b",
        "",
        ".",
        "..",
        "lib//b",
        "~/a",
        "a%2e",
        "c:a",
        "lib/",
    ] {
        let text = format!("local x = require '{name}' function request() end");
        let error = compile_with(&text, &modules, patient()).unwrap_err();
        assert!(error.message.starts_with("a module is named by letters"), "{name}: {error}");
        assert_eq!(error.line, 1);
    }
    let absent = compile_with("\nlocal x = require 'none' function request() end", &modules, patient());
    assert_eq!(absent.unwrap_err().to_string(), "s.lua:2: cannot read `none.lua`: no such file");
    // What is required is known when the script is read, or it is refused.
    compile_with("local f = {require} function request() end", &modules, patient()).unwrap_err();
    compile_with("local f = require('a' .. 'b') function request() end", &modules, patient()).unwrap_err();
    let round = [("a.lua", "return require 'b'"), ("b.lua", "return require 'a'")];
    let error = compile_with("require 'a' function request() end", &round, patient()).unwrap_err();
    assert_eq!(error.to_string(), "b.lua:1: modules require each other: a → b → a");
    let broken = [("a.lua", "\n\nlocal = 1")];
    let error = compile_with("require 'a' function request() end", &broken, patient()).unwrap_err();
    assert_eq!((error.file.as_str(), error.line), ("a.lua", 3));
    let failing = [("a.lua", "\nerror('no')")];
    let error = compile_with("require 'a' function request() end", &failing, patient()).unwrap_err();
    assert_eq!(error.to_string(), "a.lua:2: no");
}

#[test]
fn what_is_shared_cannot_be_written_to() {
    for write in [
        "string.rep = nil",
        "string.x = 1",
        "math.pi = 3",
        "json.encode = print",
        "log.info = print",
        "time.now = function() return 0 end",
        "getmetatable('').__index = {}",
        "getmetatable('').__add = print",
        "rawset(string, 'x', 1)",
        "rawset(getmetatable(''), '__index', {})",
        "table.insert(string, 1)",
        "table.clear(string)",
    ] {
        check_error(write, "attempt to modify a readonly table");
    }
    check_error("setmetatable(string, {})", "readonly");
    check_error("setmetatable(json.array{}, nil)", "cannot change a protected metatable");
    check("return getmetatable(json.array{})", "json.array");
    check_error("table.freeze(string)", "already frozen");
    check_error("setmetatable('', {})", "");
    check_error("json.array(string)", "");
}

#[test]
fn nothing_is_left_for_the_next_request() {
    let marks = [
        "x = (x or 0) + 1",
        "n += 1 x = n",
        "t.x = (t.x or 0) + 1 x = t.x",
        "m.x = (m.x or 0) + 1 x = m.x",
        "x = m.count()",
        "print2 = 1 string2 = {} x = 1",
        "local ok = pcall(function() string.leak = 1 end) x = string.leak and 2 or 1",
        "local ok = pcall(function() json.array(log) end) x = getmetatable(log) and 2 or 1",
        "math = {x = (math.x or 0) + 1} x = math.x",
    ];
    for mark in marks {
        let text = format!(
            "local n, t, m = 0, {{}}, require 'm' function request(req) {mark} return respond(200, tostring(x)) end"
        );
        let modules = [("m.lua", "local n = 0 return {count = function() n += 1 return n end}")];
        let script = compile_with(&text, &modules, patient()).unwrap();
        let mut bench = Bench::new();
        for _ in 0..3 {
            let answer = bench.ask(&script).map(|answer| String::from_utf8_lossy(&answer.body).into_owned());
            assert_eq!(answer.unwrap(), "1", "{mark}");
        }
    }
}

#[test]
fn one_script_does_not_see_another() {
    let first = compile("secret = 's' function request(req) shared = req.claims end").unwrap();
    let second = compile(
        "function request(req) return respond(200, tostring(secret) .. tostring(shared) .. tostring(request2)) end",
    );
    let mut bench = Bench::new();
    bench.ask(&first).unwrap();
    assert_eq!(bench.ask(&second.unwrap()).unwrap().body, b"nilnilnil");
}

#[test]
fn limits_pass_through_every_catch() {
    let spins = [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "while true do pcall(error) end",
        "pcall(function() while true do end end)",
        "xpcall(function() while true do end end, function() while true do end end)",
        "local co = coroutine.wrap(function() while true do end end) pcall(co)",
        "local co = coroutine.create(function() while true do end end) coroutine.resume(co)",
        "while true do local co = coroutine.create(function() while true do end end) coroutine.resume(co) end",
        "local function f() return pcall(f) end while true do f() end",
        "local t = setmetatable({}, {__index = function() while true do end end}) pcall(function() return t.x end)",
        "local t = setmetatable({}, {__tostring = function() while true do end end}) pcall(tostring, t)",
        "pcall(table.sort, {1, 2, 3}, function() while true do end end)",
        "pcall(string.gsub, 'aaa', 'a', function() while true do end end)",
        "while true do pcall(table.sort, {3, 2, 1, 5, 4}, function() return true end) end",
        "for i = 1, math.huge do end",
        "repeat until false",
        "while true do pcall(string.rep) end",
        "while true do pcall(json.decode, '[') end",
    ];
    for spin in spins {
        let script = compile(&format!("function request(req) {spin} end")).unwrap();
        let mut bench = Bench::new();
        let failure = bench.ask(&script).unwrap_err();
        assert!(matches!(failure.cause, Cause::Time | Cause::Steps), "{spin}: {failure:?}");
        // Nothing else suffers: the machine runs the next.
        let next = compile("function request(req) return respond(200, 'ok') end").unwrap();
        assert_eq!(bench.ask(&next).unwrap().body, b"ok", "{spin}");
    }
}

#[test]
fn memory_ends_a_call_through_every_catch() {
    let bombs = [
        "string.rep('x', 1e9)",
        "pcall(string.rep, 'x', 1e9)",
        "pcall(function() local s = 'x' while true do s = s .. s end end)",
        "xpcall(function() local s = 'x' while true do s = s .. s end end, function() return 'fine' end)",
        "local t = {} for i = 1, 1e6 do t[i] = {i} end",
        "pcall(function() local t = {} for i = 1, 1e7 do t[i] = i end end)",
        "pcall(table.create, 1e7, 1)",
        "pcall(buffer.create, 5e8)",
        "coroutine.resume(coroutine.create(function() return string.rep('x', 1e9) end))",
        "pcall(coroutine.wrap(function() return string.rep('x', 1e9) end))",
        "pcall(coroutine.wrap(coroutine.wrap(function() return string.rep('x', 1e9) end)))",
        "pcall(string.gsub, ('x'):rep(1e6), 'x', ('y'):rep(100))",
        "pcall(table.concat, table.create(1e5, ('y'):rep(1000)))",
        "pcall(string.format, ('%s'):rep(100), table.unpack(table.create(100, ('x'):rep(1e6))))",
        "local t = {} pcall(function() for i = 1, 1e6 do t[i .. ''] = i end end)",
        "pcall(base64.encode, ('x'):rep(5e6))",
        "pcall(json.decode, '[' .. ('{},'):rep(2e5) .. '1]')",
        "local co = {} pcall(function() for i = 1, 1e6 do co[i] = coroutine.create(print) end end)",
    ];
    for bomb in bombs {
        let limits = Limits { steps: 100_000_000, ..patient() };
        let script = compile_with(&format!("function request(req) {bomb} end"), &[], limits).unwrap();
        let mut bench = Bench::new();
        let before = bench.vm.used_bytes();
        let failure = bench.ask(&script).unwrap_err();
        assert_eq!(failure.cause, Cause::Memory, "{bomb}: {failure:?}");
        assert_eq!(bench.vm.replaced(), 1, "{bomb}");
        assert!(bench.vm.used_bytes() <= before + (64 << 10), "{bomb}: {}", bench.vm.used_bytes());
        let next = compile("function request(req) return respond(200, 'ok') end").unwrap();
        assert_eq!(bench.ask(&next).unwrap().body, b"ok", "{bomb}");
    }
}

#[test]
fn deep_recursion_ends_as_an_error() {
    check_error("local function f() return 1 + f() end return f()", "stack overflow");
    check("local function f() return 1 + f() end return (pcall(f))", "false");
    check_error(
        "local t = {} t.t = t return json.encode(t)",
        "a table within itself, or more than 64 levels",
    );
    check_error("return json.decode(('['):rep(100) .. (']'):rep(100))", "more than 64 levels");
    check_error("return json.decode(('['):rep(100000))", "");
    check_error(
        "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k] end return t.x",
        "",
    );
    check_error("local s = ('('):rep(300) .. 'a' .. (')'):rep(300) return ('a'):find(s)", "");
    check_error("return (('a'):rep(5000)):find((('a?'):rep(5000)) .. 'b')", "");
    let nested = format!("function request() return {}1{} end", "(".repeat(5000), ")".repeat(5000));
    compile(&nested).unwrap_err();
}

#[test]
fn finalizers_do_not_exist() {
    check(
        "local ran = false setmetatable({}, {__gc = function() ran = true end}) for i = 1, 1e4 do local t = {} end return ran",
        "false",
    );
    check("setmetatable({}, {__mode = 'k', __gc = 1, __close = 1}) return 1", "1");
}

#[test]
fn error_objects_stay_in_their_request() {
    let script = compile("function request(req) error({secret = req.claims}) end").unwrap();
    let failure = Bench::new().ask(&script).unwrap_err();
    assert_eq!(failure.cause, Cause::Error);
    assert!(!failure.to_string().contains("admin"), "{failure}");
    check("local ok, e = pcall(error, {code = 7}) return e.code", "7");
    check("local ok, e = pcall(error) return e", "nil");
    check("local ok, e = pcall(error, nil) return e", "nil");
    check(
        "local ok, e = pcall(error, setmetatable({}, {__tostring = function() error('x') end})) return type(e)",
        "table",
    );
    check(
        "local ok, e = pcall(function() req.headers['a b'] = 1 end) return type(e), e",
        "string s.lua:3: `a b` is no header name",
    );
    check_error("error(setmetatable({}, {__tostring = function() error('x') end}))", "");
    check("return select(2, xpcall(error, function(e) return e .. '!' end, 'x'))", "x!");
    check_error("return error('x', 1e9)", "x");
    check_error("return error(req)", "");
    check_error("return error(json.null)", "");
}

#[test]
fn odd_arguments_end_as_errors() {
    check_error("return ('%99999d'):format(1)", "invalid format");
    check_error("return ('%' .. ('0'):rep(100) .. 'd'):format(1)", "invalid format");
    check_error("return ('%.999f'):format(1)", "invalid format");
    check_error("return buffer.create(-1)", "");
    check_error("return buffer.create(2^40)", "");
    check_error("return buffer.readu8(buffer.create(1), 1)", "");
    check_error("return buffer.writestring(buffer.create(1), 0, 'ab')", "");
    check_error("return buffer.copy(buffer.create(1), 0, buffer.create(2), 0, 2)", "");
    check_error("return table.create(-1)", "");
    check_error("return table.unpack({}, 1, 1e8)", "too many results");
    check_error("return string.byte(('x'):rep(1e6), 1, -1)", "");
    check_error("return table.move({}, 1, 1e9, 2)", "too many elements to move");
    check_error("return table.concat({}, 'x', 1, 2^31 - 1)", "");
    check_error("return utf8.char(-1)", "");
    check_error("return string.pack('i17', 1)", "");
    check("return select('#', table.unpack({}, 1, 7000))", "7000");
    check(
        "table.sort({3, 1, 2, 2, 9, 4}, function(a, b) return true end) return 1",
        "Error: invalid order function for sorting",
    );
    check(
        "local t = {} for i = 1, 100 do t[i] = i end pcall(table.sort, t, function(a, b) t[1] = nil return a < b end) return 1",
        "1",
    );
    check_error("table.sort({1, 'x', {}})", "attempt to compare");
}

#[test]
fn yields_do_not_leave_the_call() {
    check_error("coroutine.yield(1)", "yield");
    check("return coroutine.isyieldable()", "false");
    let script = compile(
        "local co = coroutine.create(function(req) while true do coroutine.yield(req.path) end end)
         function request(req) coroutine.resume(co, req) end
         function response(res, req) local ok, path = coroutine.resume(co) res.headers.x = path end",
    )
    .unwrap();
    let mut bench = Bench::new();
    let mut session = Session::default();
    let mut asked = request();
    bench.vm.request(&script, &mut session, &mut asked).unwrap();
    let mut answer = drive::response();
    bench.vm.response(&script, &mut session, &mut asked, &mut answer).unwrap();
    assert_eq!(drive::lines(&answer.headers).last().unwrap(), "x: /orders/7");
}

/// Scripts whose second request would see something of the first, if an instance were used twice that remembers.
#[test]
fn a_request_finds_nothing_of_the_one_before() {
    let scripts = [
        // The same answer twice: what is left in the environment, in variables around the function, in a module, in
        // tables and functions of the script's own.
        "function request(req) seen = (seen or 0) + 1 return respond(200, tostring(seen)) end",
        "local seen = 0 function request(req) seen += 1 return respond(200, tostring(seen)) end",
        "seen = { n = 0 } function request(req) seen.n += 1 return respond(200, tostring(seen.n)) end",
        "function count() return 1 end function request(req) local n = count() count = function() return 2 end \
         return respond(200, tostring(n)) end",
        "function request(req) request = function() return respond(200, '2') end return respond(200, '1') end",
        "function request(req) local n = seen and 2 or 1 if not seen then seen = true end \
         return respond(200, tostring(n)) end",
        "function request(req) if response then return respond(200, '2') end response = function() end \
         return respond(200, '1') end",
        "function request(req) local n = rawlen(req) == 0 and pcall(rawset, req, 'x', 1) and 2 or 1 \
         return respond(200, tostring(n)) end",
    ];
    for text in scripts {
        let script = compile(text).unwrap_or_else(|error| panic!("{text}\n{error:?}"));
        let mut bench = Bench::new();
        for turn in 1..=4 {
            let answer = bench.ask(&script).unwrap_or_else(|failure| panic!("{text}\n{failure:?}"));
            assert_eq!(answer.body, b"1", "turn {turn} of {text}");
        }
    }
}

/// A script that fails, or that answers, or that only sometimes leaves something, serves the next request like the first.
#[test]
fn an_instance_that_failed_is_not_used_again() {
    let script = compile(
        "function request(req) local bad = req.headers['x-bad'] if bad == 'leave' then left = 1 end \
         if bad == 'fail' then left = 1 error('no') end return respond(200, tostring(left)) end",
    )
    .unwrap();
    let mut bench = Bench::new();
    for bad in ["", "", "leave", "", "fail", "", "leave", "fail", ""] {
        let mut asked = request();
        asked.headers.set(&Name::new("x-bad").unwrap(), bad.as_bytes());
        let came = bench.vm.request(&script, &mut Session::default(), &mut asked);
        match (bad, came) {
            ("fail", Err(_)) => {}
            ("leave", Ok(Verdict::Respond(answer))) => assert_eq!(answer.body, b"1"),
            ("", Ok(Verdict::Respond(answer))) => assert_eq!(answer.body, b"nil"),
            (bad, came) => panic!("{bad}: {came:?}"),
        }
    }
}

/// The response function of a script without state, which nothing calls before the answer is there.
#[test]
fn a_response_alone_remembers_nothing_either() {
    for text in [
        "function response(res) res.headers['x-n'] = tostring(left or 1) left = 2 end",
        "local n = 1 function response(res) res.headers['x-n'] = tostring(n) n = 2 end",
        "function response(res) res.headers['x-n'] = tostring(res.status == 200 and 1) end",
    ] {
        let script = compile(text).unwrap();
        let mut bench = Bench::new();
        for _ in 0..3 {
            let mut answer = response();
            bench.exchange(&script, &mut request(), &mut answer).unwrap();
            let name = Name::new("x-n").unwrap();
            assert_eq!(answer.headers.get(&name), Some(&b"1"[..]), "{text}");
        }
    }
}
