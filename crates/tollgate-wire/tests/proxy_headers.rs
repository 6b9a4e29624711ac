//! PROXY protocol headers in bytes: whom they name, and what is none.

use std::net::IpAddr;

use proptest::prelude::*;
use tollgate_wire::{PROXY_HEADER_BYTES_MAX, ProxyHeader, ProxyHeaderError, parse_proxy_header};

use ProxyHeaderError::*;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2.
fn block(kind: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[kind, family], &length, rest].concat()
}

/// The header alone, with a request behind it, and every part of it.
#[track_caller]
fn check(header: &[u8], source: Option<&str>) {
    let source = source.map(|text| text.parse::<IpAddr>().unwrap());
    let expect = Ok(Some(ProxyHeader { bytes: header.len(), source }));
    assert_eq!(parse_proxy_header(header), expect, "{}", header.escape_ascii());
    let followed = [header, b"GET / HTTP/1.1\r\n\r\n"].concat();
    assert_eq!(parse_proxy_header(&followed), expect, "{}", followed.escape_ascii());
    for end in 0..header.len() {
        assert_eq!(parse_proxy_header(&header[..end]), Ok(None), "{}", header[..end].escape_ascii());
    }
}

#[track_caller]
fn check_bad(bytes: &[u8], expect: ProxyHeaderError) {
    assert_eq!(parse_proxy_header(bytes), Err(expect), "{}", bytes.escape_ascii());
}

#[test]
fn lines_of_version_1() {
    let longest = "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535";
    for (line, source) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443", Some("192.0.2.1")),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535", Some("255.255.255.255")),
        ("PROXY TCP4 192.0.2.1 198.51.100.1 0 0", Some("192.0.2.1")),
        ("PROXY TCP6 2001:db8::1 2001:DB8::2 56324 443", Some("2001:db8::1")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.1 1 2", Some("192.0.2.1")),
        ("PROXY UNKNOWN", None),
        ("PROXY UNKNOWN ", None),
        (longest, None),
    ] {
        check(format!("{line}\r\n").as_bytes(), source);
    }
    let full = format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16));
    assert_eq!(full.len(), 107);
    check(full.as_bytes(), None);
}

#[test]
fn lines_that_are_none() {
    for line in [
        "PROXY \r\n",
        "PROXY  TCP4 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1\t198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 \r\n",
        "PROXY TCP4 192.0.2 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.01 198.51.100.1 1 2\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.1 1 2\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY TCP6 [2001:db8::1] 2001:db8::2 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 2001:db8::2 1 2\r\n",
        "PROXY TCP4 a b 1 2\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\r\r\n",
        "PROXY UNKNOWN a\rb\r\n",
        "PROXY UNKNOWN\n",
    ] {
        check_bad(line.as_bytes(), BadLine);
    }
    check_bad(b"PROXY UNKNOWN \xff\r\n", BadLine);
    check_bad(format!("PROXY UNKNOWN {}", "x".repeat(200)).as_bytes(), LineTooLong);
    check_bad(format!("PROXY UNKNOWN {}\r\n", "x".repeat(108 - 16)).as_bytes(), LineTooLong);
}

#[test]
fn blocks_of_version_2() {
    let inet = [&[192, 0, 2, 1, 198, 51, 100, 1][..], &[0xdc, 4, 1, 0xbb]].concat();
    let tlvs = [3, 0, 4, 0xca, 0xfe, 0xba, 0xbe, 4, 0, 0];
    let mut inet6 = [0; 36];
    inet6[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
    inet6[15] = 7;
    let mut mapped = [0; 36];
    mapped[10..16].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 9]);
    check(&block(0x21, 0x11, &inet), Some("192.0.2.1"));
    check(&block(0x21, 0x11, &[&inet[..], &tlvs].concat()), Some("192.0.2.1"));
    check(&block(0x21, 0x21, &inet6), Some("2001:db8::7"));
    check(&block(0x21, 0x21, &[&inet6[..], &tlvs].concat()), Some("2001:db8::7"));
    check(&block(0x21, 0x21, &mapped), Some("192.0.2.9"));
    check(&block(0x21, 0x31, &[0; 216]), None);
    check(&block(0x21, 0x00, &[]), None);
    check(&block(0x21, 0x00, &[1; 50]), None);
    check(&block(0x20, 0x00, &[]), None);
    // LOCAL ignores the family and whatever stands behind it.
    check(&block(0x20, 0x11, &inet), None);
    check(&block(0x20, 0x77, &[9; 3]), None);
    check(&block(0x21, 0x11, &vec![1; PROXY_HEADER_BYTES_MAX - 16]), Some("1.1.1.1"));
}

#[test]
fn blocks_that_are_none() {
    for (kind, family) in [
        (0x11, 0x11), // version 1 in a block
        (0x31, 0x11),
        (0x01, 0x11),
        (0x22, 0x11), // a command of the future
        (0x2f, 0x11),
        (0x21, 0x12), // datagrams
        (0x21, 0x22),
        (0x21, 0x32),
        (0x21, 0x10), // a family without a transport
        (0x21, 0x01),
        (0x21, 0x13),
        (0x21, 0x41),
    ] {
        let bytes = block(kind, family, &[0; 216]);
        check_bad(&bytes, BadKind);
        // Known as soon as both bytes are there.
        check_bad(&bytes[..14], BadKind);
    }
    check_bad(&[SIGNATURE, &[0x11]].concat(), BadKind);
    check_bad(&block(0x21, 0x11, &[0; 11]), TooShort);
    check_bad(&block(0x21, 0x21, &[0; 35]), TooShort);
    check_bad(&block(0x21, 0x31, &[0; 215]), TooShort);
    check_bad(&block(0x21, 0x11, &vec![0; PROXY_HEADER_BYTES_MAX - 15]), TooLong);
    check_bad(&block(0x20, 0x00, &vec![0; 65_535])[..16], TooLong);
}

#[test]
fn what_begins_otherwise_is_refused_at_once() {
    for bytes in [
        &b"G"[..],
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PROXYING",
        b"proxy TCP4",
        b"\x16\x03\x01",
        b"\r\n\r\n\0\r\nQUIT\r",
        b"\r\n\r\nGET",
        b"\r\nG",
        b"\n",
        b" ",
        b"\0",
    ] {
        check_bad(bytes, Missing);
    }
}

proptest! {
    /// A header decides by itself: no byte behind it changes it, and none in front of its end completes it.
    #[test]
    fn every_header_ends_where_it_says(
        octets in any::<[u8; 4]>(), ports in any::<[u16; 2]>(), tlvs in proptest::collection::vec(any::<u8>(), 0..64),
        text in any::<bool>(), behind in proptest::collection::vec(any::<u8>(), 0..32),
    ) {
        let ip = IpAddr::from(octets);
        let header = match text {
            true => format!("PROXY TCP4 {ip} 127.0.0.1 {} {}\r\n", ports[0], ports[1]).into_bytes(),
            false => block(0x21, 0x11, &[&octets[..], &[127, 0, 0, 1, 0, 80, 1, 187], &tlvs].concat()),
        };
        let expect = Ok(Some(ProxyHeader { bytes: header.len(), source: Some(ip) }));
        prop_assert_eq!(parse_proxy_header(&[&header[..], &behind].concat()), expect);
        for end in 0..header.len() {
            prop_assert_eq!(parse_proxy_header(&header[..end]), Ok(None));
        }
    }
}
