//! Which routes can never match, and which two cannot be told apart.
//!
//! Routes are compared only with those of the same host pattern and the same shape of path: between others,
//! specificity decides. So the work grows with the number of routes, not with the number of their pairs.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use super::RouteSpec;
use super::segment::Segment;
use crate::host::HostPattern;
use crate::route::RouteId;

mod exclusive;
mod shadows;
mod ties;

use shadows::Shadows;

/// Something wrong with a set of routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// One request can satisfy both, and neither specificity nor priority decides.
    Tie {
        /// The one that stands first.
        a: RouteId,
        /// The other one. It may tie with more; it is reported once.
        b: RouteId,
        /// Such a request: method, host and path. Headers and query are as both routes ask for.
        example: String,
    },
    /// Every request that the route matches goes to others.
    Shadowed {
        /// The route that never serves.
        route: RouteId,
        /// The ones that serve instead, in their order.
        by: Vec<RouteId>,
    },
}

/// Finds ties and routes that can never match, in the order of the routes. Two regular expressions on the same
/// value count as satisfiable together, because whether they are is not known here.
pub fn analyse(specs: &[RouteSpec]) -> Vec<Finding> {
    let mut ties = BTreeMap::new();
    let mut shadows = Shadows::new(specs);
    for ((host, _), members) in groups(specs) {
        // Alone, a route neither ties nor is shadowed.
        if members.len() > 1 {
            ties::find(specs, host, &members, &mut ties);
            shadows.look(&members);
        }
    }
    let ties = ties.into_iter().map(|(b, (a, example))| {
        let of = |at: usize| specs.get(at).map_or(RouteId(0), |spec| spec.id);
        (b, Finding::Tie { a: of(a), b: of(b), example })
    });
    let mut findings: Vec<(usize, Finding)> = ties.chain(shadows.findings()).collect();
    findings.sort_by_key(|(at, _)| *at);
    findings.into_iter().map(|(_, finding)| finding).collect()
}

/// Where host and path do not decide between two routes, this does: the higher one wins.
fn rank(spec: &RouteSpec) -> (usize, bool, i64) {
    (condition_count(spec), !spec.methods.is_empty(), spec.priority)
}

fn condition_count(spec: &RouteSpec) -> usize {
    spec.headers.len() + spec.query.len()
}

/// A route's host patterns, each once.
fn hosts(spec: &RouteSpec) -> Vec<&HostPattern> {
    if spec.hosts.is_empty() {
        return vec![&HostPattern::Any];
    }
    let mut hosts: Vec<&HostPattern> = spec.hosts.iter().collect();
    hosts.sort_unstable();
    hosts.dedup();
    hosts
}

/// The routes of each host pattern and shape of path.
fn groups(specs: &[RouteSpec]) -> HashMap<(&HostPattern, String), Vec<usize>> {
    let mut groups: HashMap<_, Vec<usize>> = HashMap::with_capacity(specs.len());
    for (at, spec) in specs.iter().enumerate() {
        for host in hosts(spec) {
            groups.entry((host, shape(spec))).or_default().push(at);
        }
    }
    groups
}

/// Equal for two paths between which specificity does not decide. The control characters stand for what is not
/// literal; no literal text holds one.
fn shape(spec: &RouteSpec) -> String {
    // Room for most paths: growing byte by byte would cost more than all the rest.
    let mut shape = String::with_capacity(64);
    for segment in &spec.path.segments {
        shape.push('/');
        match segment {
            Segment::Literal(text) => shape.push_str(text),
            Segment::Param => shape.push('\x01'),
            Segment::Mixed(mixed) => {
                // Writing to a string cannot fail.
                let _ = write!(shape, "\x02{}", mixed.literal_bytes());
            }
        }
    }
    if spec.path.has_tail {
        shape.push_str("/\x03");
    }
    shape
}

#[cfg(test)]
mod tests;
