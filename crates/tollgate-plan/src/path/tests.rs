use proptest::prelude::*;

use super::*;

#[track_caller]
fn check(raw: &str, expect: Result<&str, PathError>) {
    let got = normalize(raw.as_bytes());
    assert_eq!(got.as_deref().map_err(|e| *e), expect, "{raw}");
}

#[test]
fn a_normal_path_is_borrowed() {
    for path in [
        "/",
        "/a",
        "/a/",
        "/a/b.json",
        "/a.b/..c/d../...",
        "/.a/..a",
        "/%2F",
        "/a%5Cb",
        "/%25",
        "/%252e",
        "/caf%C3%A9",
        "/a;b=1,c",
        "/-._~!$&'()*+,;=:@",
        "/a|b",
        "/{x}",
        "/%00".replace("00", "20").as_str(),
    ] {
        assert!(matches!(normalize(path.as_bytes()), Ok(Cow::Borrowed(same)) if same == path), "{path}");
    }
}

#[test]
fn dot_segments_are_resolved() {
    check("/.", Ok("/"));
    check("/./", Ok("/"));
    check("/a/.", Ok("/a/"));
    check("/a/./b", Ok("/a/b"));
    check("/a/..", Ok("/"));
    check("/a/../", Ok("/"));
    check("/a/b/..", Ok("/a/"));
    check("/a/b/../c", Ok("/a/c"));
    check("/a/b/../../c", Ok("/c"));
    check("/a/../b/../c/", Ok("/c/"));
    check("/a/b/c/./../../g", Ok("/a/g"));
    check("/mid/content=5/../6", Ok("/mid/6"));
    check("/%2e/%2E./.%2e", Err(PathError::AboveRoot));
    check("/a/%2e%2E/b", Ok("/b"));
    check("/a/%2e/b", Ok("/a/b"));
    check("/a/..%2Fb", Ok("/a/..%2Fb"));
    check("/a/%252e%252e/b", Ok("/a/%252e%252e/b"));
}

#[test]
fn climbing_over_the_root_is_refused() {
    for raw in ["/..", "/../", "/../a", "/a/../..", "/a/../../b", "/./..", "//..", "/%2e%2e", "/a//../.."] {
        check(raw, Err(PathError::AboveRoot));
    }
}

#[test]
fn dots_with_a_parameter_are_refused() {
    for raw in [
        "/..;",
        "/.;",
        "/a/..;/b",
        "/a/..;x=y/b",
        "/a/.;/b",
        "/a/%2e%2e;/b",
        "/a/.%2E;b",
        "/a/..%3b/b",
        "/a/..%3Bx",
        "/a//..;",
        "/a/..;/../..",
    ] {
        check(raw, Err(PathError::DotParameter));
    }
    for same in ["/a;b", "/;", "/a/;/b", "/a/...;b", "/a/b..;c", "/a/..a;b", "/a/..%2Fb;c"] {
        check(same, Ok(same));
    }
}

#[test]
fn slashes_are_merged_before_dots_are_resolved() {
    check("//", Ok("/"));
    check("///a", Ok("/a"));
    check("/a//b", Ok("/a/b"));
    check("/a//", Ok("/a/"));
    check("/a//../b", Ok("/b"));
    check("//a/.//b", Ok("/a/b"));
}

#[test]
fn percent_encodings_have_one_spelling() {
    check("/%41%7a%30%2d%2e%5f%7e", Ok("/Az0-._~"));
    check("/%2f", Ok("/%2F"));
    check("/%5c", Ok("/%5C"));
    check("/caf%c3%a9", Ok("/caf%C3%A9"));
    check("/%3a%40%3B", Ok("/%3A%40%3B"));
    check("/a%20b", Ok("/a%20b"));
    for raw in ["/%", "/%4", "/%g0", "/%0g", "/%%41", "/a/%/b", "/%+1", "/..%"] {
        check(raw, Err(PathError::BadPercentEncoding));
    }
}

#[test]
fn forbidden_bytes_are_refused_raw_and_controls_encoded_too() {
    for byte in (0..=0x20).chain([0x7f, b'\\', b'#', b'?']).chain(0x80..=0xff) {
        for raw in [vec![b'/', byte], [b"/a//b/../", &[byte][..], b"c"].concat()] {
            assert_eq!(normalize(&raw), Err(PathError::ForbiddenByte), "{raw:?}");
        }
    }
    for byte in (0..0x20).chain([0x7f]) {
        check(&format!("/a%{byte:02x}"), Err(PathError::ForbiddenByte));
        check(&format!("/a%{byte:02X}"), Err(PathError::ForbiddenByte));
    }
}

#[test]
fn a_path_starts_with_a_slash() {
    for raw in ["", "*", "a", "a/b", ".", "%2Fa", "http://a/"] {
        check(raw, Err(PathError::NotAbsolute));
    }
}

#[test]
fn values_are_decoded_and_encoded() {
    #[track_caller]
    fn check(text: &str, decoded: &[u8], encoded: &str) {
        assert_eq!(&*percent_decode(text), decoded, "{text}");
        let mut out = Vec::new();
        percent_encode(decoded, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), encoded);
    }
    check("plain-._~", b"plain-._~", "plain-._~");
    check("a%2Fb%20c", b"a/b c", "a%2Fb%20c");
    check("%C3%A9%FF", b"\xc3\xa9\xff", "%C3%A9%FF");
    check("a+b", b"a+b", "a%2Bb");
    check("%", b"%", "%25");
    check("%4", b"%4", "%254");
    check("%zz%41", b"%zzA", "%25zzA");
}

#[test]
fn literals_of_a_configuration_are_brought_into_the_same_form() {
    #[track_caller]
    fn check(text: &str, expect: Result<&str, PathError>) {
        assert_eq!(normalize_literal(text).as_deref().map_err(|e| *e), expect, "{text}");
    }
    check("/a/b", Ok("/a/b"));
    check("//a///b/", Ok("/a/b/"));
    check("/caf\u{e9} au lait", Ok("/caf%C3%A9%20au%20lait"));
    check("%7euser%2fx", Ok("~user%2Fx"));
    check("a%zz", Err(PathError::BadPercentEncoding));
    for bad in ["a?b", "a#b", "a\\b", "a\nb", "a%0ab"] {
        check(bad, Err(PathError::ForbiddenByte));
    }
}

/// A naive second opinion: split, decode, resolve on a stack.
fn model(raw: &str) -> Option<String> {
    let mut stack: Vec<String> = Vec::new();
    let segments: Vec<&str> = raw.strip_prefix('/')?.split('/').collect();
    let mut slash_at_end = false;
    for segment in &segments {
        let mut text = String::new();
        let mut chars = segment.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            let digits: String = [chars.next()?, chars.next()?].iter().collect();
            match u8::from_str_radix(&digits, 16).ok().filter(|_| !digits.starts_with('+'))? {
                byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => text.push(byte as char),
                byte if byte.is_ascii_control() => return None,
                byte => text.push_str(&format!("%{byte:02X}")),
            }
        }
        slash_at_end = matches!(&*text, "" | "." | "..");
        match &*text {
            "" | "." => {}
            ".." => {
                stack.pop()?;
            }
            _ if [".;", "..;", ".%3B", "..%3B"].iter().any(|dots| text.starts_with(dots)) => return None,
            _ => stack.push(text),
        }
    }
    let end = if slash_at_end && !stack.is_empty() { "/" } else { "" };
    Some(format!("/{}{end}", stack.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn agrees_with_a_naive_model(raw in "/([ab.;]|/|/\\.\\.?/|%2[eEfF]|%[0-9a-fA-F]{2}|%){0,12}") {
        prop_assert_eq!(normalize(raw.as_bytes()).ok().map(Cow::into_owned), model(&raw));
    }

    #[test]
    fn normalising_twice_changes_nothing(raw in "/([a-z.~;|]|/|%2[eEfF]|%[0-9a-fA-F]{2}){0,16}") {
        if let Ok(once) = normalize(raw.as_bytes()) {
            prop_assert!(matches!(normalize(once.as_bytes()), Ok(Cow::Borrowed(same)) if *same == *once));
        }
    }

    #[test]
    fn no_bytes_panic(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = normalize(&raw);
        let _ = decode(&raw, true);
    }

    #[test]
    fn what_is_encoded_decodes_to_itself(value in proptest::collection::vec(any::<u8>(), 0..32)) {
        let mut out = Vec::new();
        percent_encode(&value, &mut out);
        prop_assert_eq!(decode(&out, true).into_owned(), value);
    }
}
