//! One gateway of the fleet: its leases, which are the decider's own code, and what it does without Redis.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use tollgate_policy::limit::lease::{Lease, Verdict};
use tollgate_policy::limit::script::{Ask, Reply};
use tollgate_policy::limit::{Bucket, Decision, Quota};

use crate::link::{Link, TIMEOUT_MS};

/// Questions about leases that nobody asks for, each time they are looked at: as in `live/store/lease.rs`.
const ATTEND_ASKS_MAX: usize = 256;

/// What all gateways go by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) quota: Quota,
    /// The share of one gateway, while it cannot ask.
    pub(crate) share: Quota,
}

/// How a request was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decided {
    pub(crate) key: u32,
    pub(crate) allowed: bool,
    pub(crate) how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// Out of what was leased, or known to be used up.
    AtOnce,
    /// After an answer.
    Asked,
    /// Without Redis.
    Alone,
}

/// How maps by key are hashed.
pub(crate) type Keys = BuildHasherDefault<Spread>;

pub(crate) struct Gateway {
    leases: HashMap<u32, Entry, Keys>,
    alone: HashMap<u32, Bucket>,
    pub(crate) link: Link,
    clock: Clock,
    /// What goes out together at the end of this step.
    pub(crate) outbox: Vec<(u32, Ask)>,
    /// Keys of the questions of each pipeline that is waited for, by its number; and its connection.
    open: HashMap<u64, (u32, Vec<u32>)>,
    pub(crate) leases_most: usize,
}

#[derive(Default)]
struct Entry {
    lease: Lease,
    /// Milliseconds at which those who wait began to.
    waiting: Vec<u64>,
}

/// A clock that began at some moment and runs at a pace of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) offset_ns: u64,
    pub(crate) drift_ppm: i64,
}

impl Clock {
    pub(crate) fn at(&self, now_ms: u64) -> u64 {
        self.at_ns(now_ms * 1_000_000)
    }

    pub(crate) fn at_ns(&self, now_ns: u64) -> u64 {
        let ns = i128::from(now_ns);
        let drifted = ns + ns * i128::from(self.drift_ppm) / 1_000_000;
        self.offset_ns + drifted as u64
    }
}

impl Gateway {
    pub(crate) fn new(clock: Clock) -> Gateway {
        Gateway {
            leases: HashMap::default(),
            alone: HashMap::new(),
            link: Link::FIRST,
            clock,
            outbox: Vec::new(),
            open: HashMap::new(),
            leases_most: 0,
        }
    }

    /// A request comes. What could be decided goes to `told`.
    pub(crate) fn request(&mut self, key: u32, now_ms: u64, rules: &Rules, told: &mut Vec<Decided>) {
        if self.link.is_down() {
            return told.push(self.decide_alone(key, now_ms, rules));
        }
        let now_ns = self.clock.at(now_ms);
        let entry = self.leases.entry(key).or_default();
        match entry.lease.decide(now_ns, &rules.quota) {
            Verdict::Decided(decision) => told.push(decided(key, decision, How::AtOnce)),
            Verdict::Wait => entry.waiting.push(now_ms),
        }
        while let Some(ask) = entry.lease.ask(now_ns, &rules.quota) {
            self.outbox.push((key, ask));
        }
    }

    /// The answers to a pipeline; `None`: there were none in time. Answers to what was given up are dropped.
    pub(crate) fn settle(
        &mut self,
        pipeline: u64,
        replies: Option<&[(u32, Reply)]>,
        now_ms: u64,
        rules: &Rules,
        told: &mut Vec<Decided>,
    ) -> Option<u32> {
        let (connection, keys) = self.open.remove(&pipeline)?;
        match replies {
            Some(replies) => {
                replies.iter().for_each(|(key, reply)| self.answered(*key, Some(reply), now_ms, rules, told))
            }
            None => keys.iter().for_each(|key| self.answered(*key, None, now_ms, rules, told)),
        }
        Some(connection)
    }

    fn answered(
        &mut self,
        key: u32,
        reply: Option<&Reply>,
        now_ms: u64,
        rules: &Rules,
        told: &mut Vec<Decided>,
    ) {
        let now_ns = self.clock.at(now_ms);
        let Some(entry) = self.leases.get_mut(&key) else { return };
        match reply {
            Some(reply) => entry.lease.settle(now_ns, &rules.quota, reply),
            None => entry.lease.failed(),
        }
        let unheard = reply.is_none() || self.link.is_down();
        let waiting = std::mem::take(&mut entry.waiting);
        let claimed = !unheard && !waiting.is_empty();
        for since_ms in waiting {
            let late = now_ms >= since_ms + TIMEOUT_MS;
            let Some(entry) = self.leases.get_mut(&key).filter(|_| !unheard && !late) else {
                told.push(self.decide_alone(key, now_ms, rules));
                continue;
            };
            match entry.lease.claim(now_ns, &rules.quota) {
                Verdict::Decided(decision) => told.push(decided(key, decision, How::Asked)),
                Verdict::Wait => entry.waiting.push(since_ms),
            }
        }
        let Some(entry) = self.leases.get_mut(&key).filter(|_| claimed) else { return };
        while let Some(ask) = entry.lease.ask(now_ns, &rules.quota) {
            self.outbox.push((key, ask));
        }
    }

    /// Looks after leases that nobody asks for.
    pub(crate) fn attend(&mut self, now_ms: u64, rules: &Rules) {
        let now_ns = self.clock.at(now_ms);
        let (outbox, mut left) = (&mut self.outbox, ATTEND_ASKS_MAX);
        self.leases_most = self.leases_most.max(self.leases.len());
        self.leases.retain(|key, entry| {
            while left > 0
                && let Some(ask) = entry.lease.ask(now_ns, &rules.quota)
            {
                outbox.push((*key, ask));
                left -= 1;
            }
            !entry.waiting.is_empty() || !entry.lease.is_idle(now_ns)
        });
    }

    /// Takes what goes out, as one pipeline of this number. Without a connection everybody hears at once that there is
    /// no answer, and what was to go back is lost.
    pub(crate) fn flush(
        &mut self,
        pipeline: u64,
        now_ms: u64,
        rules: &Rules,
        told: &mut Vec<Decided>,
    ) -> Vec<(u32, Ask)> {
        let calls = std::mem::take(&mut self.outbox);
        let asks = calls.iter().filter(|(_, ask)| matches!(ask, Ask::Lease(_)));
        let keys: Vec<u32> = asks.map(|(key, _)| *key).collect();
        let number = self.link.number();
        self.open.insert(pipeline, (number.unwrap_or_default(), keys));
        if number.is_some() {
            return calls;
        }
        self.settle(pipeline, None, now_ms, rules, told);
        Vec::new()
    }

    /// Pipelines that wait for answers on this connection.
    pub(crate) fn open_on(&self, connection: u32) -> Vec<u64> {
        let on = self.open.iter().filter(|(_, (number, _))| *number == connection);
        on.map(|(pipeline, _)| *pipeline).collect()
    }

    fn decide_alone(&mut self, key: u32, now_ms: u64, rules: &Rules) -> Decided {
        let bucket = self.alone.entry(key).or_default();
        decided(key, bucket.take(self.clock.at(now_ms), &rules.share, 1), How::Alone)
    }
}

/// Keys are small numbers of our own: they need spreading, and no secret.
#[derive(Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, word: u32) {
        let product = u128::from(self.0 ^ u64::from(word)) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

fn decided(key: u32, decision: Decision, how: How) -> Decided {
    Decided { key, allowed: decision.allowed, how }
}
