//! Load over a few kept connections, each with a thread of its own; every answer is looked at.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::replay::client::{Answer, Client};
use crate::replay::due::micros;
use crate::replay::interrupt::{not_interrupted, until};
use crate::replay::samples::percentile_ms;

/// An open loop whose next request is later than this is not kept up with: it ends.
const BEHIND_MAX: Duration = Duration::from_secs(1);

/// When the next request is sent.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    /// When the answer before it is there, for so long.
    Closed(Duration),
    /// When it is due, so many a second, for so long; its time counts from then.
    Open(u64, Duration),
    /// As the first, but that many on each connection.
    Each(u64),
}

impl Pace {
    /// When the one of this number is due; `None` after the last.
    fn due(self, number: u64, connections: u64, begin: Instant) -> Option<Instant> {
        let now = Instant::now();
        match self {
            Pace::Closed(time) => (now.saturating_duration_since(begin) < time).then_some(now.max(begin)),
            Pace::Open(rate, time) => {
                let after = Duration::from_secs_f64(number as f64 / rate as f64);
                (after < time).then(|| begin + after)
            }
            Pace::Each(count) => (number / connections < count).then_some(now.max(begin)),
        }
    }
}

/// What is sent, over how many connections, and what must come back.
pub(super) struct Load<'a> {
    pub(super) port: u16,
    pub(super) requests: &'a [Vec<u8>],
    pub(super) connections: usize,
    pub(super) pace: Pace,
    pub(super) right: fn(&Answer) -> bool,
}

/// What became of it.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) requests: u64,
    /// Answers that were not what they had to be.
    pub(super) wrong: u64,
    /// Requests without an answer.
    pub(super) failed: u64,
    /// Whether requests were left out, since those before them took too long.
    pub(super) behind: bool,
    /// What the first of the wrong and failed ones was.
    pub(super) first: Option<String>,
    pub(super) seconds: f64,
    /// Each one's time, sorted.
    us: Vec<u32>,
}

impl Outcome {
    pub(super) fn percentile_ms(&self, percent: f64) -> f64 {
        percentile_ms(&self.us, percent)
    }

    pub(super) fn per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// Whether every request was sent and answered as it has to be.
    pub(super) fn is_right(&self) -> bool {
        self.wrong + self.failed == 0 && !self.behind && self.requests > 0
    }

    /// As fields of a sample.
    pub(super) fn fields(&self) -> Value {
        json!({
            "requests": self.requests, "seconds": self.seconds, "per_second": self.per_second(),
            "p50_ms": self.percentile_ms(50.0), "p95_ms": self.percentile_ms(95.0), "p99_ms": self.percentile_ms(99.0),
            "most_ms": self.percentile_ms(100.0), "wrong": self.wrong, "failed": self.failed, "behind": self.behind,
            "first_fault": self.first,
        })
    }

    fn add(&mut self, other: Outcome) {
        self.requests += other.requests;
        self.wrong += other.wrong;
        self.failed += other.failed;
        self.behind |= other.behind;
        self.us.extend(other.us);
        self.first = self.first.take().or(other.first);
    }
}

impl Load<'_> {
    /// Sends all of it.
    pub(super) fn send(&self) -> Result<Outcome> {
        // So that every thread is there.
        let begin = Instant::now() + Duration::from_millis(50);
        let mut all = Outcome::default();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.connections)
                .map(|first| scope.spawn(move || self.connection(first, begin)))
                .collect();
            for thread in threads {
                all.add(thread.join().ok().context("a client's thread failed")?);
            }
            anyhow::Ok(())
        })?;
        not_interrupted()?;
        all.seconds = begin.elapsed().as_secs_f64();
        all.us.sort_unstable();
        Ok(all)
    }

    fn connection(&self, first: usize, begin: Instant) -> Outcome {
        let mut client = Client::new(self.port);
        let mut outcome = Outcome::default();
        let connections = self.connections as u64;
        for number in (first as u64..).step_by(self.connections) {
            let Some(due) = self.pace.due(number, connections, begin) else { break };
            outcome.behind = due.elapsed() > BEHIND_MAX;
            if outcome.behind || not_interrupted().is_err() {
                break;
            }
            until(due);
            let answer = client.send(&self.requests[number as usize % self.requests.len()]);
            outcome.us.push(micros(due.elapsed()));
            outcome.requests += 1;
            let fault = match &answer {
                Ok(answer) if (self.right)(answer) => continue,
                Ok(answer) => {
                    outcome.wrong += 1;
                    format!("status {}: {}", answer.status, String::from_utf8_lossy(&answer.body))
                }
                Err(error) => {
                    outcome.failed += 1;
                    format!("{error:#}")
                }
            };
            outcome.first.get_or_insert(fault);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_loop_sends_when_it_is_due_and_ends() {
        let begin = Instant::now();
        let pace = Pace::Open(700, Duration::from_secs(2));
        assert_eq!(pace.due(350, 16, begin), Some(begin + Duration::from_millis(500)));
        assert!(pace.due(1399, 16, begin).is_some() && pace.due(1400, 16, begin).is_none());
    }

    #[test]
    fn so_many_are_sent_on_each_connection() {
        let begin = Instant::now();
        // Connection 1 of 4 has the numbers 1, 5, 9.
        assert!(Pace::Each(2).due(5, 4, begin).is_some() && Pace::Each(2).due(9, 4, begin).is_none());
    }

    #[test]
    fn what_was_left_out_or_wrong_is_not_right() {
        let sent = || Outcome { requests: 3, ..Outcome::default() };
        assert!(sent().is_right());
        assert!(!Outcome { behind: true, ..sent() }.is_right());
        assert!(!Outcome { wrong: 1, ..sent() }.is_right() && !Outcome { failed: 1, ..sent() }.is_right());
        assert!(!Outcome::default().is_right());
    }
}
