//! Whether a request is answered with what is kept, and who asks the upstream where it is not.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tollgate_plan::Reason;
use tollgate_plan::cache::Cache;
use tollgate_policy::cache::{Asked, Use, Wish, use_of};
use tollgate_wire::{HeaderBlock, HopByHop, Method, Name, name};

use super::Shelf;
use super::give::give;
use super::key::key;
use super::refresh::Refresh;
use super::told::{Forward, Status};
use crate::exchange::{Cached, Exchange, Reject, Reply, Validators};
use crate::live::cache::{Entry, Flight, Found, Joined, Key, Landed, RouteCache};
use crate::pump::Watch;
use crate::worker::Active;

/// So long a request waits for what another one is asking for, all together; then it asks by itself.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// So often it waits: one that waits for an answer which turns out to be for other headers waits once more.
const WAITS_MAX: usize = 2;

/// Headers by which some services take a request for another one. No answer to such a request may be given to others.
const DISGUISES: [&[u8]; 5] =
    [b"x-original-url", b"x-rewrite-url", b"x-http-method", b"x-http-method-override", b"x-method-override"];

/// What looking came to.
pub(crate) enum Look<'a> {
    /// The answer.
    Answer(Reply<'a>),
    /// An answer that is stale, and the request for a newer one.
    Stale(Reply<'a>, Option<Box<Refresh>>),
    /// The upstream is to be asked.
    Ask(Box<Visit>),
}

/// One request to the upstream, and what is to become of its answer.
pub(crate) struct Visit {
    pub(super) cache: Arc<RouteCache>,
    /// None: the answer is not kept.
    pub(super) key: Option<Key>,
    pub(super) asked: Asked,
    pub(super) forward: Forward,
    /// The request waited for another one's answer before.
    pub(super) collapsed: bool,
    /// What is kept for such a request, and is not fresh any more.
    pub(super) old: Option<Arc<Entry>>,
    pub(super) begun: Instant,
    /// Others wait for the answer.
    pub(super) flight: Option<Flight>,
}

/// Looks for an answer that is kept, and waits a little where another request is asking for it.
pub(crate) async fn look<'a>(
    exchange: &mut Exchange<'_>,
    active: &'a Active,
    shelf: &'a Shelf,
) -> Result<Look<'a>, Reject> {
    let rules = active.route(exchange.route).and_then(|route| route.cache.as_deref());
    let (Some(cache), Some(rules)) = (active.caches.route(exchange.route), rules) else {
        return Err(Reject::internal("a route without its store"));
    };
    let wish = Wish::of(&exchange.kit.head.headers);
    let (key, asked) = match sought(exchange, rules, &wish) {
        Ok(found) => found,
        Err(forward) => return Ok(Look::Ask(Visit::passing(exchange, cache, forward))),
    };
    let mut waited = Waited::default();
    loop {
        let now = exchange.worker.clock.now();
        let headers = &exchange.kit.head.headers;
        let found = cache.store.find(key.as_bytes(), |entry| is_for(entry, cache, &key, asked, headers));
        if let Found::Answer(entry) = &found {
            let way = use_of(&entry.terms, entry.age(now), &wish);
            if way != Use::Ask {
                return given(exchange, shelf, (cache, key, asked), entry, way, &waited, now);
            }
        }
        exchange.seen.cache.set(Some(Cached::Miss));
        if wish.only_if_cached {
            return Err(Reject::new(Reason::NotCached, "no answer is kept that the request allows"));
        }
        let together = wish == Wish::default() && !waited.is_over(now) && is_for_others(exchange, &found);
        let joined = match together {
            true => join(exchange, cache, &flight_key(&key, asked, &found, &rules.vary, headers), now),
            false => Joined::Alone,
        };
        if let Joined::Follow(landed) = joined {
            let until = waited.until(now);
            let landed = wait(exchange, landed, until).await?;
            waited.take_note(landed, now);
            continue;
        }
        let holds = |entry: &Entry| cache.stamps.holds(key.url(), entry.begun);
        let forward = forward(&found, now, |entry| of_others(entry, holds(entry), headers));
        let old = if let Found::Answer(entry) = found { Some(entry) } else { None };
        exchange.validators = old.as_deref().map(|entry| validators(exchange, entry));
        let flight = if let Joined::Lead(flight) = joined { Some(flight) } else { None };
        let (cache, key, collapsed) = (cache.clone(), Some(key), waited.times > 0);
        return Ok(Look::Ask(Box::new(Visit {
            cache,
            key,
            asked,
            forward,
            collapsed,
            old,
            begun: now,
            flight,
        })));
    }
}

/// Gives what is kept.
fn given<'a>(
    exchange: &Exchange<'_>,
    shelf: &'a Shelf,
    (cache, key, asked): (&Arc<RouteCache>, Key, Asked),
    entry: &Arc<Entry>,
    way: Use,
    waited: &Waited,
    now: Instant,
) -> Result<Look<'a>, Reject> {
    let collapsed = waited.times > 0;
    let status = Status { collapsed, ..Status::default() };
    let cached = match way {
        Use::Fresh if collapsed => Cached::Collapsed,
        Use::Fresh => Cached::Hit,
        Use::Lapsed | Use::Stale | Use::Ask => Cached::Stale,
    };
    let reply = give(exchange, shelf, entry.clone(), cached, status, now)?;
    if way == Use::Stale {
        return Ok(Look::Stale(reply, refresh(exchange, cache, key, asked, entry, now)));
    }
    exchange.worker.spare.keep_buffer(key.into_bytes());
    Ok(Look::Answer(reply))
}

/// Why the upstream is asked, by what there is.
pub(super) fn forward(found: &Found, now: Instant, of_others: impl Fn(&Entry) -> Forward) -> Forward {
    match found {
        Found::Answer(entry) if entry.age(now) < entry.terms.lifetime && !entry.terms.validate => {
            Forward::Request
        }
        Found::Answer(_) => Forward::Stale,
        Found::Others(entry) => of_others(entry),
        Found::Nothing => Forward::UriMiss,
    }
}

/// The same where what is kept is for others, or of a time before the service was told to change it.
pub(super) fn of_others(entry: &Entry, holds: bool, headers: &HeaderBlock) -> Forward {
    match entry.suits(headers) {
        _ if !holds => Forward::UriMiss,
        true => Forward::Request,
        false => Forward::VaryMiss,
    }
}

/// Under which key the request looks, and as whose; else why it has nothing to do with the cache.
pub(super) fn sought(exchange: &Exchange<'_>, rules: &Cache, wish: &Wish) -> Result<(Key, Asked), Forward> {
    match passes(exchange, wish) {
        Some(forward) => Err(forward),
        None => key(exchange, rules).ok_or(Forward::Bypass),
    }
}

/// Whether what is kept under the key may be given to this request, as far as its age does not decide that.
pub(super) fn is_for(
    entry: &Entry,
    cache: &RouteCache,
    key: &Key,
    asked: Asked,
    headers: &HeaderBlock,
) -> bool {
    cache.stamps.holds(key.url(), entry.begun)
        && (asked != Asked::Authorized || entry.terms.shareable)
        && entry.suits(headers)
}

/// Why a request has nothing to do with the cache, if so.
fn passes(exchange: &Exchange<'_>, wish: &Wish) -> Option<Forward> {
    let head = &exchange.kit.head;
    let disguised = |name: &[u8]| DISGUISES.iter().any(|disguise| name.eq_ignore_ascii_case(disguise));
    let for_the_origin =
        head.headers.contains(&name::IF_MATCH) || head.headers.contains(&name::IF_UNMODIFIED_SINCE);
    match head.method {
        Method::Get | Method::Head => {}
        _ => return Some(Forward::Method),
    }
    if wish.no_store {
        return Some(Forward::Request);
    }
    // The service would not see what the answer is kept under.
    let hop = HopByHop::of(&head.headers);
    let disowned = head.headers.entries().any(|entry| hop.takes_away(entry));
    let other = exchange.body.is_some() || exchange.websocket || head.wants_upgrade() || for_the_origin;
    (other || disowned || head.headers.iter().any(|(name, _)| disguised(name))).then_some(Forward::Bypass)
}

/// Whether the answer to the request is one that others may be given, and worth waiting for. A client that says what it has
/// may get no more than that it still has it.
fn is_for_others(exchange: &Exchange<'_>, found: &Found) -> bool {
    let head = &exchange.kit.head;
    let conditional =
        head.headers.contains(&name::IF_NONE_MATCH) || head.headers.contains(&name::IF_MODIFIED_SINCE);
    !head.headers.contains(&name::RANGE) && (!conditional || matches!(found, Found::Answer(_)))
}

/// Joins those who ask for the same. What HEAD is answered is not kept, so nobody waits for it; it waits for what GET
/// is answered.
fn join(exchange: &Exchange<'_>, cache: &RouteCache, key: &[u8], now: Instant) -> Joined {
    match exchange.is_head() {
        true => cache.flights.follow(key).map_or(Joined::Alone, Joined::Follow),
        false => cache.flights.join(key, now),
    }
}

/// What requests have in common whose answer is one, as far as it is known what answers depend on.
/// Requests whose answers may be kept for other reasons are not asked together: what is not kept for one of them may well be
/// for another.
fn flight_key(key: &Key, asked: Asked, found: &Found, vary: &[Name], headers: &HeaderBlock) -> Vec<u8> {
    let known = match found {
        Found::Answer(entry) | Found::Others(entry) => &*entry.varied,
        Found::Nothing => &[],
    };
    let mut joined = key.as_bytes().to_vec();
    joined.push(match asked {
        Asked::Anonymous => 0,
        Asked::Authorized => 1,
        Asked::Personal => 2,
    });
    for name in vary.iter().chain(known.iter().map(|(name, _)| name)) {
        joined.push(0);
        for member in headers.list(name) {
            joined.extend_from_slice(member);
            joined.push(b',');
        }
    }
    joined
}

/// What the upstream is asked with, so that it need not send again what is kept. Scripts would see an answer that they do
/// not expect: behind them the whole is asked for.
pub(super) fn validators(exchange: &Exchange<'_>, entry: &Entry) -> Box<Validators> {
    let plain = exchange.matched().is_some_and(|route| route.action.forwards() && route.scripts.is_none());
    let value = |name: &Name| entry.headers.get(name).filter(|_| plain).map(Box::from);
    Box::new(Validators { etag: value(&name::ETAG), last_modified: value(&name::LAST_MODIFIED) })
}

/// The request for a newer answer, unless somebody asks for it already.
fn refresh(
    exchange: &Exchange<'_>,
    cache: &Arc<RouteCache>,
    key: Key,
    asked: Asked,
    old: &Arc<Entry>,
    now: Instant,
) -> Option<Box<Refresh>> {
    let place = cache.begin_refresh()?;
    let headers = &exchange.kit.head.headers;
    let flight_key = flight_key(&key, asked, &Found::Answer(old.clone()), &[], headers);
    let flight = cache.flights.lead(&flight_key)?;
    let visit = Visit {
        cache: cache.clone(),
        key: Some(key),
        asked,
        forward: Forward::Stale,
        collapsed: false,
        old: Some(old.clone()),
        begun: now,
        flight: Some(flight),
    };
    Some(Box::new(Refresh::new(exchange, visit, place)))
}

impl Visit {
    /// A request that passes the cache by.
    fn passing(exchange: &Exchange<'_>, cache: &Arc<RouteCache>, forward: Forward) -> Box<Visit> {
        exchange.seen.cache.set(Some(Cached::Bypass));
        Box::new(Visit {
            cache: cache.clone(),
            key: None,
            asked: Asked::Authorized,
            forward,
            collapsed: false,
            old: None,
            begun: exchange.worker.clock.recent(),
            flight: None,
        })
    }

    /// Bytes that the body of an answer may have to be kept.
    pub(crate) fn bytes_max(&self) -> usize {
        self.cache.entry_bytes_max()
    }
}

/// How long a request has waited for others.
#[derive(Default)]
struct Waited {
    times: usize,
    since: Option<Instant>,
    in_vain: bool,
}

impl Waited {
    fn until(&mut self, now: Instant) -> Instant {
        *self.since.get_or_insert(now) + WAIT_MAX
    }

    fn is_over(&self, now: Instant) -> bool {
        self.in_vain
            || self.times >= WAITS_MAX
            || self.since.is_some_and(|since| now.saturating_duration_since(since) >= WAIT_MAX)
    }

    fn take_note(&mut self, landed: Option<Landed>, now: Instant) {
        self.times += 1;
        self.in_vain |= matches!(landed, None | Some(Landed::NotKept));
        // Who lost its client says nothing about the answer.
        if landed == Some(Landed::Lost) && !self.is_over(now) {
            self.times = self.times.saturating_sub(1);
        }
    }
}

/// Waits until the other request lands, as long as the client is there. None: it takes too long.
async fn wait(
    exchange: &Exchange<'_>,
    mut landed: watch::Receiver<Landed>,
    until: Instant,
) -> Result<Option<Landed>, Reject> {
    let (worker, client) = (exchange.worker, exchange.client);
    let now = worker.clock.now();
    exchange.arm(now, until.saturating_duration_since(now));
    let mut watch = Watch::default();
    let mut landing = pin!(landed.wait_for(|landed| *landed != Landed::Flying));
    let outcome = poll_fn(|cx| {
        if let Poll::Ready(landed) = landing.as_mut().poll(cx) {
            return Poll::Ready(Ok(landed.ok().map(|landed| *landed)));
        }
        // HTTP/1.0 has no interim answers to ask with; it waits for a few seconds in vain.
        if exchange.modern() && watch.poll(worker, client, false, cx).is_ready() {
            return Poll::Ready(Err(Reject::new(Reason::ClientClosed, "the client closed the connection")));
        }
        let late = || if exchange.is_overdue() { Err(Reject::overdue()) } else { Ok(None) };
        client.timer.poll(cx).map(|()| late())
    })
    .await;
    // The time for the answer begins now.
    worker.clock.now();
    outcome
}
