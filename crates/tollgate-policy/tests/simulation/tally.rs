//! What the fleet let pass, beside what one limiter would have that sees every request as it comes.

use std::collections::HashMap;

use tollgate_policy::limit::{Bucket, Quota};

use crate::gateway::{Decided, How, Keys};

/// Milliseconds of one point of the course.
pub(crate) const SLICE_MS: u64 = 100;

/// One point of the course: requests of these milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slice {
    pub(crate) offered: u64,
    pub(crate) ideal: u64,
    pub(crate) passed: u64,
    pub(crate) asked: u64,
    pub(crate) alone: u64,
    pub(crate) calls: u64,
}

pub(crate) struct Tally {
    quota: Quota,
    ideal: HashMap<u32, Bucket, Keys>,
    /// Since the measured time began: what came for each key, what the ideal limiter let pass, what the fleet did.
    counts: Vec<[u32; 3]>,
    pub(crate) course: Vec<Slice>,
    /// Of the measured time.
    pub(crate) sum: Slice,
    pub(crate) pipelines: u64,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    from_ms: u64,
}

/// How far the fleet was from the ideal limiter, in percent of what that let pass.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Error {
    pub(crate) over: f64,
    pub(crate) under: f64,
    /// Of keys alone that the ideal limiter refused something.
    pub(crate) limited_over: f64,
    pub(crate) limited_under: f64,
    pub(crate) limited_keys: usize,
}

impl Tally {
    pub(crate) fn new(keys: u32, quota: Quota, from_ms: u64) -> Tally {
        Tally {
            quota,
            ideal: HashMap::default(),
            counts: vec![[0; 3]; keys as usize],
            course: Vec::new(),
            sum: Slice::default(),
            pipelines: 0,
            bytes_in: 0,
            bytes_out: 0,
            from_ms,
        }
    }

    /// A request came.
    pub(crate) fn offered(&mut self, key: u32, now_ms: u64) {
        let allowed =
            self.ideal.entry(key).or_default().take((now_ms + 1) * 1_000_000, &self.quota, 1).allowed;
        self.count(now_ms, |slice| {
            slice.offered += 1;
            slice.ideal += u64::from(allowed);
        });
        if now_ms >= self.from_ms {
            let counts = &mut self.counts[key as usize];
            counts[0] += 1;
            counts[1] += u32::from(allowed);
        }
    }

    /// A request was decided.
    pub(crate) fn decided(&mut self, told: &Decided, now_ms: u64) {
        self.count(now_ms, |slice| {
            slice.passed += u64::from(told.allowed);
            slice.asked += u64::from(told.how == How::Asked);
            slice.alone += u64::from(told.how == How::Alone);
        });
        if now_ms >= self.from_ms {
            self.counts[told.key as usize][2] += u32::from(told.allowed);
        }
    }

    /// A pipeline reached Redis.
    pub(crate) fn asked(&mut self, calls: u64, bytes: (u64, u64), now_ms: u64) {
        self.count(now_ms, |slice| slice.calls += calls);
        if now_ms >= self.from_ms {
            self.pipelines += 1;
            self.bytes_in += bytes.0;
            self.bytes_out += bytes.1;
        }
    }

    pub(crate) fn error(&self) -> Error {
        let (mut ideal, mut over, mut under) = ([0u64; 2], [0u64; 2], [0u64; 2]);
        let mut limited_keys = 0;
        for [offered, wanted, passed] in self.counts.iter().copied() {
            let limited = wanted < offered;
            limited_keys += usize::from(limited);
            for of in 0..=usize::from(limited) {
                ideal[of] += u64::from(wanted);
                over[of] += u64::from(passed.saturating_sub(wanted));
                under[of] += u64::from(wanted.saturating_sub(passed));
            }
        }
        let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
        Error {
            over: percent(over[0], ideal[0]),
            under: percent(under[0], ideal[0]),
            limited_over: percent(over[1], ideal[1]),
            limited_under: percent(under[1], ideal[1]),
            limited_keys,
        }
    }

    fn count(&mut self, now_ms: u64, change: impl Fn(&mut Slice)) {
        let at = (now_ms / SLICE_MS) as usize;
        if self.course.len() <= at {
            self.course.resize(at + 1, Slice::default());
        }
        change(&mut self.course[at]);
        if now_ms >= self.from_ms {
            change(&mut self.sum);
        }
    }
}
