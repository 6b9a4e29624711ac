//! The client's address behind trusted proxies: the rightmost one that no trusted proxy has.

use std::net::{IpAddr, SocketAddr};

use tollgate_plan::cidr::CidrSet;
use tollgate_wire::{HeaderBlock, name};

/// The address that the chain of trusted proxies vouches for.
///
/// `X-Forwarded-For` counts, or `Forwarded` (RFC 7239) when it is absent. An entry that is no address ends the
/// search: what is left of it is hearsay, so the last trusted hop stands for the client.
pub(super) fn behind_proxies(
    headers: &HeaderBlock,
    trusted: &CidrSet,
    peer: Option<IpAddr>,
) -> Option<IpAddr> {
    if headers.contains(&name::X_FORWARDED_FOR) {
        let lines: Vec<&[u8]> = headers.get_all(&name::X_FORWARDED_FOR).collect();
        let entries = lines.iter().rev().flat_map(|line| line.rsplit(|&b| b == b','));
        return rightmost_untrusted(entries.map(<[u8]>::trim_ascii), trusted, peer);
    }
    let lines: Vec<&[u8]> = headers.get_all(&name::FORWARDED).collect();
    let elements = lines.iter().rev().flat_map(|line| split_unquoted(line, b',').into_iter().rev());
    rightmost_untrusted(elements.map(forwarded_for), trusted, peer)
}

fn rightmost_untrusted<'a>(
    entries: impl Iterator<Item = &'a [u8]>,
    trusted: &CidrSet,
    peer: Option<IpAddr>,
) -> Option<IpAddr> {
    let mut nearest = peer;
    for entry in entries {
        let Some(address) = address(entry) else { break };
        nearest = Some(address);
        if !trusted.contains(address) {
            break;
        }
    }
    nearest
}

/// The `for` parameter of one element of `Forwarded`, without quotes; empty when there is none.
fn forwarded_for(element: &[u8]) -> &[u8] {
    let pairs = split_unquoted(element, b';');
    let value = pairs.into_iter().find_map(|pair| {
        let pair = pair.trim_ascii();
        let (name, value) = pair.split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    });
    let value = value.unwrap_or_default();
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

fn split_unquoted(line: &[u8], separator: u8) -> Vec<&[u8]> {
    let mut quoted = false;
    line.split(|&byte| {
        quoted ^= byte == b'"';
        byte == separator && !quoted
    })
    .collect()
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]:80`.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parsed =
        bare.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|with_port| with_port.ip()));
    parsed.ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &tollgate_wire::Name, lines: &[&str], expect: &str) {
        let trusted: CidrSet =
            ["10.0.0.0/8", "2001:db8:f::/48"].iter().filter_map(|s| s.parse().ok()).collect();
        let mut headers = HeaderBlock::default();
        lines.iter().for_each(|line| headers.append(name, line.as_bytes()));
        let found = behind_proxies(&headers, &trusted, "10.0.0.1".parse().ok());
        assert_eq!(found, expect.parse().ok(), "{lines:?}");
    }

    #[test]
    fn x_forwarded_for_gives_the_rightmost_untrusted() {
        for (lines, expect) in [
            (&["192.0.2.7"][..], "192.0.2.7"),
            (&["1.1.1.1, 192.0.2.7, 10.2.2.2"], "192.0.2.7"),
            (&["1.1.1.1", "192.0.2.7,10.2.2.2"], "192.0.2.7"),
            (&["10.3.3.3, 10.2.2.2"], "10.3.3.3"),
            (&["1.1.1.1, nonsense, 10.2.2.2"], "10.2.2.2"),
            (&["nonsense"], "10.0.0.1"),
            (&["192.0.2.7:1234"], "192.0.2.7"),
            (&["[2001:db8::7]:1234, 2001:db8:f::1"], "2001:db8::7"),
            (&["::ffff:192.0.2.7"], "192.0.2.7"),
            (&[""], "10.0.0.1"),
        ] {
            check(&tollgate_wire::name::X_FORWARDED_FOR, lines, expect);
        }
    }

    #[test]
    fn forwarded_counts_when_there_is_nothing_else() {
        for (lines, expect) in [
            (&["for=192.0.2.7"][..], "192.0.2.7"),
            (&["for=1.1.1.1;proto=https, For=\"192.0.2.7:80\";by=10.0.0.1, for=10.2.2.2"], "192.0.2.7"),
            (&["for=\"[2001:db8::7]:80\""], "2001:db8::7"),
            (&["for=unknown"], "10.0.0.1"),
            (&["proto=https"], "10.0.0.1"),
            (&["for=\"a,b\", for=192.0.2.7"], "192.0.2.7"),
        ] {
            check(&tollgate_wire::name::FORWARDED, lines, expect);
        }
    }
}
