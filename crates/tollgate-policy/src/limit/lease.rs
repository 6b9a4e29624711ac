//! Tokens taken ahead from a bucket that several instances share, so that most requests ask nobody.
//!
//! One [`Lease`] is what one instance knows of one key. Its caller asks it for every request ([`Lease::decide`]),
//! carries [`Ask`]s to Redis whenever [`Lease::ask`] has one, and brings back the answers ([`Lease::settle`]) or
//! the lack of one ([`Lease::failed`]). Requests that must wait for an answer come again with [`Lease::claim`].
//!
//! How much is taken ahead follows recent use. What a lease may hold at most is [`lease_max`], and no token is held
//! longer than the bucket takes to refill that much. So whatever the instances hold together, beyond what the
//! bucket itself would let pass, is one such lease: tokens held are at most those taken within that time, and
//! in that time the bucket regains no more than the lease. What turns out not to be needed is given back.
//!
//! Whether Redis can be reached at all is not known here: while it cannot, the caller decides without asking, by
//! [`Quota::share`] for instance, because a lease would let every request wait for a timeout.

use std::time::Duration;

use super::bucket::{Bucket, Decision};
use super::quota::{NS_PER_S, Quota};
use super::script::{Ask, MOVED_MAX, Reply};

/// The step in which use is measured, and for which tokens are taken ahead.
const TICK_NS: u64 = NS_PER_S / 5;
/// A key without requests for so long gives back what it holds.
const IDLE_NS: u64 = 3 * TICK_NS;
/// How long a request that waited may take to come for its token.
const CLAIM_NS: u64 = NS_PER_S / 10;
/// While the bucket is empty it is asked again after so long at least: what refills meanwhile is not lost, as long
/// as it is no more than a lease.
const DRY_NS: u64 = NS_PER_S / 10;
/// Each answer that brings nothing doubles that: others take what refills, and a thousand that ask for it ten times a
/// second would be the load of Redis. So long at most.
const DRY_MAX_NS: u64 = NS_PER_S;
/// What one instance holds is a quarter of the burst at most: the others find something, too.
const SHARE_OF_BURST: u64 = 4;
/// And half a percent of what the limit lets pass in a minute: two instances are then within one.
const SHARE_OF_MINUTE: u64 = 200;
/// Fractions of tokens per tick in the measure of use.
const USE_ONE: u64 = 256;

/// The most tokens that are taken ahead for one key.
pub fn lease_max(quota: &Quota) -> u32 {
    let minute = u128::from(quota.count()) * 60 * u128::from(NS_PER_S) / u128::from(quota.period_ns());
    let minute = u64::try_from(minute).unwrap_or(u64::MAX).saturating_add(quota.burst());
    let most = (quota.burst() / SHARE_OF_BURST).min(minute / SHARE_OF_MINUTE);
    most.clamp(1, u64::from(MOVED_MAX / 2)) as u32
}

/// What a lease says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass or not, as the decision says. `remaining` and `reset_s` are what is known here.
    Decided(Decision),
    /// Only Redis can say. After the next [`Lease::settle`] or [`Lease::failed`] ask again, by [`Lease::claim`].
    Wait,
}

/// What one instance holds of one key of a shared limit.
#[derive(Debug, Clone, Default)]
pub struct Lease {
    /// Tokens taken ahead; the older ones first.
    older: Batch,
    newer: Batch,
    /// Tokens for requests that waited for them.
    claimable: Batch,
    flight: Option<Flight>,
    /// How long the last answer took.
    round_trip_ns: u64,
    /// Requests that wait and are not yet asked for.
    waiting: u32,
    /// Until then the bucket is known to be empty.
    dry_until_ns: u64,
    /// Answers in a row that brought nothing.
    misses: u32,
    /// The bucket as it was seen last, on the own clock.
    seen: Bucket,
    /// Use per tick, in [`USE_ONE`]ths, of the ticks before this one; and of this one, in tokens.
    usual: u64,
    used: u64,
    tick_ns: u64,
    used_at_ns: u64,
    draining: bool,
}

/// Tokens of one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Batch {
    tokens: u32,
    /// On the own clock, before Redis gave them.
    since_ns: u64,
    /// On Redis' clock.
    taken_at_us: u64,
}

/// A question that is under way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    sent_ns: u64,
    asked: u32,
    waiters: u32,
}

impl Lease {
    /// Decides for a request.
    pub fn decide(&mut self, now_ns: u64, quota: &Quota) -> Verdict {
        self.measure(now_ns);
        if self.draw(now_ns, quota) {
            return Verdict::Decided(self.allowed(now_ns, quota));
        }
        if now_ns < self.dry_until_ns {
            return Verdict::Decided(self.refused(now_ns, quota));
        }
        self.used_at_ns = now_ns;
        self.waiting = self.waiting.saturating_add(1);
        Verdict::Wait
    }

    /// Decides for a request that waited.
    pub fn claim(&mut self, now_ns: u64, quota: &Quota) -> Verdict {
        if self.claimable.tokens == 0 {
            return self.decide(now_ns, quota);
        }
        self.measure(now_ns);
        self.claimable.tokens -= 1;
        self.count_use(now_ns);
        Verdict::Decided(self.allowed(now_ns, quota))
    }

    /// Undoes a token that was allowed, because a later limit refused.
    pub fn give_back(&mut self) {
        self.older.tokens = self.older.tokens.saturating_add(1);
        self.used = self.used.saturating_sub(1);
    }

    /// A request that was told to wait went away before it was asked for.
    pub fn leave(&mut self) {
        self.waiting = self.waiting.saturating_sub(1);
    }

    /// What is to be sent to Redis now, if anything. To be called until there is nothing: after every request, after
    /// every answer, and at [`Lease::wake_at`]. The answer to [`Ask::GiveBack`] is of no interest.
    pub fn ask(&mut self, now_ns: u64, quota: &Quota) -> Option<Ask> {
        self.measure(now_ns);
        if let Some(back) = self.unneeded(now_ns, quota) {
            return Some(back);
        }
        if self.flight.is_some() {
            return None;
        }
        let ahead = if now_ns < self.dry_until_ns { 0 } else { self.ahead(now_ns, quota) };
        let most = quota.burst().min(u64::from(MOVED_MAX)) as u32;
        let asked = self.waiting.saturating_add(ahead).min(most);
        if asked == 0 {
            return None;
        }
        self.flight = Some(Flight { sent_ns: now_ns, asked, waiters: self.waiting.min(asked) });
        self.waiting = 0;
        Some(Ask::Lease(asked))
    }

    /// Takes the answer to [`Ask::Lease`]. All who wait are to be woken, in order, to [`Lease::claim`].
    pub fn settle(&mut self, now_ns: u64, quota: &Quota, reply: &Reply) {
        let Some(flight) = self.flight.take() else { return };
        self.waiting = 0;
        self.seen = Bucket::lacking(reply.missing, now_ns);
        self.round_trip_ns = now_ns.saturating_sub(flight.sent_ns);
        let moved = reply.moved.min(flight.asked);
        let batch = |tokens| Batch { tokens, since_ns: flight.sent_ns, taken_at_us: reply.now_us };
        let claimed = moved.min(flight.waiters);
        self.claimable = match self.claimable.tokens {
            0 => Batch { since_ns: now_ns, ..batch(claimed) },
            // Someone did not come for theirs yet: the earlier times hold for all.
            left => Batch { tokens: left.saturating_add(claimed), ..self.claimable },
        };
        self.stock(batch(moved - claimed));
        self.misses = if moved == 0 { self.misses.saturating_add(1) } else { 0 };
        if moved < flight.asked {
            let refill =
                u64::try_from(self.seen.peek(now_ns, quota).retry_after.as_nanos()).unwrap_or(u64::MAX);
            let pause = refill.max(dry_ns(quota, self.misses));
            self.dry_until_ns = now_ns.saturating_add(pause);
        }
    }

    /// There was no answer in time. All who wait are to be woken, and decided for without Redis. Tokens of an answer
    /// that comes after all are lost until the bucket has refilled: too few pass, never too many.
    pub fn failed(&mut self) {
        self.flight = None;
        self.waiting = 0;
    }

    /// From now on nothing is taken ahead, and [`Lease::ask`] gives back what is held.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// When [`Lease::ask`], which has nothing now, may have something without a request before. `None`: never.
    pub fn wake_at(&self, now_ns: u64, quota: &Quota) -> Option<u64> {
        let idle = self.used_at_ns.saturating_add(IDLE_NS);
        let held = [self.older, self.newer].into_iter().filter(|batch| batch.tokens > 0);
        let ends = held.map(|batch| batch.since_ns.saturating_add(held_max_ns(quota)).min(idle));
        let claims = (self.claimable.tokens > 0).then(|| self.claimable.since_ns.saturating_add(CLAIM_NS));
        let refill = (self.flight.is_none()).then_some(self.dry_until_ns);
        ends.chain(claims).chain(refill).filter(|at| *at > now_ns).min()
    }

    /// Says it nothing more than a new one would?
    pub fn is_idle(&self, now_ns: u64) -> bool {
        let waits = self.waiting > 0 || self.flight.is_some() || now_ns < self.dry_until_ns;
        !waits && self.held() == 0 && self.is_unused(now_ns)
    }

    /// Tokens held, for metrics.
    pub fn held(&self) -> u32 {
        let [a, b, c] = [self.older, self.newer, self.claimable].map(|batch| batch.tokens);
        a.saturating_add(b).saturating_add(c)
    }

    /// Tokens to ask for beside those that are waited for.
    fn ahead(&self, now_ns: u64, quota: &Quota) -> u32 {
        // When answers take longer than tokens may be held, tokens are too old when they come.
        let too_far = held_max_ns(quota) <= self.round_trip_ns.saturating_mul(2);
        if self.draining || too_far || self.is_unused(now_ns) {
            return 0;
        }
        // A first request alone says nothing about a second one.
        let expected = self.usual.max(self.used.saturating_sub(1).saturating_mul(USE_ONE));
        if expected <= USE_ONE / 2 {
            return 0;
        }
        let target =
            (expected.saturating_mul(3) / 2).div_ceil(USE_ONE).min(u64::from(lease_max(quota))) as u32;
        let stock = self.stocked(now_ns, quota);
        if stock > target / 2 { 0 } else { target - stock }
    }

    /// What is held in vain: not claimed, too old, or no longer used.
    fn unneeded(&mut self, now_ns: u64, quota: &Quota) -> Option<Ask> {
        let unused = self.draining || self.is_unused(now_ns);
        let late = now_ns >= self.claimable.since_ns.saturating_add(CLAIM_NS);
        let stock = [&mut self.older, &mut self.newer].into_iter().map(|batch| {
            let vain = unused || !batch.is_fresh(now_ns, quota);
            (batch, vain)
        });
        let mut batches = std::iter::once((&mut self.claimable, late)).chain(stock);
        let (batch, _) = batches.find(|(batch, vain)| *vain && batch.tokens > 0)?;
        let tokens = std::mem::take(&mut batch.tokens);
        Some(Ask::GiveBack { tokens, taken_at_us: batch.taken_at_us })
    }

    /// Takes a token from what is held.
    fn draw(&mut self, now_ns: u64, quota: &Quota) -> bool {
        self.shift();
        let batch = [&mut self.older, &mut self.newer].into_iter().find(|batch| batch.serves(now_ns, quota));
        let Some(batch) = batch else { return false };
        batch.tokens -= 1;
        self.count_use(now_ns);
        true
    }

    fn stock(&mut self, batch: Batch) {
        if batch.tokens == 0 {
            return;
        }
        self.shift();
        match self.newer.tokens {
            0 => self.newer = batch,
            // No room for a third time: the earlier one holds for both.
            tokens => self.newer.tokens = tokens.saturating_add(batch.tokens),
        }
    }

    /// The older ones are used up. Their times stay until others take their place, for what is given back.
    fn shift(&mut self) {
        if self.older.tokens == 0 && self.newer.tokens > 0 {
            self.older = std::mem::take(&mut self.newer);
        }
    }

    fn stocked(&self, now_ns: u64, quota: &Quota) -> u32 {
        let fresh = [self.older, self.newer].into_iter().filter(|batch| batch.serves(now_ns, quota));
        fresh.fold(0, |sum: u32, batch| sum.saturating_add(batch.tokens))
    }

    fn allowed(&self, now_ns: u64, quota: &Quota) -> Decision {
        let seen = self.seen.peek(now_ns, quota);
        let remaining = seen.remaining.saturating_add(u64::from(self.stocked(now_ns, quota)));
        let remaining = remaining.min(quota.burst().saturating_sub(1));
        Decision { allowed: true, remaining, retry_after: Duration::ZERO, ..seen }
    }

    fn refused(&self, now_ns: u64, quota: &Quota) -> Decision {
        let seen = self.seen.peek(now_ns, quota);
        let retry_after = Duration::from_nanos(self.dry_until_ns.saturating_sub(now_ns));
        Decision { allowed: false, remaining: 0, retry_after, ..seen }
    }

    fn count_use(&mut self, now_ns: u64) {
        self.used = self.used.saturating_add(1);
        self.used_at_ns = now_ns;
    }

    fn is_unused(&self, now_ns: u64) -> bool {
        now_ns >= self.used_at_ns.saturating_add(IDLE_NS)
    }

    /// Half of the measure is the last tick, a quarter the one before it, and so on.
    fn measure(&mut self, now_ns: u64) {
        let ticks = now_ns.saturating_sub(self.tick_ns) / TICK_NS;
        if ticks > 0 {
            let whole = self.usual.saturating_add(self.used.saturating_mul(USE_ONE));
            self.usual = whole.checked_shr(u32::try_from(ticks).unwrap_or(u32::MAX)).unwrap_or(0);
            self.used = 0;
            self.tick_ns = self.tick_ns.saturating_add(ticks.saturating_mul(TICK_NS));
        }
    }
}

impl Batch {
    fn is_fresh(&self, now_ns: u64, quota: &Quota) -> bool {
        now_ns < self.since_ns.saturating_add(held_max_ns(quota))
    }

    fn serves(&self, now_ns: u64, quota: &Quota) -> bool {
        self.tokens > 0 && self.is_fresh(now_ns, quota)
    }
}

/// How long a token may be held: as long as the bucket takes to regain the largest lease.
fn held_max_ns(quota: &Quota) -> u64 {
    quota.cost(u64::from(lease_max(quota))).ns
}

/// How long an empty bucket is left alone. Never so long that it could be more than half full in the end: what refills
/// is not lost when those who took it stop.
fn dry_ns(quota: &Quota, misses: u32) -> u64 {
    let least = DRY_NS.min(held_max_ns(quota));
    let most = DRY_MAX_NS.min(quota.burst_span().ns / 2);
    least.saturating_mul(1 << misses.saturating_sub(1).min(16)).min(most.max(least))
}

#[cfg(test)]
mod tests;
