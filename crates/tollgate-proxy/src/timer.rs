//! Deadlines of one worker, without a heap.
//!
//! A connection owns one slot and moves its deadline many times a second, but deadlines hardly ever come.
//! So moving one is a store into a cell, and a sweep looks at all slots when the earliest one may be due,
//! at the latest every [`SWEEP_EVERY`]. 10,000 slots are 10 µs twice a second.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Deadlines are kept in milliseconds since the worker started; this one never comes.
const NEVER: u64 = u64::MAX;

/// The longest time between two sweeps while any deadline is armed.
const SWEEP_EVERY: Duration = Duration::from_millis(500);

/// All deadlines of one worker.
pub(crate) struct Timers {
    epoch: Instant,
    slots: RefCell<Vec<Slot>>,
    free: RefCell<Vec<u32>>,
    /// When the sweeper wakes next; arming something earlier wakes it.
    next_sweep: Cell<u64>,
    earlier: Notify,
}

struct Slot {
    deadline: u64,
    /// Who waits only waits for somebody to begin something: it can be ended without harm.
    idle: bool,
    waker: Option<Waker>,
}

/// One slot. Dropping it frees the slot.
pub(crate) struct Timer {
    timers: Rc<Timers>,
    slot: u32,
}

impl Timers {
    pub(crate) fn new() -> Rc<Timers> {
        Rc::new(Timers {
            epoch: Instant::now(),
            slots: RefCell::default(),
            free: RefCell::default(),
            next_sweep: Cell::new(NEVER),
            earlier: Notify::new(),
        })
    }

    /// A new slot, not armed.
    pub(crate) fn timer(self: &Rc<Self>) -> Timer {
        let slot = self.free.borrow_mut().pop().unwrap_or_else(|| {
            let mut slots = self.slots.borrow_mut();
            slots.push(Slot { deadline: NEVER, idle: false, waker: None });
            (slots.len() - 1) as u32
        });
        Timer { timers: self.clone(), slot }
    }

    /// Wakes every task that waits with a deadline, so that it looks at the world again (a drain began).
    pub(crate) fn wake_all(&self) {
        let wakers: Vec<Waker> = self.slots.borrow().iter().filter_map(|slot| slot.waker.clone()).collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Lets the deadline of some of those who are idle come now: an eighth of them, those who would have gone first.
    /// How many that are.
    pub(crate) fn hasten_idle(&self, now: Instant) -> usize {
        let now = self.millis(now);
        let mut slots = self.slots.borrow_mut();
        let waiting = |slot: &&mut Slot| slot.idle && slot.deadline > now && slot.waker.is_some();
        let mut idle: Vec<&mut Slot> = slots.iter_mut().filter(waiting).collect();
        let hastened = idle.len().div_ceil(8);
        if hastened == 0 {
            return 0;
        }
        idle.select_nth_unstable_by_key(hastened - 1, |slot| slot.deadline);
        let wakers: Vec<Waker> = idle
            .into_iter()
            .take(hastened)
            .filter_map(|slot| {
                slot.deadline = now;
                slot.waker.take()
            })
            .collect();
        drop(slots);
        wakers.into_iter().for_each(Waker::wake);
        hastened
    }

    /// Runs for the life of the worker: wakes the tasks whose deadline has come.
    pub(crate) async fn sweep(self: Rc<Self>) {
        let mut due = Vec::new();
        loop {
            let now = self.millis(Instant::now());
            let earliest = self.collect_due(now, &mut due);
            due.drain(..).for_each(Waker::wake);
            if earliest == NEVER {
                self.next_sweep.set(NEVER);
                self.earlier.notified().await;
                continue;
            }
            let next = earliest.min(now + SWEEP_EVERY.as_millis() as u64);
            self.next_sweep.set(next);
            let until = tokio::time::Instant::from_std(self.epoch + Duration::from_millis(next));
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = self.earlier.notified() => {}
            }
        }
    }

    fn collect_due(&self, now: u64, due: &mut Vec<Waker>) -> u64 {
        let mut earliest = NEVER;
        for slot in self.slots.borrow_mut().iter_mut() {
            if slot.deadline <= now {
                // The deadline stays where it is: the task sees that it has passed.
                due.extend(slot.waker.take());
            } else {
                earliest = earliest.min(slot.deadline);
            }
        }
        earliest
    }

    fn millis(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.epoch).as_millis() as u64
    }
}

impl Timer {
    /// Sets the deadline `after` from `now`.
    pub(crate) fn arm(&self, now: Instant, after: Duration) {
        self.arm_as(false, now, after);
    }

    /// The same for one who is idle, and may be [hastened](Timers::hasten_idle).
    pub(crate) fn arm_idle(&self, now: Instant, after: Duration) {
        self.arm_as(true, now, after);
    }

    fn arm_as(&self, idle: bool, now: Instant, after: Duration) {
        // Rounded up: a deadline never comes early.
        let deadline = self.timers.millis(now).saturating_add(after.as_millis() as u64).saturating_add(1);
        self.set(idle, deadline);
        if deadline < self.timers.next_sweep.get() {
            self.timers.next_sweep.set(deadline);
            self.timers.earlier.notify_one();
        }
    }

    /// Ready when the deadline has passed; else the task is woken when it does.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut slots = self.timers.slots.borrow_mut();
        let Some(slot) = slots.get_mut(self.slot as usize) else { return Poll::Pending };
        // The clock is asked only when this could be it: the sweep takes the waker of what is due.
        if slot.waker.is_none() && slot.deadline <= self.timers.millis(Instant::now()) {
            return Poll::Ready(());
        }
        match &slot.waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => slot.waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    fn set(&self, idle: bool, deadline: u64) {
        if let Some(slot) = self.timers.slots.borrow_mut().get_mut(self.slot as usize) {
            (slot.idle, slot.deadline) = (idle, deadline);
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(slot) = self.timers.slots.borrow_mut().get_mut(self.slot as usize) {
            *slot = Slot { deadline: NEVER, idle: false, waker: None };
        }
        self.timers.free.borrow_mut().push(self.slot);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[tokio::test]
    async fn a_deadline_wakes_its_task_and_no_other() {
        let timers = Timers::new();
        let (soon, late) = (timers.timer(), timers.timer());
        let before = Instant::now();
        late.arm(before, Duration::from_secs(3600));
        soon.arm(before, Duration::from_millis(20));
        tokio::select! {
            () = timers.clone().sweep() => unreachable!("the sweep does not end"),
            () = poll_fn(|cx| late.poll(cx)) => unreachable!("an hour has not passed"),
            () = poll_fn(|cx| soon.poll(cx)) => {}
        }
        assert!(before.elapsed() >= Duration::from_millis(20), "never early");
    }

    #[tokio::test]
    async fn an_earlier_deadline_wakes_the_sweep() {
        let timers = Timers::new();
        let timer = timers.timer();
        timer.arm(Instant::now(), Duration::from_secs(3600));
        let wait = async {
            let mut armed_again = false;
            poll_fn(|cx| {
                if !std::mem::replace(&mut armed_again, true) {
                    timer.arm(Instant::now(), Duration::from_millis(5));
                }
                timer.poll(cx)
            })
            .await;
        };
        tokio::select! {
            biased;
            () = timers.clone().sweep() => unreachable!("the sweep does not end"),
            () = wait => {}
        }
    }

    #[test]
    fn of_the_idle_those_who_waited_longest_go_first() {
        let (timers, now) = (Timers::new(), Instant::now());
        let mut cx = Context::from_waker(Waker::noop());
        let all: Vec<Timer> = (0..20).map(|_| timers.timer()).collect();
        for (number, timer) in all.iter().enumerate() {
            let after = Duration::from_secs(100 - number as u64);
            // Every fifth has something under way.
            if number % 5 == 0 {
                timer.arm(now, after)
            } else {
                timer.arm_idle(now, after)
            }
            assert!(timer.poll(&mut cx).is_pending());
        }
        assert_eq!(timers.hasten_idle(now), 2, "an eighth of 16");
        let gone: Vec<usize> = (0..20).filter(|&at| all[at].poll(&mut cx).is_ready()).collect();
        assert_eq!(gone, [18, 19]);
        assert_eq!(timers.hasten_idle(now), 2, "an eighth of 14");
        all.iter().for_each(|timer| timer.arm(now, Duration::from_secs(1)));
        assert_eq!(timers.hasten_idle(now), 0, "nobody is idle any more");
    }

    #[test]
    fn a_freed_slot_is_used_again() {
        let timers = Timers::new();
        let first = timers.timer().slot;
        assert_eq!(timers.timer().slot, first);
    }
}
