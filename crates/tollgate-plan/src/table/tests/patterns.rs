//! What is a path pattern and what is not.

use crate::table::{PathPattern, PatternErrorKind};

#[track_caller]
fn check(text: &str, expect: Result<&str, (usize, PatternErrorKind)>) {
    let got = PathPattern::parse(text).map(|pattern| pattern.to_string()).map_err(|e| (e.offset, e.kind));
    assert_eq!(got, expect.map(str::to_owned), "{text}");
}

#[test]
fn patterns_are_brought_into_normal_form() {
    for text in
        ["/", "/a", "/a/", "/{id}", "/a/{id}/b", "/v{a}.{b}-c", "/*", "/a/*", "/{rest*}", "/a/{x}/{rest*}"]
    {
        check(text, Ok(text));
    }
    check("//a///b//", Ok("/a/b/"));
    check("/caf\u{e9} {x}%7e/%2f", Ok("/caf%C3%A9%20{x}~/%2F"));
    check("/%7B{x}%7d", Ok("/%7B{x}%7D"));
    check("/a//*", Ok("/a/*"));
    check("/{_a-1}", Ok("/{_a-1}"));
    check("/lines/{route}/{path*}", Ok("/lines/{route}/{path*}"));
    check("/...", Ok("/..."));
    check("/{x}..", Ok("/{x}.."));
}

#[test]
fn offences_are_named_and_placed() {
    use PatternErrorKind as Kind;
    for (text, offset, kind) in [
        ("", 0, Kind::NotAbsolute),
        ("a", 0, Kind::NotAbsolute),
        ("*", 0, Kind::NotAbsolute),
        ("/a/{x", 3, Kind::Unclosed),
        ("/a/{x/b}", 3, Kind::Unclosed),
        ("/a/{x{y}}", 3, Kind::Unclosed),
        ("/a}/b", 2, Kind::Unopened),
        ("/{x}}", 4, Kind::Unopened),
        ("/a/{}", 4, Kind::EmptyName),
        ("/a/{*}", 4, Kind::EmptyName),
        ("/{a b}", 2, Kind::BadName),
        ("/{7}", 2, Kind::BadName),
        ("/{a.b}", 2, Kind::BadName),
        ("/{id}/x/{id}", 9, Kind::DuplicateName),
        ("/{id}/{id*}", 7, Kind::DuplicateName),
        ("/{a}{b}", 4, Kind::Adjacent),
        ("/*/a", 1, Kind::TailNotLast),
        ("/{rest*}/a", 1, Kind::TailNotLast),
        ("/a/*/", 3, Kind::TailNotLast),
        ("/a*", 2, Kind::StarNotAlone),
        ("/a/x{rest*}", 5, Kind::StarNotAlone),
        ("/**", 1, Kind::StarNotAlone),
        ("/a/../b", 3, Kind::DotSegment),
        ("/a/.", 3, Kind::DotSegment),
        ("/%2e%2E", 1, Kind::DotSegment),
        ("/a?b", 1, Kind::ForbiddenByte),
        ("/a/b#c", 3, Kind::ForbiddenByte),
        ("/a\\b", 1, Kind::ForbiddenByte),
        ("/a%00", 1, Kind::ForbiddenByte),
        ("/a\n", 1, Kind::ForbiddenByte),
        ("/a%zz", 1, Kind::BadPercentEncoding),
        ("/{x}%2", 4, Kind::BadPercentEncoding),
    ] {
        check(text, Err((offset, kind)));
    }
    check(&format!("/{}", "a".repeat(9000)), Err((8192, Kind::TooLong)));
    check(&"/a".repeat(129), Err((257, Kind::TooLong)));
    assert!(PathPattern::parse(&"/a".repeat(128)).is_ok());
}

#[test]
fn names_are_listed_with_the_tail_last() {
    #[track_caller]
    fn check(text: &str, params: &[&str], tail: Option<&str>) {
        let pattern = PathPattern::parse(text).unwrap();
        assert_eq!(pattern.params().collect::<Vec<_>>(), params);
        assert_eq!(pattern.tail(), tail);
    }
    check("/a", &[], None);
    check("/a/*", &[], None);
    check("/{x}/{y}-{z}/*", &["x", "y", "z"], None);
    check("/{x}/{y}-{z}/{rest*}", &["x", "y", "z", "rest"], Some("rest"));
    check("/{rest*}", &["rest"], Some("rest"));
}
