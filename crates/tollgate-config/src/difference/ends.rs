//! Which route a request ends at, under one configuration and the other: requests that were seen, and requests made up
//! so that each route gets some.

use std::borrow::Cow;

use serde_json::Value;
use tollgate_plan::Plan;
use tollgate_plan::host::{Host, HostPattern};
use tollgate_plan::path::normalize;
use tollgate_plan::route::RouteId;
use tollgate_plan::table::{Facts, Found, HeaderCondition, Params, QueryCondition, ValueMatch};
use tollgate_wire::{Method, Name};

use super::paths::Path;
use super::values::{Wanted, wanted};

/// What a parameter of a path is in a made-up request: hardly the literal of another route.
pub(super) const ANYTHING: &str = "~";

/// Hosts of a route that get made-up requests.
const HOSTS_MAX: usize = 8;

/// Methods of made-up requests for a route that has none of its own.
const METHODS: [Method; 6] =
    [Method::Get, Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Options];

/// A request, as far as routes look at it.
#[derive(Debug, Clone)]
pub struct Sample {
    /// The method.
    pub method: Method,
    /// The host as clients send it; empty for none.
    pub host: String,
    /// The path, without the query.
    pub path: String,
    query: Option<String>,
    headers: Vec<(Name, String)>,
    /// Where it ended when it was seen: the name of the route, none for no route. Outside: not known.
    pub route: Option<Option<String>>,
}

/// Where a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum End {
    Route(RouteId),
    /// 405.
    Method,
    /// 404.
    Nowhere,
}

impl Sample {
    /// A request of an access record; none where the record has no method or path, as of requests that were no HTTP.
    pub fn of_record(record: &Value) -> Option<Sample> {
        let text = |key: &str| record.get(key).and_then(Value::as_str).map(str::to_owned);
        let headers = record.get("headers").and_then(Value::as_object).into_iter().flatten();
        let headers =
            headers.filter_map(|(name, value)| Some((Name::new(name).ok()?, value.as_str()?.to_owned())));
        Some(Sample {
            method: Method::parse(text("method")?.as_bytes())?,
            host: text("host").unwrap_or_default(),
            path: text("path")?,
            query: text("query"),
            headers: headers.collect(),
            route: record.get("route").map(|name| name.as_str().map(str::to_owned)),
        })
    }

    /// Where it ends; none where it is no request that a route gets.
    pub(super) fn end(&self, plan: &Plan, params: &mut Params) -> Option<End> {
        let path = normalize(self.path.as_bytes()).ok()?;
        let mut buffer = String::new();
        let host = match self.host.as_str() {
            "" => "",
            host => Host::parse(host.as_bytes(), &mut buffer).ok()?.name,
        };
        Some(match plan.table.find(host, &path, self, params) {
            Found::Route(id) => End::Route(id),
            Found::MethodNotAllowed(_) => End::Method,
            Found::NotFound => End::Nowhere,
        })
    }
}

impl Facts for Sample {
    fn method(&self) -> &Method {
        &self.method
    }

    fn header<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_bytes())
    }

    fn query(&self) -> Option<&[u8]> {
        self.query.as_deref().map(str::as_bytes)
    }
}

/// Requests that both of two routes ask for, if there are any. None where a condition is an expression that no value is known
/// for. `deepest` is how many segments the longest path of any route has.
pub(super) fn meeting(one: &Shape<'_>, other: &Shape<'_>, deepest: usize) -> Vec<Sample> {
    let path = one.path.meeting(&other.path);
    let headers =
        one.headers.iter().chain(other.headers).map(|condition| (&condition.name, &condition.value));
    let query = one.query.iter().chain(other.query).map(|condition| (&condition.name, &condition.value));
    let (Some(path), Some(headers), Some(query)) = (path, joined(headers), joined(query)) else {
        return Vec::new();
    };
    let lines: Vec<(Name, String)> =
        headers.into_iter().map(|(name, value)| (name.clone(), value.into_owned())).collect();
    let pairs: Vec<String> =
        query.into_iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(&value))).collect();
    let methods = methods(one.methods, other.methods);
    let hosts = hosts(one.hosts, other.hosts);
    let mut samples = Vec::new();
    for path in path.filled(deepest) {
        for (host, method) in hosts.iter().flat_map(|host| methods.iter().map(move |method| (host, method))) {
            samples.push(Sample {
                method: method.clone(),
                host: host.clone(),
                path: path.clone(),
                query: (!pairs.is_empty()).then(|| pairs.join("&")),
                headers: lines.clone(),
                route: None,
            });
        }
    }
    samples
}

/// How many segments the longest path of any route has.
pub(super) fn deepest(plan: &Plan) -> usize {
    plan.routes.iter().map(|route| route.pattern.matches('/').count()).max().unwrap_or(0)
}

/// What a route matches.
pub(super) struct Shape<'p> {
    path: Path<'p>,
    hosts: &'p [HostPattern],
    methods: &'p [Method],
    headers: &'p [HeaderCondition],
    query: &'p [QueryCondition],
}

impl<'p> Shape<'p> {
    pub(super) fn of(plan: &'p Plan, id: RouteId) -> Option<Shape<'p>> {
        let route = plan.routes.get(id.0 as usize)?;
        let (headers, query) = plan.table.conditions(id);
        let (hosts, methods) = (plan.table.hosts(id), plan.table.methods(id));
        Some(Shape { path: Path::of(&route.pattern), hosts, methods, headers, query })
    }

    /// Whether a condition is an expression that no value is known for: no request is made up for the route.
    pub(super) fn is_unknown(&self) -> bool {
        let headers = by_name(self.headers.iter().map(|condition| (&condition.name, &condition.value)));
        let query = by_name(self.query.iter().map(|condition| (&condition.name, &condition.value)));
        let unknown = |conditions: &Vec<&ValueMatch>| wanted(conditions) == Wanted::Unknown;
        headers.iter().any(|(_, all)| unknown(all)) || query.iter().any(|(_, all)| unknown(all))
    }

    /// Whether some path and some host is of both.
    pub(super) fn overlaps(&self, other: &Shape<'_>) -> bool {
        self.path.meeting(&other.path).is_some() && !hosts(self.hosts, other.hosts).is_empty()
    }
}

/// The values that conditions ask for, of those under one name one for all. None where they exclude each other, and
/// where no value is known.
fn joined<'c, N: PartialEq>(
    conditions: impl Iterator<Item = (&'c N, &'c ValueMatch)>,
) -> Option<Vec<(&'c N, Cow<'c, str>)>> {
    let mut values = Vec::new();
    for (name, conditions) in by_name(conditions) {
        match wanted(&conditions) {
            Wanted::Value(value) => values.push((name, value)),
            Wanted::None => {}
            Wanted::Nothing | Wanted::Unknown => return None,
        }
    }
    Some(values)
}

fn by_name<'c, N: PartialEq>(
    conditions: impl Iterator<Item = (&'c N, &'c ValueMatch)>,
) -> Vec<(&'c N, Vec<&'c ValueMatch>)> {
    let mut all: Vec<(&N, Vec<&ValueMatch>)> = Vec::new();
    for (name, value) in conditions {
        match all.iter_mut().find(|(other, _)| *other == name) {
            None => all.push((name, vec![value])),
            Some((_, known)) => known.push(value),
        }
    }
    all
}

fn methods(one: &[Method], other: &[Method]) -> Vec<Method> {
    // A route for GET gets HEAD, too.
    let takes = |methods: &[Method], method: &Method| {
        methods.contains(method) || (*method == Method::Head && methods.contains(&Method::Get))
    };
    match (one, other) {
        ([], []) => METHODS.to_vec(),
        ([], methods) | (methods, []) => methods.to_vec(),
        (one, other) => {
            let either = one.iter().filter(|method| takes(other, method));
            let more = other.iter().filter(|method| !one.contains(method) && takes(one, method));
            either.chain(more).cloned().collect()
        }
    }
}

fn hosts(one: &[HostPattern], other: &[HostPattern]) -> Vec<String> {
    fn or_any(patterns: &[HostPattern]) -> &[HostPattern] {
        if patterns.is_empty() { &[HostPattern::Any] } else { patterns }
    }
    let mut hosts: Vec<String> = Vec::new();
    for (one, other) in or_any(one).iter().flat_map(|one| or_any(other).iter().map(move |other| (one, other)))
    {
        if hosts.len() == HOSTS_MAX {
            break;
        }
        hosts.extend(host(one, other).filter(|host| !hosts.contains(host)));
    }
    hosts
}

/// A host that both patterns match.
fn host(one: &HostPattern, other: &HostPattern) -> Option<String> {
    match (one, other) {
        (HostPattern::Any, HostPattern::Any) => Some(String::new()),
        (HostPattern::Exact(name), HostPattern::Any) | (HostPattern::Any, HostPattern::Exact(name)) => {
            Some(name.to_string())
        }
        (HostPattern::Suffix(suffix), HostPattern::Any) | (HostPattern::Any, HostPattern::Suffix(suffix)) => {
            Some(format!("any{suffix}"))
        }
        (HostPattern::Exact(name), HostPattern::Exact(same)) => (name == same).then(|| name.to_string()),
        (HostPattern::Exact(name), HostPattern::Suffix(suffix))
        | (HostPattern::Suffix(suffix), HostPattern::Exact(name)) => {
            name.ends_with(&**suffix).then(|| name.to_string())
        }
        (HostPattern::Suffix(one), HostPattern::Suffix(other)) => {
            let (longer, shorter) = if one.len() >= other.len() { (one, other) } else { (other, one) };
            longer.ends_with(&**shorter).then(|| format!("any{longer}"))
        }
    }
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
