use tollgate_wire::{HeadLimits, HeadProgress, parse_request};

use super::*;

fn head(target: &str, lines: &str) -> RequestHead {
    let mut head = RequestHead::default();
    let text = format!("GET {target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n");
    parse_request(text.as_bytes(), &mut HeadProgress::default(), &HeadLimits::default(), &mut head).unwrap();
    head
}

fn header(name: &str) -> Place {
    Place::Header(Name::new(name).unwrap())
}

fn cookie(name: &str) -> Place {
    Place::Cookie(name.into())
}

fn query(name: &str) -> Place {
    Place::Query(name.into())
}

#[test]
fn what_stands_where() {
    let check = |target: &str, lines: &str, place: Place, expect: &[&str]| {
        let head = head(target, lines);
        let seen = at(&head, &place);
        match expect {
            [] => assert_eq!(seen, Standing::Absent, "{target} {lines:?}"),
            [one] => assert_eq!(seen, Standing::One(one.as_bytes().into()), "{target} {lines:?}"),
            _ => assert_eq!(seen, Standing::Several, "{target} {lines:?}"),
        }
    };
    check("/", "", header("x-key"), &[]);
    check("/", "X-KEY:  a \r\n", header("x-key"), &["a"]);
    check("/", "X_Key: a\r\n", header("x-key"), &[]);
    check("/", "X-Key: a\r\nx-key: a\r\n", header("x-key"), &["a", "a"]);
    check("/", "X-Key:\r\n", header("x-key"), &[""]);
    check("/", "Cookie: a=1; sid=x.y=; b=2\r\n", cookie("sid"), &["x.y="]);
    check("/", "Cookie: SID=x\r\n", cookie("sid"), &[]);
    check("/", "Cookie: sid=x;sid=y\r\n", cookie("sid"), &["x", "y"]);
    check("/", "Cookie: sid=x; sid =y\r\n", cookie("sid"), &["x", "y"]);
    check("/", "Cookie: sid=x\r\nCookie: sid=y\r\n", cookie("sid"), &["x", "y"]);
    check("/", "Cookie: sidx; xsid=1; sid\r\n", cookie("sid"), &[]);
    check("/?key=a%2Fb+c&k=1", "", query("key"), &["a/b c"]);
    check("/?%6bey=a", "", query("key"), &["a"]);
    check("/?key=a&%6bey=b", "", query("key"), &["a", "b"]);
    check("/?KEY=a&ke=y", "", query("key"), &[]);
}

#[test]
fn schemes() {
    for (value, expect) in [
        ("Bearer abc", Some("abc")),
        ("bEARER   abc ", Some("abc")),
        ("Bearer", Some("")),
        ("Bearer a b", Some("a b")),
        ("Bearerabc", None),
        ("Bearer\tabc", Some("abc")),
        ("Bearer \t abc", Some("abc")),
        ("Basic abc", None),
        ("", None),
    ] {
        assert_eq!(bearer(value.as_bytes()), expect.map(str::as_bytes), "{value}");
    }
}

#[test]
fn spellings() {
    let own = Name::new("x-user").unwrap();
    let block = head("/", "X-USER: 1\r\nX_User: 2\r\nx-user: 3\r\nX-Users: 4\r\nXUser: 5\r\nx.user: 6\r\n");
    let kept =
        block.headers.entries().filter(|entry| !entry.spells(&own)).map(|entry| entry.value().to_vec());
    assert_eq!(kept.collect::<Vec<_>>(), [&b"test"[..], b"4", b"5", b"6"]);
}

#[test]
fn what_is_taken_off() {
    let auth = |token_from: Vec<Place>, api_key: Option<Place>, basic: bool| Auth {
        issuers: Vec::new(),
        token_from,
        api_key,
        basic,
        optional: false,
        require: None,
        forward: Vec::new(),
        strip: true,
    };
    let check = |auth: &Auth, lines: &str, expect: &str| {
        let head = head("/", lines);
        let stripped = Stripped::of(Some(auth)).unwrap();
        let (mut out, mut value) = (Vec::new(), Vec::new());
        head.headers.write_where(&mut out, |entry| !entry.is(&name::HOST) && stripped.keeps(entry));
        stripped.cookies(&head.headers, &mut value, |name, value| {
            tollgate_wire::write_header(&mut out, name, value)
        });
        assert_eq!(String::from_utf8(out).unwrap(), expect, "{lines:?}");
    };
    let bearer = auth(vec![header("authorization")], None, false);
    check(&bearer, "Authorization: bearer x\r\nX-A: 1\r\n", "X-A: 1\r\n");
    check(&bearer, "Authorization: Basic x\r\n", "Authorization: Basic x\r\n");
    let basic = auth(Vec::new(), Some(header("x-key")), true);
    check(&basic, "Authorization: Basic x\r\nX-Key: k\r\nx-a: 1\r\n", "x-a: 1\r\n");
    check(&basic, "X_KEY: other\r\nX-Key: k\r\nX-Keys: 1\r\n", "X-Keys: 1\r\n");
    check(&basic, "Authorization: Bearer x\r\n", "Authorization: Bearer x\r\n");
    let session = auth(vec![cookie("sid")], None, false);
    check(&session, "Cookie: a=1;sid=x;  b=2\r\nCookie: c=3\r\n", "Cookie: c=3\r\ncookie: a=1; b=2\r\n");
    check(&session, "Cookie: sid=x; sid=y; sid =z\r\n", "");
    check(&bearer, "Authorization: Bearer\tx\r\n", "");
    check(&session, "Cookie: side=x\r\n", "Cookie: side=x\r\n");
    let both = auth(vec![query("token"), header("authorization")], Some(query("key")), false);
    assert_eq!(Stripped::of(Some(&both)).unwrap().parameters().collect::<Vec<_>>(), ["token", "key"]);
    assert!(Stripped::of(Some(&Auth { strip: false, ..both })).is_none());
    assert!(Stripped::of(None).is_none());
}
