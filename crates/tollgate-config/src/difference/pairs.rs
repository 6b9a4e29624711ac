//! Which routes get the same requests under both configurations: those of one name, and those at which a request ends
//! that is made up for a route of either side. A new route can take requests away from one that protected more.

use std::collections::{HashMap, HashSet};

use tollgate_plan::Plan;
use tollgate_plan::route::{Route, RouteId};
use tollgate_plan::table::Params;

use super::ends::{End, Sample, Shape, deepest, meeting};
use super::weaker::{self, Of};
use super::written::Item;
use super::{Part, Weakness};
use crate::posture::{PostureRow, UNKNOWN};

/// Both configurations.
pub(super) struct Sides<'a> {
    pub(super) old: Side<'a>,
    pub(super) new: Side<'a>,
    /// Whether all of the new one is known.
    pub(super) whole: bool,
    /// Whether at least the paths of all its routes are.
    pub(super) all_routes: bool,
    /// Whether what decides about routes and stands elsewhere is written alike.
    pub(super) same_beside: bool,
    /// Whether the listeners are.
    pub(super) same_listeners: bool,
    /// Whether everything is.
    pub(super) same_text: bool,
}

/// One configuration.
pub(super) struct Side<'a> {
    pub(super) plan: &'a Plan,
    /// What is written of each route of the plan.
    pub(super) written: Vec<&'a Item>,
}

/// Keys of a route that decide what a column of the posture says.
const AUTH: &[&str] = &["auth", "allow_ips", "deny_ips", "user_agents", "guard", "validate"];
const LIMITS: &[&str] = &["rate_limit", "concurrency"];

/// Keys that decide which requests a route gets.
const MATCH: &[&str] = &["path", "host", "methods", "headers", "query", "priority"];

/// Pairs of routes that are looked at for whether they overlap.
const LOOKED_MAX: usize = 2_000_000;

/// Pairs that overlap, of which it is asked whether the one protects less.
const OVERLAPS_MAX: usize = 50_000;

/// Pairs for which requests are made up.
const ASKED_MAX: usize = 4_000;

/// Names of routes of either side whose requests are not asked about, since none could be made up: those with an expression
/// that no value is known for. None where nothing is asked.
pub(super) fn untried(sides: &Sides<'_>) -> Vec<String> {
    let mut names = Vec::new();
    if !sides.asks() {
        return names;
    }
    for plan in [sides.old.plan, sides.new.plan] {
        let unknown = |at: usize| Shape::of(plan, RouteId(at as u32)).is_some_and(|shape| shape.is_unknown());
        let routes = plan.routes.iter().enumerate().filter(|(at, _)| unknown(*at));
        names.extend(routes.map(|(_, route)| route.name.to_string()));
    }
    names.sort();
    names.dedup();
    names
}

/// Routes of the new side that protect less than those of the old one whose requests they get.
pub(super) fn weaker(sides: &Sides<'_>) -> Vec<Weakness> {
    let mut all = Vec::new();
    let mut seen = HashSet::new();
    for pair in by_name(sides).into_iter().chain(by_requests(sides)) {
        if seen.insert(pair) {
            all.extend(of_pair(sides, pair));
        }
    }
    all
}

/// What the new route of a pair protects less.
pub(super) fn of_pair(sides: &Sides<'_>, (was, is): (usize, usize)) -> Vec<Weakness> {
    let (Some(old), Some(new)) = (sides.old.of(was), sides.new.of(is)) else { return Vec::new() };
    let weak = weaker::compare(old, new, |keys| sides.comparable((was, is), keys));
    let instead_of = (old.route.name != new.route.name).then(|| old.route.name.to_string());
    let weak = weak.into_iter().map(|weak| Weakness::of(Part::Route, &new.route.name, weak));
    weak.map(|weak| Weakness { instead_of: instead_of.clone(), ..weak }).collect()
}

fn by_name(sides: &Sides<'_>) -> Vec<(usize, usize)> {
    let old: HashMap<&str, usize> =
        sides.old.plan.routes.iter().enumerate().map(|(at, route)| (&*route.name, at)).collect();
    let new = sides.new.plan.routes.iter().enumerate();
    new.filter_map(|(at, route)| Some((*old.get(&*route.name)?, at))).collect()
}

/// Only where all routes are known: one that is not would get what another one seems to get.
fn by_requests(sides: &Sides<'_>) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    if !sides.asks() {
        return pairs;
    }
    let mut params = Params::default();
    for plan in [sides.old.plan, sides.new.plan] {
        let deepest = deepest(plan);
        for shape in shapes(plan).iter().flatten() {
            let samples = meeting(shape, shape, deepest);
            pairs.extend(samples.iter().filter_map(|sample| sides.ends(sample, &mut params)));
        }
    }
    overlapping(sides, &mut params, &mut pairs);
    // Of a request whose host or headers are not known it is not known either where it ends.
    pairs.retain(|(_, is)| sides.whole || !sides.new.expands(*is, MATCH));
    pairs
}

/// Requests of an old and a new route together: under conditions of both, and where both paths and hosts meet, neither
/// has requests made up for it alone.
fn overlapping(sides: &Sides<'_>, params: &mut Params, pairs: &mut Vec<(usize, usize)>) {
    let (old, new) = (shapes(sides.old.plan), shapes(sides.new.plan));
    let (old_settled, new_settled) = sides.settled();
    let all: Vec<usize> = (0..new.len()).collect();
    let unsettled: Vec<usize> = all.iter().copied().filter(|is| !new_settled.contains(is)).collect();
    let deepest = deepest(sides.old.plan).max(deepest(sides.new.plan));
    let (mut looked, mut overlaps, mut asked) = (0, 0, 0);
    for (was, before) in old.iter().enumerate() {
        // Between two routes that match as they did, specificity decides as it did.
        let others = if old_settled.contains(&was) { &unsettled } else { &all };
        for &is in others {
            let (Some(before), Some(Some(after))) = (before, new.get(is)) else { continue };
            looked += 1;
            if looked > LOOKED_MAX || overlaps == OVERLAPS_MAX || asked == ASKED_MAX {
                return;
            }
            if !before.overlaps(after) {
                continue;
            }
            overlaps += 1;
            if of_pair(sides, (was, is)).is_empty() {
                continue;
            }
            asked += 1;
            let samples = meeting(before, after, deepest);
            pairs.extend(samples.iter().filter_map(|sample| sides.ends(sample, params)));
        }
    }
}

fn shapes(plan: &Plan) -> Vec<Option<Shape<'_>>> {
    (0..plan.routes.len()).map(|at| Shape::of(plan, RouteId(at as u32))).collect()
}

impl<'a> Side<'a> {
    fn of(&self, at: usize) -> Option<Of<'a>> {
        Some(Of { plan: self.plan, route: self.plan.routes.get(at)? })
    }

    fn expands(&self, at: usize, keys: &[&str]) -> bool {
        let under =
            |item: &&Item| keys.iter().filter_map(|key| item.keys.get(*key)).any(|under| under.expands);
        self.written.get(at).is_none_or(under)
    }
}

impl Sides<'_> {
    /// Whether there is anything to ask requests about.
    fn asks(&self) -> bool {
        self.all_routes && !(self.same_text && self.match_alike())
    }

    /// The routes at which a request ends, where it ends at one on both sides.
    fn ends(&self, sample: &Sample, params: &mut Params) -> Option<(usize, usize)> {
        let (was, is) = (sample.end(self.old.plan, params)?, sample.end(self.new.plan, params)?);
        let (End::Route(was), End::Route(is)) = (was, is) else { return None };
        Some((was.0 as usize, is.0 as usize))
    }

    /// The old and the new routes that match what they did.
    fn settled(&self) -> (HashSet<usize>, HashSet<usize>) {
        let (old, new) = (self.old.plan, self.new.plan);
        let same = |(was, is): &(usize, usize)| {
            let (Some(before), Some(after)) = (self.old.written.get(*was), self.new.written.get(*is)) else {
                return false;
            };
            let (was_id, is_id) = (RouteId(*was as u32), RouteId(*is as u32));
            self.same_beside
                && !before.differs_at(after, MATCH)
                && !self.new.expands(*is, MATCH)
                && old.table.hosts(was_id) == new.table.hosts(is_id)
                && old.table.methods(was_id) == new.table.methods(is_id)
        };
        by_name(self).into_iter().filter(same).unzip()
    }

    /// Whether all routes match the same. With the same text, only what is expanded can make a difference.
    fn match_alike(&self) -> bool {
        let (old, new) = (self.old.plan, self.new.plan);
        let alike = |(at, (was, is)): (usize, (&Route, &Route))| {
            let id = RouteId(at as u32);
            (&was.name, &was.pattern) == (&is.name, &is.pattern)
                && old.table.hosts(id) == new.table.hosts(id)
                && old.table.methods(id) == new.table.methods(id)
        };
        old.routes.len() == new.routes.len() && old.routes.iter().zip(&new.routes).enumerate().all(alike)
    }

    /// Whether what these keys decide is known on both sides. Of a text that was sent not everything is: what is
    /// written alike is taken for the same, and what is expanded for unknown. Schemas stand in files that are not read.
    fn comparable(&self, (was, is): (usize, usize), keys: &[&str]) -> bool {
        if self.whole {
            return true;
        }
        let (Some(was), Some(is)) = (self.old.written.get(was), self.new.written.get(is)) else {
            return false;
        };
        let unknown = |key: &&str| match is.keys.get(*key) {
            Some(under) => under.expands || *key == "validate",
            None => false,
        };
        !keys.iter().any(unknown) && (!self.same_beside || was.differs_at(is, keys))
    }

    /// The later row of the posture, but what it says otherwise has to be written otherwise.
    pub(super) fn known_of(
        &self,
        row: &PostureRow,
        was: &PostureRow,
        (old, new): (usize, usize),
    ) -> PostureRow {
        let mut row = row.clone();
        if self.whole {
            return row;
        }
        let items = (self.old.written.get(old), self.new.written.get(new));
        let same = |keys: &[&str]| {
            self.same_beside && matches!(items, (Some(was), Some(is)) if !was.differs_at(is, keys))
        };
        if same(AUTH) || row.auth.starts_with(UNKNOWN) {
            (row.auth, row.public) = (was.auth.clone(), was.public);
        }
        if same(LIMITS) {
            row.limits.clone_from(&was.limits);
        }
        if self.same_listeners {
            row.tls.clone_from(&was.tls);
        }
        row
    }

    /// Whether two rows say the same. Where not everything is known, what a route matches and does is told by its keys.
    pub(super) fn alike(&self, one: &PostureRow, other: &PostureRow) -> bool {
        fn protection(row: &PostureRow) -> (&str, &str, &str, bool) {
            (&row.auth, &row.limits, &row.tls, row.public)
        }
        if self.whole { one == other } else { protection(one) == protection(other) }
    }
}
