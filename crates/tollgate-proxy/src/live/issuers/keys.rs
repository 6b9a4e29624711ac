//! Keys that are fetched: kept fresh in the background, kept at all while the issuer is down.
//!
//! One task per issuer fetches, so there is never more than one question on its way. Workers read what is there;
//! a token of an unknown key makes the task fetch early, now and then.

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest;
use hyper::body::Bytes;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tollgate_plan::issuer::{HttpUrl, KeyFetch, KeyUrl};
use tollgate_token::KeySet;

use crate::live::http::{Fault, Http, Rim, backoff};
use crate::live::waiter::Waiter;

/// An unknown key is asked for once in this time, whatever tokens name.
const EARLY_EVERY: Duration = Duration::from_secs(30);
/// A request waits so long at most for keys that are on their way.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Requests that wait for the keys of one issuer. Each holds a connection and nothing else.
const WAITERS_MAX: usize = 256;

/// The keys of one issuer and how fresh they are. Written by its task, read by every worker.
pub(crate) struct KeysLive {
    /// For the operator's log: what the issuer was called when this began.
    name: Arc<str>,
    from: KeyFetch,
    /// The interval of background refreshes in milliseconds; a reload may change it.
    refresh_ms: AtomicU64,
    keys: ArcSwapOption<Keys>,
    /// That of `keys`, to be compared without touching them; 0 before the first ones.
    generation: AtomicU64,
    state: Mutex<State>,
    /// Fetches begun.
    begun: AtomicU64,
    /// Fetches ended.
    over: watch::Sender<u64>,
    wake: Notify,
    waiters: AtomicUsize,
}

/// A key set as it was fetched.
pub(crate) struct Keys {
    pub(crate) set: KeySet,
    /// Counts up from 1 with every set that differs from the one before.
    pub(crate) generation: u64,
    digest: digest::Digest,
}

#[derive(Default)]
struct State {
    /// The last good answer.
    fetched: Option<Instant>,
    /// Why the last try failed; none when it did not.
    fault: Option<Fault>,
    succeeded: u64,
    failed: u64,
    /// When the last early refresh was asked for, and which fetch that is.
    early: Option<(Instant, u64)>,
}

/// How an issuer's keys are doing.
pub(super) struct KeysReport {
    pub(super) keys: Option<usize>,
    pub(super) age: Option<Duration>,
    pub(super) fault: Option<String>,
    pub(super) succeeded: u64,
    pub(super) failed: u64,
}

impl KeysLive {
    pub(super) fn new(name: &Arc<str>, from: &KeyFetch) -> Arc<KeysLive> {
        Arc::new(KeysLive {
            name: name.clone(),
            from: from.clone(),
            refresh_ms: AtomicU64::new(millis(from.refresh)),
            keys: ArcSwapOption::empty(),
            generation: AtomicU64::new(0),
            state: Mutex::default(),
            begun: AtomicU64::new(0),
            over: watch::channel(0).0,
            wake: Notify::new(),
            waiters: AtomicUsize::new(0),
        })
    }

    /// Whether these are the keys that `from` asks for, however often.
    pub(super) fn is(&self, from: &KeyFetch) -> bool {
        KeyFetch { refresh: self.from.refresh, ..from.clone() } == self.from
    }

    /// From now on the keys are refreshed so often.
    pub(super) fn set_refresh(&self, refresh: Duration) {
        if self.refresh_ms.swap(millis(refresh), Relaxed) != millis(refresh) {
            self.wake.notify_one();
        }
    }

    /// The generation of the keys now; 0 when there are none yet.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// The keys now.
    pub(crate) fn keys(&self) -> Option<Arc<Keys>> {
        self.keys.load_full()
    }

    /// The keys; where there are none because the first fetch is still on its way, those that it brings.
    pub(crate) async fn keys_at_start(&self) -> Option<Arc<Keys>> {
        if self.generation() == 0 && *self.over.borrow() == 0 {
            self.wait_for(1).await;
        }
        self.keys()
    }

    /// Newer keys than those of `generation`, for a token whose key these are not. Fetched now, if the last time
    /// that somebody asked was long enough ago; none when there are no newer ones.
    pub(crate) async fn newer_than(&self, generation: u64, now: Instant) -> Option<Arc<Keys>> {
        if self.generation() == generation {
            let fetch = self.ask_early(now)?;
            self.wait_for(fetch).await;
        }
        self.keys().filter(|keys| keys.generation != generation)
    }

    /// Which fetch to wait for, if any.
    fn ask_early(&self, now: Instant) -> Option<u64> {
        let mut state = self.lock();
        match state.early {
            Some((at, fetch)) if now.saturating_duration_since(at) < EARLY_EVERY => {
                // The one that was asked for may still be on its way.
                (*self.over.borrow() < fetch).then_some(fetch)
            }
            _ => {
                // One that is on its way may bring what was right before this token was signed.
                let fetch = self.begun.load(Relaxed) + 1;
                state.early = Some((now, fetch));
                self.wake.notify_one();
                Some(fetch)
            }
        }
    }

    async fn wait_for(&self, fetch: u64) {
        let Some(_waiter) = Waiter::enter(&self.waiters, WAITERS_MAX) else { return };
        let mut over = self.over.subscribe();
        // Late or not, whoever waited looks at what is there.
        let _ = tokio::time::timeout(WAIT_MAX, over.wait_for(|over| *over >= fetch)).await;
    }

    pub(super) fn report(&self, now: Instant) -> KeysReport {
        let state = self.lock();
        KeysReport {
            keys: self.keys.load().as_ref().map(|keys| keys.set.len()),
            age: state.fetched.map(|at| now.saturating_duration_since(at)),
            fault: state.fault.as_ref().map(Fault::to_string),
            succeeded: state.succeeded,
            failed: state.failed,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what a fetch brought; says whether it was good.
    fn settle(&self, fetched: Result<Bytes, Fault>) -> bool {
        let good = fetched.and_then(|text| self.take_over(&text));
        let mut state = self.lock();
        match good {
            Ok(()) => {
                if state.fault.take().is_some() {
                    tracing::info!(issuer = &*self.name, "the issuer's keys can be fetched again");
                }
                state.fetched = Some(Instant::now());
                state.succeeded += 1;
                true
            }
            Err(fault) => {
                // Once for each change: an issuer that is down for a night fills no log.
                if state.fault.as_ref() != Some(&fault) {
                    let stale = state.fetched.is_some();
                    let issuer = &*self.name;
                    tracing::warn!(issuer, %fault, stale, "the issuer's keys cannot be fetched; trying again");
                }
                state.fault = Some(fault);
                state.failed += 1;
                false
            }
        }
    }

    fn take_over(&self, text: &[u8]) -> Result<(), Fault> {
        let read = KeySet::from_jwks(text, self.from.algorithms);
        let (set, skipped) = read.map_err(|error| Fault::Content(format!("no usable key set: {error}")))?;
        let digest = digest::digest(&digest::SHA256, text);
        if self.keys.load().as_ref().is_some_and(|keys| keys.digest.as_ref() == digest.as_ref()) {
            return Ok(());
        }
        let issuer = &*self.name;
        for skipped in &skipped {
            tracing::debug!(issuer, index = skipped.index, why = %skipped.why, "a key of the issuer is not used");
        }
        if set.is_empty() {
            tracing::warn!(
                issuer,
                skipped = skipped.len(),
                "the issuer has no usable key: no token of it is good"
            );
        }
        let generation = self.generation() + 1;
        self.keys.store(Some(Arc::new(Keys { set, generation, digest })));
        self.generation.store(generation, Relaxed);
        Ok(())
    }
}

/// Runs as long as the configuration names the issuer.
pub(super) async fn keep_fresh(live: Arc<KeysLive>, rim: Rc<Rim>) {
    let http = Http::new(&rim, &live.from.reach);
    // One that panicked is over, too.
    live.over.send_replace(live.begun.load(Relaxed));
    let mut failures = 0;
    loop {
        live.begun.fetch_add(1, Relaxed);
        let good = live.settle(fetch(&http, &live.from).await);
        live.over.send_modify(|over| *over += 1);
        failures = if good { 0 } else { failures + 1 };
        let regular = Duration::from_millis(live.refresh_ms.load(Relaxed));
        let pause = if good { regular } else { regular.min(backoff(failures)) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = live.wake.notified() => {}
        }
    }
}

async fn fetch(http: &Http, from: &KeyFetch) -> Result<Bytes, Fault> {
    match &from.from {
        KeyUrl::Jwks(url) => http.get(url).await,
        KeyUrl::Discovery { url, issuer } => {
            let document = http.get(url).await?;
            http.get(&jwks_uri(&document, issuer, from.reach.allow_http)?).await
        }
    }
}

/// Where a discovery document (OpenID Connect Discovery 1.0 section 3) says that the keys are.
fn jwks_uri(document: &[u8], issuer: &str, allow_http: bool) -> Result<HttpUrl, Fault> {
    let fault = |why: &str| Fault::Content(format!("the discovery document {why}"));
    let document: Value = serde_json::from_slice(document).map_err(|_| fault("is not JSON"))?;
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err(fault("names another issuer"));
    }
    let uri = document.get("jwks_uri").and_then(Value::as_str).ok_or_else(|| fault("names no jwks_uri"))?;
    let url = HttpUrl::parse(uri).map_err(|_| fault("has a jwks_uri that is no URL"))?;
    if !url.tls && !allow_http && !url.is_loopback() {
        return Err(fault("has a jwks_uri with plain http"));
    }
    Ok(url)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
