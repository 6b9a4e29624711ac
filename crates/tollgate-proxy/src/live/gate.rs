//! Places under a route's `concurrency`, exact over all workers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The places of one route. A reload keeps it while the route's name and `max` stay.
pub(crate) struct Gate {
    pub(crate) max: usize,
    /// Serves who waits in the order in which they came.
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A place, given up when dropped.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// Somebody waits; counted until it is dropped.
struct Waiting<'g>(&'g AtomicUsize);

impl Gate {
    pub(crate) fn new(max: usize) -> Arc<Gate> {
        let places = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
        Arc::new(Gate { max, places, waiting: AtomicUsize::new(0) })
    }

    /// How many places are taken.
    pub(crate) fn taken(&self) -> usize {
        self.max.min(Semaphore::MAX_PERMITS).saturating_sub(self.places.available_permits())
    }

    /// How many wait for one.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed)
    }

    /// A place, if one is free and nobody waits for it.
    pub(crate) fn enter(&self) -> Option<Place> {
        self.places.clone().try_acquire_owned().ok().map(Place::of)
    }

    /// Waits for a place behind those who wait already; none when `queue` do.
    pub(crate) async fn wait(&self, queue: usize) -> Option<Place> {
        let room = |waiting: usize| (waiting < queue).then_some(waiting + 1);
        self.waiting.fetch_update(Relaxed, Relaxed, room).ok()?;
        let _counted = Waiting(&self.waiting);
        // An error would mean that the places were closed, which nobody does.
        self.places.clone().acquire_owned().await.ok().map(Place::of)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Place {
    fn of(permit: OwnedSemaphorePermit) -> Place {
        Place { _permit: permit }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn no_more_than_max_and_in_the_order_in_which_they_came() {
        let gate = Gate::new(2);
        let first = gate.enter().expect("two are free");
        let second = gate.enter().expect("one is free");
        assert!(gate.enter().is_none());
        assert!(matches!(poll(pin!(gate.wait(0))), Poll::Ready(None)), "without a queue nobody waits");

        let mut earlier = pin!(gate.wait(2));
        let mut later = pin!(gate.wait(2));
        assert!(poll(earlier.as_mut()).is_pending() && poll(later.as_mut()).is_pending());
        assert!(matches!(poll(pin!(gate.wait(2))), Poll::Ready(None)), "the queue is full");
        drop(first);
        assert!(gate.enter().is_none(), "the place is promised to who waits longest");
        assert!(poll(later.as_mut()).is_pending());
        let Poll::Ready(Some(third)) = poll(earlier.as_mut()) else { panic!("it is its turn") };
        assert!(poll(pin!(gate.wait(2))).is_pending(), "there is room in the queue again");
        drop((second, third));
        assert!(poll(later.as_mut()).is_ready());
        assert_eq!(gate.places.available_permits(), 2, "no place is lost");
    }

    #[test]
    fn who_leaves_the_queue_makes_room_and_loses_no_place() {
        let gate = Gate::new(1);
        let place = gate.enter();
        {
            let mut waits = pin!(gate.wait(1));
            assert!(poll(waits.as_mut()).is_pending());
            drop(place);
        }
        assert_eq!(gate.waiting.load(Relaxed), 0);
        assert!(gate.enter().is_some(), "a place that was promised to who left is free again");
    }

    #[test]
    fn a_huge_max_is_no_panic() {
        assert!(Gate::new(usize::MAX).enter().is_some());
    }
}
