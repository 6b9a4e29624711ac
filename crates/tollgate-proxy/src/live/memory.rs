//! What the process holds in memory for clients, and what happens near `limits.memory`.
//!
//! Two counts stand side by side. What is held is counted where it is taken, so that it never passes its share: bodies
//! kept whole, heads that come in parts, what slow clients have not read, and an estimate for each connection. What is
//! resident is asked of the kernel, for everything that nobody counts. Both together decide how tight it is, and that
//! is the one number that requests look at.
//!
//! Memory that was freed is not always given back to the kernel, and serves the next request all the same. So what is
//! resident refuses nobody while next to nothing is held: that would go on for ever.

use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::Notify;
use tollgate_plan::limits::Limits;
use tollgate_plan::memory::Shares;

use super::Counts;
use super::limits::BUCKETS_MAX;

/// How often the kernel is asked while there is room, and while half is used.
const LOOK_SELDOM: Duration = Duration::from_secs(1);
const LOOK_OFTEN: Duration = Duration::from_millis(100);

/// A connection counts so much: its task, its timer, its place in tables.
const CONNECTION_BYTES: usize = 4 * 1024;

/// And so much more when it speaks TLS, or HTTP/2.
pub(crate) const TLS_BYTES: usize = 24 * 1024;
pub(crate) const HTTP2_BYTES: usize = 32 * 1024;

/// A bucket of a rate limit, right after its table has grown.
const BUCKET_BYTES: usize = 160;

/// How tight memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// There is room, or no cap.
    Calm,
    /// Caches let go, and idle connections are closed, those that are idle longest first.
    Tight,
    /// New requests and connections are refused.
    Full,
}

impl Pressure {
    /// `calm`, `tight` or `full`.
    pub fn as_str(self) -> &'static str {
        match self {
            Pressure::Calm => "calm",
            Pressure::Tight => "tight",
            Pressure::Full => "full",
        }
    }

    fn of(number: u8) -> Pressure {
        match number {
            0 => Pressure::Calm,
            1 => Pressure::Tight,
            _ => Pressure::Full,
        }
    }
}

/// How the process stands to its cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryReport {
    /// `limits.memory` in bytes; none without a cap.
    pub cap: Option<u64>,
    /// What the kernel said last, in bytes; none before it was asked, and without a cap.
    pub resident: Option<u64>,
    /// What is held for clients, in bytes.
    pub held: u64,
    /// The share that it is held out of, in bytes; none without a cap.
    pub buffers: Option<u64>,
    /// How tight it is.
    pub pressure: Pressure,
    /// Connections that were closed, or not accepted, for want of memory.
    pub closed: u64,
}

/// The process's account. Written by workers and the background thread, read by everybody.
pub(crate) struct Memory {
    /// Connections count by their number.
    counts: Arc<Counts>,
    /// 0: no cap.
    cap: AtomicU64,
    /// What may be held; `usize::MAX` without a cap.
    buffers: AtomicUsize,
    held: AtomicUsize,
    resident: AtomicU64,
    pressure: AtomicU8,
    /// Connections that were closed or not accepted.
    closed: AtomicU64,
    /// The cap is another one.
    changed: Notify,
}

impl Memory {
    /// Without a cap, until a plan says one.
    pub(crate) fn new(counts: Arc<Counts>) -> Memory {
        Memory {
            counts,
            cap: AtomicU64::new(0),
            buffers: AtomicUsize::new(usize::MAX),
            held: AtomicUsize::new(0),
            resident: AtomicU64::new(0),
            pressure: AtomicU8::new(Pressure::Calm as u8),
            closed: AtomicU64::new(0),
            changed: Notify::new(),
        }
    }

    /// Keeps to the cap of a new plan from now on.
    pub(crate) fn follow(&self, limits: &Limits) {
        let cap = limits.memory.unwrap_or(0);
        if self.cap.swap(cap, Relaxed) == cap {
            return;
        }
        let buffers = if cap == 0 { usize::MAX } else { Shares::of(cap).buffers };
        self.buffers.store(buffers, Relaxed);
        self.resident.store(0, Relaxed);
        self.pressure.store(Pressure::Calm as u8, Relaxed);
        self.changed.notify_one();
    }

    /// How many connections there are.
    pub(crate) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// The share of rate limits, in buckets.
    pub(crate) fn buckets_max(&self) -> usize {
        self.shares().map_or(BUCKETS_MAX, |shares| BUCKETS_MAX.min(shares.limits / BUCKET_BYTES))
    }

    /// What one of `workers` workers may remember of tokens: what it wants, or its part of the share.
    pub(crate) fn token_bytes(&self, wanted: usize, workers: usize) -> usize {
        self.shares().map_or(wanted, |shares| wanted.min(shares.tokens / workers.max(1)))
    }

    /// What one of `workers` workers may have on its way to the access log; none: as much as it wants.
    pub(crate) fn log_bytes(&self, workers: usize) -> usize {
        self.shares().map_or(usize::MAX, |shares| shares.log / workers.max(1))
    }

    /// Every consumer's share; none without a cap.
    pub(crate) fn shares(&self) -> Option<Shares> {
        Some(self.cap.load(Relaxed)).filter(|cap| *cap > 0).map(Shares::of)
    }

    /// How tight it is.
    #[inline]
    pub(crate) fn pressure(&self) -> Pressure {
        Pressure::of(self.pressure.load(Relaxed))
    }

    /// Connections were closed, or not accepted, for want of memory.
    pub(crate) fn count_closed(&self, connections: usize) {
        self.closed.fetch_add(connections as u64, Relaxed);
    }

    pub(crate) fn report(&self) -> MemoryReport {
        let cap = Some(self.cap.load(Relaxed)).filter(|cap| *cap > 0);
        let buffers = cap.map(|_| self.buffers.load(Relaxed) as u64);
        let resident = Some(self.resident.load(Relaxed)).filter(|bytes| *bytes > 0);
        let (held, closed) = (self.held_in_all() as u64, self.closed.load(Relaxed));
        MemoryReport { cap, resident, held, buffers, pressure: self.pressure(), closed }
    }

    fn held_in_all(&self) -> usize {
        self.held.load(Relaxed).saturating_add(self.counts.open().saturating_mul(CONNECTION_BYTES))
    }

    /// Takes so many bytes more; false when the share has no room for them.
    fn take(&self, bytes: usize) -> bool {
        self.note(bytes);
        let fits = self.held_in_all() <= self.buffers.load(Relaxed);
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    /// Counts bytes that are there already: who brings them has been let in. When they are the last that fit, nobody
    /// else is, until the next look.
    fn note(&self, bytes: usize) {
        self.held.fetch_add(bytes, Relaxed);
        let buffers = self.buffers.load(Relaxed);
        if buffers != usize::MAX && self.held_in_all() as u64 >= percent(buffers as u64, FULL_HELD.0) {
            self.pressure.store(Pressure::Full as u8, Relaxed);
        }
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
    }

    /// Looks at both counts. How long until the next look.
    fn look(&self, resident: u64) -> Duration {
        let cap = self.cap.load(Relaxed);
        if cap == 0 {
            return LOOK_SELDOM;
        }
        let state = Standing {
            resident,
            cap,
            held: self.held_in_all() as u64,
            buffers: self.buffers.load(Relaxed) as u64,
        };
        let (before, now) = (self.pressure(), state.pressure(self.pressure()));
        self.resident.store(resident, Relaxed);
        self.pressure.store(now as u8, Relaxed);
        if before < now {
            let (resident, held) = (resident >> 20, state.held >> 20);
            tracing::warn!(resident, held, cap = cap >> 20, "memory is {} (numbers in MiB)", now.as_str());
        } else if before > now {
            tracing::info!("memory is {} again", now.as_str());
        }
        if state.is_half_used() { LOOK_OFTEN } else { LOOK_SELDOM }
    }
}

/// Runs on the background thread: asks the kernel as long as there is a cap.
pub(crate) async fn watch(memory: Arc<Memory>) {
    let page = rustix::param::page_size() as u64;
    loop {
        if memory.cap.load(Relaxed) == 0 {
            memory.changed.notified().await;
            continue;
        }
        // Where there is no such file only what is held counts.
        let wait = memory.look(resident_pages().unwrap_or(0).saturating_mul(page));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = memory.changed.notified() => {}
        }
    }
}

/// Resident pages of this process (proc_pid_statm(5)).
fn resident_pages() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    text.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Percent of its share, or of the cap, at which a state begins, and below which it ends.
const FULL_HELD: (u64, u64) = (90, 80);
const TIGHT_HELD: (u64, u64) = (70, 60);
const FULL_RESIDENT: (u64, u64) = (92, 88);
const TIGHT_RESIDENT: (u64, u64) = (80, 75);

/// What is resident refuses nobody while less than this share is held; very near the cap, less than that.
const WORTH_REFUSING: u64 = 10;
const AT_THE_CAP: (u64, u64) = (97, 2);

/// Both counts beside their bounds.
struct Standing {
    resident: u64,
    cap: u64,
    held: u64,
    buffers: u64,
}

impl Standing {
    fn pressure(&self, before: Pressure) -> Pressure {
        let over = |value, of, (begin, end): (u64, u64), is: Pressure| {
            value >= percent(of, if before >= is { end } else { begin })
        };
        let held = |share| self.held >= percent(self.buffers, share);
        let full = over(self.held, self.buffers, FULL_HELD, Pressure::Full)
            || (over(self.resident, self.cap, FULL_RESIDENT, Pressure::Full) && held(WORTH_REFUSING))
            || (self.resident >= percent(self.cap, AT_THE_CAP.0) && held(AT_THE_CAP.1));
        let tight = over(self.held, self.buffers, TIGHT_HELD, Pressure::Tight)
            || over(self.resident, self.cap, TIGHT_RESIDENT, Pressure::Tight);
        match () {
            () if full => Pressure::Full,
            () if tight => Pressure::Tight,
            () => Pressure::Calm,
        }
    }

    fn is_half_used(&self) -> bool {
        self.resident >= percent(self.cap, 50) || self.held >= percent(self.buffers, 25)
    }
}

fn percent(of: u64, share: u64) -> u64 {
    of / 100 * share
}

/// A worker's hand on the account: everything that it holds counts on it, at the price of a count of its own.
pub(crate) struct Account(pub(crate) Arc<Memory>);

impl Deref for Account {
    type Target = Memory;

    fn deref(&self) -> &Memory {
        &self.0
    }
}

/// Bytes that one thing holds, given back when it is dropped. Empty where nobody counts.
#[derive(Default)]
pub(crate) struct Held {
    memory: Option<Rc<Account>>,
    bytes: usize,
}

impl Held {
    /// Counts on behalf of whoever has it, from now on.
    pub(crate) fn count_for(&mut self, memory: &Rc<Account>) {
        self.memory.get_or_insert_with(|| memory.clone());
    }

    /// What is held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing yet.
    pub(crate) fn new(memory: &Rc<Account>) -> Held {
        Held { memory: Some(memory.clone()), bytes: 0 }
    }

    /// So many bytes, whether there is room or not: who holds them has been let in.
    pub(crate) fn of(memory: &Rc<Account>, bytes: usize) -> Held {
        let mut held = Held::new(memory);
        held.note(bytes);
        held
    }

    /// Holds so many bytes in all; false, and as before, when there is no room for more.
    #[must_use]
    pub(crate) fn hold(&mut self, bytes: usize) -> bool {
        if bytes <= self.bytes {
            self.note(bytes);
            return true;
        }
        let fits = self.memory.as_ref().is_none_or(|memory| memory.take(bytes - self.bytes));
        if fits {
            self.bytes = bytes;
        }
        fits
    }

    /// Holds so many bytes in all: they are there already.
    pub(crate) fn note(&mut self, bytes: usize) {
        if let Some(memory) = &self.memory {
            match bytes.checked_sub(self.bytes) {
                Some(0) => {}
                Some(more) => memory.note(more),
                None => memory.give_back(self.bytes - bytes),
            }
            self.bytes = bytes;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.note(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn capped(cap: u64) -> Rc<Account> {
        let memory = Memory::new(Arc::new(Counts::new(1)));
        memory.follow(&Limits { memory: Some(cap), ..Limits::default() });
        Rc::new(Account(Arc::new(memory)))
    }

    #[test]
    fn pressure_comes_early_and_goes_late() {
        use Pressure::{Calm, Full, Tight};
        for (resident, held, before, expect) in [
            (10, 0, Calm, Calm),
            (79, 0, Calm, Calm),
            (80, 0, Calm, Tight),
            (76, 0, Tight, Tight),
            (74, 0, Tight, Calm),
            (93, 20, Calm, Full),
            (89, 20, Full, Full),
            (87, 20, Full, Tight),
            // What nobody holds any more is not worth a refusal.
            (95, 5, Full, Tight),
            (98, 5, Full, Full),
            (98, 1, Full, Tight),
            (10, 70, Calm, Tight),
            (10, 89, Calm, Tight),
            (10, 90, Calm, Full),
            (10, 81, Full, Full),
            (10, 79, Full, Tight),
            (10, 59, Tight, Calm),
        ] {
            let state =
                Standing { resident: resident * MIB, cap: 100 * MIB, held: held * MIB, buffers: 100 * MIB };
            assert_eq!(
                state.pressure(before),
                expect,
                "{resident} MiB resident, {held} held, {before:?} before"
            );
        }
    }

    #[test]
    fn what_is_held_never_passes_its_share_and_is_given_back() {
        let memory = capped(100 * MIB);
        let share = memory.buffers.load(Relaxed);
        let (mut first, mut second) = (Held::new(&memory), Held::new(&memory));
        assert!(first.hold(share - 10) && second.hold(10));
        assert!(!second.hold(11), "one byte too many");
        assert_eq!(memory.held.load(Relaxed), share, "what was refused is not counted");
        assert!(first.hold(share / 2) && second.hold(11), "less makes room");
        drop((first, second));
        assert_eq!(memory.held.load(Relaxed), 0);
    }

    #[test]
    fn without_a_cap_everything_fits_and_is_counted_for_the_cap_that_may_come() {
        let memory = Rc::new(Account(Arc::new(Memory::new(Arc::new(Counts::new(1))))));
        let mut held = Held::new(&memory);
        assert!(held.hold(usize::MAX / 2));
        assert_eq!(memory.pressure(), Pressure::Calm);
        memory.follow(&Limits { memory: Some(100 * MIB), ..Limits::default() });
        assert!(!Held::new(&memory).hold(1));
        drop(held);
        assert!(Held::new(&memory).hold(1));
    }

    #[test]
    fn what_is_there_already_closes_the_door_at_once() {
        let memory = capped(100 * MIB);
        let share = memory.buffers.load(Relaxed);
        let held = Held::of(&memory, share);
        assert_eq!(memory.pressure(), Pressure::Full);
        drop(held);
        memory.look(10 * MIB);
        assert_eq!(memory.pressure(), Pressure::Calm);
    }

    #[test]
    fn this_process_is_resident() {
        assert!(resident_pages().is_some_and(|pages| pages > 100));
    }
}
