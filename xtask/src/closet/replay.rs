//! Requests sent when they are due, whatever became of those before (an open loop), over a few kept connections.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::mix::{self, KINDS, Mix};
use crate::replay::client::Client;
use crate::replay::due::micros;
use crate::replay::interrupt::{not_interrupted, until};
use crate::replay::samples::percentile_ms;

/// Connections, each with a thread of its own.
const CONNECTIONS: usize = 16;

/// What became of all of them.
#[derive(Default)]
pub(super) struct Outcome {
    /// How many of each kind were sent.
    pub(super) sent: [u64; KINDS.len()],
    /// Answers that were not what they had to be.
    pub(super) wrong: u64,
    /// Requests without an answer.
    pub(super) failed: u64,
    /// From when each was due to the end of its answer, in microseconds, sorted.
    due_us: Vec<u32>,
    /// From when each was sent, in microseconds, sorted.
    sent_us: Vec<u32>,
    /// What the first of the wrong and failed ones was.
    pub(super) first: Option<String>,
}

impl Outcome {
    /// All of them.
    pub(super) fn requests(&self) -> u64 {
        self.sent.iter().sum()
    }

    /// That percentile from when requests were due, and from when they were sent, in milliseconds.
    pub(super) fn percentile_ms(&self, percent: f64) -> (f64, f64) {
        (percentile_ms(&self.due_us, percent), percentile_ms(&self.sent_us, percent))
    }

    fn add(&mut self, other: Outcome) {
        self.sent.iter_mut().zip(other.sent).for_each(|(all, more)| *all += more);
        self.wrong += other.wrong;
        self.failed += other.failed;
        self.due_us.extend(other.due_us);
        self.sent_us.extend(other.sent_us);
        self.first = self.first.take().or(other.first);
    }
}

/// Sends all of them.
pub(super) fn send(port: u16, mix: &Mix, due: &[Duration]) -> Result<Outcome> {
    // So that every thread is there.
    let begin = Instant::now() + Duration::from_millis(50);
    let mut all = Outcome::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS)
            .map(|first| scope.spawn(move || send_some(port, mix, due, first, begin)))
            .collect();
        for thread in threads {
            all.add(thread.join().ok().context("a client's thread failed")?);
        }
        anyhow::Ok(())
    })?;
    not_interrupted()?;
    all.due_us.sort_unstable();
    all.sent_us.sort_unstable();
    Ok(all)
}

fn send_some(port: u16, mix: &Mix, due: &[Duration], first: usize, begin: Instant) -> Outcome {
    let mut client = Client::new(port);
    let mut outcome = Outcome::default();
    for (number, after) in due.iter().enumerate().skip(first).step_by(CONNECTIONS) {
        let (kind, request) = mix.request(number as u64);
        let moment = begin + *after;
        until(moment);
        if not_interrupted().is_err() {
            break;
        }
        let sent = Instant::now();
        let answer = client.send(&request);
        outcome.due_us.push(micros(moment.elapsed()));
        outcome.sent_us.push(micros(sent.elapsed()));
        outcome.sent[kind] += 1;
        let fault = match &answer {
            Ok(answer) if mix::is_right(kind, answer) => continue,
            Ok(answer) => {
                outcome.wrong += 1;
                format!("{}: status {}", KINDS[kind].0, answer.status)
            }
            Err(error) => {
                outcome.failed += 1;
                format!("{}: {error:#}", KINDS[kind].0)
            }
        };
        outcome.first.get_or_insert(fault);
    }
    outcome
}
