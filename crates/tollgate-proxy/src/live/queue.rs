//! Requests of one worker that wait for the same thing, in the order in which they came.
//!
//! Only the first of them is woken and looks again; when it leaves, with what it waited for or without, it wakes the
//! next. So a thousand that wait cost no more than one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

/// Who waits, by ticket; tickets only grow.
#[derive(Default)]
pub(crate) struct Queue {
    tickets: Cell<u64>,
    waiting: RefCell<VecDeque<(u64, Waker)>>,
}

/// A place in the queue, given up when dropped.
pub(crate) struct Turn<'q> {
    queue: &'q Queue,
    ticket: u64,
}

impl Queue {
    /// A place at the end. It counts from the first poll on.
    pub(crate) fn join(&self) -> Turn<'_> {
        self.tickets.set(self.tickets.get() + 1);
        Turn { queue: self, ticket: self.tickets.get() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.borrow().is_empty()
    }

    /// What they wait for may be there.
    pub(crate) fn wake_first(&self) {
        let first = self.waiting.borrow().front().map(|(_, waker)| waker.clone());
        if let Some(waker) = first {
            waker.wake();
        }
    }
}

impl Turn<'_> {
    /// Ready for the first in the queue; whoever is not is woken when it becomes that.
    pub(crate) fn poll_first(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.queue.waiting.borrow_mut();
        let at = waiting.partition_point(|(ticket, _)| *ticket < self.ticket);
        match waiting.get_mut(at).filter(|(ticket, _)| *ticket == self.ticket) {
            Some((_, waker)) => waker.clone_from(cx.waker()),
            None => waiting.insert(at, (self.ticket, cx.waker().clone())),
        }
        if at == 0 { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut waiting = self.queue.waiting.borrow_mut();
        let at = waiting.partition_point(|(ticket, _)| *ticket < self.ticket);
        let left = match waiting.get(at) {
            Some((ticket, _)) if *ticket == self.ticket => waiting.remove(at),
            _ => None,
        };
        drop(waiting);
        if left.is_some() && at == 0 {
            self.queue.wake_first();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[test]
    fn one_after_the_other() {
        let queue = Queue::default();
        let woken: Vec<Arc<Woken>> = (0..3).map(|_| Arc::default()).collect();
        let counts = || woken.iter().map(|w| w.0.load(SeqCst)).collect::<Vec<_>>();
        let mut turns: Vec<Turn<'_>> = woken.iter().map(|_| queue.join()).collect();
        let poll = |turn: &Turn<'_>, at: usize| {
            turn.poll_first(&mut Context::from_waker(&Waker::from(woken[at].clone()))).is_ready()
        };
        assert_eq!([0, 1, 2].map(|at| poll(&turns[at], at)), [true, false, false]);
        queue.wake_first();
        assert_eq!(counts(), [1, 0, 0], "only the first is woken");
        drop(turns.remove(1));
        assert_eq!(counts(), [1, 0, 0], "who leaves from the middle changes nothing");
        drop(turns.remove(0));
        assert_eq!(counts(), [1, 0, 1], "the next one's turn");
        assert!(poll(&turns[0], 2));
        drop(turns);
        assert!(queue.is_empty());
        queue.wake_first();
        assert_eq!(counts(), [1, 0, 1], "nobody is left");
    }
}
