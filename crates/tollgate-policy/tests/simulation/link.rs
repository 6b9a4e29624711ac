//! One gateway's way to Redis, with the rules and times of `live/store/link.rs` of the data plane: one answer that does
//! not come in time, and nothing is asked until a probe was answered.
//!
//! Times are milliseconds of the simulation.

use crate::dice::Dice;

/// How long a pipeline waits for its answers: the default of `redis.timeout`.
pub(crate) const TIMEOUT_MS: u64 = 50;
/// A probe waits twice as long at least, and so does a connection for its three round trips, up to a second.
const CONNECT_MS: u64 = 1_000;
const PROBE_MS: u64 = 100;
/// A connection that nobody complains about is probed so often.
pub(crate) const PROBE_EVERY_MS: u64 = 1_000;
const RETRY_MIN_MS: u64 = 100;
const RETRY_MAX_MS: u64 = 1_000;
const STEADY_MS: u64 = 5_000;

/// Whether Redis is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Up { number: u32, since_ms: u64, failures: u32 },
    Down { number: u32, failures: u32 },
}

/// What an attempt to connect meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    Answers,
    /// The process is gone, its machine is there.
    Refuses,
    /// Packets vanish.
    Silent,
}

impl Link {
    pub(crate) const FIRST: Link = Link::Up { number: 1, since_ms: 0, failures: 0 };

    pub(crate) fn is_down(&self) -> bool {
        matches!(self, Link::Down { .. })
    }

    /// The number of the connection in use.
    pub(crate) fn number(&self) -> Option<u32> {
        match self {
            Link::Up { number, .. } => Some(*number),
            Link::Down { .. } => None,
        }
    }

    /// The connection of this number is of no use. When the next attempt to connect begins; `None`: it was replaced
    /// before.
    pub(crate) fn fail(&mut self, number: u32, now_ms: u64, dice: &mut Dice) -> Option<u64> {
        let Link::Up { number: present, since_ms, failures } = *self else { return None };
        if present != number {
            return None;
        }
        let failures = if now_ms - since_ms < STEADY_MS { failures + 1 } else { 0 };
        *self = Link::Down { number, failures };
        Some(now_ms + backoff_ms(failures, dice))
    }

    /// An attempt to connect ends. When the next one begins, where it failed.
    pub(crate) fn connected(&mut self, good: bool, now_ms: u64, dice: &mut Dice) -> Option<u64> {
        let Link::Down { number, failures } = *self else { return None };
        if good {
            *self = Link::Up { number: number + 1, since_ms: now_ms, failures };
            return None;
        }
        *self = Link::Down { number, failures: failures + 1 };
        Some(now_ms + backoff_ms(failures + 1, dice))
    }
}

impl Server {
    /// How long an attempt to connect takes: the connection, the greeting, a probe.
    pub(crate) fn connect_ms(self, round_trip_ms: u64) -> u64 {
        match self {
            Server::Answers => (3 * round_trip_ms).min(CONNECT_MS),
            Server::Refuses => round_trip_ms,
            Server::Silent => CONNECT_MS,
        }
    }

    /// How long a probe takes to show it.
    pub(crate) fn probe_ms(self, round_trip_ms: u64) -> u64 {
        if self == Server::Silent { PROBE_MS } else { round_trip_ms }
    }
}

/// Doubles with every failure; the first is 100 ms, and all are spread over half of that to all of it.
fn backoff_ms(failures: u32, dice: &mut Dice) -> u64 {
    let longest = (RETRY_MIN_MS << failures.min(16)).min(RETRY_MAX_MS);
    (longest as f64 * (0.5 + dice.unit() / 2.0)) as u64
}
