//! Clients that ask all the time and know what each answer has to be.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::Scope;
use std::time::{Duration, Instant};

use tollgate_testkit::{Client, Fault, PATIENCE, Response, pause};

use crate::ask::{Ask, Known};
use crate::dice::Dice;
use crate::ledger::{Ledger, Verdict};

/// What the clients and the events share.
pub(crate) struct World {
    pub(crate) address: String,
    pub(crate) known: Known,
    pub(crate) ledger: Ledger,
    /// The configuration that is known to run. Written by the events.
    runs: AtomicU64,
    /// The last one that may run. Written by the events.
    begun: AtomicU64,
    numbers: AtomicU64,
    over: AtomicBool,
}

impl World {
    pub(crate) fn new(address: String, known: Known, ledger: Ledger) -> World {
        World {
            address,
            known,
            ledger,
            runs: AtomicU64::new(1),
            begun: AtomicU64::new(1),
            numbers: AtomicU64::new(1),
            over: AtomicBool::new(false),
        }
    }

    /// From now on this configuration may answer.
    pub(crate) fn may_run(&self, version: u64) {
        self.begun.store(version, SeqCst);
    }

    /// From now on this configuration must answer.
    pub(crate) fn must_run(&self, version: u64) {
        self.runs.store(version, SeqCst);
    }

    /// The configuration that is known to run.
    pub(crate) fn version(&self) -> u64 {
        self.runs.load(SeqCst)
    }

    /// Tells the clients to end when it is dropped: also when an event fails.
    pub(crate) fn end_on_drop(&self) -> impl Drop + '_ {
        struct End<'a>(&'a World);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.over.store(true, SeqCst);
            }
        }
        End(self)
    }

    /// Asks one question and judges the answer; the verdict is not yet in the ledger.
    fn question(&self, ask: Ask, client: &mut Option<Client>, keep: bool) -> (u64, Instant, Verdict) {
        let number = self.numbers.fetch_add(1, SeqCst);
        let from = self.runs.load(SeqCst);
        let sent = Instant::now();
        let outcome = exchange(&self.address, client, &ask.request(&self.known, number, from, keep));
        let versions: RangeInclusive<u64> = from..=self.begun.load(SeqCst);
        let verdict = match outcome {
            Ok(answer) => {
                if !keep || answer.head.all("connection").contains(&"close") {
                    *client = None;
                }
                if let (Ask::Limited(key, exact), 200) = (ask, answer.status) {
                    self.ledger.pass(&format!("{} {key}", if exact { "exact" } else { "leased" }));
                }
                ask.judge(&self.known, number, &versions, &answer)
            }
            Err(verdict) => {
                *client = None;
                verdict
            }
        };
        (number, sent, verdict)
    }

    /// Asks and enters it.
    pub(crate) fn ask(&self, ask: Ask, client: &mut Option<Client>, keep: bool) -> Verdict {
        let (number, sent, verdict) = self.question(ask, client, keep);
        self.ledger.enter(ask.name(), ask.areas(), number, sent, verdict.clone());
        verdict
    }

    /// Waits until these questions are answered right several times running, each on a connection of its own.
    pub(crate) fn settle(&self, what: &str, asks: &[Ask]) {
        const RUNNING: usize = 4;
        const WITHIN: Duration = Duration::from_secs(25);
        let (mut running, end) = (0, Instant::now() + WITHIN);
        while running < RUNNING {
            let right = asks.iter().all(|ask| self.ask(*ask, &mut None, false) == Verdict::Right);
            running = if right { running + 1 } else { 0 };
            if Instant::now() > end {
                self.ledger.complain(format!("{what}: not well again within {WITHIN:?}"));
                return;
            }
            pause(Duration::from_millis(10));
        }
    }
}

/// Starts clients, every other one with kept connections; each asks every `pace` on average.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    world: &'scope World,
    seed: u64,
    clients: u64,
    pace: Duration,
) {
    for index in 0..clients {
        scope.spawn(move || {
            let mut dice = Dice::new(seed.wrapping_mul(1_000_003).wrapping_add(index));
            let (mut client, keep) = (None, index % 2 == 0);
            while !world.over.load(SeqCst) {
                world.ask(Ask::draw(&mut dice), &mut client, keep);
                pause(pace * 2 * dice.below(101) as u32 / 100);
            }
        });
    }
}

/// Sends a request on this connection, or on a new one, and reads the answer.
fn exchange(address: &str, client: &mut Option<Client>, request: &str) -> Result<Response, Verdict> {
    let error = |code: &str| Verdict::Error(code.to_owned());
    let mut open = match client.take() {
        Some(open) => open,
        None => Client::try_connect(address).map_err(|_| error("refused"))?,
    };
    open.set_patience(PATIENCE);
    // An early answer may close the sending side: what counts is whether an answer can be read.
    let _ = open.try_send(request);
    let answer = open.try_response().map_err(|fault| match fault {
        Fault::Eof => error("closed"),
        Fault::Truncated => error("truncated"),
        Fault::Reset => error("reset"),
        Fault::Timeout => error("timeout"),
        Fault::Io(fault) => error(&format!("{:?}", fault.kind())),
        Fault::Malformed(what) => Verdict::Wrong(format!("an answer that is no HTTP: {what}")),
    })?;
    *client = Some(open);
    Ok(answer)
}
