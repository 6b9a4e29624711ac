//! The posture table of `check`: who may reach what, and how it is protected.

use serde::Serialize;
use tollgate_plan::Plan;
use tollgate_plan::access::AddressRules;
use tollgate_plan::auth::{Auth, Require};
use tollgate_plan::limit::{RateLimit, RateLimitId, Store};
use tollgate_plan::route::{Action, Route, RouteId};
use tollgate_plan::tls::{ServerTls, TlsVersion};
use tollgate_plan::upstream::UpstreamId;

/// One route of the posture table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostureRow {
    /// The route's name.
    pub route: String,
    /// Methods, host and path that it matches.
    #[serde(rename = "match")]
    pub matches: String,
    /// What it does.
    pub action: String,
    /// How callers identify themselves, `public` when they need not, and from where they may call:
    /// `jwt main or api key; scopes orders:read`.
    pub auth: String,
    /// Limits on how often it may be called; `-` without any.
    pub limits: String,
    /// Whether its listeners speak TLS; `-` when none does.
    pub tls: String,
    /// Whether a request without any credential may pass: also where credentials are optional.
    pub public: bool,
}

/// What stands for credentials that rest on something withheld; in a plan that can run there are none such.
pub(crate) const UNKNOWN: &str = "not known here";

/// Address blocks that a row names; more are counted.
const NETWORKS_SHOWN: usize = 3;

/// The posture table, in file order.
pub fn posture(plan: &Plan) -> Vec<PostureRow> {
    let tls = tls(plan);
    let routes = plan.routes.iter().enumerate();
    routes
        .map(|(id, route)| PostureRow {
            route: route.name.to_string(),
            matches: matches(plan, RouteId(id as u32), route),
            action: action(plan, &route.action),
            auth: access(plan, route),
            limits: limits(plan, route),
            tls: tls.clone(),
            public: route.auth.as_ref().is_none_or(|auth| auth.optional),
        })
        .collect()
}

/// `TLS 1.2+`, `TLS 1.3, client certificates`; `some listeners` where others speak clear text, `-` where all do.
fn tls(plan: &Plan) -> String {
    let served: Vec<&ServerTls> =
        plan.listeners.iter().filter_map(|listener| listener.tls.as_deref()).collect();
    if served.is_empty() {
        return "-".to_owned();
    }
    let any_12 = served.iter().any(|tls| tls.min_version == TlsVersion::V12);
    let certified = served.iter().filter(|tls| tls.client_ca.is_some()).count();
    let mut text = if any_12 { "TLS 1.2+" } else { "TLS 1.3" }.to_owned();
    if certified == served.len() {
        text.push_str(", client certificates");
    }
    if served.len() < plan.listeners.len() {
        text.push_str("; some listeners");
    }
    text
}

/// `GET,POST api.example.com /orders/{id} (2 conditions)`.
fn matches(plan: &Plan, id: RouteId, route: &Route) -> String {
    let methods: Vec<&str> = plan.table.methods(id).iter().map(|method| method.as_str()).collect();
    let hosts: Vec<String> = plan.table.hosts(id).iter().map(ToString::to_string).collect();
    let conditions = match plan.table.condition_count(id) {
        0 => String::new(),
        1 => "(1 condition)".to_owned(),
        count => format!("({count} conditions)"),
    };
    let parts = [methods.join(","), hosts.join(","), route.pattern.to_string(), conditions];
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn action(plan: &Plan, action: &Action) -> String {
    let name = |id: UpstreamId| plan.upstreams.get(id.0 as usize).map_or("?", |upstream| &*upstream.name);
    match action {
        Action::To(one) => format!("to {}", name(*one)),
        Action::Split(to) => {
            let parts: Vec<String> =
                to.iter().map(|one| format!("{} ({})", name(one.upstream), one.weight)).collect();
            format!("to {}", parts.join(", "))
        }
        Action::Respond(respond) => format!("respond {}", respond.status),
        Action::Redirect(redirect) => format!("redirect {}", redirect.status),
        Action::Aggregate(aggregate) => {
            let parts: Vec<&str> = aggregate.parts.iter().map(|part| &*part.name).collect();
            format!("aggregate {}", parts.join(", "))
        }
        Action::Health(_) => "health".to_owned(),
    }
}

fn access(plan: &Plan, route: &Route) -> String {
    let mut parts = match &route.auth {
        None => vec!["public".to_owned()],
        Some(auth) => identity(plan, auth),
    };
    parts.extend(route.addresses.as_deref().map(addresses));
    parts.extend(route.user_agents.as_deref().map(|_| "not from some user agents".to_owned()));
    parts.extend(route.checks.as_deref().and_then(|checks| match checks.guards.len() {
        0 => None,
        1 => Some("1 guard".to_owned()),
        count => Some(format!("{count} guards")),
    }));
    parts.join("; ")
}

/// `jwt main, legacy or api key`, and what each must say.
pub(crate) fn identity(plan: &Plan, auth: &Auth) -> Vec<String> {
    let issuers: Vec<&str> = auth
        .issuers
        .iter()
        .map(|id| plan.issuers.get(usize::from(id.0)).map_or("?", |issuer| &*issuer.name))
        .collect();
    let mut kinds = Vec::new();
    if !issuers.is_empty() {
        kinds.push(format!("jwt {}", issuers.join(", ")));
    }
    if auth.api_key.is_some() {
        kinds.push("api key".to_owned());
    }
    if auth.basic {
        kinds.push("basic".to_owned());
    }
    if kinds.is_empty() {
        kinds.push(UNKNOWN.to_owned());
    }
    let optional = if auth.optional { "optional: " } else { "" };
    let mut parts = vec![format!("{optional}{}", kinds.join(" or "))];
    if let Some(Require { token, groups }) = &auth.require {
        let claims: Vec<&str> = token.claims.iter().map(|(path, _)| path.as_str()).collect();
        let groups: Vec<&str> = groups.iter().map(|group| &**group).collect();
        let (scopes, roles) = (texts(&token.scopes), texts(&token.roles));
        let lists = [
            ("scopes", scopes.join(", ")),
            ("roles", roles.join(" or ")),
            ("groups", groups.join(" or ")),
            ("claims", claims.join(", ")),
        ];
        parts.extend(
            lists.iter().filter(|(_, list)| !list.is_empty()).map(|(name, list)| format!("{name} {list}")),
        );
    }
    parts
}

fn texts(list: &[Box<str>]) -> Vec<&str> {
    list.iter().map(|text| &**text).collect()
}

fn addresses(rules: &AddressRules) -> String {
    let shown = |networks: Vec<String>| match networks.get(..NETWORKS_SHOWN) {
        Some(first) if networks.len() > NETWORKS_SHOWN => {
            format!("{} and {} more", first.join(", "), networks.len() - NETWORKS_SHOWN)
        }
        _ => networks.join(", "),
    };
    let mut parts = Vec::new();
    if let Some(allow) = &rules.allow {
        parts.push(format!("only from {}", shown(allow.iter().map(ToString::to_string).collect())));
    }
    if !rules.deny.is_empty() {
        parts.push(format!("not from {}", shown(rules.deny.iter().map(ToString::to_string).collect())));
    }
    parts.join(", ")
}

/// `100/s per ip; 10000/h per consumer (redis); concurrency 200`.
fn limits(plan: &Plan, route: &Route) -> String {
    let ids = route.limits.iter().flat_map(|limits| limits.by_address.iter().chain(&limits.by_identity));
    let found = ids.filter_map(|RateLimitId(at)| plan.rate_limits.get(*at as usize));
    let mut parts: Vec<String> = found.map(rate_limit).collect();
    parts.extend(route.concurrency.as_ref().map(|concurrency| format!("concurrency {}", concurrency.max)));
    if parts.is_empty() { "-".to_owned() } else { parts.join("; ") }
}

pub(crate) fn rate_limit(limit: &RateLimit) -> String {
    let unit = match limit.period.as_secs() {
        1 => "s".to_owned(),
        60 => "m".to_owned(),
        3_600 => "h".to_owned(),
        86_400 => "d".to_owned(),
        seconds => format!("{seconds}s"),
    };
    let store = match limit.store {
        Store::Local => "",
        Store::Leased => " (redis)",
        Store::Exact => " (redis, exact)",
    };
    format!("{}/{unit} per {}{store}", limit.rate, limit.per)
}
