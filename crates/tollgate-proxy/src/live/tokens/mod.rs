//! The gateway's own tokens toward upstreams (OAuth 2.0 client credentials, RFC 6749 section 4.4): fetched ahead of
//! their end, used to their end while nobody gives new ones.
//!
//! One task for each set of credentials fetches, so there is never more than one question on its way. Workers read
//! what is there; a token that its upstream refuses makes the task fetch early, now and then.

mod answer;
mod report;

use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tollgate_plan::credentials::{ClientAuth, ClientCredentials};
use tollgate_plan::secret::Secret;
use tollgate_plan::upstream::Upstream;

use self::answer::Granted;
use super::form::{basic, form_encode};
use super::http::{Fault, Http, Rim, backoff};
use super::lasting;
use super::waiter::Waiter;
pub use report::{TokenHealth, TokenStatus};

/// A token that is refused is replaced early once in this time: an upstream that refuses them all does not turn every
/// request into one for the issuer.
const EARLY_EVERY: Duration = Duration::from_secs(10);
/// A token whose end nobody told is replaced after this time.
const RENEW_UNTOLD: Duration = Duration::from_secs(3600);
/// However short the life of tokens is, so much lies between two fetches.
const RENEW_MIN: Duration = Duration::from_millis(500);
/// Requests that wait for one token. Each holds a connection and nothing else.
const WAITERS_MAX: usize = 1024;

/// A token for one set of credentials, and how fresh it is. Written by its task, read by every worker.
pub(crate) struct TokenLive {
    /// For the operator's log: the upstream that wanted it first.
    upstream: Arc<str>,
    from: Arc<ClientCredentials>,
    token: ArcSwapOption<Token>,
    state: Mutex<State>,
    /// Fetches begun.
    begun: AtomicU64,
    /// Fetches ended.
    over: watch::Sender<u64>,
    wake: Notify,
    waiters: AtomicUsize,
}

/// A token as it was granted.
pub(crate) struct Token {
    /// The value of `Authorization`.
    pub(crate) line: Secret,
    /// Counts up from 1 with every token that differs from the one before.
    pub(crate) generation: u64,
    /// None when nobody told.
    ends: Option<Instant>,
}

#[derive(Default)]
struct State {
    /// Why the last try failed; none when it did not.
    fault: Option<Fault>,
    succeeded: u64,
    failed: u64,
    /// When the last early fetch was asked for, and which one that is.
    early: Option<(Instant, u64)>,
}

impl TokenLive {
    fn new(upstream: &Arc<str>, from: &Arc<ClientCredentials>) -> Arc<TokenLive> {
        Arc::new(TokenLive {
            upstream: upstream.clone(),
            from: from.clone(),
            token: ArcSwapOption::empty(),
            state: Mutex::default(),
            begun: AtomicU64::new(0),
            over: watch::channel(0).0,
            wake: Notify::new(),
            waiters: AtomicUsize::new(0),
        })
    }

    /// The token, if there is one whose time is not over.
    pub(crate) fn current(&self, now: Instant) -> Option<Arc<Token>> {
        self.token.load_full().filter(|token| token.ends.is_none_or(|end| now < end))
    }

    /// The same; where there is none, the one that the next fetch brings, unless the last one failed: who waits for an
    /// issuer that is down waits for nothing. Whoever waits bounds the time.
    pub(crate) async fn soon(&self, now: Instant) -> Option<Arc<Token>> {
        let current = self.current(now);
        if current.is_some() {
            return current;
        }
        let fetch = self.awaited()?;
        self.wait_for(fetch).await;
        self.current(Instant::now())
    }

    /// Whether there is none, and nobody would wait for one: the last fetch failed.
    pub(crate) fn is_out_of_reach(&self, now: Instant) -> bool {
        self.current(now).is_none() && self.lock().fault.is_some()
    }

    /// Another token than that of `generation`, which the upstream refused. Fetched now, if the last time that somebody
    /// asked was long enough ago; none when there is no other one.
    pub(crate) async fn newer_than(&self, generation: u64, now: Instant) -> Option<Arc<Token>> {
        if self.generation() == generation {
            let fetch = self.ask_early(now)?;
            self.wait_for(fetch).await;
        }
        self.current(Instant::now()).filter(|token| token.generation != generation)
    }

    /// The token of `generation` was refused: another one is fetched, if the last time that somebody asked was long
    /// enough ago.
    pub(crate) fn refused(&self, generation: u64, now: Instant) {
        if self.generation() == generation {
            let _ = self.ask_early(now);
        }
    }

    fn generation(&self) -> u64 {
        self.token.load().as_ref().map_or(0, |token| token.generation)
    }

    /// Which fetch brings the token that is missing, if it makes sense to wait for it.
    fn awaited(&self) -> Option<u64> {
        if self.lock().fault.is_some() {
            return None;
        }
        let (begun, over) = (self.begun.load(Relaxed), *self.over.borrow());
        if begun == over && begun > 0 {
            // Its time is over, and nobody has noticed: the process may have stood still.
            self.wake.notify_one();
        }
        Some(begun.max(over + 1))
    }

    /// Which fetch to wait for, if any.
    fn ask_early(&self, now: Instant) -> Option<u64> {
        let mut state = self.lock();
        let (begun, over) = (self.begun.load(Relaxed), *self.over.borrow());
        match state.early {
            // What is on its way is newer than what was refused.
            _ if over < begun => Some(begun),
            Some((at, fetch)) if now.saturating_duration_since(at) < EARLY_EVERY => {
                // The one that was asked for may not have begun yet.
                (over < fetch).then_some(fetch)
            }
            _ => {
                state.early = Some((now, begun + 1));
                self.wake.notify_one();
                Some(begun + 1)
            }
        }
    }

    async fn wait_for(&self, fetch: u64) {
        let Some(_waiter) = Waiter::enter(&self.waiters, WAITERS_MAX) else { return };
        let mut over = self.over.subscribe();
        // The sender is in `self`: there is no other end than this.
        let _ = over.wait_for(|over| *over >= fetch).await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what a fetch that began at `asked` brought; the time from then to the next one, unless it failed.
    fn settle(&self, asked: Instant, outcome: Result<Granted, Fault>) -> Option<Duration> {
        let upstream = &*self.upstream;
        let granted = match outcome {
            Ok(granted) => granted,
            Err(fault) => {
                let mut state = self.lock();
                // Once for each change: an issuer that is down for a night fills no log.
                if state.fault.as_ref() != Some(&fault) {
                    let stale = self.current(Instant::now()).is_some();
                    tracing::warn!(upstream, %fault, stale, "no token for the upstream; trying again");
                }
                state.fault = Some(fault);
                state.failed += 1;
                return None;
            }
        };
        let old = self.token.load_full();
        let same = old.as_ref().filter(|old| old.line == granted.line);
        let generation = match same {
            // Some issuers give out one token until it ends.
            Some(same) => same.generation,
            None => old.as_ref().map_or(0, |old| old.generation) + 1,
        };
        // Counted from the question: the answer may have been on its way for a while.
        let ends = granted.life.map(|life| asked + life);
        self.token.store(Some(Arc::new(Token { line: granted.line, generation, ends })));
        let mut state = self.lock();
        if state.fault.take().is_some() {
            tracing::info!(upstream, "the upstream's token can be fetched again");
        }
        state.succeeded += 1;
        Some(granted.life.map_or(RENEW_UNTOLD, renewal))
    }
}

/// When a token that lives so long is replaced. Three quarters of the time leave the last one for tries that fail.
fn renewal(life: Duration) -> Duration {
    life.mul_f64(0.75).max(RENEW_MIN)
}

/// Runs as long as the configuration has the credentials.
async fn keep_fresh(live: Arc<TokenLive>, rim: Rc<Rim>) {
    let http = Http::new(&rim, &live.from.reach);
    // One that panicked is over, too.
    live.over.send_replace(live.begun.load(Relaxed));
    let mut failures = 0;
    loop {
        live.begun.fetch_add(1, Relaxed);
        let asked = Instant::now();
        let outcome = fetch(&http, &live.from).await;
        let pause = match live.settle(asked, outcome) {
            Some(renewal) => {
                failures = 0;
                renewal
            }
            None => {
                failures += 1;
                backoff(failures)
            }
        };
        live.over.send_modify(|over| *over += 1);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = live.wake.notified() => {}
        }
    }
}

async fn fetch(http: &Http, from: &ClientCredentials) -> Result<Granted, Fault> {
    let authorization = match from.client_auth {
        ClientAuth::Basic => Some(basic(&from.client_id, from.client_secret.expose())),
        ClientAuth::Body => None,
    };
    let (status, body) = http.submit(&from.token_url, authorization.as_deref(), form(from)).await?;
    answer::read(status, &body)
}

/// RFC 6749 section 4.4.2.
fn form(from: &ClientCredentials) -> String {
    let mut form = String::from("grant_type=client_credentials");
    let mut add = |name: &str, value: &str| {
        form.push('&');
        form.push_str(name);
        form.push('=');
        form_encode(value, &mut form);
    };
    if !from.scope.is_empty() {
        add("scope", &from.scope);
    }
    if let Some(audience) = &from.audience {
        add("audience", audience);
    }
    if from.client_auth == ClientAuth::Body {
        add("client_id", &from.client_id);
        add("client_secret", from.client_secret.expose());
    }
    form
}

/// Every token that is kept fresh. Reloads write it; the background thread follows.
pub(crate) struct TokenRegistry(watch::Sender<Vec<Arc<TokenLive>>>);

impl Default for TokenRegistry {
    fn default() -> TokenRegistry {
        TokenRegistry(watch::channel(Vec::new()).0)
    }
}

impl TokenRegistry {
    /// The tokens of upstreams, in their order; what none of them needs any more is forgotten here. Upstreams with the
    /// same credentials share a token, and a reload that leaves them as they are keeps it.
    pub(super) fn reconcile(&self, upstreams: &[Upstream]) -> Vec<Option<Arc<TokenLive>>> {
        let old = self.0.borrow().clone();
        let mut next: Vec<Arc<TokenLive>> = Vec::new();
        let mut find = |upstream: &Upstream| {
            let from = upstream.credentials.as_ref()?;
            if let Some(known) = next.iter().find(|live| live.from == *from) {
                return Some(known.clone());
            }
            let known = old.iter().find(|live| live.from == *from).cloned();
            let live = known.unwrap_or_else(|| TokenLive::new(&upstream.name, from));
            next.push(live.clone());
            Some(live)
        };
        let found = upstreams.iter().map(&mut find).collect();
        self.0.send_replace(next);
        found
    }

    /// For the background thread.
    pub(crate) fn wanted(&self) -> watch::Receiver<Vec<Arc<TokenLive>>> {
        self.0.subscribe()
    }
}

/// Keeps tokens fresh until nobody can want them any more. Runs on the background thread.
pub(crate) async fn attend(mut wanted: watch::Receiver<Vec<Arc<TokenLive>>>, rim: Rc<Rim>) {
    let mut fetching: Vec<(Arc<TokenLive>, AbortHandle)> = Vec::new();
    loop {
        follow(&wanted.borrow_and_update(), &mut fetching, &rim);
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

/// Starts the tasks that are missing and ends those that nobody wants any more.
fn follow(wanted: &[Arc<TokenLive>], fetching: &mut Vec<(Arc<TokenLive>, AbortHandle)>, rim: &Rc<Rim>) {
    fetching.retain(|(live, task)| {
        let stays = wanted.iter().any(|wanted| Arc::ptr_eq(wanted, live));
        if !stays {
            task.abort();
        }
        stays
    });
    for live in wanted {
        if !fetching.iter().any(|(known, _)| Arc::ptr_eq(known, live)) {
            let (token, rim) = (live.clone(), rim.clone());
            let task = lasting::spawn("token", move || keep_fresh(token.clone(), rim.clone()));
            fetching.push((live.clone(), task));
        }
    }
}

#[cfg(test)]
mod tests;
