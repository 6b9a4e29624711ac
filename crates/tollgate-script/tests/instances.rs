//! Instances of scripts that serve more than one request: who may be given one, and that nobody can tell.

mod drive;

use drive::{Bench, compile, compile_with, eval, lines, patient, request, response};
use tollgate_script::{Session, Verdict};

/// How often the top of a script runs in so many exchanges.
fn tops(text: &str, exchanges: usize) -> usize {
    let modules = [("m.lua", "local n = 0 return function() n += 1 return n end")];
    let script = compile_with(&format!("log.info('top') {text}"), &modules, patient()).unwrap();
    let mut bench = Bench::new();
    for _ in 0..exchanges {
        bench.exchange(&script, &mut request(), &mut response()).unwrap();
    }
    let log = bench.notebook.0.borrow();
    log.iter().filter(|line| line.ends_with("top")).count()
}

#[test]
fn an_instance_is_kept_where_it_can_remember_nothing() {
    let both = "function request(req) end function response(res) end";
    assert_eq!(tops(both, 5), 1);
    assert_eq!(
        tops("local function small(req) return req.method end function request(req) small(req) end", 5),
        1
    );
    assert_eq!(tops("function request(req) end function response(res) seen = 1 end", 5), 5);
    assert_eq!(tops("function request(req) seen = 1 end function response(res) end", 5), 5);
    assert_eq!(tops("local n = 0 function request(req) n += 1 end function response(res) n += 1 end", 5), 5);
    assert_eq!(tops("local n = {} function request(req) end function response(res) n[1] = 1 end", 5), 5);
    assert_eq!(tops("function request(req) again = request end", 5), 5);
    assert_eq!(
        tops("function request(req) request, response = response, request end function response(res) end", 5),
        5
    );
    assert_eq!(tops("function request(req) function response(res) end end function response(res) end", 5), 5);
    assert_eq!(tops("function request(req) require 'm' () end function response(res) end", 5), 1);
}

#[test]
fn nothing_goes_from_one_exchange_to_the_next() {
    // What one leaves for its own response is neither lost nor another's.
    let script = compile(
        "function request(req) assert(mine == nil) if req.path ~= '/plain' then mine = req.path end end
         function response(res) res.headers.x = tostring(mine) mine = 'left' end",
    )
    .unwrap();
    let mut bench = Bench::new();
    let paths = ["/plain", "/a", "/b", "/plain", "/c", "/plain"];
    for _ in 0..3 {
        let mut open: Vec<_> = paths.iter().map(|path| (*path, Session::default(), request())).collect();
        for (path, session, request) in &mut open {
            request.path = (*path).to_owned();
            assert_eq!(bench.vm.request(&script, session, request).unwrap(), Verdict::Continue);
        }
        for (path, session, request) in open.iter_mut().rev() {
            let mut answer = response();
            bench.vm.response(&script, session, request, &mut answer).unwrap();
            let expect = if *path == "/plain" { "x: nil".to_owned() } else { format!("x: {path}") };
            assert_eq!(lines(&answer.headers).last().unwrap(), &expect);
        }
    }
}

#[test]
fn a_module_is_one_from_the_request_to_its_response() {
    let modules = [("m.lua", "local n = 0 return function() n += 1 return n end")];
    let text =
        "function request(req) require 'm' () end function response(res) res.headers.x = require 'm' () end";
    let script = compile_with(text, &modules, patient()).unwrap();
    let mut bench = Bench::new();
    let mut open: Vec<_> = (0..3).map(|_| (Session::default(), request())).collect();
    for (session, request) in &mut open {
        bench.vm.request(&script, session, request).unwrap();
    }
    for (session, request) in &mut open {
        let mut answer = response();
        bench.vm.response(&script, session, request, &mut answer).unwrap();
        assert_eq!(lines(&answer.headers).last().unwrap(), "x: 2");
    }
}

#[test]
fn errors_name_the_lines_of_helpers_that_were_compiled_into_their_callers() {
    let script = compile(
        "local function size(t)
            return t.a.b
        end
        function request(req)
            size({})
        end",
    )
    .unwrap();
    let failure = Bench::new().ask(&script).unwrap_err();
    assert_eq!(failure.to_string(), "s.lua:2: attempt to index nil with 'b'");
    // `error` counts callers: they are all there.
    let blamed = "local function need(x)\nif not x then error('no x', 2) end\nend\nneed(nil)";
    assert_eq!(eval(&format!("local ok, e = pcall(function()\n{blamed}\nend) return e")), "s.lua:7: no x");
}
