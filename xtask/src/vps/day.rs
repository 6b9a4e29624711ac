//! A day's requests at both instances, each when it is due, while things happen to the system.
//!
//! Clients know every answer and send nothing twice. Half of them begin at either instance; who is refused a connection goes to
//! the other one, as a balancer of connections has it. A connection that was closed while nothing was under way on it is
//! opened anew before anything is sent.

use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::Args;
use super::account::Account;
use super::events;
use super::mix::{Kind, Mix, Verdict};
use super::stack::Stack;
use crate::replay::client::Client;
use crate::replay::interrupt::{not_interrupted, until};
use crate::replay::process::load_average;
use crate::say;

/// Clients, each with one request at a time on one kept connection.
pub(super) const CLIENTS: usize = 32;

/// What came of one request. Times are since the day began.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) kind: Kind,
    /// When it was to be sent, when it was, and when its answer was read or its failure known.
    pub(super) due: Duration,
    pub(super) sent: Duration,
    pub(super) ended: Duration,
    pub(super) verdict: Verdict,
}

/// The day while it goes on.
pub(super) struct Day<'a> {
    pub(super) stack: &'a Stack,
    pub(super) mix: Mix,
    pub(super) began: Instant,
    requests: u64,
    time: Duration,
    /// The edition of the configuration that both instances serve at least, and the newest that was written.
    served: AtomicU64,
    written: AtomicU64,
    /// An error among the events ends the clients.
    over: AtomicBool,
}

/// Runs it; what must not be.
pub(super) fn measure(
    gateway: &Path,
    dir: &Path,
    args: &Args,
    samples: &mut Vec<Value>,
) -> Result<Vec<String>> {
    say::step(format_args!(
        "{} requests in {} s at two instances, while things happen",
        args.requests, args.day_seconds
    ));
    let stack = Stack::start(gateway, dir)?;
    let mix = Mix::prepare(&stack)?;
    let load_before = load_average();
    let mut day = Day {
        stack: &stack,
        mix,
        began: Instant::now(),
        requests: args.requests,
        time: Duration::from_secs(args.day_seconds),
        served: AtomicU64::new(1),
        written: AtomicU64::new(1),
        over: AtomicBool::new(false),
    };
    // So that every thread is there.
    day.began = Instant::now() + Duration::from_millis(100);
    let (outcomes, happened) = day.go_on()?;
    let account = Account::new(outcomes, happened);
    account.tell(load_before, samples);
    Ok(account.complaints())
}

impl Day<'_> {
    /// Since it began.
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Another edition will be written now.
    pub(super) fn edition_is_written(&self, edition: u64) {
        self.written.store(edition, Ordering::SeqCst);
    }

    /// Both instances serve it.
    pub(super) fn edition_is_served(&self, edition: u64) {
        self.served.store(edition, Ordering::SeqCst);
    }

    /// Has the events happen while the clients ask.
    fn go_on(&self) -> Result<(Vec<Outcome>, events::Happened)> {
        std::thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS).map(|first| scope.spawn(move || self.client(first))).collect();
            let happened = events::all(self);
            if happened.is_err() {
                self.over.store(true, Ordering::Release);
            }
            let mut outcomes = Vec::new();
            for client in clients {
                outcomes.append(&mut client.join().ok().context("a client's thread failed")?);
            }
            not_interrupted()?;
            let mut happened = happened?;
            happened.memory = events::memory(self, happened.memory)?;
            let returns = self.stack.redis_returns(0)? + self.stack.redis_returns(1)?;
            // Each instance had one of the event.
            happened.redis_losses = (happened.redis_losses + returns).saturating_sub(2);
            Ok((outcomes, happened))
        })
    }

    fn client(&self, first: usize) -> Vec<Outcome> {
        let mut clients = self.stack.gateways().map(Client::new);
        if first % 2 == 1 {
            clients.reverse();
        }
        let mut outcomes = Vec::with_capacity(self.requests as usize / CLIENTS + 1);
        for number in (first as u64..self.requests).step_by(CLIENTS) {
            let ask = self.mix.number(number);
            let due = self.time.mul_f64(number as f64 / self.requests as f64);
            until(self.began + due);
            if self.over.load(Ordering::Acquire) || not_interrupted().is_err() {
                break;
            }
            let sent = self.now();
            let served = self.served.load(Ordering::SeqCst);
            let answer = send(&mut clients, &ask.bytes);
            let editions: RangeInclusive<u64> = served..=self.written.load(Ordering::SeqCst);
            let ended = self.now();
            let verdict = match answer {
                Ok(answer) => ask.judge(&answer, &editions),
                Err(error) => Verdict::Failed(error.root_cause().to_string()),
            };
            outcomes.push(Outcome { kind: ask.kind, due, sent, ended, verdict });
        }
        outcomes
    }
}

/// At the instance that it belongs to, or else the other one. Nothing is sent before there is a connection.
fn send(clients: &mut [Client; 2], request: &[u8]) -> Result<crate::replay::client::Answer> {
    let [own, other] = clients;
    if own.open().is_ok() {
        return own.send(request);
    }
    other.open()?;
    other.send(request)
}
