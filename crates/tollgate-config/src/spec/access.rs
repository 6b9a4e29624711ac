//! Who may call at all: user agents, and answers to browsers of other origins.

use serde_json::{Value, json};
use tollgate_plan::access::OriginPattern;
use tollgate_wire::Method;

use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{AgentMatch, Catalogue, Description, HeaderName, List, Seconds, Shape, Verb, shown, text};
use crate::yaml::NodeRef;

block! {
    /// Answers to browsers of other origins (CORS, Fetch Standard section 3.3). The gateway answers preflights itself;
    /// a refused one is 204 without CORS headers. It is answered for the route that the request would take; where that
    /// rests on what stands in a header, every such route has to allow it. Answers that the gateway makes carry the headers too.
    "cors" Cors {
        /// Origins that may read answers: `https://app.example.com`, `https://*.example.com` (one label or more before
        /// the rest), or `*` alone for every origin, which excludes `credentials`.
        origins: List<Origin>, required;
        /// Methods that a preflight allows.
        methods: List<CorsMethod> = default_methods();
        /// Request headers that a preflight allows, or `*` alone for whatever the browser asks for.
        headers: List<Names> = default_headers();
        /// Response headers that scripts may read, or `*` alone, which excludes `credentials`.
        expose: List<Names> = List(Vec::new());
        /// Whether cookies and credentials may come along.
        credentials: bool = false;
        /// How long a browser may remember a preflight.
        max_age: Seconds<0> = Seconds::of(600);
    }
}

block! {
    /// Programs that may not call, by what they say in `User-Agent`: exact text, or `~regex`. Whoever wants to can say
    /// something else there, so this keeps out the careless, not the malicious.
    "user_agents" UserAgents {
        /// Who may not call.
        deny: List<AgentMatch> = List(Vec::new());
        /// Exceptions from `deny`: with `deny: ["~"]` only these may call.
        allow: List<AgentMatch> = List(Vec::new());
        /// Whether a request may call that has no `User-Agent`, or an empty one: `allow` or `deny`.
        empty: EmptyAgent = EmptyAgent::Allow;
    }
}

choice! {
    /// What becomes of a request without a name.
    EmptyAgent {
        /// It passes.
        "allow" => Allow,
        /// It is refused.
        "deny" => Deny,
    }
}

fn default_methods() -> List<CorsMethod> {
    List::of([Method::Get, Method::Post].map(|method| CorsMethod(Verb(method))))
}

fn default_headers() -> List<Names> {
    List::of([Names::One(HeaderName(tollgate_wire::name::AUTHORIZATION))])
}

/// One of `origins`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// `*`.
    Any,
    /// As a browser writes it.
    One(OriginPattern),
}

impl Shape for Origin {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        match origin(&scalar.text) {
            Ok(origin) => Some(origin),
            Err(hint) => {
                let message = format!("`{}` is no origin", shown(node, report));
                // Advice may repeat a part of what came from outside.
                let hint = (!scalar.rewritten).then_some(hint);
                report.push(Finding::error(Code::BadValue, node.span(), message).maybe_hint(hint));
                None
            }
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        let schema =
            json!({ "type": "string", "pattern": r"^(\*|[A-Za-z][A-Za-z0-9+.-]*://[^/?#@\s]+)$|\$\{" });
        Description::new("origin", schema)
    }
}

/// An origin in the form in which browsers send it (RFC 6454 section 6.2): lower case, no port that is the scheme's own.
fn origin(text: &str) -> Result<Origin, String> {
    if text == "*" {
        return Ok(Origin::Any);
    }
    if text.eq_ignore_ascii_case("null") {
        // Fetch Standard: every sandboxed frame and every local file has it.
        return Err("any page can make itself `null`: allowing it allows everybody".to_owned());
    }
    let lower = text.to_ascii_lowercase();
    let Some((scheme, rest)) = lower.split_once("://") else {
        return Err(format!("an origin begins with its scheme: `https://{lower}`"));
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(plain) {
        return Err("the scheme is none: write `https://…`".to_owned());
    }
    if rest.contains('@') {
        return Err("an origin has no user and no password".to_owned());
    }
    if let Some(end) = rest.find(['/', '?', '#']) {
        let host = rest.get(..end).unwrap_or_default();
        return Err(format!("an origin has no path, not even a slash: `{scheme}://{host}`"));
    }
    let (host, port) = split_port(rest)?;
    let own_port = matches!((scheme, port), ("https", Some(443)) | ("http", Some(80)));
    let port = port.filter(|_| !own_port).map(|port| format!(":{port}")).unwrap_or_default();
    match host.strip_prefix("*.") {
        Some(parent) => {
            host_name(parent)?;
            let suffix = format!(".{parent}{port}").into();
            Ok(Origin::One(OriginPattern::Subdomains { scheme: format!("{scheme}://").into(), suffix }))
        }
        None => {
            host_name(host)?;
            Ok(Origin::One(OriginPattern::Exact(format!("{scheme}://{host}{port}").into())))
        }
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<u16>), String> {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => match port.parse() {
            Ok(number) if number != 0 && !port.starts_with('+') => Ok((host, Some(number))),
            _ => Err("the port must be from 1 to 65535".to_owned()),
        },
        _ => Ok((authority, None)),
    }
}

fn host_name(host: &str) -> Result<(), String> {
    if host.contains('*') {
        return Err("a `*` stands alone, or for whole labels: `https://*.example.com`".to_owned());
    }
    if !host.is_ascii() {
        return Err("browsers send names in their ASCII form (punycode): `xn--…`".to_owned());
    }
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let known = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            host.split('.').all(|label| !label.is_empty() && label.bytes().all(plain))
        }
    };
    if known { Ok(()) } else { Err("the host is none: write `https://app.example.com`".to_owned()) }
}

/// A method that a preflight may ask for.
#[derive(Debug, Clone)]
pub(crate) struct CorsMethod(pub(crate) Verb);

impl Shape for CorsMethod {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if node.scalar().is_some_and(|scalar| &*scalar.text == "*") {
            let finding = Finding::error(Code::BadValue, node.span(), "`*` is no method");
            report.push(finding.hint("name them: `[GET, POST, PUT, DELETE]`"));
            return None;
        }
        Verb::read(node, what, report).map(CorsMethod)
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        Verb::describe(catalogue)
    }

    fn show(&self) -> Value {
        self.0.0.as_str().into()
    }
}

/// A header name, or `*` for all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Names {
    /// `*`.
    Any,
    /// This one.
    One(HeaderName),
}

impl Shape for Names {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        // `*` is a token, so it would be taken for a name.
        if node.scalar().is_some_and(|scalar| &*scalar.text == "*") {
            return Some(Names::Any);
        }
        HeaderName::read(node, what, report).map(Names::One)
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("header name or `*`", json!({ "type": "string", "minLength": 1 }))
    }

    fn show(&self) -> Value {
        match self {
            Names::Any => "*".into(),
            Names::One(HeaderName(name)) => name.as_str().into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_what_browsers_send() {
        let exact = |text: &str| Ok(Origin::One(OriginPattern::Exact(text.into())));
        let below = |scheme: &str, suffix: &str| {
            Ok(Origin::One(OriginPattern::Subdomains { scheme: scheme.into(), suffix: suffix.into() }))
        };
        for (text, expect) in [
            ("*", Ok(Origin::Any)),
            ("https://app.example.com", exact("https://app.example.com")),
            ("HTTPS://App.Example.com", exact("https://app.example.com")),
            ("https://app.example.com:443", exact("https://app.example.com")),
            ("http://app.example.com:443", exact("http://app.example.com:443")),
            ("http://localhost:3000", exact("http://localhost:3000")),
            ("http://[::1]:80", exact("http://[::1]")),
            ("http://[::1]", exact("http://[::1]")),
            ("capacitor://localhost", exact("capacitor://localhost")),
            ("https://*.example.com", below("https://", ".example.com")),
            ("https://*.example.com:8443", below("https://", ".example.com:8443")),
        ] {
            assert_eq!(origin(text), expect, "{text}");
        }
        for text in [
            "",
            "null",
            "NULL",
            "app.example.com",
            "https://",
            "https://*",
            "https://a.*.com",
            "https://*a.com",
            "https://*.*.com",
            "https://a.com/",
            "https://a.com/x",
            "https://a.com?",
            "https://a.com#",
            "https://u@a.com",
            "https://a.com:0",
            "https://a.com:x",
            "https://a.com:+1",
            "https://a.com:65536",
            "https://a..com",
            "https://a b",
            "https://bücher.example",
            "https://[::1",
            "://a.com",
            "1s://a.com",
            "https://a.com,https://b.com",
        ] {
            assert!(origin(text).is_err(), "{text}");
        }
    }
}
