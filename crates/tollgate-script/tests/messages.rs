//! `req`, `res`, and the libraries, as scripts see them.

mod drive;

use drive::{Bench, compile, eval, lines, request, response};
use tollgate_script::{Changed, Failure, Request, Response, Session, Verdict};

fn check(body: &str, expect: &str) {
    assert_eq!(eval(body), expect, "{body}");
}

#[test]
fn what_a_request_says() {
    check(
        "return req.method, req.path, req.host, req.client_ip, req.consumer",
        "GET /orders/7 api.example.com 192.0.2.1 mobile-app",
    );
    check(
        "return req.query.a, req.query.tag, req.query.empty, req.query.flag, req.query.x",
        "1 [\"x y\",\"z \"]   nil",
    );
    check(
        "return req.headers['x-one'], req.headers['X-ONE'], req.headers.accept, req.headers.none",
        "1 1 a, b nil",
    );
    check("req.headers.cookie = {'a=1', 'b=2'} return req.headers.cookie", "a=1; b=2");
    check("return req.headers.host, req.headers['a b'], req.headers['']", "api.example.com nil nil");
    check("return req.params.id, req.params.x", "7 nil");
    check("return req.claims.sub, req.claims.roles, req.claims.address.country", "u1 [\"admin\"] DE");
    check("return #req.body, req.json.name, req.json.items, req.json.none == json.null", "44 Ada [] true");
    check(
        "local n = {} for k, v in req.headers do n[#n+1] = k .. '=' .. v end table.sort(n) return n",
        "[\"accept=a, b\",\"host=api.example.com\",\"x-one=1\"]",
    );
    check(
        "local n = {} for k, v in pairs(req.headers) do n[#n+1] = k .. '=' .. v end table.sort(n) return n",
        "[\"accept=a, b\",\"host=api.example.com\",\"x-one=1\"]",
    );
    check("local n = 0 for k, v in pairs({a=1, b=2}) do n += v end return n", "3");
    check(
        "return config.limit, config.names, config.none == json.null, config.x",
        "3 [\"a\",\"b\"] true nil",
    );
    check(
        "return req.typo",
        "Error: `req` has no `typo`; it has method, path, query, headers, params, body, json, host, client_ip, consumer, claims",
    );
    check(
        "local f = 'cla' .. 'ims' return req[f]",
        "Error: `req.claims` is at hand only where the script says it by that name",
    );
}

#[test]
fn what_cannot_be_changed() {
    for name in ["params", "host", "client_ip", "consumer", "claims"] {
        check(&format!("req.{name} = 'x'"), &format!("Error: `req.{name}` cannot be replaced"));
    }
    check("req.claims.sub = 'root'", "Error: attempt to modify a readonly table");
    check("req.claims.address.country = 'x'", "Error: attempt to modify a readonly table");
    check("req.params.id = '8'", "Error: attempt to modify a readonly table");
    check("config.limit = 4", "Error: attempt to modify a readonly table");
    check("req.headers = {}", "Error: attempt to modify a readonly table");
    check("req.other = 1", "Error: `req` has no `other`");
    check("rawset(req, 'x', 1)", "Error: attempt to modify a readonly table");
    check("setmetatable(req, {})", "Error: cannot change a protected metatable");
    check("return getmetatable(req), getmetatable(req.headers)", "false false");
}

/// Runs a request function and shows what became of the request.
fn edit(body: &str, show: impl Fn(&Request) -> String, expect: &str) {
    let script = compile(&format!("function request(req)\n{body}\nend")).unwrap();
    let mut request = request();
    let result = Bench::new().vm.request(&script, &mut Session::default(), &mut request);
    let shown = match result {
        Ok(_) => show(&request),
        Err(failure) => failure.to_string(),
    };
    assert_eq!(shown, expect, "{body}");
}

#[test]
fn headers_are_set_removed_and_repeated() {
    let rest = |request: &Request| lines(&request.headers).into_iter().skip(1).collect::<Vec<_>>().join("|");
    edit("req.headers['x-new'] = 'v'", rest, "x-one: 1|accept: a|accept: b|x-new: v");
    edit("req.headers['X-ONE'] = 2", rest, "x-one: 2|accept: a|accept: b");
    edit("req.headers['x-one'] = nil req.headers.none = nil", rest, "accept: a|accept: b");
    edit("req.headers.accept = {'c', 'd', 5}", rest, "x-one: 1|accept: c|accept: d|accept: 5");
    edit("req.headers['x-one'] = ' caf\\u{e9} '", rest, "x-one: café|accept: a|accept: b");
    // In every spelling, but for what scripts wrote themselves, and what frames the message.
    edit("req.headers['x_one'] = 2", rest, "accept: a|accept: b|x_one: 2");
    edit("req.headers['X_ONE'] = nil", rest, "accept: a|accept: b");
    edit(
        "req.headers['x-two'] = 2 req.headers['x_two'] = 3",
        rest,
        "x-one: 1|accept: a|accept: b|x-two: 2|x_two: 3",
    );
    for bad in ["a\\r\\nb: c", "a\\nb", "a\\rb", "a\\0b", "\\127"] {
        edit(
            &format!("req.headers['x-one'] = '{bad}'"),
            rest,
            "s.lua:2: the value of `x-one` has a line break or another control character",
        );
        edit(
            &format!("req.headers['x-one'] = {{'a', '{bad}'}}"),
            rest,
            "s.lua:2: the value of `x-one` has a line break or another control character",
        );
    }
    edit("req.headers['a\\nb'] = 'x'", rest, "s.lua:2: `a\\nb` is no header name");
    edit("req.headers[''] = 'x'", rest, "s.lua:2: `` is no header name");
    edit("req.headers['x y'] = 'x'", rest, "s.lua:2: `x y` is no header name");
    edit("req.headers.a = true", rest, "s.lua:2: `a` is a text or a list of texts, not a boolean");
    edit("req.headers.a = {b = 'c'}", rest, "s.lua:2: `a` is a text or a list of texts");
    edit("req.headers.a = ('x'):rep(70000)", rest, "s.lua:2: the value of `a` has more than 65536 bytes");
    for name in [
        "Content-Length",
        "Transfer-Encoding",
        "CONNECTION",
        "keep-alive",
        "host",
        "te",
        "trailer",
        "upgrade",
        "expect",
    ] {
        let expect = format!("s.lua:2: `{}` is the gateway's to set", name.to_lowercase());
        edit(&format!("req.headers['{name}'] = 'x'"), rest, &expect);
        edit(&format!("req.headers['{name}'] = nil"), rest, &expect);
    }
}

#[test]
fn queries_change_only_where_they_mean_something_else() {
    let query = |request: &Request| {
        let query = request.query.as_deref().map(|query| String::from_utf8_lossy(query).into_owned());
        format!("{} {}", request.changed.query, query.unwrap_or_else(|| "none".to_owned()))
    };
    edit("local a = req.query.a", query, "false a=1&tag=x%20y&tag=z+&empty=&flag");
    edit("req.query.a = 1", query, "false a=1&tag=x%20y&tag=z+&empty=&flag");
    edit("req.query.a = 2", query, "true a=2&tag=x%20y&tag=z+&empty=&flag");
    edit("req.query.a = nil", query, "true tag=x%20y&tag=z+&empty=&flag");
    edit("req.query.tag = {'n&m', 'ü'}", query, "true a=1&tag=n%26m&tag=%C3%BC&empty=&flag");
    edit(
        "table.insert(req.query.tag, 'q') req.query.z = true",
        query,
        "true a=1&tag=x%20y&tag=z%20&tag=q&empty=&flag&z=true",
    );
    edit("req.query = {b = '2', ['a='] = '1'}", query, "true a%3D=1&b=2");
    edit("req.query = nil", query, "true none");
    edit("req.query = 'a=1'", query, "s.lua:2: a query is a table of names and values, not a string");
    edit(
        "req.query = {x = function() end}",
        query,
        "s.lua:2: `req.query.x` is a text or a list of texts, not a function",
    );
    edit("req.query[1] = 'x'", query, "s.lua: a name in `req.query` is a text, not a number");
}

#[test]
fn methods_and_paths() {
    let both = |request: &Request| format!("{} {}", request.method.as_str(), request.path);
    edit("req.method = 'POST' req.path = '/v2' .. req.path", both, "POST /v2/orders/7");
    let method = "s.lua:2: a method is a name like GET or POST; CONNECT and TRACE are not served";
    for bad in ["'CONNECT'", "'TRACE'", "'A B'", "''", "nil", "{}"] {
        edit(&format!("req.method = {bad}"), both, method);
    }
    let path =
        "s.lua:2: a path begins with `/`, is percent-encoded, without query, and has no segment `.` or `..`";
    for bad in ["'x'", "'/a/../b'", "'/a b'", "'/a?b'", "'/a\\r\\nb'", "nil", "5"] {
        edit(&format!("req.path = {bad}"), both, path);
    }
}

#[test]
fn bodies_are_texts_and_values() {
    let body = |request: &Request| {
        let body = String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).into_owned();
        let kind = lines(&request.headers).into_iter().find(|line| line.starts_with("content-type"));
        format!("{} {body} {}", request.changed.body, kind.unwrap_or_default())
    };
    let sent = r#"{"id":7,"items":[],"name":"Ada","none":null}"#;
    edit("local x = req.json.id + #req.body", body, &format!("false {sent} "));
    edit("req.json.id = 7", body, &format!("false {sent} "));
    edit("req.json.id = 8", body, r#"true {"id":8,"items":[],"name":"Ada","none":null} "#);
    edit(
        "table.insert(req.json.items, {a = 1.5})",
        body,
        r#"true {"id":7,"items":[{"a":1.5}],"name":"Ada","none":null} "#,
    );
    edit(
        "req.json.id = 8 req.body = req.body:upper()",
        body,
        r#"true {"ID":8,"ITEMS":[],"NAME":"ADA","NONE":NULL} "#,
    );
    edit("req.json = {1, 2}", body, "true [1,2] content-type: application/json");
    edit("req.json = json.array{}", body, "true [] content-type: application/json");
    edit("local t = {} req.json = t t.a = 1", body, r#"true {"a":1} content-type: application/json"#);
    edit(
        "req.headers['content-type'] = 'application/merge-patch+json' req.json = {}",
        body,
        "true {} content-type: application/merge-patch+json",
    );
    edit("req.body = 'plain'", body, "true plain ");
    edit("req.body = nil", body, "true  ");
    edit("req.json = nil", body, "true  ");
    edit("req.body = {}", body, "s.lua:2: a body is a text, not a table; values go into `json`");
    edit("req.json = function() end", body, "s.lua:2: JSON has no function");
    edit("req.body = 'no json' assert(req.json == nil)", body, "true no json ");
    edit("req.body = '[1' assert(req.json == nil)", body, "true [1 ");
    edit("req.json.f = print", body, "s.lua: JSON has no function");
}

/// Runs a response function and shows the response.
fn answer(body: &str) -> String {
    let script = compile(&format!("function response(res, req)\n{body}\nend")).unwrap();
    let mut response = response();
    match Bench::new().exchange(&script, &mut request(), &mut response) {
        Ok(Verdict::Continue) => shown(&response),
        Ok(Verdict::Respond(answer)) => format!("answers {}", answer.status),
        Err(failure) => failure.to_string(),
    }
}

fn shown(response: &Response) -> String {
    let body = String::from_utf8_lossy(response.body.as_deref().unwrap_or_default()).into_owned();
    format!("{} {} {body}", response.status, lines(&response.headers).join("|"))
}

#[test]
fn responses_are_changed_in_place() {
    let head = "content-type: application/json|set-cookie: a=1|set-cookie: b=2";
    let body = r#"{"total": 1.50, "items": [{"id": 1}], "big": 12345678901234567890}"#;
    assert_eq!(answer("res.status = 201 assert(res.status == 201)"), format!("201 {head} {body}"));
    assert_eq!(answer("assert(res.json.total == 1.5)"), format!("200 {head} {body}"));
    assert_eq!(
        answer("res.json.total = 2 res.json.big = nil"),
        format!(r#"200 {head} {{"items":[{{"id":1}}],"total":2}}"#)
    );
    assert_eq!(
        answer("assert(#res.headers['set-cookie'] == 2) res.headers['set-cookie'] = {'c=3'}"),
        format!("200 content-type: application/json|set-cookie: c=3 {body}")
    );
    assert_eq!(answer("res.headers['x-from'] = req.path"), format!("200 {head}|x-from: /orders/7 {body}"));
    assert_eq!(answer("res.status = 99"), "s.lua:2: a status is a whole number from 200 to 599");
    assert_eq!(answer("res.status = 200.5"), "s.lua:2: a status is a whole number from 200 to 599");
    assert_eq!(answer("res.path = 1"), "s.lua:2: `res` has no `path`");
    assert_eq!(
        answer("req.path = '/x'"),
        "s.lua:2: the request has been sent and cannot be changed any more"
    );
    assert_eq!(
        answer("req.headers.a = 'x'"),
        "s.lua:2: the request has been sent and cannot be changed any more"
    );
    assert_eq!(answer("return respond(418)"), "answers 418");
}

#[test]
fn what_was_changed_is_told() {
    let script = compile(
        "function request(req) req.headers.a = '1' end function response(res) res.status = 201 res.body = 'x' end",
    );
    let (mut request, mut response) = (request(), response());
    Bench::new().exchange(&script.unwrap(), &mut request, &mut response).unwrap();
    assert_eq!(request.changed, Changed { headers: true, ..Changed::default() });
    assert_eq!(response.changed, Changed { status: true, body: true, ..Changed::default() });
}

#[test]
fn answers_of_a_script() {
    let ask = |body: &str| {
        let script = compile(&format!("function request(req)\n{body}\nend")).unwrap();
        match Bench::new().ask(&script) {
            Ok(answer) => {
                let body = String::from_utf8_lossy(&answer.body).into_owned();
                format!("{} {} {body}", answer.status, lines(&answer.headers).join("|"))
            }
            Err(failure) => failure.to_string(),
        }
    };
    assert_eq!(ask("return respond(403)"), "403  ");
    assert_eq!(ask("return respond(200, 'hi', {['X-B'] = 'b', ['x-a'] = 1})"), "200 x-b: b|x-a: 1 hi");
    assert_eq!(ask("return respond(200, {a = 1})"), r#"200 content-type: application/json {"a":1}"#);
    assert_eq!(
        ask("return respond(400, {a = 1}, {['content-type'] = 'application/problem+json'})"),
        r#"400 content-type: application/problem+json {"a":1}"#
    );
    assert_eq!(ask("return respond(204, 'x')"), "204  ");
    assert_eq!(ask("local a, b = respond(403), respond(404) return a"), "403  ");
    assert_eq!(ask("respond(403)"), "0  ");
    assert_eq!(ask("return respond(100)"), "s.lua:2: a status is a whole number from 200 to 599");
    assert_eq!(ask("return respond('x')"), "s.lua:2: a status is a whole number from 200 to 599");
    assert_eq!(
        ask("return respond(200, true)"),
        "s.lua:2: a body is a text, or a table for JSON, not a boolean"
    );
    assert_eq!(
        ask("return respond(200, '', {location = '/\\r\\nx: y'})"),
        "s.lua:2: the value of `location` has a line break or another control character"
    );
    assert_eq!(
        ask("return respond(200, '', {['content-length'] = '5'})"),
        "s.lua:2: `content-length` is the gateway's to set"
    );
    assert_eq!(
        ask("return true"),
        "s.lua: returned a boolean; return nothing, or `respond(status, body, headers)`"
    );
}

#[test]
fn libraries() {
    check("return json.decode('{\"a\":[1,2.5,null,true,\"x\"]}')", r#"{"a":[1,2.5,null,true,"x"]}"#);
    check(
        "return json.encode({b = 1, a = {}, c = json.array{}, d = json.null, e = 0.1, f = 1e300})",
        r#"{"a":{},"b":1,"c":[],"d":null,"e":0.1,"f":1e+300}"#,
    );
    check("return json.encode('é\\n\"')", r#""é\n\"""#);
    check("return json.decode('[]'), json.decode('{}'), json.decode(' 1 ')", "[] {} 1");
    check(
        "return pcall(json.decode, '{\"a\":')",
        "false s.lua:3: not JSON: EOF while parsing a value at line 1 column 5",
    );
    check("json.decode('1 2')", "Error: not JSON: trailing characters at line 1 column 3");
    for face in ["req", "req.headers", "{req.headers}"] {
        check(
            &format!("json.encode({face})"),
            "Error: `req`, `res` and their headers are no JSON; copy what is needed into a table",
        );
    }
    check("json.encode({1, nil, 3})", "Error: a list with holes; put `json.null` there");
    check(
        "json.encode({1, a = 2})",
        "Error: a table with elements and with names (`a`) is neither list nor object",
    );
    check("json.encode(0/0)", "Error: JSON has no infinity and no NaN");
    check("json.encode('\\255')", "Error: a text that is not UTF-8 is no JSON");
    check(
        "return base64.encode('a\\255?>'), base64.url_encode('a\\255?>'), base64.encode('a'), base64.url_encode('a')",
        "Yf8/Pg== Yf8_Pg YQ== YQ",
    );
    check(
        "return base64.decode('YQ=='), base64.decode('YQ'), base64.url_decode('YQ'), base64.url_decode('_w==') == '\\255'",
        "a a a true",
    );
    check("base64.decode('*')", "Error: not base64: Invalid symbol 42, offset 0.");
    check(
        "return hmac.sha256('key', 'The quick brown fox jumps over the lazy dog')",
        "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
    );
    check(
        "return time.now(), time.iso(time.now()), time.iso(0), time.iso()",
        "1763798225.25 2025-11-22T07:57:05.250Z 1970-01-01T00:00:00Z 2025-11-22T07:57:05.250Z",
    );
    check(
        "return string.find('a.b', '.', 1, true), ('x,y'):split(','), utf8.char(233), bit32.band(6, 3), math.floor(1.5)",
        "2 [\"x\",\"y\"] é 2 1",
    );
    check(
        "return buffer.len(buffer.fromstring('abc')), table.concat({1, 2}, '-'), select('#', 1, 2)",
        "3 1-2 2",
    );
    check("local co = coroutine.wrap(function() coroutine.yield(1) return 2 end) return co(), co()", "1 2");
    check("return tostring(json.null) ~= nil, json.null == nil", "true false");
}

#[test]
fn the_log_is_one_line_and_bounded() {
    let script = compile(
        "function request(req) log.info('a\\nb', 1, nil) log.warn(('x'):rep(5000)) print('p') for i = 1, 100 do log.error(i) end end",
    );
    let mut bench = Bench::new();
    bench.ask(&script.unwrap()).unwrap();
    let log = bench.notebook.0.borrow();
    assert_eq!(log[0], "s.lua Info a\\nb 1 nil");
    assert!(log[1].starts_with("s.lua Warn xxx") && log[1].len() < 1100, "{}", log[1].len());
    assert_eq!(log[2], "s.lua Info p");
    assert_eq!(log.len(), 32);
}

#[test]
fn one_environment_for_both_phases_and_none_for_two_requests() {
    let script = compile(
        "local calls = 0
         function request(req) calls += 1 seen = (seen or 0) + 1 started = req.path end
         function response(res, req) calls += 1 res.headers.x = calls .. ' ' .. seen .. ' ' .. started end",
    )
    .unwrap();
    let mut bench = Bench::new();
    let (mut first, mut second) = (Session::default(), Session::default());
    let (mut a, mut b) = (request(), request());
    b.path = "/other".to_owned();
    bench.vm.request(&script, &mut first, &mut a).unwrap();
    bench.vm.request(&script, &mut second, &mut b).unwrap();
    for (session, request, expect) in
        [(&mut second, &mut b, "x: 2 1 /other"), (&mut first, &mut a, "x: 2 1 /orders/7")]
    {
        let mut response = response();
        bench.vm.response(&script, session, request, &mut response).unwrap();
        assert_eq!(lines(&response.headers).last().unwrap(), expect);
    }
}

#[test]
fn failures_name_file_and_line() {
    let ask = |text: &str| -> Failure { Bench::new().ask(&compile(text).unwrap()).unwrap_err() };
    assert_eq!(
        ask("function request(req)\n\nlocal x = nil\nreturn x.y\nend").to_string(),
        "s.lua:4: attempt to index nil with 'y'"
    );
    assert_eq!(
        ask("function request(req)\nerror('no ' .. req.path)\nend").to_string(),
        "s.lua:2: no /orders/7"
    );
    assert_eq!(ask("function request(req)\nerror('a\\nb\\27')\nend").to_string(), "s.lua:2: a\\nb\\u{1b}");
    assert_eq!(ask("function request(req)\nerror({code = 1})\nend").cause, tollgate_script::Cause::Error);
    assert_eq!(ask("function request(req)\nstring.find(1)\nend").line, 2);
    let long = ask("function request(req)\nerror(('x'):rep(100000))\nend").to_string();
    assert!(long.len() < 600, "{}", long.len());
}
