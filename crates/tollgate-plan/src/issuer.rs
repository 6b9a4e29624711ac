//! Who signs tokens, and where the keys to check them come from.

use std::sync::Arc;
use std::time::Duration;

use tollgate_token::{Algorithms, ClaimPath, Expectations, KeySet};

use crate::secret::Secret;

/// Index into [`crate::Plan::issuers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerId(pub u16);

/// One entry of `issuers:`.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Unique name.
    pub name: Arc<str>,
    /// What a token of this issuer must say. For introspection only what was configured is asked for.
    pub expect: Expectations,
    /// Where the roles of a token are.
    pub roles_claim: ClaimPath,
    /// How its tokens are checked.
    pub check: TokenCheck,
}

/// How the tokens of an issuer are checked.
#[derive(Debug, Clone)]
pub enum TokenCheck {
    /// By signature, with keys that came with the configuration: `jwks_file`, `public_key_file`, `secret`.
    Fixed(Arc<KeySet>),
    /// By signature, with keys that are fetched and refreshed.
    Fetched(KeyFetch),
    /// By asking the issuer (RFC 7662).
    Introspection(Introspection),
}

/// Keys that are fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFetch {
    /// Where from.
    pub from: KeyUrl,
    /// Keys for these algorithms only.
    pub algorithms: Algorithms,
    /// Time between two background refreshes.
    pub refresh: Duration,
    /// How the issuer's URLs are reached.
    pub reach: Reach,
}

/// Where keys are fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyUrl {
    /// `jwks_url`.
    Jwks(HttpUrl),
    /// OpenID Connect Discovery 1.0 section 4: the document names `jwks_uri`, and its `issuer` must be this one.
    Discovery {
        /// `<issuer>/.well-known/openid-configuration`.
        url: HttpUrl,
        /// The issuer as configured.
        issuer: Box<str>,
    },
}

/// How an issuer's URLs are reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    /// `ca`: certificates in DER that are trusted instead of the system's. Never an empty list.
    pub roots: Option<Arc<[Box<[u8]>]>>,
    /// `allow_http`: also URLs that the issuer itself names may be plain http.
    pub allow_http: bool,
}

/// RFC 7662 token introspection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    /// The endpoint.
    pub url: HttpUrl,
    /// The gateway's own name there (HTTP Basic, RFC 6749 section 2.3.1).
    pub client_id: Box<str>,
    /// The gateway's own secret there.
    pub client_secret: Secret,
    /// How long an answer is remembered; zero asks every time.
    pub cache: Duration,
    /// How the endpoint is reached.
    pub reach: Reach,
}

/// An absolute `http` or `https` URL without user information or fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    /// Whether it is `https`.
    pub tls: bool,
    /// Lower-case name, or an address; IPv6 without brackets.
    pub host: Box<str>,
    /// Port, also where the URL left it out.
    pub port: u16,
    /// Path and query as sent in a request line; at least `/`.
    pub target: Box<str>,
}

impl HttpUrl {
    /// Parses an absolute URL; says what is wrong with it.
    pub fn parse(text: &str) -> Result<HttpUrl, &'static str> {
        let (tls, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (false, rest)
        } else {
            return Err("it must begin with https:// or http://");
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte)) {
            return Err("it has a character that a URL cannot have");
        }
        let (authority, target) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err("it must not hold a user or a password");
        }
        let (host, port) = split_port(authority, if tls { 443 } else { 80 })?;
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(HttpUrl { tls, host: host.to_ascii_lowercase().into(), port, target: target.into() })
    }

    /// Whether the URL points to this machine by address or as `localhost`.
    pub fn is_loopback(&self) -> bool {
        let ip = self.host.parse::<std::net::IpAddr>();
        ip.map_or(&*self.host == "localhost", |ip| ip.to_canonical().is_loopback())
    }

    /// Host, and the port unless it is the scheme's own: the value of a Host header.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.to_string() };
        if self.port == if self.tls { 443 } else { 80 } { host } else { format!("{host}:{}", self.port) }
    }
}

fn split_port(authority: &str, default: u16) -> Result<(&str, u16), &'static str> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("its address has no closing bracket")?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| "its address in brackets is no IPv6 address")?;
        (host, rest.strip_prefix(':').or(rest.is_empty().then_some("")))
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("")),
        }
    };
    if host.is_empty() {
        return Err("it has no host");
    }
    match port {
        Some("") => Ok((host, default)),
        Some(port) => match port.parse() {
            Ok(port) if port != 0 => Ok((host, port)),
            _ => Err("its port is no number from 1 to 65535"),
        },
        None => Err("its port is no number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        let check = |text: &str, expect: Result<(bool, &str, u16, &str, &str), ()>| {
            let url = HttpUrl::parse(text);
            let seen = url.as_ref().map(|url| (url.tls, &*url.host, url.port, &*url.target));
            let authority = url.as_ref().map(HttpUrl::authority).unwrap_or_default();
            match (seen, expect) {
                (Ok(seen), Ok((tls, host, port, target, sent))) => {
                    assert_eq!((seen, &*authority), ((tls, host, port, target), sent), "{text}");
                }
                (Err(_), Err(())) => {}
                (seen, expect) => panic!("{text}: {seen:?}, expected {expect:?}"),
            }
        };
        check("https://ID.example.com/", Ok((true, "id.example.com", 443, "/", "id.example.com")));
        check(
            "http://127.0.0.1:8081/jwks?x=1",
            Ok((false, "127.0.0.1", 8081, "/jwks?x=1", "127.0.0.1:8081")),
        );
        check("https://[::1]:8443?a", Ok((true, "::1", 8443, "/?a", "[::1]:8443")));
        for bad in [
            "ftp://x/",
            "https://",
            "https://a:b@c/",
            "https://a:0/",
            "https://a:x/",
            "https://a b/",
            "https://[::1/",
            "https://[x]/",
            "https://[::1]x/",
            "https://a/#f",
        ] {
            check(bad, Err(()));
        }
    }

    #[test]
    fn loopback() {
        for (url, expect) in [
            ("http://127.0.0.9/", true),
            ("http://[::1]/", true),
            ("http://[::ffff:127.0.0.1]/", true),
            ("http://localhost:8080/", true),
            ("http://localhost.example.com/", false),
            ("http://10.0.0.1/", false),
        ] {
            assert_eq!(HttpUrl::parse(url).unwrap().is_loopback(), expect, "{url}");
        }
    }
}
