//! Routes that never serve, because others take every request of theirs.
//!
//! A route of another shape never takes them all: a more specific path or host matches less, not more. So the
//! others have the same host pattern and the same path, and win by conditions that the route's own ones imply,
//! by `methods`, or by `priority`. Several may do it together: one for each method or host, or one where a header
//! is present and one where it is absent.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use tollgate_wire::Method;

use super::exclusive::{Condition, Subject, agree, conditions, implies};
use super::{Finding, condition_count, hosts, rank};
use crate::table::RouteSpec;
use crate::table::conditions::ValueMatch;
use crate::table::segment::{Mixed, Segment};

/// Headers and parameters about whose presence a question is split; each doubles the work.
const SPLITS_MAX: usize = 6;

/// Collects, host by host, where routes are covered.
pub(super) struct Shadows<'a> {
    specs: &'a [RouteSpec],
    /// How many of a route's host patterns are covered, and by which routes.
    covered: HashMap<usize, (usize, BTreeSet<usize>)>,
}

/// A condition's subject and exact value.
type Exact<'a> = (Subject<'a>, &'a str);

impl<'a> Shadows<'a> {
    pub(super) fn new(specs: &'a [RouteSpec]) -> Shadows<'a> {
        Shadows { specs, covered: HashMap::new() }
    }

    /// Looks at routes that share one host pattern and the shape of their paths.
    pub(super) fn look(&mut self, members: &[usize]) {
        let mut same_path: HashMap<Vec<&Mixed>, Vec<usize>> = HashMap::new();
        for &at in members {
            let mixed = self.specs[at].path.segments.iter().filter_map(|segment| match segment {
                Segment::Mixed(mixed) => Some(mixed),
                _ => None,
            });
            same_path.entry(mixed.collect()).or_default().push(at);
        }
        for members in same_path.values().filter(|members| members.len() > 1) {
            let rivals = Rivals::new(self.specs, members);
            for &at in members {
                if let Some(by) = rivals.cover(at) {
                    let (count, all) = self.covered.entry(at).or_default();
                    *count += 1;
                    all.extend(by);
                }
            }
        }
    }

    /// A route is shadowed when it is covered for each of its hosts.
    pub(super) fn findings(self) -> impl Iterator<Item = (usize, Finding)> {
        let specs = self.specs;
        let everywhere =
            move |at: usize, count: usize| specs.get(at).is_some_and(|spec| hosts(spec).len() == count);
        self.covered.into_iter().filter(move |(at, (count, _))| everywhere(*at, *count)).map(
            move |(at, (_, by))| {
                let by = by.into_iter().map(|at| specs[at].id).collect();
                (at, Finding::Shadowed { route: specs[at].id, by })
            },
        )
    }
}

/// Routes of one host and path, arranged so that those that can cover a given one are found without asking all.
/// In each list the strongest stands first.
struct Rivals<'a> {
    specs: &'a [RouteSpec],
    /// By that one of their exact conditions which the fewest share: without the very same one, a route is not
    /// covered by them.
    exact: HashMap<Exact<'a>, Vec<usize>>,
    /// The ones without an exact condition.
    loose: Vec<usize>,
}

/// A route that may cover another, and what must hold beyond the other's own conditions.
#[derive(Clone)]
struct Rival<'a> {
    at: usize,
    open: Vec<Condition<'a>>,
}

impl<'a> Rivals<'a> {
    fn new(specs: &'a [RouteSpec], members: &[usize]) -> Rivals<'a> {
        let mut shared: HashMap<Exact<'a>, usize> = HashMap::new();
        for exact in members.iter().flat_map(|&at| exact_conditions(&specs[at])) {
            *shared.entry(exact).or_default() += 1;
        }
        let mut rivals = Rivals { specs, exact: HashMap::new(), loose: Vec::new() };
        for &at in members {
            match exact_conditions(&specs[at]).min_by_key(|exact| shared.get(exact)) {
                Some(exact) => rivals.exact.entry(exact).or_default().push(at),
                None => rivals.loose.push(at),
            }
        }
        for list in rivals.exact.values_mut().chain([&mut rivals.loose]) {
            list.sort_by_key(|&at| Reverse(rank(&specs[at])));
        }
        rivals
    }

    /// The routes that together take every request of this one, on one host.
    fn cover(&self, at: usize) -> Option<Vec<usize>> {
        let spec = &self.specs[at];
        if spec.methods.is_empty() {
            return self.cover_method(spec, None);
        }
        let by_method = spec.methods.iter().map(|method| self.cover_method(spec, Some(method)));
        by_method.collect::<Option<Vec<_>>>().map(|by| by.concat())
    }

    /// The ones that together take every request of that method (`None`: of every method).
    fn cover_method(&self, spec: &'a RouteSpec, method: Option<&Method>) -> Option<Vec<usize>> {
        let mut partly = Vec::new();
        for at in self.stronger(spec) {
            let rival = &self.specs[at];
            match open_conditions(rival, spec).filter(|_| takes(rival, method, spec)) {
                Some(open) if open.is_empty() => return Some(vec![at]),
                Some(open) => partly.push(Rival { at, open }),
                None => {}
            }
        }
        covered_by(partly, SPLITS_MAX)
    }

    fn stronger<'s>(&'s self, spec: &'a RouteSpec) -> impl Iterator<Item = usize> + use<'a, 's> {
        let lists = exact_conditions(spec).filter_map(|exact| self.exact.get(&exact)).chain([&self.loose]);
        let is_stronger = move |at: &&usize| rank(&self.specs[**at]) > rank(spec);
        lists.flat_map(move |list| list.iter().take_while(is_stronger).copied())
    }
}

fn exact_conditions(spec: &RouteSpec) -> impl Iterator<Item = Exact<'_>> {
    conditions(spec).filter_map(|condition| match condition.value {
        ValueMatch::Exact(text) => Some((condition.subject, &**text)),
        _ => None,
    })
}

/// Whether a stronger route takes requests of that method (`None`: of every method) from `spec`.
fn takes(rival: &RouteSpec, method: Option<&Method>, spec: &RouteSpec) -> bool {
    match method {
        _ if rival.methods.is_empty() => true,
        None => false,
        Some(method) if rival.methods.contains(method) => true,
        // Serving HEAD by GET gives way to a route that names HEAD, unless conditions decide before.
        Some(Method::Head) => {
            rival.methods.contains(&Method::Get) && condition_count(rival) > condition_count(spec)
        }
        Some(_) => false,
    }
}

/// The rival's conditions that those of `spec` do not imply; `None` when they contradict each other.
fn open_conditions<'a>(rival: &'a RouteSpec, spec: &RouteSpec) -> Option<Vec<Condition<'a>>> {
    let mut open = Vec::new();
    for condition in conditions(rival) {
        let known = || conditions(spec).filter(|own| own.subject == condition.subject).map(|own| own.value);
        if known().any(|own| !agree(own, condition.value)) {
            return None;
        }
        if !known().any(|own| implies(own, condition.value)) {
            open.push(condition);
        }
    }
    Some(open)
}

/// The routes among `rivals` that take everything, if they do: one without open conditions, or some where a
/// subject is absent and some where it is present.
fn covered_by(rivals: Vec<Rival<'_>>, splits: usize) -> Option<Vec<usize>> {
    if let Some(rival) = rivals.iter().find(|rival| rival.open.is_empty()) {
        return Some(vec![rival.at]);
    }
    let mut open = rivals.iter().flat_map(|rival| &rival.open);
    let subject = open.find(|condition| matches!(condition.value, ValueMatch::Absent))?.subject;
    let splits = splits.checked_sub(1)?;
    let given = |fact: ValueMatch| {
        let still = rivals.iter().filter_map(|rival| {
            let mut rival = rival.clone();
            let about = |condition: &Condition<'_>| condition.subject == subject;
            let contradicts = rival.open.iter().any(|open| about(open) && !agree(&fact, open.value));
            rival.open.retain(|open| !about(open) || !implies(&fact, open.value));
            (!contradicts).then_some(rival)
        });
        covered_by(still.collect(), splits)
    };
    let (absent, present) = (given(ValueMatch::Absent)?, given(ValueMatch::Present)?);
    Some([absent, present].concat())
}
