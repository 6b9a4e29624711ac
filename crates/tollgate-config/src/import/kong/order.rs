//! Which of several routes gets a request: Kong asks first for the number of kinds of conditions, here the path does.
//! Where a request would come to another route than in Kong, and that one protects otherwise, the route refuses.

use regex::Regex;
use serde_json::{Map, Value};

use crate::import::document::{list, members, text, texts};
use crate::import::draft::{Draft, Item, Rank};
use crate::import::findings::Findings;

/// What of a route keeps requests out, or answers and fields in.
const PROTECTS: &[&str] = &[
    "auth",
    "allow_ips",
    "deny_ips",
    "rate_limit",
    "guard",
    "user_agents",
    "max_body",
    "cors",
    "respond",
    "response",
];

/// How Kong ranks a path of a route, by each of its two routers: `traditional_compatible` and `traditional`.
pub(super) fn rank(route: &Value, path: Option<&str>, regex: bool) -> Rank {
    let hosts = texts(route, "hosts");
    let headers = members(route, "headers").count() as i64;
    let bit = |there: bool, value: i64| if there { value } else { 0 };
    let kinds = [
        (!hosts.is_empty(), 64),
        (headers > 0, 32),
        (path.is_some(), 16),
        (!list(route, "methods").is_empty(), 8),
        (!list(route, "snis").is_empty(), 4),
        (!list(route, "sources").is_empty(), 2),
        (!list(route, "destinations").is_empty(), 1),
    ];
    let count = kinds.iter().filter(|(there, _)| *there).count() as i64;
    let category: i64 = kinds.iter().map(|(there, value)| bit(*there, *value)).sum();
    let plain = !hosts.is_empty() && !hosts.iter().any(|host| host.contains('*'));
    let priority = text(route, "regex_priority").and_then(|one| one.parse().ok()).unwrap_or(0);
    let priority = bit(regex, priority);
    let length = path.map_or(0, str::len) as i64;
    Rank {
        orders: vec![
            vec![count, bit(plain, 1), headers, bit(regex, 1), priority, length],
            vec![count, category, bit(plain, 2) + bit(regex, 1), headers, priority, length],
        ],
        any_host: hosts.iter().any(|host| host.get(1..).is_some_and(|rest| rest.contains('*'))),
    }
}

/// Makes the routes refuse that would get what a route of Kong with other protection gets.
pub(super) fn settle(draft: &mut Draft, findings: &mut Findings) {
    let views: Vec<View> = draft.routes.iter().filter_map(View::of).collect();
    let mut weaker: Vec<(usize, String)> = Vec::new();
    for mine in views.iter().filter(|mine| mine.protects.is_some()) {
        for theirs in &views {
            if !theirs.may_come_before(mine) || !theirs.meets(mine) || !mine.wins(theirs) {
                continue;
            }
            let element = format!("route {}", mine.item.name);
            let other = &theirs.item.name;
            let note = format!("what it and {other} match goes to {other} in Kong, and to this one here");
            match &theirs.protects {
                Some(one) if Some(one) == mine.protects.as_ref() => {
                    if theirs.item.keys.get("to") != mine.item.keys.get("to") {
                        findings.near(element, note);
                    }
                }
                Some(one) if one.is_empty() => findings.guarded(element, note),
                _ => {
                    findings.unsafe_(element, format!("{note}, where other things protect; refused"));
                    let at = draft.routes.iter().position(|one| std::ptr::eq(one, mine.item));
                    weaker.extend(at.map(|at| (at, other.clone())));
                    break;
                }
            }
        }
    }
    for (index, other) in weaker {
        draft.refuse(index, &format!("in Kong some of its requests go to {other}, which protects otherwise"));
    }
}

/// A route as far as its order goes.
struct View<'d> {
    item: &'d Item,
    rank: &'d Rank,
    hosts: Vec<String>,
    path: Vec<Segment>,
    methods: Vec<String>,
    headers: Map<String, Value>,
    /// What protects it; `None` where that could not be carried over.
    protects: Option<Map<String, Value>>,
}

#[derive(Debug)]
enum Segment {
    Literal(String),
    /// With what it must match.
    Parameter(Option<Regex>),
    Tail,
}

impl View<'_> {
    fn of(item: &Item) -> Option<View<'_>> {
        let rank = item.rank.as_ref()?;
        let keys = Value::Object(item.keys.clone());
        let path = text(&keys, "path").unwrap_or_default();
        let segment = |segment: &str| match segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'))
        {
            Some(name) => Segment::Parameter(guard(&keys, name)),
            None if segment == "*" => Segment::Tail,
            None => Segment::Literal(segment.to_owned()),
        };
        let hosts = if rank.any_host { Vec::new() } else { texts(&keys, "host") };
        Some(View {
            item,
            rank,
            hosts: hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            path: path.trim_start_matches('/').split('/').map(segment).collect(),
            methods: texts(&keys, "methods"),
            headers: members(&keys, "headers").map(|(key, value)| (key.clone(), value.clone())).collect(),
            protects: (!item.refuses()).then(|| protects(item)),
        })
    }

    /// Whether one of Kong's routers asks it first; of equal ones the older, which the file does not tell.
    fn may_come_before(&self, other: &View<'_>) -> bool {
        !std::ptr::eq(self, other)
            && self.rank.orders.iter().zip(&other.rank.orders).any(|(mine, theirs)| mine >= theirs)
    }

    /// Whether some request of the other one is a request for it in Kong.
    fn meets(&self, other: &View<'_>) -> bool {
        let methods = self.methods.is_empty()
            || other.methods.is_empty()
            || self.methods.iter().any(|one| other.methods.contains(one));
        let hosts = self.hosts.is_empty()
            || other.hosts.is_empty()
            || self.hosts.iter().any(|one| other.hosts.iter().any(|two| same_host(one, two)));
        let plain =
            |value: &Value| value.as_str().filter(|text| !text.starts_with('~')).map(str::to_lowercase);
        let apart = |(name, value): (&String, &Value)| {
            let other = other.headers.get(name).and_then(plain);
            plain(value).zip(other).is_some_and(|(one, two)| one != two)
        };
        methods && hosts && !self.headers.iter().any(apart) && meet(&self.path, &other.path)
    }

    /// Whether here it comes before the other one.
    fn wins(&self, other: &View<'_>) -> bool {
        let rank = |host: &String| if host.starts_with('*') { (1, host.len()) } else { (2, 0) };
        let best = self.hosts.iter().map(rank).max().unwrap_or((0, 0));
        let least = other.hosts.iter().map(rank).min().unwrap_or((0, 0));
        if best != least {
            return best > least;
        }
        for index in 0..=self.path.len().max(other.path.len()) {
            let kind = |view: &View<'_>| match view.path.get(index) {
                None => (4, 0),
                Some(Segment::Literal(text)) => (3, text.len()),
                Some(Segment::Parameter(_)) => (2, 0),
                Some(Segment::Tail) => (1, 0),
            };
            let (mine, theirs) = (kind(self), kind(other));
            if mine != theirs {
                return mine > theirs;
            }
        }
        let rest = |view: &View<'_>| (view.headers.len(), !view.methods.is_empty());
        rest(self) > rest(other)
    }
}

/// Guards of parameters belong to the path: what does not fit is no request for it in Kong either.
fn protects(item: &Item) -> Map<String, Value> {
    let mut keys = Map::new();
    for (key, value) in item.keys.iter().filter(|(key, _)| PROTECTS.contains(&key.as_str())) {
        let value = match value {
            Value::Array(all) if key == "guard" => all
                .iter()
                .filter(|one| !text(one, "if").is_some_and(|rule| rule.starts_with("params.")))
                .cloned()
                .collect(),
            other => other.clone(),
        };
        if value.as_array().is_none_or(|all| !all.is_empty()) {
            keys.insert(key.clone(), value);
        }
    }
    keys
}

/// The expression that a parameter must match.
fn guard(keys: &Value, name: &str) -> Option<Regex> {
    let start = format!("params.{name}.matches(");
    let rules = list(keys, "guard").iter().filter_map(|one| text(one, "if"));
    let quoted =
        rules.filter_map(|rule| Some(rule.strip_prefix(&start)?.strip_suffix(')')?.to_owned())).next()?;
    Regex::new(&serde_json::from_str::<String>(&quoted).ok()?).ok()
}

fn same_host(one: &str, two: &str) -> bool {
    let below = |wide: &str, name: &str| wide.strip_prefix('*').is_some_and(|end| name.ends_with(end));
    one == two || below(one, two) || below(two, one)
}

/// Whether paths have requests in common, where a prefix of Kong such as /foo begins /foobar too.
fn meet(theirs: &[Segment], mine: &[Segment]) -> bool {
    let open = |path: &[Segment], index: usize| matches!(path.get(index + 1), Some(Segment::Tail));
    for index in 0..=theirs.len().max(mine.len()) {
        match (theirs.get(index), mine.get(index)) {
            (None, None) | (Some(Segment::Tail), _) | (_, Some(Segment::Tail)) => return true,
            (None, _) | (_, None) => return false,
            (Some(Segment::Literal(one)), Some(Segment::Literal(two))) if one != two => {
                return open(theirs, index) && two.starts_with(one.as_str())
                    || open(mine, index) && one.starts_with(two.as_str());
            }
            (Some(Segment::Parameter(Some(regex))), Some(Segment::Literal(text)))
                if !regex.is_match(text) =>
            {
                return false;
            }
            (Some(Segment::Literal(text)), Some(Segment::Parameter(Some(regex))))
                if !open(theirs, index) && !regex.is_match(text) =>
            {
                return false;
            }
            _ => {}
        }
    }
    true
}
