//! Routes that cannot be told apart.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use super::exclusive::{Subject, can_meet, conditions};
use super::rank;
use crate::host::HostPattern;
use crate::table::RouteSpec;
use crate::table::conditions::ValueMatch;
use crate::table::segment::{Mixed, Segment};

/// So few routes are compared pair by pair.
const FEW: usize = 16;

/// For each route that ties: the first one that it was found to tie with, and an example.
type Ties = BTreeMap<usize, (usize, String)>;

/// Adds the ties among `members`, which share a host pattern and the shape of their paths, in file order.
pub(super) fn find(specs: &[RouteSpec], host: &HostPattern, members: &[usize], ties: &mut Ties) {
    let mut of_rank: HashMap<_, Vec<usize>> = HashMap::new();
    for &at in members {
        of_rank.entry(rank(&specs[at])).or_default().push(at);
    }
    for members in of_rank.into_values().filter(|members| members.len() > 1) {
        Search { specs, host, ties }.among(&members);
    }
}

struct Search<'a> {
    specs: &'a [RouteSpec],
    host: &'a HostPattern,
    ties: &'a mut Ties,
}

/// What can tell many routes apart at once: two routes with different keys never meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Trait<'a> {
    Value(Subject<'a>),
    /// A segment with text and parameters.
    Segment(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key<'a> {
    Text(&'a str),
    /// Both ends of a segment; comparable only where they are equally long.
    Ends(&'a str, &'a str),
}

impl<'a> Search<'a> {
    /// Routes that differ in the same trait are parted by it first, so that thousands of routes that differ in
    /// one header's value, say, are not compared pair by pair.
    fn among(&mut self, members: &[usize]) {
        let parting = if members.len() > FEW { self.parting_trait(members) } else { None };
        let Some(parting) = parting else {
            for (count, &b) in members.iter().enumerate() {
                self.with_any(b, members.iter().take(count).copied());
            }
            return;
        };
        let mut parts: HashMap<Key<'a>, Vec<usize>> = HashMap::new();
        let mut rest = Vec::new();
        for &at in members {
            match self.keys(at).find(|(own, _)| *own == parting.of) {
                Some((_, key)) if parting.fits(&key) => parts.entry(key).or_default().push(at),
                _ => rest.push(at),
            }
        }
        for part in parts.values() {
            self.among(part);
        }
        // Those without the trait can meet any other.
        self.among(&rest);
        for &at in &rest {
            self.with_any(at, members.iter().copied());
        }
    }

    /// Remembers the first of `others` that ties with the route.
    fn with_any(&mut self, at: usize, others: impl Iterator<Item = usize>) {
        let spec = &self.specs[at];
        for other in others.filter(|&other| other != at) {
            let (a, b) = (at.min(other), at.max(other));
            let known = self.ties.get(&b).is_some_and(|(first, _)| *first <= a);
            if !known && can_meet(spec, &self.specs[other]) {
                let example = example(&self.specs[a], &self.specs[b], self.host);
                self.ties.insert(b, (a, example));
                if b == at {
                    return;
                }
            }
        }
    }

    /// The trait with most different keys.
    fn parting_trait(&self, members: &[usize]) -> Option<Parting<'a>> {
        let mut keys: HashMap<Trait<'a>, HashSet<Key<'a>>> = HashMap::new();
        for &at in members {
            for (own, key) in self.keys(at) {
                keys.entry(own).or_default().insert(key);
            }
        }
        let partings = keys.into_iter().map(|(of, keys)| {
            let mut of_lengths: HashMap<_, usize> = HashMap::new();
            for key in keys {
                *of_lengths.entry(key.lengths()).or_default() += 1;
            }
            let most = of_lengths.into_iter().max_by_key(|&(lengths, count)| (count, lengths));
            most.map(|(lengths, count)| (count, Parting { of, lengths }))
        });
        let best = partings.flatten().max_by_key(|(count, _)| *count);
        best.filter(|(count, _)| *count > 1).map(|(_, parting)| parting)
    }

    fn keys(&self, at: usize) -> impl Iterator<Item = (Trait<'a>, Key<'a>)> + use<'a> {
        let spec = &self.specs[at];
        let values = conditions(spec).filter_map(|condition| match condition.value {
            ValueMatch::Exact(text) => Some((Trait::Value(condition.subject), Key::Text(text))),
            _ => None,
        });
        let segments = spec.path.segments.iter().enumerate().filter_map(|(at, segment)| match segment {
            Segment::Mixed(mixed) => Some((Trait::Segment(at), Key::Ends(&mixed.prefix, &mixed.suffix))),
            _ => None,
        });
        values.chain(segments)
    }
}

struct Parting<'a> {
    of: Trait<'a>,
    /// Of the ends of a segment: only equally long ones exclude each other by being different.
    lengths: Option<(usize, usize)>,
}

impl Parting<'_> {
    fn fits(&self, key: &Key<'_>) -> bool {
        key.lengths() == self.lengths
    }
}

impl Key<'_> {
    fn lengths(&self) -> Option<(usize, usize)> {
        match self {
            Key::Text(_) => None,
            Key::Ends(prefix, suffix) => Some((prefix.len(), suffix.len())),
        }
    }
}

/// A request that satisfies both, as far as method, host and path go.
fn example(a: &RouteSpec, b: &RouteSpec, host: &HostPattern) -> String {
    let method = a.methods.iter().find(|method| b.methods.contains(method));
    let mut out = format!("{} ", method.map_or("GET", |method| method.as_str()));
    match host {
        HostPattern::Exact(name) => out.push_str(name),
        HostPattern::Suffix(suffix) => out.extend(["x", suffix]),
        HostPattern::Any => {}
    }
    for (a, b) in a.path.segments.iter().zip(&b.path.segments) {
        out.push('/');
        match (a, b) {
            (Segment::Mixed(a), Segment::Mixed(b)) => push_mixed(&mut out, a, b),
            (Segment::Literal(text), _) => out.push_str(text),
            _ => out.push('x'),
        }
    }
    out.push_str(if a.path.has_tail { "/x" } else { "" });
    out
}

fn push_mixed(out: &mut String, a: &Mixed, b: &Mixed) {
    let longer = |a: &str, b: &str| if a.len() < b.len() { b.to_owned() } else { a.to_owned() };
    let theirs = if a.middles == b.middles { &[][..] } else { &b.middles };
    out.push_str(&longer(&a.prefix, &b.prefix));
    for middle in a.middles.iter().chain(theirs) {
        // Writing to a string cannot fail.
        let _ = write!(out, "x{middle}");
    }
    out.push('x');
    out.push_str(&longer(&a.suffix, &b.suffix));
}
