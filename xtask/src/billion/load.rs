//! Load at a constant rate by clients who know every answer and try nothing twice.
//!
//! Each request is due at a time of its own. A client that waits for an answer does not hold up the others: whoever is free
//! takes the next number. What fails has failed; only a connection that was closed while nothing was under way on it is
//! opened anew, before the request is sent.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::ask::{Asks, Kind, Verdict};
use super::connection::Connection;

/// Clients, each with one kept connection and one request at a time: enough that while a zone is silent there are some to go on.
const CLIENTS: usize = 256;

/// After so many answers a client opens a connection anew, as clients that come and go do.
const ANSWERS_PER_CONNECTION: u32 = 100;

/// What came of one request. Times are since the load began.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) sent: Duration,
    /// Until its answer was read, or its failure was known.
    pub(super) ended: Duration,
    /// Whether a connection was opened for it.
    pub(super) opened: bool,
    /// Whose answer it was, or where its connection ended.
    pub(super) zone: Option<&'static str>,
    pub(super) verdict: Verdict,
}

/// The load of one run.
pub(super) struct Load {
    pub(super) asks: Asks,
    between: Duration,
    pub(super) began: Instant,
    next: AtomicU64,
    over: AtomicBool,
    outcomes: Mutex<Vec<Outcome>>,
}

impl Load {
    pub(super) fn new(asks: Asks, rate: u64) -> Load {
        Load {
            asks,
            between: Duration::from_nanos(1_000_000_000 / rate.max(1)),
            began: Instant::now(),
            next: AtomicU64::new(0),
            over: AtomicBool::new(false),
            outcomes: Mutex::default(),
        }
    }

    /// Since the load began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Has `events` happen while the clients ask.
    pub(super) fn under<T>(&self, events: impl FnOnce() -> Result<T>) -> Result<T> {
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(|| self.client())).collect();
            let happened = events();
            self.over.store(true, Ordering::Release);
            let ended: Vec<_> = clients.into_iter().map(|client| client.join()).collect();
            if ended.iter().any(Result::is_err) {
                return happened.and(Err(anyhow::anyhow!("a client's thread failed")));
            }
            happened
        })
    }

    /// What came of all of them, by the order of their numbers.
    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        let mut outcomes = self.outcomes.lock().map(|outcomes| outcomes.clone()).unwrap_or_default();
        outcomes.sort_unstable_by_key(|outcome| outcome.number);
        outcomes
    }

    fn client(&self) {
        let mut kept = None;
        let mut own = Vec::new();
        while !self.over.load(Ordering::Acquire) {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            wait_until(self.began + self.between.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX)));
            own.push(self.ask(number, &mut kept));
        }
        if let Ok(mut outcomes) = self.outcomes.lock() {
            outcomes.append(&mut own);
        }
    }

    fn ask(&self, number: u64, kept: &mut Option<Connection>) -> Outcome {
        let ask = self.asks.number(number);
        let mut connection = if ask.alone { None } else { kept.take() };
        connection = connection.filter(Connection::is_quiet);
        let opened = connection.is_none();
        let request = ask.request();
        let sent = self.now();
        let mut zone = connection.as_ref().and_then(|connection| connection.zone);
        let answer = connection.map_or_else(Connection::open, Ok).and_then(|mut connection| {
            connection.send(&request)?;
            let answer = connection.answer()?;
            Ok((connection, answer))
        });
        let ended = self.now();
        let verdict = match answer {
            Err(fault) => Verdict::Failed(fault.to_owned()),
            Ok((mut connection, answer)) => {
                let (verdict, by) = ask.judge(&answer);
                zone = by.or(zone);
                connection.zone = zone;
                if !ask.alone && !answer.closes && connection.answered < ANSWERS_PER_CONNECTION {
                    *kept = Some(connection);
                }
                verdict
            }
        };
        Outcome { number, kind: ask.kind, sent, ended, opened, zone, verdict }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "requests are sent at times of their own; each wait ends with the run"
)]
fn wait_until(due: Instant) {
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
}

/// The smallest value that as large a share does not exceed, in milliseconds.
pub(super) fn quantile_ms(sorted: &[Duration], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank.min(sorted.len()).saturating_sub(1)).map_or(0.0, |value| value.as_secs_f64() * 1e3)
}
