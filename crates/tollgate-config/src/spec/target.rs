//! Target URLs: `http://host:port/prefix`, the same with `https` and `h2c`, `dns+srv://name/prefix` and `unix:/path`.

use std::net::{IpAddr, SocketAddr};

use serde_json::json;
use tollgate_plan::path;
use tollgate_plan::upstream::Address;

use super::server::socket_path;
use super::tls::is_certifiable;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, Catalogue, Description, Int, Shape, Slot, shown, text};
use crate::source_map::Span;
use crate::yaml::NodeRef;

block! {
    /// A target with a weight.
    "target" Weighted {
        /// The target's URL.
        url: Url, required;
        /// Its share among the targets.
        weight: Int<1, 1_000_000> = Int(1);
    }
}

/// One target: a URL, or a URL with a weight.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) url: At<Parsed>,
    pub(crate) weight: u32,
}

/// A target's URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parsed {
    /// As configured.
    pub(crate) url: String,
    pub(crate) address: Address,
    pub(crate) authority: String,
    pub(crate) prefix: String,
    /// HTTP/2 in clear.
    pub(crate) http2: bool,
    /// Over TLS.
    pub(crate) tls: bool,
}

/// A target's URL.
#[derive(Debug, Clone)]
pub(crate) struct Url(Parsed);

impl Shape for Target {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if node.entries().is_none() {
            let Url(url) = Url::read(node, what, report)?;
            return Some(Target { url: At { value: url, span: node.span(), key: node.span() }, weight: 1 });
        }
        let weighted = Weighted::read(node, what, report)?;
        let weight = weighted.weight().0 as u32;
        let Slot::Given(url) = weighted.url else { return None };
        let At { value: Url(value), span, key } = *url;
        Some(Target { url: At { value, span, key }, weight })
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let (url, weighted) = (Url::describe(catalogue), Weighted::describe(catalogue));
        Description::new(
            "URL, or a [`target`](#target) block",
            json!({ "anyOf": [url.schema, weighted.schema] }),
        )
    }
}

impl Shape for Url {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        parse_target(&scalar.text, node, report).map(Url)
    }

    fn describe(_: &mut Catalogue) -> Description {
        let schema = json!({ "type": "string", "pattern": r"^(https?://|h2c://|dns\+srv://|unix:)|\$\{" });
        Description::new("URL", schema)
    }
}

/// Whether a text that names an upstream is a URL rather than a name.
pub(crate) fn is_url(text: &str) -> bool {
    text.contains("://") || text.starts_with("unix:")
}

/// Takes a URL apart; its faults are reported at `node`.
pub(crate) fn parse_target(url: &str, node: NodeRef<'_>, report: &mut Report) -> Option<Parsed> {
    let span = node.span();
    if let Some(path) = url.strip_prefix("unix:") {
        let path = socket_path(path, span, report)?;
        let (authority, prefix) = ("localhost".to_owned(), String::new());
        // By its full path: the same words in files of two directories mean two sockets.
        let url = format!("unix:{}", path.display());
        return Some(Parsed {
            url,
            address: Address::Unix(path),
            authority,
            prefix,
            http2: false,
            tls: false,
        });
    }
    match split(url) {
        Ok(parsed) => Some(parsed),
        Err(fault) => {
            report.push(fault.into_finding(span, &shown(node, report)));
            None
        }
    }
}

enum Fault {
    Bad(&'static str),
    Hint(String),
}

impl Fault {
    fn into_finding(self, span: Span, shown: &str) -> Finding {
        match self {
            Fault::Bad(why) => {
                let hint = "write it as in `http://10.0.0.5:3000` or `https://orders.internal/v1`";
                Finding::error(Code::BadValue, span, format!("bad URL `{shown}`: {why}")).hint(hint)
            }
            Fault::Hint(hint) => {
                Finding::error(Code::BadValue, span, format!("bad URL `{shown}`")).hint(hint)
            }
        }
    }
}

fn split(url: &str) -> Result<Parsed, Fault> {
    let (rest, http2, tls) = match url.split_once("://") {
        Some(("http", rest)) => (rest, false, false),
        Some(("https", rest)) => (rest, false, true),
        Some(("h2c", rest)) => (rest, true, false),
        Some(("dns+srv", rest)) => return service(url, rest),
        Some(("ws", _)) => return Err(Fault::Hint("write `http://`: WebSockets begin as HTTP".to_owned())),
        Some(("wss", _)) => {
            return Err(Fault::Hint("write `https://`: WebSockets begin as HTTP".to_owned()));
        }
        Some(_) => return Err(Fault::Bad("the scheme must be http, https, h2c, dns+srv or unix")),
        None => return Err(Fault::Hint("a target begins with `http://`, `https://` or `unix:`".to_owned())),
    };
    let (authority, path) = parts(rest)?;
    let own_port = if tls { 443 } else { 80 };
    let (host, port) = host_and_port(authority, own_port)?;
    let address = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) => Address::Socket(SocketAddr::new(ip, port)),
        Err(_) => Address::Name { host: host.as_str().into(), port },
    };
    // A dot at the end keeps the resolver from trying search domains; in a Host header it is noise.
    let name = host.trim_end_matches('.');
    if tls && !is_certifiable(name.trim_matches(['[', ']'])) {
        return Err(Fault::Bad("no certificate can be for this host"));
    }
    let authority = if port == own_port { name.to_owned() } else { format!("{name}:{port}") };
    Ok(Parsed { url: url.to_owned(), address, authority, prefix: prefix(path)?, http2, tls })
}

/// `dns+srv://_api._tcp.internal`: the records say hosts and ports.
fn service(url: &str, rest: &str) -> Result<Parsed, Fault> {
    let (authority, path) = parts(rest)?;
    if authority.contains(':') {
        return Err(Fault::Bad("the ports of a service are in its SRV records"));
    }
    let (name, _) = host_and_port(authority, 0)?;
    if name.parse::<IpAddr>().is_ok() {
        return Err(Fault::Bad("an address has no SRV records"));
    }
    let address = Address::Service { name: name.as_str().into() };
    Ok(Parsed {
        url: url.to_owned(),
        address,
        authority: name,
        prefix: prefix(path)?,
        http2: false,
        tls: false,
    })
}

/// What stands before the path, and the path.
fn parts(rest: &str) -> Result<(&str, &str), Fault> {
    if rest.contains(['?', '#']) {
        return Err(Fault::Bad("a target has no query and no fragment"));
    }
    if rest.contains(['{', '}']) {
        return Err(Fault::Hint("a target holds no placeholders; `request.rewrite` makes paths".to_owned()));
    }
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    if authority.contains('@') {
        return Err(Fault::Bad("a target has no user and no password"));
    }
    Ok((authority, path))
}

/// Host in lower case (a dot at the end is kept, IPv6 in brackets), and the port, the scheme's own when there is none.
fn host_and_port(authority: &str, own_port: u16) -> Result<(String, u16), Fault> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let port = match port {
        None => own_port,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => port
            .parse()
            .ok()
            .filter(|port| *port != 0)
            .ok_or(Fault::Bad("the port must be from 1 to 65535"))?,
        Some(_) => return Err(Fault::Bad("the port must be from 1 to 65535")),
    };
    if host.is_empty() {
        return Err(Fault::Bad("the host is missing"));
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let ip: std::net::Ipv6Addr = inner.parse().map_err(|_| Fault::Bad("not an IPv6 address"))?;
        return Ok((format!("[{ip}]"), port));
    }
    if host.contains(':') {
        return Err(Fault::Bad("an IPv6 address stands in brackets"));
    }
    let label = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        plain && (1..=63).contains(&label.len())
    };
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(Fault::Bad("not a host name"));
    }
    // `1.2.3` or `256.1.1.1` can only be a mistyped address: no top-level domain is a number.
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|byte| byte.is_ascii_digit()) && name.parse::<IpAddr>().is_err() {
        return Err(Fault::Bad("not an IPv4 address"));
    }
    Ok((host.to_ascii_lowercase(), port))
}

/// The path of a URL as a prefix: normal form, no slash at the end.
fn prefix(path: &str) -> Result<String, Fault> {
    if path.is_empty() {
        return Ok(String::new());
    }
    match path::normalize(path.as_bytes()) {
        Ok(normal) => Ok(normal.trim_end_matches('/').to_owned()),
        Err(error) => Err(Fault::Hint(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let socket = |text: &str| Address::Socket(text.parse().unwrap());
        let name = |host: &str, port| Address::Name { host: host.into(), port };
        let service = |name: &str| Address::Service { name: name.into() };
        for (url, address, authority, prefix) in [
            ("http://10.0.0.5:3000", socket("10.0.0.5:3000"), "10.0.0.5:3000", ""),
            ("http://10.0.0.5", socket("10.0.0.5:80"), "10.0.0.5", ""),
            ("http://[::1]:8080/", socket("[::1]:8080"), "[::1]:8080", ""),
            ("http://[::1]", socket("[::1]:80"), "[::1]", ""),
            ("http://Orders.internal/v1/", name("orders.internal", 80), "orders.internal", "/v1"),
            ("http://my_service:3000/a//b/../c", name("my_service", 3000), "my_service:3000", "/a/c"),
            ("http://db.local.:81", name("db.local.", 81), "db.local:81", ""),
            ("http://localhost:80", name("localhost", 80), "localhost", ""),
            ("dns+srv://_API._tcp.internal/v1/", service("_api._tcp.internal"), "_api._tcp.internal", "/v1"),
            ("https://localhost:80", name("localhost", 80), "localhost:80", ""),
            ("https://API.internal/v1", name("api.internal", 443), "api.internal", "/v1"),
            ("https://[::1]:443", socket("[::1]:443"), "[::1]", ""),
            ("h2c://localhost:80/v1", name("localhost", 80), "localhost", "/v1"),
        ] {
            let parsed = split(url).ok().unwrap_or_else(|| panic!("{url} is refused"));
            let found = (parsed.address, parsed.authority.as_str(), parsed.prefix.as_str());
            assert_eq!(found, (address, authority, prefix), "{url}");
        }
    }

    #[test]
    fn bad_urls_are_refused() {
        for url in [
            "",
            "orders",
            "10.0.0.5:3000",
            "ftp://x",
            "ws://x",
            "dns+srv://",
            "dns+srv://_api._tcp.internal:80",
            "dns+srv://10.0.0.5",
            "dns+srv://[::1]",
            "dns+srv://a..b",
            "dns+srv://_api._tcp.internal?x",
            "http://",
            "http:///x",
            "http://:80",
            "http://x:0",
            "http://x:65536",
            "http://x:+80",
            "http://x:",
            "http://::1:80",
            "http://[::1",
            "http://[1.2.3.4]",
            "http://256.1.1.1",
            "http://1.2.3",
            "http://a..b",
            "http://a b",
            "http://user:secret@x",
            "http://x?y",
            "http://x#y",
            "http://x/{id}",
            "http://x/../..",
            "http://x/a%",
        ] {
            assert!(split(url).is_err(), "{url}");
        }
    }
}
