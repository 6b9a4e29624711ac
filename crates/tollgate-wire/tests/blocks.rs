//! The header block against a plain list of pairs, and what it writes.

use proptest::prelude::*;
use tollgate_wire::{
    HeadLimits, HeadProgress, HeaderBlock, HopByHop, Method, Name, Parsed, RequestHead, name, parse_request,
    remove_hop_by_hop, write_request_head, write_response_head,
};

/// What can be done to a block.
#[derive(Debug, Clone)]
enum Edit {
    Set(usize, Vec<u8>),
    Append(usize, Vec<u8>),
    Remove(usize),
    RetainShorterThan(usize),
    RetainNot(usize),
    /// The lines of another block, edited or not, and the name that is a list.
    Overlay(Vec<(usize, Vec<u8>)>, bool, usize),
    Clear,
}

/// Known and unknown names, in the spellings of senders.
const NAMES: &[&str] = &["Server", "accept", "X-A", "x-a", "X-Long-Unknown-Name", "Cookie", "ETag"];

type Model = Vec<(String, Vec<u8>)>;

proptest! {
    #[test]
    fn edits_do_what_they_do_to_a_list(
        start in prop::collection::vec((0..NAMES.len(), value()), 0..6),
        edits in prop::collection::vec(edit(), 0..40),
    ) {
        let mut model: Model =
            start.iter().map(|(n, value)| (NAMES[*n].to_ascii_lowercase(), plain(value))).collect();
        let mut block = parsed(&start);
        for edit in edits {
            apply(&edit, &mut block, &mut model);
            compare(&block, &model);
        }
    }

    #[test]
    fn what_is_written_is_what_is_read(
        start in prop::collection::vec((0..NAMES.len(), value()), 0..6),
        target in "[!-\"$-~]{0,20}",
    ) {
        let mut headers = parsed(&start);
        headers.set(&name::HOST, b"a");
        let target = format!("/{target}");
        let mut bytes = Vec::new();
        write_request_head(&mut bytes, &Method::Put, target.as_bytes(), &headers);
        let head = parse(&bytes);
        prop_assert_eq!(head.target(), target.as_bytes());
        prop_assert_eq!(head.method, Method::Put);
        prop_assert_eq!(head.headers, headers);
    }

    #[test]
    fn no_value_makes_a_line(value in prop::collection::vec(any::<u8>(), 0..30)) {
        let mut headers = HeaderBlock::default();
        headers.append(&name::HOST, b"a");
        headers.append(&name::COOKIE, &value);
        headers.set(&name::COOKIE, &value);
        let mut bytes = Vec::new();
        write_request_head(&mut bytes, &Method::Get, &value, &headers);
        let line_feeds = bytes.iter().filter(|b| **b == b'\n').count();
        prop_assert_eq!(line_feeds, 4);
        prop_assert!(!bytes.contains(&0));
        prop_assert_eq!(bytes.split(|b| *b == b'\r').next().unwrap().iter().filter(|b| **b == b' ').count(), 2);
        let mut bytes = Vec::new();
        write_response_head(&mut bytes, 200, Some(&value), &headers);
        prop_assert_eq!(bytes.iter().filter(|b| **b == b'\n').count(), 4);
        prop_assert!(!bytes.contains(&0));
    }
}

#[test]
fn values_are_cleaned() {
    for (value, clean) in [
        (&b"a"[..], &b"a"[..]),
        (b" a\tb ", b"a\tb"),
        (b"a\r\nX: y", b"a  X: y"),
        (b"\r\na\n", b"a"),
        (b"a\0b", b"a b"),
        (b"a\x01\x1f\x7fb", b"a   b"),
        (b"\r", b""),
        (b"\xff\xe9", b"\xff\xe9"),
    ] {
        let mut block = HeaderBlock::default();
        block.append(&name::VIA, value);
        block.set(&name::SERVER, value);
        assert_eq!(block.get(&name::VIA), Some(clean), "{}", value.escape_ascii());
        assert_eq!(block.get(&name::SERVER), Some(clean), "{}", value.escape_ascii());
    }
}

#[test]
fn set_keeps_the_place_of_the_first() {
    let mut block = parse(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nB: 2\r\nx-a: 3\r\nC: 4\r\n\r\n").headers;
    block.set(&Name::new("X-a").unwrap(), b"new");
    let mut out = Vec::new();
    block.write_to(&mut out);
    assert_eq!(out, b"Host: a\r\nx-a: new\r\nB: 2\r\nC: 4\r\n");
}

#[test]
fn an_overlay_wins_but_for_the_list() {
    let start = "GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nVary: b\r\nETag: c\r\nx-a: 2\r\n\r\n";
    for (lines, expect) in [
        (&[][..], "Host: a\r\nX-A: 1\r\nVary: b\r\nETag: c\r\nx-a: 2\r\n"),
        (&["via: v"], "Host: a\r\nX-A: 1\r\nVary: b\r\nETag: c\r\nx-a: 2\r\nvia: v\r\n"),
        (&["vary: d", "x-a: 3"], "Host: a\r\nVary: b\r\nETag: c\r\nvary: d\r\nx-a: 3\r\n"),
        (&["etag: d", "etag: e"], "Host: a\r\nX-A: 1\r\nVary: b\r\nx-a: 2\r\netag: d\r\netag: e\r\n"),
    ] {
        let mut other = HeaderBlock::default();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            other.append(&Name::new(name).unwrap(), value.as_bytes());
        }
        let mut block = parse(start.as_bytes()).headers;
        block.overlay(&other, &name::VARY);
        let mut out = Vec::new();
        block.write_to(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), expect, "{lines:?}");
    }
}

#[test]
fn lists_go_over_lines() {
    let head = parse(b"GET / HTTP/1.1\r\nHost: a\r\nVary: a , ,b\r\nvary:\r\nVARY: C\r\n\r\n");
    assert_eq!(head.headers.list(&name::VARY).collect::<Vec<_>>(), [b"a", b"b", b"C"]);
    assert!(head.headers.has_token(&name::VARY, "c") && !head.headers.has_token(&name::VARY, "d"));
}

#[test]
fn a_block_that_is_edited_forever_stays_small() {
    let mut block = HeaderBlock::default();
    for n in 0..100_000 {
        block.set(&name::ETAG, format!("value {n}").as_bytes());
        block.append(&name::VIA, b"1.1 a");
        block.remove(&name::VIA);
    }
    assert_eq!(block.len(), 1);
    assert!(block.capacity_bytes() < 64 * 1024, "{}", block.capacity_bytes());
}

#[test]
fn hop_by_hop_headers_are_removed() {
    for (lines, expect) in [
        ("", ""),
        ("Accept: a\r\n", "Accept: a\r\n"),
        ("Connection: close\r\n", ""),
        ("Connection: X-A, x-b\r\nX-A: 1\r\nX-B: 2\r\nX-C: 3\r\n", "X-C: 3\r\n"),
        ("X-A: 1\r\nConnection: x-a\r\nx-A: 2\r\nCONNECTION: X-C\r\nX-C: 3\r\n", ""),
        ("Connection: accept-language\r\nAccept-Language: de\r\n", ""),
        ("Keep-Alive: timeout=5\r\nProxy-Connection: a\r\nProxy-Authenticate: a\r\n", ""),
        ("Proxy-Authorization: a\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n", ""),
        ("HTTP2-Settings: a\r\n", ""),
        ("TE: trailers\r\n", "te: trailers\r\n"),
        ("TE: gzip, trailers;q=0\r\n", ""),
        ("TE: gzip\r\nTE: deflate, Trailers\r\nX: 1\r\n", "X: 1\r\nte: trailers\r\n"),
        ("Connection: TE\r\nTE: trailers\r\n", "te: trailers\r\n"),
        ("TE: gzip\r\nTrailer: X\r\n", "Trailer: X\r\n"),
        ("Connection: close\r\nContent-Length: 5\r\n", "Content-Length: 5\r\n"),
    ] {
        assert_eq!(without_hop_by_hop(lines), expect, "{lines:?}");
    }
}

#[test]
fn connection_cannot_name_what_the_gateway_needs() {
    for name in [
        "Content-Length",
        "Content-Type",
        "Authorization",
        "Cookie",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Client-Cert",
        "X_Forwarded_For",
        "X-Real-IP",
        "X-Request-Id",
        "Via",
        "Trailer",
    ] {
        let lines = format!("Connection: close, {}\r\n{name}: 1\r\n", name.to_ascii_uppercase());
        assert_eq!(without_hop_by_hop(&lines), format!("{name}: 1\r\n"));
    }
    let mut head = parse(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: host\r\n\r\n");
    remove_hop_by_hop(&mut head.headers);
    assert!(head.headers.contains(&name::HOST));
}

#[test]
fn what_connection_takes_away_is_told() {
    for (lines, expect) in [
        ("Accept: a\r\nConnection: accept\r\n", &["Accept"][..]),
        ("X-A: 1\r\nConnection: close, X-a, x-b\r\nX-B: 2\r\nX-C: 3\r\n", &["X-A", "X-B"]),
        (
            "Connection: keep-alive, TE, upgrade\r\nTE: trailers\r\nUpgrade: h2c\r\nKeep-Alive: 5\r\nX-A: 1\r\n",
            &[],
        ),
        ("Connection: authorization, cookie, x-forwarded-for\r\nAuthorization: a\r\nCookie: b\r\n", &[]),
        ("Connection: x-a\r\nX-B: 1\r\n", &[]),
        ("X-A: 1\r\n", &[]),
    ] {
        let headers = parse(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes()).headers;
        let hop = HopByHop::of(&headers);
        let taken: Vec<String> = headers
            .entries()
            .filter(|entry| hop.takes_away(*entry))
            .map(|entry| String::from_utf8_lossy(entry.name()).into_owned())
            .collect();
        assert_eq!(taken, expect, "{lines:?}");
    }
}

fn without_hop_by_hop(lines: &str) -> String {
    let mut headers = parse(format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n").as_bytes()).headers;
    remove_hop_by_hop(&mut headers);
    headers.remove(&name::HOST);
    let mut out = Vec::new();
    headers.write_to(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn heads_are_written_whole() {
    let mut headers = HeaderBlock::default();
    headers.append(&name::HOST, b"a");
    for (target, expect) in [
        (&b"/a?b"[..], "GET /a?b HTTP/1.1\r\nhost: a\r\n\r\n"),
        (b"", "GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
        (b"/a b\r\nX: y\0\x7f", "GET /a%20b%0D%0AX:%20y%00%7F HTTP/1.1\r\nhost: a\r\n\r\n"),
    ] {
        let mut out = Vec::new();
        write_request_head(&mut out, &Method::Get, target, &headers);
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }
    for (status, reason, expect) in [
        (200, None, "HTTP/1.1 200 OK\r\nhost: a\r\n\r\n"),
        (299, None, "HTTP/1.1 299 \r\nhost: a\r\n\r\n"),
        (404, Some(&b"Weg"[..]), "HTTP/1.1 404 Weg\r\nhost: a\r\n\r\n"),
        (404, Some(b"a\r\nb"), "HTTP/1.1 404 a  b\r\nhost: a\r\n\r\n"),
        (7, None, "HTTP/1.1 500 Internal Server Error\r\nhost: a\r\n\r\n"),
    ] {
        let mut out = Vec::new();
        write_response_head(&mut out, status, reason, &headers);
        assert_eq!(String::from_utf8(out).unwrap(), expect);
    }
}

fn apply(edit: &Edit, block: &mut HeaderBlock, model: &mut Model) {
    let named = |n: usize| (Name::new(NAMES[n]).unwrap(), NAMES[n].to_ascii_lowercase());
    match edit {
        Edit::Set(n, value) => {
            let (name, lower) = named(*n);
            block.set(&name, value);
            match model.iter().position(|line| line.0 == lower) {
                Some(first) => {
                    model[first].1 = plain(value);
                    let mut index = 0;
                    model.retain(|line| {
                        index += 1;
                        index - 1 <= first || line.0 != lower
                    });
                }
                None => model.push((lower, plain(value))),
            }
        }
        Edit::Append(n, value) => {
            let (name, lower) = named(*n);
            block.append(&name, value);
            model.push((lower, plain(value)));
        }
        Edit::Remove(n) => {
            let (name, lower) = named(*n);
            assert_eq!(block.remove(&name), model.iter().any(|line| line.0 == lower));
            model.retain(|line| line.0 != lower);
        }
        Edit::RetainShorterThan(len) => {
            block.retain(|_, value| value.len() < *len);
            model.retain(|line| line.1.len() < *len);
        }
        Edit::RetainNot(n) => {
            let (name, lower) = named(*n);
            block.retain_entries(|entry| !entry.is(&name));
            model.retain(|line| line.0 != lower);
        }
        Edit::Overlay(lines, edited, list) => {
            let mut other = parsed(lines);
            if *edited {
                other = HeaderBlock::default();
                lines.iter().for_each(|(n, value)| other.append(&named(*n).0, value));
            }
            block.overlay(&other, &named(*list).0);
            let lines: Model = lines.iter().map(|(n, value)| (named(*n).1, plain(value))).collect();
            let list = named(*list).1;
            model.retain(|mine| mine.0 == list || lines.iter().all(|theirs| theirs.0 != mine.0));
            model.extend(lines);
        }
        Edit::Clear => {
            block.clear();
            model.clear();
        }
    }
}

fn compare(block: &HeaderBlock, model: &Model) {
    assert_eq!(block.len(), model.len());
    assert_eq!(block.is_empty(), model.is_empty());
    let lines: Model = block
        .iter()
        .map(|(name, value)| (String::from_utf8_lossy(name).to_ascii_lowercase(), value.to_vec()))
        .collect();
    assert_eq!(lines, *model);
    for text in NAMES {
        let (name, lower) = (Name::new(text).unwrap(), text.to_ascii_lowercase());
        let values: Vec<&[u8]> =
            model.iter().filter(|line| line.0 == lower).map(|line| &line.1[..]).collect();
        assert_eq!(block.get(&name), values.first().copied());
        assert_eq!(block.count(&name), values.len());
        assert_eq!(block.contains(&name), !values.is_empty());
        assert_eq!(block.get_all(&name).collect::<Vec<_>>(), values);
    }
    let mut written = Vec::new();
    block.write_to(&mut written);
    assert_eq!(block.byte_len(), written.len());
    let expected: Vec<u8> =
        model.iter().flat_map(|line| [line.0.as_bytes(), b": ", &line.1, b"\r\n"].concat()).collect();
    assert!(written.eq_ignore_ascii_case(&expected), "{}", written.escape_ascii());
    let mut again = HeaderBlock::new();
    again.load_written(&[&written[..], b"no line"].concat());
    let mut twice = HeaderBlock::new();
    twice.overlay(&again, &name::SET_COOKIE);
    let mut out = Vec::new();
    twice.write_to(&mut out);
    assert_eq!((&again, &twice, out), (block, block, written));
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => prop::collection::vec(prop_oneof![b' '..=b'~', Just(b'\t'), 0x80..=0xffu8], 0..12),
        1 => prop::collection::vec(any::<u8>(), 0..12),
        1 => prop::collection::vec(b'a'..=b'z', 1000..3000),
    ]
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        6 => (0..NAMES.len(), value()).prop_map(|(n, value)| Edit::Set(n, value)),
        6 => (0..NAMES.len(), value()).prop_map(|(n, value)| Edit::Append(n, value)),
        3 => (0..NAMES.len()).prop_map(Edit::Remove),
        1 => (0..14usize).prop_map(Edit::RetainShorterThan),
        1 => (0..NAMES.len()).prop_map(Edit::RetainNot),
        2 => (prop::collection::vec((0..NAMES.len(), value()), 0..4), any::<bool>(), 0..NAMES.len())
            .prop_map(|(lines, edited, list)| Edit::Overlay(lines, edited, list)),
        1 => Just(Edit::Clear),
    ]
}

/// A value as a block takes it.
fn plain(value: &[u8]) -> Vec<u8> {
    let spaces: String =
        value.iter().map(|&b| if (b < 32 && b != b'\t') || b == 127 { ' ' } else { char::from(b) }).collect();
    spaces.trim_matches([' ', '\t']).chars().map(|c| c as u32 as u8).collect()
}

/// A block as it comes from the wire: with the senders' spellings, and white space in various places.
fn parsed(lines: &[(usize, Vec<u8>)]) -> HeaderBlock {
    let mut bytes = b"GET / HTTP/1.0\r\n".to_vec();
    for (index, (n, value)) in lines.iter().enumerate() {
        bytes.extend_from_slice(NAMES[*n].as_bytes());
        bytes.extend_from_slice([&b": "[..], b":", b":\t ", b": "][index % 4]);
        bytes.extend_from_slice(&plain(value));
        bytes.extend_from_slice([&b"\r\n"[..], b"\r\n", b" \r\n", b"\t\r\n"][index % 4]);
    }
    bytes.extend_from_slice(b"\r\n");
    parse(&bytes).headers
}

fn parse(bytes: &[u8]) -> RequestHead {
    let mut head = RequestHead::default();
    let limits = HeadLimits { header_bytes: 1 << 20, ..HeadLimits::default() };
    let parsed = parse_request(bytes, &mut HeadProgress::default(), &limits, &mut head);
    assert_eq!(parsed, Ok(Parsed::Complete(bytes.len())), "{}", bytes.escape_ascii());
    head
}

#[test]
fn the_only_line_is_the_one_of_which_there_is_no_other() {
    let mut block = HeaderBlock::new();
    assert_eq!(block.only(&name::COOKIE), None);
    block.append(&name::COOKIE, b"a");
    assert_eq!(block.only(&name::COOKIE), Some(&b"a"[..]));
    block.append(&name::COOKIE, b"b");
    assert_eq!(block.only(&name::COOKIE), None);
}

/// The registry of RFC 9110 section 16.2.1: what a status is called is what clients and people read.
#[test]
fn statuses_have_their_phrases() {
    let registered: &[u16] = &[
        100, 101, 102, 103, 200, 201, 202, 203, 204, 205, 206, 207, 208, 226, 300, 301, 302, 303, 304, 305,
        307, 308, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417,
        421, 422, 423, 424, 425, 426, 428, 429, 431, 451, 500, 501, 502, 503, 504, 505, 506, 507, 508, 511,
    ];
    let mut seen = std::collections::BTreeMap::new();
    for status in 100..=999 {
        let phrase = tollgate_wire::reason_phrase(status);
        assert_eq!(phrase.is_empty(), !registered.contains(&status), "{status} {phrase}");
        seen.entry(phrase).or_insert_with(Vec::new).push(status);
    }
    // No two are called the same.
    let twice: Vec<_> =
        seen.into_iter().filter(|(phrase, all)| !phrase.is_empty() && all.len() > 1).collect();
    assert_eq!(twice, [], "{twice:?}");
}
