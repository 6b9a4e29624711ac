//! `host[:port]`, in the Host header and in a target (RFC 9112 section 3.2, RFC 3986 section 3.2.2).

use std::net::Ipv6Addr;

/// A checked authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// Name, IPv4 address, or IPv6 address in brackets, as sent.
    pub(crate) host: &'a [u8],
    /// The port, when one was written.
    pub(crate) port: Option<u16>,
}

/// Longest host in bytes: what DNS allows, with a final dot.
const MAX_HOST_BYTES: usize = 254;

impl<'a> Authority<'a> {
    /// Reads an authority. Names have letters, digits, `-`, `.`, `_` and `~`, and no empty label.
    ///
    /// RFC 3986 would also have percent-encoding, sub-delimiters, future address forms and an empty port.
    /// No name in DNS or in a certificate has those, and servers differ in how they read them, so they are
    /// refused, as are user information, lists and an empty host.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Authority<'a>> {
        let (host, port) = match text {
            [b'[', rest @ ..] => {
                let inner = memchr::memchr(b']', rest)?;
                let address = std::str::from_utf8(rest.get(..inner)?).ok()?;
                address.parse::<Ipv6Addr>().ok()?;
                text.split_at_checked(inner + 2)?
            }
            _ => {
                let end = memchr::memchr(b':', text).unwrap_or(text.len());
                let (host, port) = text.split_at_checked(end)?;
                is_name(host).then_some((host, port))?
            }
        };
        let port = match port {
            [] => None,
            [b':', digits @ ..] => Some(parse_port(digits)?),
            _ => return None,
        };
        Some(Authority { host, port })
    }

    /// Whether both name the same place under a scheme whose default port is given.
    pub(crate) fn same_as(&self, other: &Authority<'_>, default_port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(other.host)
            && self.port.or(default_port) == other.port.or(default_port)
    }
}

fn is_name(host: &[u8]) -> bool {
    let labels = host.strip_suffix(b".").unwrap_or(host);
    let mut previous = b'.';
    for &b in labels {
        let good = match b {
            b'.' => previous != b'.',
            b'-' | b'_' | b'~' => true,
            _ => b.is_ascii_alphanumeric(),
        };
        if !good {
            return false;
        }
        previous = b;
    }
    previous != b'.' && host.len() <= MAX_HOST_BYTES
}

/// One to five digits, as a number. No sign, as `u16::from_str` would take.
fn parse_port(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let port = digits.iter().fold(0u32, |port, &digit| port * 10 + u32::from(digit - b'0'));
    u16::try_from(port).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities() {
        let long = format!("{}a", "abcdefg.".repeat(32));
        let cases = [
            ("a", Some(("a", None))),
            ("Example.COM:8080", Some(("Example.COM", Some(8080)))),
            ("example.com.", Some(("example.com.", None))),
            ("my_host-1.local~", Some(("my_host-1.local~", None))),
            ("127.0.0.1:0", Some(("127.0.0.1", Some(0)))),
            ("a:65535", Some(("a", Some(65535)))),
            ("[::1]", Some(("[::1]", None))),
            ("[2001:DB8::1]:443", Some(("[2001:DB8::1]", Some(443)))),
            ("[::ffff:1.2.3.4]", Some(("[::ffff:1.2.3.4]", None))),
            ("", None),
            (":80", None),
            ("a:", None),
            ("a:65536", None),
            ("a:000080", None),
            ("a:8o", None),
            ("a:+80", None),
            ("a:80:80", None),
            ("user@a", None),
            ("a,b", None),
            ("a b", None),
            (" a", None),
            ("a/b", None),
            ("a?b", None),
            ("a#b", None),
            ("a\\b", None),
            ("a%41", None),
            ("\u{e9}", None),
            (".", None),
            (".a", None),
            ("a..b", None),
            ("a..", None),
            ("::1", None),
            ("[]", None),
            ("[::1", None),
            ("[::1]a", None),
            ("[::1]:", None),
            ("[fe80::1%25eth0]", None),
            ("[v1.a]", None),
            ("[127.0.0.1]", None),
            (&long, None),
        ];
        for (text, expect) in cases {
            let found = Authority::parse(text.as_bytes());
            let expect = expect.map(|(host, port): (&str, _)| Authority { host: host.as_bytes(), port });
            assert_eq!(found, expect, "{text:?}");
        }
    }

    #[test]
    fn the_default_port_may_be_written_or_not() {
        for (a, b, default_port, same) in [
            ("a", "A", Some(80), true),
            ("a:80", "a", Some(80), true),
            ("a:80", "a", Some(443), false),
            ("a:80", "a", None, false),
            ("a", "b", Some(80), false),
            ("a.", "a", Some(80), false),
        ] {
            let parse = |text: &'static str| Authority::parse(text.as_bytes()).unwrap();
            assert_eq!(parse(a).same_as(&parse(b), default_port), same, "{a} {b}");
        }
    }
}
