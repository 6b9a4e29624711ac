//! Services behind the gateway.

use serde_json::{Value, json};
use tollgate_plan::host::Host;
use tollgate_plan::upstream::{Balance as PlanBalance, HashKey, HostMode};
use tollgate_wire::Name as WireName;

use super::oauth2::UpstreamAuth;
use super::resilience::{CircuitBreaker, HealthCheck, Outlier, Retry, Statuses};
use super::target::Target;
use super::tls::UpstreamTls;
use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{
    Catalogue, Description, Int, Key, List, OneOrMany, Seconds, Shape, choose, or_expansion, plain_name,
    shown, text,
};
use crate::source_map::{Span, visible};
use crate::yaml::NodeRef;

block! {
    /// One service: interchangeable targets and how to use them.
    "upstream" Upstream {
        /// Where it is served: `http://host:port` or `https://host:port`, with a path as a prefix of what is sent, or `unix:/path`.
        targets: List<Target>, required;
        /// How a target is chosen: `least_requests` takes the less busy of two random ones; `{ hash: … }` sends
        /// the same `header:x-user`, `ip`, `cookie:sid` or `path` to the same target.
        balance: Balance = Balance(PlanBalance::LeastRequests);
        /// The Host header that is sent: `upstream` (the target's own), `preserve` (the client's), or a name.
        host: SentHost = SentHost(HostMode::Upstream);
        /// To an established connection, name look-up included.
        connect_timeout: Seconds<1> = Seconds::of(2);
        /// From the request sent to the response head; a route may change it.
        timeout: Seconds<1> = Seconds::of(30);
        /// Between bytes of a response body.
        idle_timeout: Seconds<1> = Seconds::of(60);
        /// Connection reuse.
        pool: Pool;
        /// TLS to its `https://` targets.
        tls: UpstreamTls;
        /// How many redirects of the upstream to itself the gateway follows for one request; others, and one more than
        /// that, pass to the client.
        follow_redirects: Int<0, 20> = Int(0);
        /// Trying again. Off when it is absent.
        retry: Retry;
        /// Asking targets for their health. Off when it is absent.
        health_check: HealthCheck;
        /// Leaving out targets that fail. Off when it is absent.
        outlier: Outlier;
        /// Sparing an upstream that fails. Off when it is absent.
        circuit_breaker: CircuitBreaker;
        /// The gateway's own credentials toward the upstream. Left out: what the client shows goes on.
        auth: UpstreamAuth;
        /// Answers that count as failures of a target, for `outlier` and `circuit_breaker`. No connection, a reset, no
        /// answer in time and an answer that is not HTTP always do; a client that leaves never does.
        failure_status: OneOrMany<Statuses> = OneOrMany::of([Statuses(500, 599)]);
    }
}

block! {
    /// Connection reuse, per target.
    "pool" Pool {
        /// Idle connections that each worker keeps; 0: none.
        max_idle_per_worker: Int<0, 100_000> = Int(64);
        /// How long an idle connection is kept.
        idle: Seconds<1> = Seconds::of(60);
        /// Open connections; over it a request waits up to `connect_timeout`, then it is 503 `overloaded`.
        max_connections: Int<1, 1_000_000> = Int(1024);
    }
}

block! {
    /// Consistent hashing.
    "hash" Hash {
        /// What is hashed: `header:NAME`, `cookie:NAME`, `ip` or `path`.
        hash: HashedKey, required;
    }
}

/// The name of an upstream: never to be mistaken for a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct UpstreamName(pub(crate) String);

impl Key for UpstreamName {
    const LABEL: &'static str = "name";

    fn parse(text: &str, span: Span) -> Result<Self, Box<Finding>> {
        if plain_name(text) {
            return Ok(UpstreamName(text.to_owned()));
        }
        let message = format!("`{}` is no name for an upstream", visible(text));
        let hint = format!("letters, digits, `-`, `_` and `.`, at most {} of them", bounds::NAME_BYTES);
        Err(Box::new(Finding::error(Code::BadValue, span, message).hint(hint)))
    }
}

/// How a target is chosen.
#[derive(Debug, Clone)]
pub(crate) struct Balance(pub(crate) PlanBalance);

#[derive(Clone, Copy)]
enum Plain {
    LeastRequests,
    RoundRobin,
    Random,
}

const PLAIN: &[(&str, Plain)] = &[
    ("least_requests", Plain::LeastRequests),
    ("round_robin", Plain::RoundRobin),
    ("random", Plain::Random),
];

impl Shape for Balance {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if node.entries().is_some() {
            let hash = Hash::read(node, what, report)?;
            return hash.hash.value().map(|key| Balance(PlanBalance::Hash(key.0.clone())));
        }
        if node.scalar().is_some_and(|scalar| &*scalar.text == "hash") {
            let message = "`hash` needs to know what is hashed".to_owned();
            report.push(Finding::error(Code::BadValue, node.span(), message).hint("write `{ hash: ip }`"));
            return None;
        }
        Some(Balance(match choose(node, what, PLAIN, report)? {
            Plain::LeastRequests => PlanBalance::LeastRequests,
            Plain::RoundRobin => PlanBalance::RoundRobin,
            Plain::Random => PlanBalance::Random,
        }))
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let hash = Hash::describe(catalogue);
        let words: Vec<&str> = PLAIN.iter().map(|(word, _)| *word).collect();
        let label = format!("`{}`, or a {}", words.join("`, `"), hash.label);
        Description::new(
            label,
            json!({ "anyOf": [{ "enum": words }, hash.schema, { "$ref": "#/$defs/expansion" }] }),
        )
    }

    fn show(&self) -> Value {
        "least_requests".into()
    }
}

/// What a consistent hash is made of.
#[derive(Debug, Clone)]
pub(crate) struct HashedKey(pub(crate) HashKey);

impl Shape for HashedKey {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let key = match scalar.text.split_once(':') {
            None if &*scalar.text == "ip" => Some(HashKey::Ip),
            None if &*scalar.text == "path" => Some(HashKey::Path),
            Some(("header", name)) => WireName::new(name).ok().map(HashKey::Header),
            // A cookie's name is a token, as a header's is, but its case counts (RFC 6265 section 4.1.1).
            Some(("cookie", name)) if WireName::new(name).is_ok() => Some(HashKey::Cookie(name.into())),
            _ => None,
        };
        if key.is_none() {
            let message = format!("`{}` cannot be hashed", shown(node, report));
            let hint = "write `header:NAME`, `cookie:NAME`, `ip` or `path`";
            report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        }
        key.map(HashedKey)
    }

    fn describe(_: &mut Catalogue) -> Description {
        let schema = or_expansion(json!({ "type": "string", "pattern": "^(ip|path|header:.+|cookie:.+)$" }));
        Description::new("`header:NAME`, `cookie:NAME`, `ip` or `path`", schema)
    }
}

/// The Host header that is sent.
#[derive(Debug, Clone)]
pub(crate) struct SentHost(pub(crate) HostMode);

impl Shape for SentHost {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let mode = match &*scalar.text {
            "upstream" => HostMode::Upstream,
            "preserve" => HostMode::Preserve,
            fixed if Host::parse(fixed.as_bytes(), &mut String::new()).is_ok() => {
                HostMode::Fixed(fixed.into())
            }
            _ => {
                let message = format!("`{}` is no host", shown(node, report));
                let hint = "write `upstream`, `preserve`, or a name such as `api.example.com`";
                report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
                return None;
            }
        };
        Some(SentHost(mode))
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("`upstream`, `preserve`, or a name", json!({ "type": "string", "minLength": 1 }))
    }

    fn show(&self) -> Value {
        "upstream".into()
    }
}
