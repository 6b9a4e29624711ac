use proptest::prelude::*;

use super::*;

#[test]
fn pairs_are_split_and_decoded() {
    #[track_caller]
    fn check(raw: &str, expect: &[(&str, &str)]) {
        let got: Vec<(String, String)> = pairs(raw.as_bytes())
            .map(|pair| (decode(pair.name, true), pair.decoded()))
            .map(|(name, value)| {
                (String::from_utf8_lossy(&name).into(), String::from_utf8_lossy(&value).into())
            })
            .collect();
        let got: Vec<(&str, &str)> = got.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(got, expect, "{raw}");
    }
    check("", &[]);
    check("&&", &[]);
    check("a", &[("a", "")]);
    check("a=", &[("a", "")]);
    check("=b", &[("", "b")]);
    check("a=1&b=2&a=3", &[("a", "1"), ("b", "2"), ("a", "3")]);
    check("a=b=c", &[("a", "b=c")]);
    check("a+b=c%20d&%41=%2b", &[("a b", "c d"), ("A", "+")]);
    check("a=%&b=%zz&c=%4", &[("a", "%"), ("b", "%zz"), ("c", "%4")]);
    check("a;b=1", &[("a;b", "1")]);
}

#[test]
fn names_and_values_are_compared_decoded() {
    #[track_caller]
    fn check(raw: &str, name: &str, value: &str, expect: bool) {
        let got = values(raw.as_bytes(), name).any(|v| *v == *value.as_bytes());
        assert_eq!(got, expect, "{raw} {name} {value}");
    }
    check("debug=1", "debug", "1", true);
    check("d%65bug=%31", "debug", "1", true);
    check("x=2&debug=0&debug=1", "debug", "1", true);
    check("debug", "debug", "", true);
    check("debug=1", "debu", "1", false);
    check("debug=1", "debugg", "1", false);
    check("debug=1", "Debug", "1", false);
    check("xdebug=1", "debug", "1", false);
    check("q=a+b", "q", "a b", true);
    check("q=a%2Bb", "q", "a+b", true);
    check("", "", "", false);
    assert_eq!(first(b"a=1&b=%32&b=3", "b").as_deref(), Some(&b"2"[..]));
    assert_eq!(first(b"a=1", "b"), None);
}

#[test]
fn edits_leave_the_rest_alone() {
    #[track_caller]
    fn check(raw: Option<&str>, edits: &[Edit<'_>], expect: Option<&str>) {
        let got = edit(raw.map(str::as_bytes), edits).map(|q| String::from_utf8(q).unwrap());
        assert_eq!(got.as_deref(), expect, "{raw:?} {edits:?}");
    }
    use Edit::{Only, Remove, Set};
    let names = ["a".into(), "b c".into()];
    check(None, &[Only(&names)], None);
    check(Some(""), &[Only(&names)], None);
    check(Some("x=1&A=1&aa=1"), &[Only(&names)], None);
    check(Some("a=1&x=2&%61=%7e+&&b+c=3&b%20c&y"), &[Only(&names)], Some("a=1&%61=%7e+&b+c=3&b%20c"));
    check(Some("a=1"), &[Only(&[])], None);
    check(Some("x=1&a=1"), &[Only(&names), Set("x", b"2")], Some("a=1&x=2"));
    check(None, &[], None);
    check(Some(""), &[], Some(""));
    check(Some(""), &[Remove("a")], Some(""));
    check(None, &[Remove("a")], None);
    check(Some("a=1"), &[Remove("a")], None);
    check(Some("a=1&b=%7e+&a=2&c"), &[Remove("a")], Some("b=%7e+&c"));
    check(Some("%61=1&b=2"), &[Remove("a")], Some("b=2"));
    check(Some("b&&c"), &[Remove("a")], Some("b&&c"));
    check(Some("b&&a&c"), &[Remove("a")], Some("b&&c"));
    check(None, &[Set("v", b"2")], Some("v=2"));
    check(Some(""), &[Set("v", b"2")], Some("v=2"));
    check(Some("a=1"), &[Set("v", b"2")], Some("a=1&v=2"));
    check(Some("v=1&a=%7e&v=3"), &[Set("v", b"2")], Some("v=2&a=%7e"));
    check(Some("a=1"), &[Set("b c", b"x&y=z +\xff")], Some("a=1&b%20c=x%26y%3Dz%20%2B%FF"));
    check(Some("a=1"), &[Remove("a"), Set("a", b"2"), Set("b", b"")], Some("a=2&b="));
    check(Some("a=1"), &[Set("b", b"2"), Remove("a"), Remove("b")], None);
}

proptest! {
    #[test]
    fn a_set_value_is_read_back_and_others_keep_theirs(
        raw in "([abc%&=+]|%6[1-3]){0,16}", value in proptest::collection::vec(any::<u8>(), 0..8)
    ) {
        let others = |query: &[u8]| -> Vec<Vec<u8>> {
            let kept = pairs(query).filter(|pair| !pair.is("a"));
            kept.map(|pair| [pair.name, b"=", pair.value].concat()).collect()
        };
        let edited = edit(Some(raw.as_bytes()), &[Edit::Set("a", &value)]).unwrap();
        prop_assert_eq!(values(&edited, "a").map(Cow::into_owned).collect::<Vec<_>>(), vec![value]);
        prop_assert_eq!(others(&edited), others(raw.as_bytes()));
        let removed = edit(Some(raw.as_bytes()), &[Edit::Remove("a")]).unwrap_or_default();
        prop_assert_eq!(values(&removed, "a").count(), 0);
        prop_assert_eq!(others(&removed), others(raw.as_bytes()));
    }
}
