//! Authorities as clients send them and host patterns as routes name them.
//!
//! A host is compared in one form: lower-case, without a trailing dot, IPv6 in the form of RFC 5952. What has no
//! such form (percent-encodings, empty labels, user information) is refused, because an upstream might read it
//! otherwise than the route table does.

use std::fmt::{self, Write as _};
use std::net::Ipv6Addr;
use std::str::FromStr;

/// Longest host name: RFC 1035 section 2.3.4, in its textual form.
const NAME_BYTES_MAX: usize = 253;

/// A request's authority, parsed and lower-cased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host<'a> {
    /// Name or address without port and without a trailing dot; IPv6 with its brackets. Lower-case.
    pub name: &'a str,
    /// The port, when one was written.
    pub port: Option<u16>,
}

/// The authority is not `host`, `host:port`, `[v6]` or `[v6]:port` (RFC 3986 section 3.2.2, without what has
/// more than one reading).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadHost;

impl fmt::Display for BadHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a host name or address with an optional port")
    }
}

impl std::error::Error for BadHost {}

impl<'a> Host<'a> {
    /// Parses an authority. The result borrows from `raw` when it is lower-case already, which is the usual
    /// case; otherwise from `buf`, whose content is replaced.
    pub fn parse(raw: &'a [u8], buf: &'a mut String) -> Result<Host<'a>, BadHost> {
        if raw.first() == Some(&b'[') {
            return parse_bracketed(raw, buf);
        }
        let (name, port) = match memchr::memchr(b':', raw) {
            Some(colon) => (&raw[..colon], parse_port(&raw[colon + 1..])?),
            None => (raw, None),
        };
        let name = std::str::from_utf8(name).map_err(|_| BadHost)?;
        let name = name.strip_suffix('.').unwrap_or(name);
        match check_name(name)? {
            Case::Lower => Ok(Host { name, port }),
            Case::Mixed => {
                buf.clear();
                buf.push_str(name);
                buf.make_ascii_lowercase();
                Ok(Host { name: buf, port })
            }
        }
    }
}

fn parse_bracketed<'a>(raw: &[u8], buf: &'a mut String) -> Result<Host<'a>, BadHost> {
    let text = std::str::from_utf8(raw).map_err(|_| BadHost)?;
    let (address, rest) = text.strip_prefix('[').and_then(|t| t.split_once(']')).ok_or(BadHost)?;
    let port = match rest.strip_prefix(':') {
        Some(digits) => parse_port(digits.as_bytes())?,
        None if rest.is_empty() => None,
        None => return Err(BadHost),
    };
    write_v6(address, buf)?;
    Ok(Host { name: buf, port })
}

fn write_v6(address: &str, buf: &mut String) -> Result<(), BadHost> {
    let address: Ipv6Addr = address.parse().map_err(|_| BadHost)?;
    buf.clear();
    write!(buf, "[{address}]").map_err(|_| BadHost)
}

/// `:` without digits is legal and means the scheme's own port.
fn parse_port(digits: &[u8]) -> Result<Option<u16>, BadHost> {
    if digits.len() > 5 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(BadHost);
    }
    let number = digits.iter().fold(0u32, |n, digit| n * 10 + u32::from(digit - b'0'));
    let number = u16::try_from(number).map_err(|_| BadHost)?;
    Ok((!digits.is_empty()).then_some(number))
}

enum Case {
    Lower,
    Mixed,
}

fn check_name(name: &str) -> Result<Case, BadHost> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(BadHost);
    }
    let mut case = Case::Lower;
    let mut before = b'.';
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => {}
            b'A'..=b'Z' => case = Case::Mixed,
            b'.' if before != b'.' => {}
            _ => return Err(BadHost),
        }
        before = byte;
    }
    if before == b'.' { Err(BadHost) } else { Ok(case) }
}

/// What a route says about the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This host, in the form of [`Host::name`].
    Exact(Box<str>),
    /// `*.example.com`: at least one label before the suffix, which is kept with its leading dot.
    Suffix(Box<str>),
    /// `*`: every host, also none.
    Any,
}

impl HostPattern {
    /// Whether the host (in the form of [`Host::name`]) is one of the pattern's.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            HostPattern::Exact(name) => **name == *host,
            HostPattern::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(&**suffix),
            HostPattern::Any => true,
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<HostPattern, HostPatternError> {
        if text == "*" {
            return Ok(HostPattern::Any);
        }
        if text.starts_with('[') {
            let mut buf = String::new();
            let host = Host::parse(text.as_bytes(), &mut buf).map_err(|_| HostPatternError::BadName)?;
            return match host.port {
                None if text.ends_with(']') => Ok(HostPattern::Exact(host.name.into())),
                _ => Err(HostPatternError::Port),
            };
        }
        let (name, wildcard) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        check_pattern_name(name)?;
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        Ok(match wildcard {
            true => HostPattern::Suffix(format!(".{name}").into()),
            false => HostPattern::Exact(name.into()),
        })
    }
}

fn check_pattern_name(name: &str) -> Result<(), HostPatternError> {
    if name.contains('*') {
        return Err(HostPatternError::Wildcard);
    }
    if name.contains('/') {
        return Err(HostPatternError::NotAHost);
    }
    if name.parse::<Ipv6Addr>().is_ok() {
        return Err(HostPatternError::Unbracketed);
    }
    if name.contains(':') {
        return Err(HostPatternError::Port);
    }
    if !name.is_ascii() {
        return Err(HostPatternError::NotAscii);
    }
    match check_name(name.strip_suffix('.').unwrap_or(name)) {
        Ok(_) => Ok(()),
        Err(BadHost) => Err(HostPatternError::BadName),
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Suffix(suffix) => write!(f, "*{suffix}"),
            HostPattern::Any => f.write_str("*"),
        }
    }
}

/// Why a text is no host pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostPatternError {
    /// A `*` elsewhere than as the whole first label.
    Wildcard,
    /// A port: routes match hosts on every listener.
    Port,
    /// A URL or a path.
    NotAHost,
    /// An IPv6 address without brackets.
    Unbracketed,
    /// Letters outside ASCII: clients send the `xn--` form.
    NotAscii,
    /// Empty, too long, an empty label, or a character that no host name has.
    BadName,
}

impl fmt::Display for HostPatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HostPatternError::Wildcard => "`*` may only be the whole first label, as in *.example.com",
            HostPatternError::Port => "a host has no port here; routes match on every listener",
            HostPatternError::NotAHost => "a host, not a URL: example.com",
            HostPatternError::Unbracketed => "an IPv6 address stands in brackets: [::1]",
            HostPatternError::NotAscii => "write the name as clients send it, in its xn-- form",
            HostPatternError::BadName => "not a host name",
        })
    }
}

impl std::error::Error for HostPatternError {}

#[cfg(test)]
mod tests;
