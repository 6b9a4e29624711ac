//! The Redis in which gateways share limits.

use std::path::PathBuf;

use serde_json::{Value, json};
use tollgate_plan::redis::RedisNode;

use super::tls::is_certifiable;
use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, Catalogue, Description, Int, List, Seconds, Shape, shown, text};
use crate::yaml::NodeRef;

block! {
    /// The Redis that gateways share limits in; `store: redis` needs it.
    "redis" Redis {
        /// `redis://127.0.0.1:6379`, `rediss://` for TLS, with `user:password@` and a database number as in
        /// `redis://:password@host:6379/2`. What stands in a URL for itself is percent-encoded. A list of URLs: the
        /// first nodes of a Redis Cluster.
        url: RedisUrl, required;
        /// Certificates in PEM that are trusted for `rediss://`, instead of the system's.
        ca: PathBuf;
        /// The longest that a request waits for Redis.
        timeout: Seconds<1, 10_000> = Seconds::millis(50);
        /// What decides while Redis is gone: `local` (each gateway enforces its share of the limit), `allow`, or `deny`
        /// (503 `limit_store_unavailable`).
        on_failure: OnFailure = OnFailure::Local;
        /// How many gateways share the limits, for `on_failure: local`.
        instances: Int<1, { bounds::INSTANCES }> = Int(1);
    }
}

choice! {
    /// What decides while Redis is gone.
    OnFailure {
        /// Each gateway enforces its share.
        "local" => Local,
        /// Everything passes.
        "allow" => Allow,
        /// Nothing passes.
        "deny" => Deny,
    }
}

/// One server, or the first nodes of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct RedisUrl {
    pub(crate) nodes: Vec<At<RedisNode>>,
    pub(crate) cluster: bool,
}

/// One URL.
#[derive(Debug, Clone)]
struct Node(RedisNode);

impl Shape for RedisUrl {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if node.items().is_none() {
            let Node(value) = Node::read(node, what, report)?;
            return Some(RedisUrl {
                nodes: vec![At { value, span: node.span(), key: node.span() }],
                cluster: false,
            });
        }
        let List(list) = List::<Node>::read(node, what, report)?;
        if list.is_empty() {
            report.push(Finding::error(Code::BadValue, node.span(), format!("`{what}` names no server")));
            return None;
        }
        let nodes = list.into_iter().map(|At { value, span, key }| At { value: value.0, span, key });
        Some(RedisUrl { nodes: nodes.collect(), cluster: true })
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let one = Node::describe(catalogue).schema;
        let list = json!({ "type": "array", "minItems": 1, "items": one });
        Description::new("URL or a list", json!({ "anyOf": [one, list] }))
    }
}

impl Shape for Node {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        match parse(&scalar.text) {
            Ok(parsed) => Some(Node(parsed)),
            Err(why) => {
                let message = format!("bad URL `{}`: {why}", shown(node, report));
                report.push(Finding::error(Code::BadValue, node.span(), message));
                None
            }
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("URL", json!({ "type": "string", "pattern": r"^rediss?://|\$\{" }))
    }

    fn show(&self) -> Value {
        Value::Null
    }
}

/// `redis[s]://[[user]:password@]host[:port][/db]`. The reasons repeat nothing of the URL: it may hold a password.
fn parse(url: &str) -> Result<RedisNode, &'static str> {
    let (tls, rest) = match url.split_once("://") {
        Some(("redis", rest)) => (false, rest),
        Some(("rediss", rest)) => (true, rest),
        Some(("unix" | "redis+unix" | "redis+socket", _)) => return Err("unix sockets are not supported"),
        _ => return Err("it must begin with redis:// or rediss://"),
    };
    if rest.contains(['?', '#']) {
        return Err("it has no options; a `?` or `#` in a password is percent-encoded");
    }
    let (userinfo, rest) = match rest.rsplit_once('@') {
        Some((userinfo, rest)) => (Some(userinfo), rest),
        None => (None, rest),
    };
    if userinfo.is_some_and(|userinfo| userinfo.contains('/')) {
        return Err("a `/` in a password is percent-encoded: %2F");
    }
    let (authority, db) = rest.split_once('/').unwrap_or((rest, ""));
    let db = match db {
        "" => 0,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_| "the database is a number")?
        }
        _ => return Err("the database is a number"),
    };
    let (host, port) = host_and_port(authority)?;
    if tls && !is_certifiable(&host) {
        return Err("no certificate can be for this host");
    }
    let (user, password) = userinfo.map(credentials).transpose()?.unwrap_or_default();
    Ok(RedisNode { tls, host: host.into(), port, user, password, db })
}

type Credentials = (Option<Box<str>>, Option<tollgate_plan::secret::Secret>);

fn credentials(userinfo: &str) -> Result<Credentials, &'static str> {
    let Some((user, password)) = userinfo.split_once(':') else {
        return Err(
            "a password stands behind a colon: `redis://:password@host` or `redis://user:password@host`",
        );
    };
    let decoded = |text| decode(text).ok_or("its user or password is badly percent-encoded");
    let (user, password) = (decoded(user)?, decoded(password)?);
    if password.is_empty() {
        return Err("its password is empty");
    }
    Ok(((!user.is_empty()).then(|| user.as_str().into()), Some(password.as_str().into())))
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let (high, low) = (digit()?, digit()?);
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).ok()
}

fn host_and_port(authority: &str) -> Result<(String, u16), &'static str> {
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("its address has no closing bracket")?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| "its address in brackets is no IPv6 address")?;
        match (rest, rest.strip_prefix(':')) {
            ("", _) => (host, None),
            (_, Some(port)) => (host, Some(port)),
            _ => return Err("the port must be from 1 to 65535"),
        }
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    if host.is_empty() {
        return Err("the host is missing");
    }
    if !host.bytes().all(plain) {
        return Err("not a host name");
    }
    let port = match port {
        None => 6379,
        Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            port.parse().ok().filter(|port| *port != 0).ok_or("the port must be from 1 to 65535")?
        }
        Some(_) => return Err("the port must be from 1 to 65535"),
    };
    Ok((host.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, expect) in [
            ("redis://127.0.0.1:6379", (false, "127.0.0.1", 6379, None, None, 0)),
            ("rediss://Cache.internal", (true, "cache.internal", 6379, None, None, 0)),
            ("redis://:p%40ss%2F@h/2", (false, "h", 6379, None, Some("p@ss/"), 2)),
            ("redis://me:pw@[::1]:7000/", (false, "::1", 7000, Some("me"), Some("pw"), 0)),
            ("redis://me:a:b@h", (false, "h", 6379, Some("me"), Some("a:b"), 0)),
            ("redis://me:a@b@h", (false, "h", 6379, Some("me"), Some("a@b"), 0)),
        ] {
            let node = parse(url).unwrap_or_else(|why| panic!("{url}: {why}"));
            let password = node.password.as_ref().map(|password| password.expose());
            let found = (node.tls, &*node.host, node.port, node.user.as_deref(), password, node.db);
            assert_eq!(found, expect, "{url}");
        }
        for url in [
            "",
            "127.0.0.1:6379",
            "http://h",
            "redis://",
            "redis://h:0",
            "redis://h:x",
            "redis://h:",
            "redis://h/x",
            "redis://h/-1",
            "redis://h?db=1",
            "redis://pw@h",
            "redis://me:@h",
            "redis://:%zz@h",
            "redis://:%4",
            "redis://:%ff@h",
            "redis://:a/b@h",
            "redis://[::1",
            "redis://[x]",
            "redis://[::1]x",
            "redis://a b",
            "unix:///run/redis.sock",
            "redis://h/99999999999999999999",
        ] {
            assert!(parse(url).is_err(), "{url}");
        }
    }
}
