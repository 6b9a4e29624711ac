//! Values that scripts are handed: awkward JSON there and back, claims that are shared, and what they may take.

mod drive;

use std::rc::Rc;
use std::time::Duration;

use drive::{Bench, compile, compile_with, request, response};
use serde_json::json;
use tollgate_script::{Cause, Limits, Response, Session};

/// The body that a response function leaves of `body`, or nothing where it keeps its bytes.
fn left(body: &str, work: &str) -> Result<Option<String>, String> {
    let script = compile(&format!("function response(res) {work} end")).unwrap();
    let mut answer = Response { status: 200, body: Some(body.as_bytes().to_vec()), ..Response::default() };
    Bench::new()
        .vm
        .response(&script, &mut Session::default(), &mut request(), &mut answer)
        .map_err(|failure| failure.to_string())?;
    Ok(answer.changed.body.then(|| String::from_utf8(answer.body.unwrap_or_default()).unwrap()))
}

#[test]
fn what_is_only_read_keeps_its_bytes() {
    for body in [
        r#"{"b":1,"a":[]}"#,
        "{ }",
        "[ ]",
        "[[],{},[{}],[null,null]]",
        r#"{"a":null,"b":[1.50,-0.0,0,1e2,1E-400,-1]}"#,
        r#"{"n":[9007199254740993,18446744073709551615,-9223372036854775808,12345678901234567890123,0.1234567890123456789]}"#,
        r#"{"\u0061":"\u00e9\n\u0000\ud83d\ude00","":"","é":"é"}"#,
        r#"{"1":"a","2":"b"}"#,
        r#"{"length":3,"request":true,"__index":{"a":1},"__metatable":false}"#,
        "[1,2,3,[4,[5,[6]]],7]",
        "true",
        "\"text\"",
        "null",
        "7",
        "{\"a\":1} trailing",
        "{\"a\":",
        "\u{feff}{}",
        "\u{feff}[1]",
        r#"["\ud800","\udc00\ud800\udc00",1e400,-1e400,{"\ud801":"\ud802"}]"#,
        "",
    ] {
        for work in [
            "local x = res.json",
            "local x = res.json local y = res.body x = res.json",
            "local t = res.json if type(t) == 'table' then t.zzz = 1 t.zzz = nil end",
            "local t = res.json if type(t) == 'table' then setmetatable(t, getmetatable(t) and t or nil) end",
        ] {
            // A list cannot be given the mark of another table: that one is protected.
            let left = left(body, work);
            assert!(
                matches!(&left, Ok(None))
                    || matches!(&left, Err(error) if error.contains("protected metatable")),
                "{body} {work}: {left:?}"
            );
        }
    }
    let deep = "[".repeat(64) + &"]".repeat(64);
    assert_eq!(left(&deep, "assert(#res.json == 1)"), Ok(None));
    let deeper = left(&format!("[{deep}]"), "local x = res.json");
    assert_eq!(deeper, Err("s.lua:1: the body has more than 64 levels at line 1 column 66".to_owned()));
}

#[test]
fn what_is_changed_is_written() {
    let sent = r#"{"id":7,"tags":["a","b"],"none":null,"in":{"x":1.5},"list":[],"object":{}}"#;
    let with = |change: &str| {
        Ok(Some(format!("{{{change}}}")))
            .map(|text: Option<String>| text.map(|text| text.replace('\'', "\"")))
    };
    let rest = "'id':7,'in':{'x':1.5},'list':[],'none':null,'object':{},'tags':['a','b']";
    for (work, expect) in [
        ("res.json.id = 8", with(&rest.replace("'id':7", "'id':8"))),
        ("res.json.id = '7'", with(&rest.replace("'id':7", "'id':'7'"))),
        ("res.json.id = true", with(&rest.replace("'id':7", "'id':true"))),
        ("res.json.id = 7.0", Ok(None)),
        ("res.json.id = nil", with(&rest.replace("'id':7,", ""))),
        ("res.json.none = nil", with(&rest.replace("'none':null,", ""))),
        ("res.json.none = false", with(&rest.replace("null", "false"))),
        ("res.json.none = json.null", Ok(None)),
        ("res.json.id = json.null", with(&rest.replace("'id':7", "'id':null"))),
        ("res.json.zz = 1", with(&format!("{rest},'zz':1"))),
        ("res.json['in'].x = 1.25", with(&rest.replace("1.5", "1.25"))),
        ("res.json['in'].x = 3/2", Ok(None)),
        ("res.json.tags[2] = nil", with(&rest.replace("'a','b'", "'a'"))),
        ("res.json.tags[3] = 'c'", with(&rest.replace("'b'", "'b','c'"))),
        ("res.json.tags = {'a', 'b'}", Ok(None)),
        ("res.json.tags = {'b', 'a'}", with(&rest.replace("'a','b'", "'b','a'"))),
        ("res.json.list = {}", with(&rest.replace("'list':[]", "'list':{}"))),
        ("res.json.object = json.array{}", with(&rest.replace("'object':{}", "'object':[]"))),
        ("res.json.object = {1}", with(&rest.replace("'object':{}", "'object':[1]"))),
        ("res.json.list = json.array{}", Ok(None)),
        ("res.json['in'] = table.clone(res.json['in'])", Ok(None)),
        ("local t = res.json t.id = 8 assert(res.body:find('8')) t.id = 7", with(rest)),
        ("res.json = json.decode(res.body)", with(rest)),
        ("res.json.tags.x = 1", Err("neither list nor object")),
        ("res.json.tags[5] = 'e'", Err("a list with holes")),
        ("res.json.id = print", Err("JSON has no function")),
        ("res.json.id = 0/0", Err("no NaN")),
        ("res.json.id = 1/0", Err("no infinity")),
        ("res.json.id = '\\255'", Err("not UTF-8")),
        ("res.json.id = res", Err("are no JSON")),
        ("res.json.id = res.json", Err("a table within itself")),
        ("res.json[true] = 1", Err("a name in JSON is a text")),
    ] {
        match (left(sent, work), expect) {
            (Ok(left), Ok(expect)) => assert_eq!(left, expect, "{work}"),
            (Err(error), Err(expect)) => assert!(error.contains(expect), "{work}: {error}"),
            (left, expect) => panic!("{work}: {left:?}, not {expect:?}"),
        }
    }
    let odd = r#"["\ud800",1e400,-1e400,0]"#;
    let work = "assert(res.json[1] == '\\u{fffd}' and res.json[2] == 1.7976931348623157e308) res.json[4] = 1";
    let expect = "[\"\u{fffd}\",1.7976931348623157e+308,-1.7976931348623157e+308,1]";
    assert_eq!(left(odd, work), Ok(Some(expect.to_owned())));
    // Of a name that is there twice the last one counts, and is all that is written.
    assert_eq!(left(r#"{"a":1,"b":0,"a":2}"#, "res.json.b = 1"), Ok(Some(r#"{"a":2,"b":1}"#.to_owned())));
    // Also where nothing was changed: whoever reads the bytes next may take the first one.
    for (sent, expect) in [
        (r#"{"a":1,"b":0,"a":2}"#, r#"{"a":2,"b":0}"#),
        (r#"{"user":{"iban":"SECRET"},"us\u0065r":5}"#, r#"{"user":5}"#),
        (r#"[{"a":"SECRET","a":null}]"#, r#"[{"a":null}]"#),
    ] {
        assert_eq!(
            left(sent, "if res.json.b then res.json.b = 0 end"),
            Ok(Some(expect.to_owned())),
            "{sent}"
        );
    }
}

#[test]
fn values_are_what_the_text_says() {
    let sent = r#"{"n":[0,-0.0,1e2,9007199254740993,18446744073709551615,1.5],"t":"\u00e9\u0000","f":false,"x":null,"l":[],"o":{}}"#;
    let work = "local t = res.json
        local n = {} for i, v in ipairs(t.n) do n[i] = string.format('%.17g', v) end
        assert(table.concat(n, ' ') == '0 -0 100 9007199254740992 1.8446744073709552e+19 1.5', table.concat(n, ' '))
        assert(#t.n == 6 and t.t == '\\u{e9}\\0' and t.f == false and t.x == json.null and t.y == nil)
        assert(getmetatable(t.l) == 'json.array' and getmetatable(t.n) == 'json.array' and getmetatable(t.o) == nil)
        local names = 0 for k, v in pairs(t) do names += 1 end assert(names == 6)
        for k, v in t.n do assert(type(k) == 'number' and type(v) == 'number') end
        assert(res.json == t and rawequal(res.json, t))";
    assert_eq!(left(sent, work), Ok(None));
}

/// 30 MB where the limit is one.
#[test]
fn values_count_while_they_are_made() {
    let limits = Limits { memory_bytes: 1 << 20, time: Duration::from_secs(30), ..Limits::default() };
    let lists = format!("[{}[]]", "[],".repeat(300_000));
    let texts = format!("[{}1]", (0..60_000).map(|n| format!("\"{n}\",")).collect::<String>());
    let object = format!("{{{}\"a\":1}}", (0..60_000).map(|n| format!("\"{n}\":1,")).collect::<String>());
    for body in [lists, texts, object] {
        for work in ["local t = res.json", "pcall(function() return res.json end) while true do end"] {
            let script = compile_with(&format!("function response(res)\n{work} end"), &[], limits).unwrap();
            let mut bench = Bench::new();
            let before = bench.vm.used_bytes();
            let mut answer = Response { body: Some(body.clone().into_bytes()), ..Response::default() };
            let mut session = Session::default();
            let failure = bench.vm.response(&script, &mut session, &mut request(), &mut answer).unwrap_err();
            assert_eq!((failure.cause, failure.line), (Cause::Memory, 2), "{work}");
            assert!(bench.vm.used_bytes() < before + (1 << 20), "{}", bench.vm.used_bytes());
            assert_eq!(bench.vm.replaced(), 1);
            // The next one is not worse off.
            bench.vm.response(&script, &mut session, &mut request(), &mut response()).ok();
        }
    }
}

#[test]
fn claims_are_their_tokens_own_however_many_there_are() {
    let script = compile(
        "function request(req)
            local c = req.claims
            assert(req.claims == c and not pcall(rawset, c, 'sub', 'x') and not pcall(table.insert, c.roles, 'x'))
            assert(not pcall(json.array, c) and not pcall(setmetatable, c, {}))
            assert(next(c.none) == nil and c.null == json.null and c.exp == 1795000000 and #c.roles == 2)
            req.headers['x-sub'] = c.sub
        end
        function response(res, req) res.headers['x-sub'] = req.claims.sub end",
    )
    .unwrap();
    let mut bench = Bench::new();
    let claims = |n: usize| {
        json!({ "sub": format!("u{n}"), "roles": ["a", "b"], "none": {}, "null": null, "exp": 1_795_000_000,
                "long": "x".repeat(n % 7 * 500) })
    };
    let kept: Vec<Rc<serde_json::Value>> = (0..100).map(|n| Rc::new(claims(n))).collect();
    for turn in 0..3000 {
        let mut request = request();
        // Others end at once: their place in memory is the next one's.
        let (n, token) = match turn % 2 {
            0 => (turn % 100, kept[turn % 100].clone()),
            _ => (turn, Rc::new(claims(turn))),
        };
        request.facts.claims = Some(token);
        let mut answer = response();
        bench.exchange(&script, &mut request, &mut answer).unwrap();
        for headers in [&request.headers, &answer.headers] {
            assert_eq!(drive::lines(headers).last().unwrap(), &format!("x-sub: u{n}"), "{turn}");
        }
        assert!(bench.vm.used_bytes() < 3 << 20, "{} after {turn}", bench.vm.used_bytes());
    }
}
