//! The PROXY protocol in front of a connection: who really connected, as the balancer before us tells.
//!
//! Source: "The PROXY protocol, versions 1 & 2" (HAProxy, 2020/03/05). Version 1 is a line of text, version 2 a
//! binary block. Only what a stream can carry is accepted, and only in the one form that the document gives.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of a header at most. The address of a unix socket takes 216; the rest is for TLVs, of which balancers send
/// some hundred bytes (a certificate's name, an endpoint's id).
pub const PROXY_HEADER_BYTES_MAX: usize = 4096;

/// A line of version 1, its end included (section 2.1).
const LINE_BYTES_MAX: usize = 107;

/// How a header of version 2 begins (section 2.2): nothing that could be a request of any protocol.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// How one of version 1 begins.
const WORD: &[u8; 6] = b"PROXY ";

/// Signature, version and command, family and transport, length of the rest.
const FIXED_BYTES: usize = 16;

/// A complete header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProxyHeader {
    /// Its length; what follows is the connection's own.
    pub bytes: usize,
    /// Who connected to the balancer. None where it speaks for itself (LOCAL), does not know (UNKNOWN, UNSPEC), or
    /// was reached over a unix socket: the connection then stands for itself.
    pub source: Option<IpAddr>,
}

/// Why bytes are no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyHeaderError {
    /// The connection begins with something else.
    Missing,
    /// A line of version 1 that does not end within its bound.
    LineTooLong,
    /// A line of version 1 that is not as the document has it.
    BadLine,
    /// A version, command, family or transport of version 2 that the document does not have, or none for streams.
    BadKind,
    /// A block of version 2 that is too short for its addresses.
    TooShort,
    /// A block of version 2 longer than [`PROXY_HEADER_BYTES_MAX`].
    TooLong,
}

impl std::fmt::Display for ProxyHeaderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ProxyHeaderError::Missing => "it begins with something else",
            ProxyHeaderError::LineTooLong => "its line has no end within 107 bytes",
            ProxyHeaderError::BadLine => "its line is malformed",
            ProxyHeaderError::BadKind => "its version, command, family or transport is not known",
            ProxyHeaderError::TooShort => "it is too short for its addresses",
            ProxyHeaderError::TooLong => "it is longer than 4 KiB",
        })
    }
}

impl std::error::Error for ProxyHeaderError {}

/// Reads the header at the beginning of a connection; `None` when more bytes are needed to tell.
///
/// Never asks for more than [`PROXY_HEADER_BYTES_MAX`] bytes, and refuses as soon as no further byte could help.
pub fn parse_proxy_header(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    match bytes.first() {
        None => Ok(None),
        Some(b'P') => line(bytes),
        Some(_) => block(bytes),
    }
}

/// Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`.
fn line(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    if !begins_alike(bytes, WORD) {
        return Err(ProxyHeaderError::Missing);
    }
    let within = bytes.get(..LINE_BYTES_MAX).unwrap_or(bytes);
    let Some(feed) = memchr::memchr(b'\n', within) else {
        return match bytes.len() < LINE_BYTES_MAX {
            true => Ok(None),
            false => Err(ProxyHeaderError::LineTooLong),
        };
    };
    let text = within.get(..feed).and_then(|line| line.strip_suffix(b"\r"));
    let text = text.and_then(|line| std::str::from_utf8(line).ok()).ok_or(ProxyHeaderError::BadLine)?;
    // One carriage return, in front of the line feed: what reads lines otherwise must see the same one.
    let source = if text.contains('\r') { None } else { line_source(text) };
    let source = source.ok_or(ProxyHeaderError::BadLine)?;
    Ok(Some(ProxyHeader { bytes: feed + 1, source }))
}

/// The source of a line without its end; none when it is malformed.
fn line_source(line: &str) -> Option<Option<IpAddr>> {
    let mut words = line.split(' ').skip(1);
    let family = words.next()?;
    if family == "UNKNOWN" {
        // "The receiver must ignore anything presented before the CRLF is found."
        return Some(None);
    }
    let mut address = || -> Option<IpAddr> {
        let word = words.next()?;
        match family {
            "TCP4" => word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (source, _) = (address()?, address()?);
    let ports = (words.next()?, words.next()?);
    let whole = is_port(ports.0) && is_port(ports.1) && words.next().is_none();
    whole.then_some(Some(source.to_canonical()))
}

/// From 0 to 65535 without leading zeros.
fn is_port(word: &str) -> bool {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    digits && (word == "0" || !word.starts_with('0')) && word.parse::<u16>().is_ok()
}

/// Version 2.
fn block(bytes: &[u8]) -> Result<Option<ProxyHeader>, ProxyHeaderError> {
    if !begins_alike(bytes, SIGNATURE) {
        return Err(ProxyHeaderError::Missing);
    }
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
        // What is there of the kind may be wrong already.
        return match bytes.get(SIGNATURE.len()..).unwrap_or_default() {
            [kind, family, ..] => source_bytes(*kind, *family).map(|_| None),
            [kind] if !matches!(kind, 0x20 | 0x21) => Err(ProxyHeaderError::BadKind),
            _ => Ok(None),
        };
    };
    let [.., kind, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let wanted = source_bytes(kind, family)?;
    if length < wanted {
        return Err(ProxyHeaderError::TooShort);
    }
    let whole = FIXED_BYTES + length;
    if whole > PROXY_HEADER_BYTES_MAX {
        return Err(ProxyHeaderError::TooLong);
    }
    let Some(rest) = rest.get(..length) else { return Ok(None) };
    // The source stands in front of the destination and the ports; TLVs follow and are skipped.
    let source = match wanted {
        INET_BYTES => rest.first_chunk::<4>().map(|ip| IpAddr::from(*ip)),
        INET6_BYTES => rest.first_chunk::<16>().map(|ip| IpAddr::from(*ip).to_canonical()),
        _ => None,
    };
    Ok(Some(ProxyHeader { bytes: whole, source }))
}

const INET_BYTES: usize = 12;
const INET6_BYTES: usize = 36;
const UNIX_BYTES: usize = 216;

/// How many bytes of addresses a command and a family need.
fn source_bytes(kind: u8, family: u8) -> Result<usize, ProxyHeaderError> {
    match (kind, family) {
        // LOCAL: the balancer speaks for itself, and the family is ignored.
        (0x20, _) => Ok(0),
        // PROXY: streams over IPv4, IPv6 and unix sockets, and what the balancer has no address for.
        (0x21, 0x11) => Ok(INET_BYTES),
        (0x21, 0x21) => Ok(INET6_BYTES),
        (0x21, 0x31) => Ok(UNIX_BYTES),
        (0x21, 0x00) => Ok(0),
        _ => Err(ProxyHeaderError::BadKind),
    }
}

/// Whether what is there of both is the same.
fn begins_alike(bytes: &[u8], expect: &[u8]) -> bool {
    bytes.iter().zip(expect).all(|(byte, expect)| byte == expect)
}
