use super::*;
use crate::{Loaded, MemorySources, check_posted, load_text};

const OLD: &str = "
workers: 1
issuers:
  main: { issuer: 'https://id.example.com/', audience: [orders], algorithms: [RS256], jwks_url: 'https://id.example.com/jwks' }
  other: { issuer: 'https://od.example.com/', audience: [orders], algorithms: [RS256], jwks_url: 'https://od.example.com/jwks' }
upstreams:
  kept: { targets: [http://127.0.0.1:1] }
  other: { targets: [http://127.0.0.1:2] }
  gone: { targets: [http://127.0.0.1:3] }
  safe: { targets: ['https://127.0.0.1:4'] }
consumers: [{ name: app, keys: [\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"] }]
trusted_proxies: [10.0.0.0/8]
routes:
  - { name: a, path: /a, to: kept, auth: { api_key: { header: x-api-key } } }
  - { name: b, path: /b, to: other, rate_limit: { rate: 10/s, per: ip } }
  - { name: c, path: /c, to: gone }
  - name: d
    path: /d/*
    methods: [GET, POST]
    auth: { jwt: main, strip: true, require: { scopes: [read, write], roles: [admin], claims: { tenant: acme } } }
    allow_ips: [10.0.0.0/8, 192.0.2.0/24]
    user_agents: { deny: [bad, '~worse'] }
    guard: [{ if: 'true' }, { if: 'request.path != \"\"' }]
    concurrency: { max: 5 }
    max_body: 1KiB
    cors: { origins: ['https://a.example.com'], methods: [GET] }
    request: { only_headers: [accept] }
    to: safe
";

/// The old configuration, with parts of its text replaced.
fn changed_text(changes: &[(&str, &str)]) -> String {
    changes.iter().fold(OLD.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

fn loaded(text: &str) -> Loaded {
    load_text("tollgate.yaml", text, &MemorySources::default())
        .unwrap_or_else(|failed| panic!("{text}: {:?}", failed.diagnostics))
}

fn compared(changes: &[(&str, &str)]) -> Difference {
    let (old, new) = (loaded(OLD), loaded(&changed_text(changes)));
    compare((&old.sources, &old.plan), (&new.sources, &new.plan))
}

/// What both ways of looking find under a pointer: at two files, and at one text that was sent.
fn check(changes: &[(&str, &str)], pointer: &str, expect: Value) {
    let (old, new) = (loaded(OLD), loaded(&changed_text(changes)));
    let sent = difference((&old.sources, &old.plan), (&new.sources, &new.plan), false);
    let whole = compare((&old.sources, &old.plan), (&new.sources, &new.plan)).to_json();
    for (how, found) in [("sent", sent), ("whole", whole)] {
        assert_eq!(found.pointer(pointer), Some(&expect), "{how}, {changes:?}: {found:#}");
    }
}

/// What is found less protected, each with the beginning of what is told of it.
fn weak(changes: &[(&str, &str)], expect: &[(&str, &str)]) {
    let found = compared(changes).weaker;
    let told: Vec<(&str, String)> = found.iter().map(|weak| (weak.code, weak.to_string())).collect();
    assert_eq!(told.len(), expect.len(), "{changes:?}: {told:#?}");
    for (code, text) in expect {
        assert!(
            told.iter().any(|(other, told)| code == other && told.contains(text)),
            "{code}: {text}: {told:#?}"
        );
    }
}

#[test]
fn nothing_differs_from_itself() {
    for list in [
        "/routes/added",
        "/routes/changed",
        "/routes/less_protected",
        "/upstreams/changed",
        "/keys",
        "/weaker",
    ] {
        check(&[], list, json!([]));
    }
    assert!(compared(&[]).is_empty());
}

#[test]
fn routes_and_upstreams_come_go_and_change() {
    let gone = [
        ("  gone: { targets: [http://127.0.0.1:3] }\n", ""),
        ("  - { name: c, path: /c, to: gone }\n", "  - { name: e, path: /e, to: kept }\n"),
    ];
    check(&gone, "/routes/added", json!(["e"]));
    check(&gone, "/routes/removed", json!(["c"]));
    check(&gone, "/routes/changed", json!([]));
    check(&gone, "/upstreams/removed", json!(["gone"]));
    check(&[("127.0.0.1:2", "127.0.0.1:9")], "/upstreams/changed", json!(["other"]));
    let moved = [("to: gone", "to: kept, timeout: 1s"), ("  gone: { targets: [http://127.0.0.1:3] }\n", "")];
    check(&moved, "/routes/changed/0/keys", json!(["timeout", "to"]));
    assert_eq!(compared(&moved).changed[0].line(), "action: to gone → to kept; keys timeout, to");
    assert_eq!(compared(&moved).summary(), "routes: 1 changed; upstreams: 1 gone");
}

#[test]
fn a_route_that_protects_less_is_told() {
    let public = (", auth: { api_key: { header: x-api-key } }", "");
    check(&[public], "/routes/less_protected", json!(["a"]));
    check(&[public], "/routes/changed/0/before/auth", json!("api key"));
    check(&[public], "/routes/changed/0/after/auth", json!("public"));
    check(&[public], "/weaker/0/code", json!("auth_removed"));
    check(&[(", rate_limit: { rate: 10/s, per: ip }", "")], "/routes/less_protected", json!(["b"]));
    check(&[("10/s", "20/s")], "/routes/less_protected", json!(["b"]));
    check(&[("10/s", "5/s")], "/routes/less_protected", json!([]));
    check(&[("10/s", "20/s")], "/routes/changed/0/keys", json!(["rate_limit"]));
    assert_eq!(compared(&[public]).summary(), "routes: 1 changed; less protected: 1");
}

#[test]
fn each_protection_that_weakens() {
    let cases: &[(&str, &str, &str, &str)] = &[
        ("x-api-key } }", "x-api-key }, optional: true }", "auth_optional", "route a lets callers without"),
        ("x-api-key } }", "x-api-key }, basic: true }", "auth_widened", "takes passwords, too"),
        ("jwt: main", "jwt: [main, other]", "auth_widened", "route d takes tokens of other, too"),
        ("strip: true", "strip: false", "credential_passed_on", "passes the credential"),
        ("[read, write]", "[write]", "requirement_dropped", "the scope read no more"),
        ("roles: [admin], ", "", "requirement_dropped", "requires no role"),
        ("[admin]", "[admin, guest]", "requirement_widened", "the role may also be guest"),
        ("acme", "[acme, evil]", "requirement_widened", "the claim tenant may have other values"),
        (", claims: { tenant: acme }", "", "requirement_dropped", "the claim tenant no more"),
        (", 192.0.2.0/24]", ", 192.0.2.0/23]", "addresses_widened", "lets 192.0.2.0/23 call, too"),
        ("    allow_ips: [10.0.0.0/8, 192.0.2.0/24]\n", "", "addresses_widened", "lets all addresses call"),
        ("'~worse'", "'~worst'", "user_agents_widened", "fewer user agents"),
        ("{ if: 'true' }, ", "", "guard_removed", "1 guard fewer (was 2)"),
        ("    concurrency: { max: 5 }\n", "", "limit_removed", "no bound of 5 requests"),
        ("max: 5", "max: 6", "limit_raised", "lets 6 requests in at once, not 5"),
        ("1KiB", "2KiB", "limit_raised", "takes bodies of 2KiB, not 1KiB"),
        ("10/s, per: ip", "10/s, per: ip, burst: 11", "limit_raised", "11 pass at once, not 10"),
        ("10/s, per: ip", "10/s, per: 'header:x'", "limit_removed", "no limit of 10/s per ip"),
        (
            "a.example.com'",
            "a.example.com', 'https://b.example.com'",
            "cors_widened",
            "https://b.example.com",
        ),
        ("methods: [GET] }", "methods: [GET, PUT] }", "cors_widened", "send PUT"),
        ("methods: [GET] }", "methods: [GET], credentials: true }", "cors_widened", "send credentials"),
        ("only_headers: [accept]", "only_headers: [accept, cookie]", "forwards_more", "more headers"),
        ("to: safe", "to: kept", "upstream_unverified", "sends to kept"),
        ("'https://127.0.0.1:4'", "'http://127.0.0.1:4'", "upstream_in_clear_text", "upstream safe"),
        (
            "['https://127.0.0.1:4']",
            "['https://127.0.0.1:4'], tls: { insecure_skip_verify: true }",
            "upstream_unverified",
            "looks at no certificate",
        ),
        ("audience: [orders]", "audience: any", "issuer_widened", "issuer main takes tokens for every"),
        ("[orders], algorithms: [RS256]", "[orders], algorithms: [RS256, ES256]", "issuer_widened", "ES256"),
        ("[orders],", "[orders], leeway: 5m,", "issuer_widened", "300 s after their end, not 30"),
        ("[orders],", "[orders], exp: optional,", "issuer_widened", "without an end"),
        ("10.0.0.0/8]\nroutes", "10.0.0.0/7]\nroutes", "proxies_widened", "believes what"),
        (
            "workers: 1",
            "workers: 1\nadmin: { token: sesame, allow_write: true }",
            "admin_opened",
            "write the configuration",
        ),
    ];
    for (from, to, code, text) in cases {
        weak(&[(from, to)], &[(code, text)]);
    }
}

#[test]
fn what_protects_as_much_or_more_is_not_told() {
    for (from, to) in [
        ("{ tenant: acme }", "{ tenant: acme, country: DE }"),
        ("10.0.0.0/8, 192.0.2.0/24", "10.0.0.0/9, 10.128.0.0/9, 192.0.2.0/25"),
        ("'~worse'", "'~worse', x"),
        ("10/s, per: ip", "10/s, per: all"),
        ("10/s, per: ip", "300/m, burst: 10, per: ip"),
        ("max: 5", "max: 4"),
        ("max_body: 1KiB", "max_body: 512B"),
        ("    cors: { origins: ['https://a.example.com'], methods: [GET] }\n", ""),
        ("methods: [GET, POST]", "methods: [GET]"),
        ("[orders], algorithms: [RS256]", "[orders], typ: at+jwt, algorithms: [RS256]"),
        ("[10.0.0.0/8]\nroutes", "[10.0.0.0/9]\nroutes"),
    ] {
        weak(&[(from, to)], &[]);
    }
}

/// What a service believes, because the gateway wrote it or took the client's away.
#[test]
fn what_a_client_may_write_itself_now_is_told() {
    let route = |keys: &str| {
        let head = OLD.split("routes:").next().unwrap_or_default();
        loaded(&format!("{head}routes:\n  - {{ name: a, path: /a, {keys} }}\n"))
    };
    let bus = |keys: &str| format!("aggregate: {{ {keys}parts: [{{ name: p, to: kept, path: /p }}] }}");
    let jwt = "auth: { jwt: main }, to: kept";
    let edits = "to: kept, request: { remove_headers: [x-a], remove_query: [q], set_headers: { x-b: y } }";
    for (old, new, expect) in [
        ("auth: { jwt: main, forward: { x-user: sub } }, to: kept", jwt, &["header x-user"][..]),
        (edits, "to: kept", &["header x-a", "header x-b", "query parameter q"]),
        (
            edits,
            "to: kept, request: { only_headers: [x-b], only_query: [q] }",
            &["header x-b", "parameter q"],
        ),
        (
            edits,
            "to: kept, request: { set_headers: { x-a: z }, remove_headers: [x-b], remove_query: [q] }",
            &[],
        ),
        (edits, "respond: { body: hi }", &[]),
        (&*bus(""), &*bus("headers: [cookie], "), &["more headers"]),
        (&*bus(""), &*bus("query: [q], "), &["more query"]),
        (&*bus("headers: [cookie], "), &*bus(""), &[]),
    ] {
        let (was, is) = (route(old), route(new));
        let found = compare((&was.sources, &was.plan), (&is.sources, &is.plan)).weaker;
        assert_eq!(found.len(), expect.len(), "{old} → {new}: {found:#?}");
        for (weak, text) in found.iter().zip(expect) {
            assert!(weak.code == "forwards_more" && weak.detail.contains(text), "{text}: {found:#?}");
        }
    }
}

/// The names are others, the requests are the same.
#[test]
fn requests_that_another_route_takes_away_are_told() {
    let end = "    to: safe\n";
    for (route, code, text) in [
        ("  - { name: hole, path: /d/open, to: safe }\n", "auth_removed", "hole (gets requests of d)"),
        ("  - { name: hole, path: '/d/{x}', to: safe }\n", "auth_removed", "hole (gets requests of d)"),
    ] {
        let found = compared(&[(end, &format!("{end}{route}"))]);
        assert_eq!(found.less_protected(), ["hole"], "{route}");
        assert!(
            found.weaker.iter().any(|weak| weak.code == code && weak.to_string().contains(text)),
            "{found:#?}"
        );
    }
    // The one goes, and a public one behind it catches what it got.
    let whole = [(end, "    to: safe\n  - { name: rest, path: /*, to: safe }\n")];
    assert_eq!(compared(&whole).less_protected(), Vec::<&str>::new());
    // Without its `cors`, which would be more than the public route had.
    let cors = ("    cors: { origins: ['https://a.example.com'], methods: [GET] }\n", "");
    let moved = [whole[0], ("path: /d/*", "path: /moved/*"), cors];
    let (old, new) = (changed_text(&whole), changed_text(&moved));
    let (old, new) = (loaded(&old), loaded(&new));
    let found = compare((&old.sources, &old.plan), (&new.sources, &new.plan));
    assert_eq!(found.less_protected(), ["rest"], "{found:#?}");
    // What nobody got before is nobody's loss.
    assert!(compared(&[(end, "    to: safe\n  - { name: e, path: /e, to: kept }\n")]).weaker.is_empty());
}

/// A header that must fit an expression is made up, too; where no value is known, the route is named.
#[test]
fn requests_under_expressions_are_made_up() {
    let end = "    to: safe\n";
    for (conditions, found, untried) in [
        ("headers: { x-version: '~^[2-3]\\.\\d+$' }", true, false),
        ("query: { debug: '~(?i)^(on|yes)$' }", true, false),
        ("headers: { x-a: '~^a', x-b: true }, query: { c: '1' }", true, false),
        ("headers: { x-long: '~^a{300}$' }", false, true),
        // Nothing fits both, which is known.
        ("headers: { x-a: false }", true, false),
    ] {
        let route = format!("  - {{ name: hole, path: /d/open, {conditions}, to: safe }}\n");
        let told = compared(&[(end, &format!("{end}{route}"))]);
        assert_eq!(told.less_protected().contains(&"hole"), found, "{conditions}: {told:#?}");
        assert_eq!(told.untried == ["hole"], untried, "{conditions}: {told:#?}");
        assert_eq!(told.to_json()["routes"]["untried"], json!(told.untried));
    }
    // Nothing is asked, so nothing is left out.
    let text = changed_text(&[(
        end,
        &format!("{end}  - {{ name: e, path: /e, headers: {{ a: '~^a{{300}}$' }}, to: kept }}\n"),
    )]);
    let same = loaded(&text);
    assert!(compare((&same.sources, &same.plan), (&same.sources, &same.plan)).untried.is_empty());
}

/// Each pair of routes in which a protected one lost requests to a public one, and no route has a request of its own
/// that shows it.
#[test]
fn requests_that_two_routes_share_are_told() {
    let routes = |rows: &[&str]| -> String {
        let rows = rows.iter().map(|row| format!("  - {{ {row}, to: kept }}\n"));
        format!("{}routes:\n{}", OLD.split("routes:").next().unwrap_or_default(), rows.collect::<String>())
    };
    const JWT: &str = "auth: { jwt: main }";
    let public = "name: all, path: /*";
    let one = |matches: &str| format!("name: p, {JWT}, {matches}");
    let on = |name: &str, more: &str| format!("name: {name}, path: /x, {more}");
    let cases = [
        // /adm/a/b
        (vec![one("path: /adm/*"), public.into()], vec![one("path: '/adm/{x}'"), public.into()], "all"),
        // /adm
        (vec![one("path: /adm/*"), public.into()], vec![one("path: '/adm/{x}/*'"), public.into()], "all"),
        // /adm/a/b/c
        (
            vec![one("path: /adm/*"), public.into()],
            vec![one("path: '/adm/{x}'"), format!("name: q, {JWT}, path: '/adm/{{x}}/{{y}}'"), public.into()],
            "all",
        ),
        // x.a.e.com/r/1
        (
            vec![one("host: '*.e.com', path: /r/*")],
            vec![one("host: '*.e.com', path: /r/*"), "name: hole, host: '*.a.e.com', path: /*".into()],
            "hole",
        ),
        // /a/b
        (
            vec![one("path: '/a/{x}'"), "name: hole, path: '/{y}/b'".into()],
            vec!["name: hole, path: '/{y}/b'".into()],
            "hole",
        ),
        // With both headers.
        (
            vec![
                on("p", &format!("headers: {{ b: '1' }}, priority: 2, {JWT}")),
                on("hole", "headers: { a: '1' }"),
            ],
            vec![
                on("p", &format!("headers: {{ b: '1' }}, priority: 2, {JWT}")),
                on("hole", "headers: { a: '1' }, priority: 9"),
            ],
            "hole",
        ),
        // With all three.
        (
            vec![on("p", &format!("headers: {{ b: '1' }}, {JWT}"))],
            vec![
                on("p", &format!("headers: {{ b: '1' }}, {JWT}")),
                on("hole", "headers: { a: true }, query: { c: '1' }"),
            ],
            "hole",
        ),
    ];
    for (old, new, hole) in cases {
        let text = |rows: &[String]| routes(&rows.iter().map(String::as_str).collect::<Vec<_>>());
        let (was, is) = (loaded(&text(&old)), loaded(&text(&new)));
        let found = compare((&was.sources, &was.plan), (&is.sources, &is.plan));
        assert_eq!(found.less_protected(), [hole], "{old:?} → {new:?}: {found:#?}");
        let weak = &found.weaker[0];
        assert_eq!((weak.code, weak.instead_of.as_deref()), ("auth_removed", Some("p")), "{new:?}: {weak}");
        // What lies the other way around, or where it was, is no weakness.
        for (was, is) in [(&is, &was), (&was, &was)] {
            let found = compare((&was.sources, &was.plan), (&is.sources, &is.plan));
            assert!(found.weaker.is_empty(), "{old:?} ← {new:?}: {:#?}", found.weaker);
        }
    }
}

/// A text that was sent is compared by requests, too, unless it withholds where its routes are.
#[test]
fn a_text_that_was_sent_is_compared_by_requests() {
    let old = loaded(OLD);
    let a = "  - { name: a, path: /a, to: kept, auth: { api_key: { header: x-api-key } } }\n";
    for (row, complete, expect) in [
        ("  - { name: all, path: /*, to: kept }\n", true, json!(["all"])),
        ("  - { name: all, path: /*, to: kept, max_body: '${BODY}' }\n", false, json!(["all"])),
        ("  - { name: all, path: /*, to: kept, host: '${HOST}' }\n", false, json!([])),
        ("  - { name: all, path: '/${PATH}', to: kept }\n", false, json!([])),
    ] {
        let posted = check_posted(&changed_text(&[(a, row)]), &old.sources);
        let withheld = posted.diagnostics.iter().any(|one| one.code == "not_looked_at");
        assert_eq!(withheld, !complete, "{row}: {:?}", posted.diagnostics);
        let Some(plan) = &posted.plan else { panic!("{row}: {:?}", posted.diagnostics) };
        let found = difference((&old.sources, &old.plan), (&posted.sources, plan), complete);
        assert_eq!(found["routes"]["less_protected"], expect, "{row}: {found:#}");
        assert_eq!(found["complete"], complete);
    }
}

#[test]
fn samples_that_end_elsewhere() {
    let lines = [
        json!({ "method": "GET", "host": "x", "path": "/a", "route": "a" }),
        json!({ "method": "GET", "host": "x", "path": "/c", "route": "c" }),
        json!({ "method": "GET", "host": null, "path": "/c", "route": "c" }),
        json!({ "method": "GET", "path": "/nothing", "route": null }),
        // The old configuration does not send it there: something is not in the record.
        json!({ "method": "GET", "path": "/b", "route": "elsewhere" }),
        json!({ "method": "DELETE", "path": "/d/1", "route": null }),
        json!({ "method": null, "path": null, "route": null }),
    ];
    let changes = [
        ("name: c, path: /c", "name: cc, path: /c"),
        ("methods: [GET, POST]", "methods: [GET, POST, DELETE]"),
    ];
    let (old, new) = (loaded(OLD), loaded(&changed_text(&changes)));
    let mut difference = compare((&old.sources, &old.plan), (&new.sources, &new.plan));
    let mut sampler = Sampler::new(&old.plan, &new.plan);
    lines.iter().filter_map(Sample::of_record).for_each(|sample| sampler.push(&sample));
    let found = sampler.finish(&mut difference);
    let expect = json!({
        "read": 6, "undecided": 1,
        "moved": [
            { "method": "GET", "example": "x/c", "from": "c", "to": "cc", "count": 2 },
            { "method": "DELETE", "example": "/d/1", "from": "405", "to": "d", "count": 1 },
        ],
    });
    assert_eq!(json!(found), expect);
}

/// Of a text that was sent, what is withheld is no less protected.
#[test]
fn what_is_not_known_is_not_told() {
    let old = loaded(OLD);
    for (from, to) in [
        ("rate: 10/s", "rate: '${RATE}'"),
        ("max_body: 1KiB", "max_body: '${BODY}'"),
        ("algorithms: [RS256]", "algorithms: ['${ALGORITHM}']"),
    ] {
        let posted = check_posted(&changed_text(&[(from, to)]), &old.sources);
        let Some(plan) = &posted.plan else { panic!("{from}: {:?}", posted.diagnostics) };
        let found = difference((&old.sources, &old.plan), (&posted.sources, plan), false);
        assert_eq!(found["weaker"], json!([]), "{to}: {found:#}");
    }
}

/// The text is the same, what it refers to is not.
#[test]
fn what_is_expanded_is_compared_too() {
    let text =
        "routes: [{ name: a, path: '/${P:-a}', rate_limit: { rate: '${RATE}', per: ip }, respond: {} }]\n";
    let with = |variables: &[(&str, &str)]| {
        let sources =
            variables.iter().fold(MemorySources::default(), |all, (name, value)| all.variable(*name, *value));
        load_text("tollgate.yaml", text, &sources).unwrap_or_else(|failed| panic!("{:?}", failed.diagnostics))
    };
    let (old, same, faster) = (with(&[("RATE", "1/s")]), with(&[("RATE", "1/s")]), with(&[("RATE", "2/s")]));
    let compared = |new: &Loaded| compare((&old.sources, &old.plan), (&new.sources, &new.plan));
    assert!(compared(&same).is_empty());
    assert_eq!(compared(&faster).summary(), "routes: 1 changed; less protected: 1");
    let elsewhere = compared(&with(&[("RATE", "1/s"), ("P", "b")]));
    assert_eq!(elsewhere.changed[0].line(), "match: /a → /b");
}

#[test]
fn what_needs_a_restart_is_told() {
    check(&[("workers: 1", "workers: 2")], "/needs_restart", json!(["workers"]));
    let admin = [("workers: 1", "workers: 1\nadmin: { address: \"127.0.0.1:1\" }")];
    check(&admin, "/needs_restart", json!(["admin.address"]));
    check(&admin, "/keys", json!(["admin"]));
}
