//! Kept answers: one store for each route that keeps any, shared by all workers, found again after a reload by the
//! route's name.
//!
//! Whether an answer may be kept or given is not decided here: that is `tollgate_policy::cache`.

mod entry;
mod fill;
mod flights;
mod purge;
mod stamps;
mod store;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tollgate_plan::Plan;
use tollgate_plan::aggregate::{Aggregate, PartBody, Source};
use tollgate_plan::cache::Cache;
use tollgate_plan::memory::Shares;
use tollgate_plan::route::{Action, HeaderEdit, QueryEdit, RequestEdits, Rewrite, Route, RouteId};
use tollgate_plan::template::{Part, Template};
use tollgate_plan::upstream::{Target, Upstream, UpstreamId};

pub(crate) use entry::{Entry, Key};
pub(crate) use fill::{Draft, Filling};
pub(crate) use flights::{Flight, Joined, Landed};
pub use purge::{Purge, PurgeError};
pub(crate) use store::Found;

use flights::Flights;
use stamps::Stamps;
use store::Store;

/// One answer takes no more than this: a store of a few large ones would forget everything else for each of them.
const ENTRY_BYTES_MAX: u64 = 8 << 20;

/// One answer takes no more than this share of its store.
const ENTRY_SHARE: u64 = 8;

/// Answers of one route that are asked for again in the background at the same time.
const REFRESHES_MAX: usize = 64;

/// The stores of one plan's routes.
pub(crate) struct CachesLive {
    /// Indexed by `RouteId`. None: the route keeps nothing.
    routes: Box<[Option<Arc<RouteCache>>]>,
    /// Whether any route keeps answers.
    pub(crate) any: bool,
    /// Until when what was kept or asked for is of no use any more. Outlives plans.
    pub(crate) stamps: Arc<Stamps>,
}

/// What one route keeps.
pub(crate) struct RouteCache {
    /// What makes its answers the same over reloads.
    identity: u64,
    pub(crate) store: Store,
    pub(crate) flights: Arc<Flights>,
    pub(crate) stamps: Arc<Stamps>,
    /// Bytes of answers that are on their way into the store.
    filling: AtomicUsize,
    /// Answers that are asked for again while stale ones are given.
    refreshing: AtomicUsize,
    max_bytes: u64,
}

impl CachesLive {
    /// The stores for `plan`. Those of the plan before are kept where a route's name and what its answers are made of stay.
    pub(crate) fn new(plan: &Plan, before: Option<(&Plan, &CachesLive)>) -> CachesLive {
        let stamps = before.map_or_else(Arc::default, |(_, live)| live.stamps.clone());
        let old = before.map(|(plan, live)| live.by_name(plan)).unwrap_or_default();
        let bounds = Bounds::of(plan);
        let routes = plan.routes.iter().map(|route| {
            let max_bytes = bounds.of_route(route.cache.as_deref()?);
            let identity = identity(plan, route);
            let same = |(old, kept): &&(&Route, &Arc<RouteCache>)| {
                kept.identity == identity && kept.max_bytes == max_bytes && old.scripts == route.scripts
            };
            Some(match old.get(&*route.name).filter(same) {
                Some((_, kept)) => (*kept).clone(),
                None => RouteCache::new(identity, max_bytes, &stamps),
            })
        });
        let routes: Box<[_]> = routes.collect();
        let any = routes.iter().any(Option::is_some);
        CachesLive { routes, any, stamps }
    }

    pub(crate) fn route(&self, id: Option<RouteId>) -> Option<&Arc<RouteCache>> {
        id.and_then(|RouteId(at)| self.routes.get(at as usize)).and_then(Option::as_ref)
    }

    /// Memory is tight: forgets half of what is kept.
    pub(crate) fn let_go(&self) {
        self.routes.iter().flatten().for_each(|cache| cache.store.let_go(50));
    }

    /// Bytes that each route's answers take.
    pub(crate) fn bytes(&self, plan: &Plan) -> Vec<(Arc<str>, u64)> {
        let routes = plan.routes.iter().zip(&self.routes);
        routes
            .filter_map(|(route, cache)| Some((route.name.clone(), cache.as_ref()?.store.bytes())))
            .collect()
    }

    fn by_name<'a>(&'a self, plan: &'a Plan) -> HashMap<&'a str, (&'a Route, &'a Arc<RouteCache>)> {
        let routes = plan.routes.iter().zip(&self.routes);
        routes.filter_map(|(route, cache)| Some((&*route.name, (route, cache.as_ref()?)))).collect()
    }
}

/// What the routes' stores may take together, beside what they ask for.
struct Bounds {
    wanted: u64,
    share: u64,
}

impl Bounds {
    fn of(plan: &Plan) -> Bounds {
        let wanted = plan.routes.iter().filter_map(|route| route.cache.as_deref());
        let share = plan.limits.memory.map_or(u64::MAX, |cap| Shares::of(cap).cache as u64);
        Bounds { wanted: wanted.fold(0, |sum, rules| sum.saturating_add(rules.max_bytes)), share }
    }

    /// All of what it asks for, or its part of what there is.
    fn of_route(&self, rules: &Cache) -> u64 {
        if self.wanted <= self.share {
            return rules.max_bytes;
        }
        let part = u128::from(rules.max_bytes) * u128::from(self.share) / u128::from(self.wanted.max(1));
        u64::try_from(part).unwrap_or(self.share)
    }
}

impl RouteCache {
    fn new(identity: u64, max_bytes: u64, stamps: &Arc<Stamps>) -> Arc<RouteCache> {
        Arc::new(RouteCache {
            identity,
            store: Store::new(max_bytes),
            flights: Arc::default(),
            stamps: stamps.clone(),
            filling: AtomicUsize::new(0),
            refreshing: AtomicUsize::new(0),
            max_bytes,
        })
    }

    /// Bytes that the body of one answer may have.
    pub(crate) fn entry_bytes_max(&self) -> usize {
        ENTRY_BYTES_MAX.min(self.max_bytes / ENTRY_SHARE) as usize
    }

    /// A place for an answer that is asked for again in the background.
    pub(crate) fn begin_refresh(self: &Arc<Self>) -> Option<Refreshing> {
        let more = |taken: usize| (taken < REFRESHES_MAX).then_some(taken + 1);
        self.refreshing.fetch_update(Relaxed, Relaxed, more).ok().map(|_| Refreshing(self.clone()))
    }
}

/// A place, given up when dropped.
pub(crate) struct Refreshing(Arc<RouteCache>);

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.refreshing.fetch_sub(1, Relaxed);
    }
}

/// What answers are made of: when it changes, kept answers are of the past. Edits of the response are not: they are made anew
/// each time. Scripts are compared by themselves.
fn identity(plan: &Plan, route: &Route) -> u64 {
    let Route { action, request, response, cache, auth, .. } = route;
    let (upstreams, parts): (Vec<UpstreamId>, Option<&Aggregate>) = match action {
        Action::To(only) => (vec![*only], None),
        Action::Split(several) => (several.iter().map(|one| one.upstream).collect(), None),
        Action::Aggregate(aggregate) => (asked_by(aggregate).collect(), Some(aggregate)),
        Action::Respond(_) | Action::Redirect(_) | Action::Health(_) => (Vec::new(), None),
    };
    let body = response.as_deref().map(|edits| &edits.body);
    let told = auth.as_deref().map(|auth| (&auth.forward, auth.strip));
    let mut hasher = DefaultHasher::new();
    format!("{parts:?} {request:?} {body:?} {cache:?} {told:?}").hash(&mut hasher);
    let upstreams = upstreams.into_iter().filter_map(|UpstreamId(at)| plan.upstreams.get(at as usize));
    upstreams.for_each(|upstream| hash_upstream(upstream, &mut hasher));
    // As text they do not tell what is in them.
    for part in templates(request.as_deref(), parts).into_iter().flat_map(Template::parts) {
        match part {
            Part::Text(text) => text.hash(&mut hasher),
            Part::Var(var) => var.hash(&mut hasher),
        }
    }
    if let Some(page) = parts.and_then(|aggregate| aggregate.render.as_deref()) {
        page.sources().for_each(|source| source.hash(&mut hasher));
    }
    hasher.finish()
}

/// What of an upstream its answers depend on: who it is, and as whom it is asked. Not what is done when it fails.
fn hash_upstream(upstream: &Upstream, hasher: &mut DefaultHasher) {
    let Upstream { name, targets, host, tls, credentials, follow_redirects, .. } = upstream;
    format!("{name} {host:?} {tls:?} {credentials:?} {follow_redirects}").hash(hasher);
    // As text a secret is `***`.
    credentials.as_deref().map(|credentials| &credentials.client_secret).hash(hasher);
    for Target { url, address, authority, prefix, tls, http2, weight: _ } in targets {
        (url, address, authority, prefix, tls, http2).hash(hasher);
    }
}

fn asked_by(aggregate: &Aggregate) -> impl Iterator<Item = UpstreamId> {
    aggregate.parts.iter().filter_map(|part| match &part.source {
        Source::Call(call) => Some(call.upstream),
        Source::Constant(_) => None,
    })
}

fn templates<'a>(request: Option<&'a RequestEdits>, parts: Option<&'a Aggregate>) -> Vec<&'a Template> {
    let mut templates = Vec::new();
    if let Some(edits) = request {
        if let Some(Rewrite::To(template)) = &edits.rewrite {
            templates.push(template);
        }
        for edit in &edits.headers {
            if let HeaderEdit::Set(_, template) | HeaderEdit::Add(_, template) = edit {
                templates.push(template);
            }
        }
        for edit in &edits.query {
            if let QueryEdit::Set(_, template) = edit {
                templates.push(template);
            }
        }
    }
    for part in parts.iter().flat_map(|aggregate| &aggregate.parts) {
        match &part.source {
            Source::Constant(json) => templates.push(json),
            Source::Call(call) => {
                templates.push(&call.path);
                if let PartBody::Json(json) = &call.body {
                    templates.push(json);
                }
            }
        }
    }
    templates
}

#[cfg(test)]
mod tests;
