use super::*;

#[test]
fn authorities_have_one_form_or_are_refused() {
    #[track_caller]
    fn check(raw: &str, expect: Option<(&str, Option<u16>)>) {
        let mut buf = String::from("left over");
        let got = Host::parse(raw.as_bytes(), &mut buf).ok().map(|host| (host.name, host.port));
        assert_eq!(got, expect, "{raw}");
    }
    check("example.com", Some(("example.com", None)));
    check("EXAMPLE.com:8080", Some(("example.com", Some(8080))));
    check("example.com.", Some(("example.com", None)));
    check("Example.com.:80", Some(("example.com", Some(80))));
    check("localhost:", Some(("localhost", None)));
    check("a_b-c.d:65535", Some(("a_b-c.d", Some(65535))));
    check("127.0.0.1:00080", Some(("127.0.0.1", Some(80))));
    check("[::1]", Some(("[::1]", None)));
    check("[0:0:0:0:0:0:0:1]:443", Some(("[::1]", Some(443))));
    check("[2001:DB8::A]", Some(("[2001:db8::a]", None)));
    check("[::ffff:1.2.3.4]:1", Some(("[::ffff:1.2.3.4]", Some(1))));
    let longest = ["a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61)].join(".");
    check(&longest, Some((&longest, None)));
    for bad in [
        "",
        ".",
        ":80",
        "..",
        "a..b",
        ".a",
        "a..",
        "exa%6dple.com",
        "user@example.com",
        "a,b",
        "a b",
        " a",
        "a\t",
        "a/b",
        "a?b",
        "a#b",
        "a\\b",
        "*.a",
        "a\0",
        "a\r\n",
        "é.com",
        "a:b",
        "a:1:2",
        "a:65536",
        "a:123456",
        "a:-1",
        "a:+1",
        "a: 1",
        "::1",
        "[::1",
        "[::1]x",
        "[::1]80",
        "[::1]:x",
        "[]",
        "[v1.a]",
        "[::1%25eth0]",
        "[1.2.3.4]",
        "a]",
        "[[::1]]",
    ] {
        check(bad, None);
    }
    check(&format!("{longest}e"), None);
}

#[test]
fn a_lower_case_host_is_borrowed_from_the_request() {
    let mut buf = String::new();
    let raw = b"api.example.com:80".to_vec();
    let name = Host::parse(&raw, &mut buf).unwrap().name.as_ptr();
    assert_eq!(name, raw.as_ptr());
}

#[test]
fn patterns_are_parsed_or_the_offence_is_named() {
    #[track_caller]
    fn check(text: &str, expect: Result<HostPattern, HostPatternError>) {
        assert_eq!(text.parse::<HostPattern>(), expect, "{text}");
    }
    let exact = |name: &str| Ok(HostPattern::Exact(name.into()));
    check("API.Example.com.", exact("api.example.com"));
    check("127.0.0.1", exact("127.0.0.1"));
    check("[0::1]", exact("[::1]"));
    check("*", Ok(HostPattern::Any));
    check("*.Example.com", Ok(HostPattern::Suffix(".example.com".into())));
    check("*.com", Ok(HostPattern::Suffix(".com".into())));
    check("*com", Err(HostPatternError::Wildcard));
    check("a.*.com", Err(HostPatternError::Wildcard));
    check("*.*.com", Err(HostPatternError::Wildcard));
    check("a.com:80", Err(HostPatternError::Port));
    check("[::1]:80", Err(HostPatternError::Port));
    check("[::1]:", Err(HostPatternError::Port));
    check("::1", Err(HostPatternError::Unbracketed));
    check("http://a.com", Err(HostPatternError::NotAHost));
    check("a.com/x", Err(HostPatternError::NotAHost));
    check("bücher.de", Err(HostPatternError::NotAscii));
    for bad in ["", "*.", ".com", "a..b", "a b", "[::g]", "a%41", "a,b"] {
        check(bad, Err(HostPatternError::BadName));
    }
}

#[test]
fn a_wildcard_matches_one_label_or_more() {
    #[track_caller]
    fn check(pattern: &str, host: &str, expect: bool) {
        let pattern: HostPattern = pattern.parse().unwrap();
        assert_eq!(pattern.matches(host), expect, "{pattern} {host}");
    }
    check("*.example.com", "a.example.com", true);
    check("*.example.com", "a.b.example.com", true);
    check("*.example.com", "example.com", false);
    check("*.example.com", "badexample.com", false);
    check("*.example.com", "", false);
    check("example.com", "example.com", true);
    check("example.com", "a.example.com", false);
    check("*", "", true);
    check("*", "x", true);
}
