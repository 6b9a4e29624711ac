//! Why each route is taken or not, for people to read: a plain walk over all routes beside the look-up that serves.

use std::cmp::Reverse;
use std::fmt;

use tollgate_wire::{Method, Name};

use super::build::Entry;
use super::find::Fit;
use super::segment::Segment;
use super::{Facts, PathPattern, RouteTable};
use crate::host::HostPattern;
use crate::query;
use crate::route::RouteId;

/// One route, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Considered {
    /// The route.
    pub route: RouteId,
    /// Why it is taken, or not.
    pub why: Why,
}

/// Why a route is taken, or not: the first thing that speaks against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It is the one that serves the request.
    Taken,
    /// None of its hosts is the request's.
    Host,
    /// Its path is another one.
    Path,
    /// Its condition on this header does not hold.
    Header(Name),
    /// Its condition on this query parameter does not hold.
    Query(Box<str>),
    /// Everything matches but the method.
    Method,
    /// Everything matches, and the route that is taken goes before it.
    Outranked(By),
}

/// What sets the route that is taken before another one that matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Its host is more specific.
    Host,
    /// Its path is, first in this segment, counted from 1.
    Path {
        /// The segment.
        segment: usize,
    },
    /// It has more conditions on headers and query.
    Conditions,
    /// It names the method.
    Methods,
    /// Its `priority` is higher.
    Priority,
    /// It stands earlier.
    Order,
}

impl RouteTable {
    /// What becomes of every route, in the order of the configuration. `host`, `path` and `facts` are those of
    /// [`RouteTable::find`], and so is the route that is taken. `pattern` gives a route's path as it is configured.
    ///
    /// It looks at every route, whatever their number: for those who ask why, and never for a request.
    pub fn consider<'p>(
        &self,
        host: &str,
        path: &str,
        facts: &impl Facts,
        pattern: impl Fn(RouteId) -> &'p str,
    ) -> Vec<Considered> {
        let looks: Vec<Result<Rank, Why>> = self
            .entries
            .iter()
            .enumerate()
            .map(|(at, entry)| look(entry, self.hosts(entry.id), (host, path), facts, pattern(entry.id), at))
            .collect();
        let best = looks.iter().filter_map(|look| look.as_ref().ok()).max();
        let why = |look: &Result<Rank, Why>| match (look, best) {
            (Err(why), _) => why.clone(),
            (Ok(rank), Some(best)) if rank != best => Why::Outranked(best.beats(rank)),
            (Ok(_), _) => Why::Taken,
        };
        let all = self.entries.iter().zip(&looks);
        all.map(|(entry, look)| Considered { route: entry.id, why: why(look) }).collect()
    }
}

/// How a route that matches stands among others; the greatest is taken.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    host: usize,
    path: Vec<usize>,
    conditions: usize,
    method: u8,
    priority: i64,
    at: Reverse<usize>,
}

impl Rank {
    /// What sets this one before the other.
    fn beats(&self, other: &Rank) -> By {
        let differs = self.path.iter().zip(&other.path).position(|(own, its)| own != its);
        match () {
            () if self.host != other.host => By::Host,
            () if let Some(segment) = differs => By::Path { segment: segment + 1 },
            () if self.conditions != other.conditions => By::Conditions,
            () if self.method != other.method => By::Methods,
            () if self.priority != other.priority => By::Priority,
            () => By::Order,
        }
    }
}

fn look(
    entry: &Entry,
    hosts: &[HostPattern],
    (host, path): (&str, &str),
    facts: &impl Facts,
    pattern: &str,
    at: usize,
) -> Result<Rank, Why> {
    let host = host_rank(hosts, host).ok_or(Why::Host)?;
    // One that serves was parsed before.
    let pattern = PathPattern::parse(pattern).map_err(|_| Why::Path)?;
    if !matches(&pattern, path) {
        return Err(Why::Path);
    }
    for condition in &entry.conditions.headers {
        if !facts.meets(entry.id, condition) {
            return Err(Why::Header(condition.name.clone()));
        }
    }
    let sent = facts.query().unwrap_or_default();
    for condition in &entry.conditions.query {
        if !condition.value.holds(query::values(sent, &condition.name)) {
            return Err(Why::Query(condition.name.clone()));
        }
    }
    Ok(Rank {
        host,
        path: pattern.ranks(),
        conditions: entry.conditions.count(),
        method: method_rank(facts.method(), &entry.methods).ok_or(Why::Method)?,
        priority: entry.priority,
        at: Reverse(at),
    })
}

/// How specific the best of the hosts is that match; none where no one does.
fn host_rank(hosts: &[HostPattern], host: &str) -> Option<usize> {
    if hosts.is_empty() {
        return Some(0);
    }
    let ranks = hosts.iter().filter(|pattern| pattern.matches(host)).map(|pattern| match pattern {
        HostPattern::Exact(_) => usize::MAX,
        HostPattern::Suffix(suffix) => suffix.len(),
        HostPattern::Any => 0,
    });
    ranks.max()
}

fn method_rank(method: &Method, methods: &[Method]) -> Option<u8> {
    match Fit::of(method, methods) {
        Fit::Named => Some(2),
        Fit::Implied => Some(1),
        Fit::Any => Some(0),
        Fit::No => None,
    }
}

fn matches(pattern: &PathPattern, path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let mut sent = rest.split('/');
    let each = pattern.segments.iter().all(|segment| sent.next().is_some_and(|text| fits(segment, text)));
    each && (pattern.has_tail || sent.next().is_none())
}

fn fits(segment: &Segment, text: &str) -> bool {
    match segment {
        Segment::Literal(literal) => **literal == *text,
        Segment::Mixed(mixed) => !text.is_empty() && mixed.find(text, |_, _| {}),
        Segment::Param => !text.is_empty(),
    }
}

impl Why {
    /// One word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Why::Taken => "taken",
            Why::Host => "host",
            Why::Path => "path",
            Why::Header(_) => "header",
            Why::Query(_) => "query",
            Why::Method => "method",
            Why::Outranked(By::Host | By::Path { .. } | By::Conditions | By::Methods) => "specificity",
            Why::Outranked(By::Priority) => "priority",
            Why::Outranked(By::Order) => "order",
        }
    }
}

/// A sentence for people. It never tells what a condition asks for, which may be a credential.
impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Taken => f.write_str("the most specific one that matches"),
            Why::Host => f.write_str("another host"),
            Why::Path => f.write_str("another path"),
            Why::Header(name) => write!(f, "its condition on the header {} does not hold", name.as_str()),
            Why::Query(name) => write!(f, "its condition on the query parameter {name} does not hold"),
            Why::Method => f.write_str("another method"),
            Why::Outranked(By::Host) => f.write_str("matches, with a less specific host"),
            Why::Outranked(By::Path { segment }) => {
                write!(f, "matches, with a less specific path (segment {segment})")
            }
            Why::Outranked(By::Conditions) => f.write_str("matches, with fewer conditions"),
            Why::Outranked(By::Methods) => f.write_str("matches, but does not name the method"),
            Why::Outranked(By::Priority) => f.write_str("matches, with a lower priority"),
            Why::Outranked(By::Order) => f.write_str("matches, but stands later"),
        }
    }
}
