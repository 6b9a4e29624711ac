use std::time::Duration;

use tollgate_plan::access::OriginPattern;

use super::*;

const APP: &str = "https://app.example.com";

/// One origin, two methods, one header, credentials.
fn strict() -> Cors {
    Cors {
        origins: Origins::These(vec![
            OriginPattern::Exact(APP.into()),
            OriginPattern::Subdomains { scheme: "https://".into(), suffix: ".example.org".into() },
        ]),
        methods: vec![Method::Get, Method::Delete],
        headers: AllowedHeaders::These(vec![name::AUTHORIZATION, Name::new("x-a").unwrap()]),
        expose: "x-total, etag".into(),
        credentials: true,
        max_age: Duration::from_secs(600),
    }
}

/// Everybody, every header.
fn open() -> Cors {
    Cors {
        origins: Origins::Any,
        methods: vec![Method::Post],
        headers: AllowedHeaders::Any,
        expose: "".into(),
        credentials: false,
        max_age: Duration::from_secs(5),
    }
}

fn block(lines: &[(&str, &str)]) -> HeaderBlock {
    let mut block = HeaderBlock::default();
    lines.iter().for_each(|(name, value)| block.append(&Name::new(name).unwrap(), value.as_bytes()));
    block
}

fn text(block: &HeaderBlock) -> String {
    let mut out = Vec::new();
    block.write_to(&mut out);
    String::from_utf8(out).unwrap().replace("access-control-", "").replace("\r\n", "\n")
}

#[test]
fn preflights() {
    const VARY: &str = "vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers\n";
    const STRICT: &str = "allow-credentials: true\nallow-methods: GET, DELETE\n\
                          allow-headers: authorization, x-a\nmax-age: 600\n";
    let check = |cors: &Cors, origins: &[&str], method: &str, headers: &[&str], expect: &str| {
        let mut lines: Vec<(&str, &str)> = origins.iter().map(|origin| ("Origin", *origin)).collect();
        lines.push(("Access-Control-Request-Method", method));
        lines.extend(headers.iter().map(|value| ("Access-Control-Request-Headers", *value)));
        let got = text(&preflight(cors, std::iter::empty(), &block(&lines)));
        assert_eq!(got, format!("{VARY}{expect}"), "{origins:?} {method} {headers:?}");
    };
    let yes = format!("allow-origin: {APP}\n{STRICT}");
    for (origins, method, headers, allowed) in [
        (&[APP][..], "GET", &[][..], true),
        (&[APP], "HEAD", &[], true),
        (&[APP], "DELETE", &["X-A, Authorization"], true),
        (&[APP], "DELETE", &["x-a", "authorization"], true),
        (&[APP], "PUT", &[], false),
        (&[APP], "delete", &[], false),
        (&[APP], "", &[], false),
        (&[APP], "GET", &["x-b"], false),
        (&[APP], "GET", &["x-a, x-b"], false),
        (&[APP], "GET", &["x-a", "x b"], false),
        (&["https://evil.test"], "GET", &[], false),
        (&["HTTPS://APP.EXAMPLE.COM"], "GET", &[], false),
        (&["null"], "GET", &[], false),
        (&[""], "GET", &[], false),
        (&[APP, APP], "GET", &[], false),
        (&[APP, "https://evil.test"], "GET", &[], false),
    ] {
        check(&strict(), origins, method, headers, if allowed { &yes } else { "" });
    }
    let sub = "https://a.b.example.org";
    check(&strict(), &[sub], "GET", &[], &format!("allow-origin: {sub}\n{STRICT}"));

    let any = |headers: &str| format!("allow-origin: *\nallow-methods: POST\n{headers}max-age: 5\n");
    check(&open(), &["null"], "POST", &[], &any(""));
    check(&open(), &["https://x.test"], "POST", &["X-B,x-c"], &any("allow-headers: x-b, x-c\n"));
    check(&open(), &["https://x.test"], "POST", &["x-b, a b"], "");
    check(&open(), &["https://x.test"], "GET", &[], "");
    // The configuration refuses this pair; a browser would as well.
    let mixed = Cors { credentials: true, ..open() };
    check(&mixed, &["https://x.test"], "POST", &[], &any(""));
}

#[test]
fn answers() {
    let check = |cors: &Cors, origins: &[&str], expect: &str| {
        let lines: Vec<(&str, &str)> = origins.iter().map(|origin| ("Origin", *origin)).collect();
        let mut out = HeaderBlock::default();
        answer(cors, &block(&lines), &mut out);
        assert_eq!(text(&out), expect, "{origins:?}");
    };
    let yes = format!(
        "vary: Origin\nallow-origin: {APP}\nallow-credentials: true\nexpose-headers: x-total, etag\n"
    );
    check(&strict(), &[APP], &yes);
    for refused in [&[][..], &["https://evil.test"], &["null"], &[APP, APP]] {
        check(&strict(), refused, "vary: Origin\n");
    }
    for origins in [&[][..], &["https://x.test"], &["null"]] {
        check(&open(), origins, "allow-origin: *\n");
    }
}

#[test]
fn what_a_service_says_of_other_origins() {
    for (name, expect) in [
        ("access-control-allow-origin", true),
        ("Access-Control-Allow-Private-Network", true),
        ("ACCESS-CONTROL-MAX-AGE", true),
        ("access-control", false),
        ("x-access-control-a", false),
        ("vary", false),
    ] {
        assert_eq!(is_cors(name.as_bytes()), expect, "{name}");
    }
}
