//! Tests of a configuration: each is a request through a gateway of this very program, whose services and issuers are stubs.
//!
//! Nothing of the network is touched but the loopback. It must not know how the outcome is used: `commands/test.rs` shows it,
//! a reload asks whether all went well.

mod compare;
mod keys;
mod lane;
mod stage;
mod stub;
mod veil;

pub(crate) mod junit;
pub(crate) mod record;
pub(crate) mod report;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tollgate_plan::Plan;
use tollgate_plan::proof::Proof;

use keys::Keys;
use lane::Lane;

use crate::serve;

pub(crate) use compare::Fault;

/// A gateway of its own for each so many tests.
const TESTS_PER_LANE: usize = 32;

/// Gateways at the same time. They mostly wait, so a few more than cores do no harm.
const LANES_MAX: usize = 4;

/// What came of one test.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Empty: it passed.
    pub(crate) faults: Vec<Fault>,
    /// What was sent, and what came back, each in a few lines for those who look for the fault.
    pub(crate) sent: String,
    /// See `sent`.
    pub(crate) answer: String,
    /// What else may be worth knowing.
    pub(crate) notes: Vec<String>,
    pub(crate) took: Duration,
}

impl Outcome {
    pub(crate) fn passed(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Runs tests of `plan`, and gives what came of each, in their order. An error when they cannot be run at all. Tests that
/// have not begun by `until` fail.
pub(crate) fn run(plan: &Plan, proofs: &[&Proof], until: Option<Instant>) -> Result<Vec<Outcome>, String> {
    let keys = Keys::new(plan, proofs)?;
    // Each service that a test names listens on a port of its own.
    serve::raise_open_files();
    let next = AtomicUsize::new(0);
    let outcomes: Vec<Mutex<Option<Outcome>>> = proofs.iter().map(|_| Mutex::default()).collect();
    let lane = || -> Result<(), String> {
        // What the gateways say of stubs that fail is no news for an operator.
        let _quiet = tracing::dispatcher::set_default(&tracing::Dispatch::none());
        let mut lane = Lane::start(plan, proofs, &keys, until)?;
        loop {
            let number = next.fetch_add(1, Relaxed);
            let (Some(proof), Some(place)) = (proofs.get(number), outcomes.get(number)) else {
                return Ok(());
            };
            let outcome = match until {
                Some(until) if Instant::now() >= until => Outcome::not_run(),
                _ => lane.run(proof, number),
            };
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
        }
    };
    let lanes = proofs.len().div_ceil(TESTS_PER_LANE).clamp(1, LANES_MAX);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..lanes).map(|_| scope.spawn(lane)).collect();
        let mut ended = threads.into_iter().map(|thread| thread.join());
        ended.try_for_each(|ended| ended.unwrap_or_else(|_| Err("a test ended with a panic".to_owned())))
    })?;
    let done = outcomes.into_iter().map(|place| place.into_inner().unwrap_or_else(PoisonError::into_inner));
    Ok(done.map(|outcome| outcome.unwrap_or_else(Outcome::not_run)).collect())
}

/// What a test came to, for those who make it.
pub(crate) struct Looked {
    pub(crate) faults: Vec<Fault>,
    /// The route that its last request took.
    pub(crate) route: Option<String>,
    /// Path and query of each request that services got from the last request.
    pub(crate) paths: Vec<String>,
}

/// Runs tests one after the other, and gives what each came to, in their order.
pub(crate) fn look(plan: &Plan, proofs: &[&Proof]) -> Result<Vec<Looked>, String> {
    let keys = Keys::new(plan, proofs)?;
    serve::raise_open_files();
    let _quiet = tracing::dispatcher::set_default(&tracing::Dispatch::none());
    let mut lane = Lane::start(plan, proofs, &keys, None)?;
    Ok(proofs.iter().enumerate().map(|(number, proof)| lane.look(proof, number)).collect())
}

impl Outcome {
    /// Nothing is kept of what went well: there may be many thousands.
    fn passing() -> Outcome {
        Outcome::of(Vec::new())
    }

    fn not_run() -> Outcome {
        Outcome::of(vec![Fault::new("time", "to be run within the time for all tests", "it was over")])
    }

    fn of(faults: Vec<Fault>) -> Outcome {
        Outcome {
            faults,
            sent: String::new(),
            answer: String::new(),
            notes: Vec::new(),
            took: Duration::ZERO,
        }
    }
}
