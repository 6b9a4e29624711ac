//! Rate limits of all routes, each once, and what makes a limit the same one.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_plan::limit::{Concurrency, Per, RateLimit, RateLimitHeaders, RateLimitId, RouteLimits, Store};

use super::auth::Found;
use super::edits::Scope;
use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, OneOrMany, Slot, params_hint};
use crate::source_map::Span;
use crate::spec::{self, Sharing};

/// All limits so far.
#[derive(Default)]
pub(super) struct RateLimits {
    all: Vec<RateLimit>,
    named: HashMap<String, Named>,
    /// Whether there is a Redis to share limits in.
    redis: bool,
}

struct Named {
    id: RateLimitId,
    place: Span,
}

/// A limit as written, its defaults filled in.
#[derive(PartialEq)]
struct Written<'a> {
    rate: spec::Rate,
    burst: u64,
    key: &'a spec::PerKey,
    store: Store,
}

/// What the limits of one route have been called so far, and which they are.
#[derive(Default)]
struct Taken {
    labels: HashMap<String, usize>,
    policies: HashMap<String, usize>,
    identities: HashMap<String, usize>,
    ids: HashMap<RateLimitId, Span>,
}

pub(super) fn headers(main: &spec::Root) -> RateLimitHeaders {
    match main.rate_limit_headers() {
        spec::RateLimitHeaders::Standard => RateLimitHeaders::Standard,
        spec::RateLimitHeaders::Legacy => RateLimitHeaders::Legacy,
        spec::RateLimitHeaders::Off => RateLimitHeaders::Off,
    }
}

pub(super) fn concurrency(slot: &Slot<spec::Concurrency>) -> Option<Concurrency> {
    let block = slot.value()?;
    Some(Concurrency { max: block.max.value()?.count(), queue: block.queue().count() })
}

impl RateLimits {
    pub(super) fn new(redis: bool) -> Self {
        RateLimits { redis, ..RateLimits::default() }
    }

    pub(super) fn finish(self) -> Vec<RateLimit> {
        self.all
    }

    /// The limits of a route.
    pub(super) fn of_route(
        &mut self,
        slot: &Slot<OneOrMany<spec::RateLimit>>,
        scope: &Scope<'_>,
        report: &mut Report,
    ) -> Option<Box<RouteLimits>> {
        let OneOrMany(list) = slot.value()?;
        if let Some(over) = list.get(bounds::ROUTE_LIMITS) {
            let message = format!("more than {} limits for one route", bounds::ROUTE_LIMITS);
            report.push(Finding::error(Code::TooLarge, over.key, message));
            return None;
        }
        let mut limits = RouteLimits::default();
        let mut taken = Taken::default();
        // A given name is never taken away by a made one.
        for name in list.iter().filter_map(|at| at.value.name.value()) {
            taken.labels.insert(name.0.clone(), 1);
            taken.policies.insert(name.0.clone(), 1);
        }
        for at in list {
            let Some(written) = self.written(&at.value, scope, report) else { continue };
            warn_nobody(&at.value.per, scope.auth, report);
            let id = match at.value.name.given() {
                Some(name) => self.shared(name, &written, &mut taken, report),
                None => Some(self.own(&written, scope.route, &mut taken)),
            };
            let Some(id) = id else { continue };
            match written.key.per.needs_identity() {
                true => limits.by_identity.push(id),
                false => limits.by_address.push(id),
            }
        }
        (!limits.is_empty()).then(|| Box::new(limits))
    }

    /// A limit with its defaults. `None` when the report says what is wrong with it.
    fn written<'a>(
        &self,
        block: &'a spec::RateLimit,
        scope: &Scope<'_>,
        report: &mut Report,
    ) -> Option<Written<'a>> {
        let store = self.store(block, report);
        let (rate, per) = (block.rate.given()?, block.per.given()?);
        if let Per::RouteParam(name) = &per.value.per
            && !scope.pattern.params().any(|param| *param == **name)
        {
            let message = "the route's path has no such parameter";
            let finding =
                Finding::error(Code::UnknownName, per.span, message).related(scope.path, "the path");
            report.push(finding.hint(match scope.pattern.params().next() {
                Some(_) => params_hint(name, scope.pattern),
                None => "the path has no parameters: one stands in it as `{id}`".to_owned(),
            }));
        }
        let burst = match &block.burst {
            Slot::Given(burst) => burst.value.0.unsigned_abs(),
            Slot::Absent => rate.value.count,
            Slot::Faulty(_) => return None,
        };
        let period_s = u128::from(rate.value.period().as_secs());
        if u128::from(burst) * period_s > u128::from(bounds::REFILL_S) * u128::from(rate.value.count) {
            let span = block.burst.given().map_or(rate.span, |burst| burst.span);
            let message = "at this rate the burst takes over ten years to come back";
            report.push(Finding::error(Code::BadValue, span, message));
            return None;
        }
        Some(Written { rate: rate.value, burst, key: &per.value, store: store? })
    }

    fn store(&self, block: &spec::RateLimit, report: &mut Report) -> Option<Store> {
        let (store, sync) = (block.store(), block.sync.value());
        if matches!(block.store, Slot::Faulty(_)) || matches!(block.sync, Slot::Faulty(_)) {
            return None;
        }
        match (store, sync) {
            (spec::Store::Local, None) => Some(Store::Local),
            (spec::Store::Local, Some(_)) => {
                let key = block.sync.key().unwrap_or(block.span);
                let finding =
                    Finding::error(Code::Conflict, key, "`sync` is about gateways that share a limit");
                report.push(finding.hint("add `store: redis`, or remove it"));
                None
            }
            (spec::Store::Redis, _) if !self.redis => {
                let span = block.store.given().map_or(block.span, |at| at.span);
                let finding =
                    Finding::error(Code::UnknownName, span, "`store: redis`, and no Redis is configured");
                report.push(
                    finding.hint(
                        "add `redis: { url: redis://127.0.0.1:6379 }` at the top level of the main file",
                    ),
                );
                None
            }
            (spec::Store::Redis, Some(Sharing::Exact)) => Some(Store::Exact),
            (spec::Store::Redis, Some(Sharing::Leased) | None) => Some(Store::Leased),
        }
    }

    /// A limit that several routes may share by its name.
    fn shared(
        &mut self,
        name: &At<spec::LimitName>,
        written: &Written<'_>,
        taken: &mut Taken,
        report: &mut Report,
    ) -> Option<RateLimitId> {
        let text = &name.value.0;
        let limit = RateLimit {
            identity: format!("name {} {text}", identity(written)).into(),
            label: text.as_str().into(),
            policy: text.as_str().into(),
            ..plain(written)
        };
        let id = match self.named.get(text) {
            None => {
                let id = self.push(limit);
                self.named.insert(text.clone(), Named { id, place: name.span });
                id
            }
            Some(known) if self.all.get(known.id.0 as usize) == Some(&limit) => known.id,
            Some(known) => {
                let message = format!(
                    "two limits named `{}` differ: they share their buckets",
                    report.sources.shown(name.span)
                );
                let finding =
                    Finding::error(Code::Conflict, name.span, message).related(known.place, "the first one");
                report.push(finding.hint(
                    "`rate`, `burst`, `per`, `store` and `sync` must be the same, or the names different",
                ));
                return None;
            }
        };
        if let Some(first) = taken.ids.insert(id, name.span) {
            let finding =
                Finding::error(Code::DuplicateName, name.span, "the limit counts each request twice here");
            report.push(finding.related(first, "first listed here"));
        }
        Some(id)
    }

    /// A limit of this route alone.
    fn own(&mut self, written: &Written<'_>, route: &str, taken: &mut Taken) -> RateLimitId {
        let words = identity(written);
        // Two equal limits of a route are silly, but two.
        let words = unique(&mut taken.identities, words, " #");
        let label = format!("{} per {}", written.rate, written.key.text);
        let limit = RateLimit {
            identity: format!("route {words} {route}").into(),
            label: unique(&mut taken.labels, label, " #").into(),
            policy: unique(&mut taken.policies, policy(&written.key.text), "-").into(),
            ..plain(written)
        };
        self.push(limit)
    }

    fn push(&mut self, limit: RateLimit) -> RateLimitId {
        self.all.push(limit);
        RateLimitId(self.all.len() as u32 - 1)
    }
}

/// The name, with a number behind it when it was taken before.
fn unique(taken: &mut HashMap<String, usize>, name: String, separator: &str) -> String {
    let count = taken.entry(name.clone()).or_insert(0);
    *count += 1;
    match *count {
        1 => name,
        number => format!("{name}{separator}{number}"),
    }
}

/// A limit without a name.
fn plain(written: &Written<'_>) -> RateLimit {
    RateLimit {
        identity: Arc::default(),
        label: Arc::default(),
        policy: Arc::default(),
        rate: written.rate.count,
        period: written.rate.period(),
        burst: written.burst,
        per: written.key.per.clone(),
        store: written.store,
    }
}

/// Rate, key and store: where they stay, the buckets survive a reload. A bucket knows what it lacks, whatever its burst.
/// Quoted, so that nobody's words run into another's.
fn identity(written: &Written<'_>) -> String {
    let Written { rate, key, store, .. } = written;
    let store = match store {
        Store::Local => "local",
        Store::Leased => "leased",
        Store::Exact => "exact",
    };
    format!("{rate} {:?} {store}", key.text)
}

/// What a limit is called in a header: letters that need no quoting (RFC 9651 section 3.3.3).
fn policy(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    text.chars().map(|letter| if plain(letter) { letter } else { '-' }).collect()
}

/// A key that no request of the route has: all of them count as one.
fn warn_nobody(slot: &Slot<spec::PerKey>, auth: &Found, report: &mut Report) {
    let Some(At { value, span, .. }) = slot.given() else { return };
    let lacking = match (&value.per, auth) {
        (Per::Consumer | Per::Claim(_), Found::Public) => "the route identifies nobody",
        (Per::Claim(_), Found::By(auth)) if auth.issuers.is_empty() => "the route takes no tokens",
        _ => return,
    };
    let message = format!("`per: {}` counts all requests together: {lacking}", report.sources.shown(*span));
    let finding = Finding::warning(Code::NoEffect, *span, message);
    report.push(finding.hint("add `auth` to the route, or write `per: all`"));
}
