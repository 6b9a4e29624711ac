//! The drain: readiness fails at once, after `shutdown.delay` nothing is accepted any more, after
//! `shutdown.grace` what is left is cut.
//!
//! A process that was replaced accepts nothing from the beginning, and has nobody to hide from: its idle connections
//! are left open for a while, so that whoever uses one is told to come back on another.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tollgate_plan::listener::ListenAddress;
use tollgate_plan::plan::Shutdown;

use crate::control::Drained;
use crate::gateway::Shared;
use crate::listen;
use crate::run::Order;
use crate::worker::Phase;

/// How often the drain looks whether everybody is gone.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Then those who write and send it end within this time.
const END_WITHIN: Duration = Duration::from_millis(500);

/// Spans that are left are sent within this time, or not at all.
const SPANS_WITHIN: Duration = Duration::from_secs(2);

/// The access log has so long to write what is left.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// Of the time until the machine goes, so much is left for the log and the end of the process.
const MARGIN: Duration = Duration::from_secs(2);

/// How a drain proceeds.
pub(crate) struct Course {
    delay: Duration,
    grace: Duration,
    /// What a successor accepts on; none: there is no successor.
    kept: Option<Vec<ListenAddress>>,
}

impl Course {
    /// As the configuration says.
    pub(crate) fn of(Shutdown { delay, grace }: Shutdown) -> Course {
        Course { delay, grace, kept: None }
    }

    /// The same within a time that somebody else has set. A delay that takes more than half of it is shortened:
    /// requests in flight matter more than a balancer that is slow to notice.
    pub(crate) fn within(Shutdown { delay, grace }: Shutdown, left: Duration) -> Course {
        let left = left.saturating_sub(MARGIN.min(left / 4));
        let delay = if delay + grace <= left { delay } else { delay.min(left / 2) };
        Course { delay, grace: grace.min(left - delay), kept: None }
    }

    /// A successor accepts on these.
    pub(crate) fn handed_over(Shutdown { delay, grace }: Shutdown, kept: &[ListenAddress]) -> Course {
        Course { delay, grace, kept: Some(kept.to_vec()) }
    }

    /// How long idle connections of a process that was replaced are left open.
    fn patience(&self) -> Duration {
        self.delay.max(self.grace / 2)
    }
}

/// Drains in a thread of its own: the caller may have no runtime, and the workers are what ends.
pub(crate) fn begin(shared: Arc<Shared>, began: Instant, course: Course) {
    let run = move || match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime.block_on(drain(&shared, began, &course)),
        Err(error) => {
            tracing::error!(%error, "cannot wait for requests in flight");
            shared.drained.send_replace(Some(Drained { cut: 0 }));
        }
    };
    // Without a thread there is no drain to wait for; the process ends all the same.
    if let Err(error) = std::thread::Builder::new().name("drain".into()).spawn(run) {
        tracing::error!(%error, "cannot start the drain");
    }
}

async fn drain(shared: &Shared, began: Instant, course: &Course) {
    let until = began + course.delay + course.grace;
    let leaving = async {
        match &course.kept {
            None => close(shared, began + course.delay).await,
            Some(kept) => leave_to_successor(shared, kept, began + course.patience()).await,
        }
        until_nobody_is_left(shared).await;
    };
    // A worker that waits for the log may take no order; the grace has an end all the same.
    let gone = tokio::time::timeout_at(until.into(), leaving).await;
    let cut = if gone.is_err() { shared.snapshot().await.inflight_requests as usize } else { 0 };
    // A worker that waits for the log could take no order.
    shared.log.end_waiting();
    shared.order_all(|| Order::End).await;
    let threads = std::mem::take(&mut *shared.threads.lock().unwrap_or_else(PoisonError::into_inner));
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a worker ended with a panic");
        }
    }
    shared.collector.flush(SPANS_WITHIN).await;
    shared.background.end();
    if !shared.log.flush(FLUSH_WITHIN) {
        let spool =
            shared.log.shipped().map_or("", |_| "; what waits in a spool is left to the next process");
        tracing::warn!("the access log could not be written to its end{spool}");
    }
    shared.log.end(END_WITHIN);
    shared.drained.send_replace(Some(Drained { cut }));
}

/// Answers carry `Connection: close` from now on; at `at` nothing is accepted any more, and idle connections end.
async fn close(shared: &Shared, at: Instant) {
    shared.order_all(|| Order::Phase(Phase::Closing)).await;
    tokio::time::sleep_until(at.into()).await;
    // A reload that began before the drain may still be adding listeners.
    let reload = shared.applying.lock().await;
    let listening = shared.listening();
    let addresses: Vec<ListenAddress> = listening.iter().map(|live| live.address.clone()).collect();
    shared.order_all(|| Order::Drain(addresses.clone())).await;
    drop(reload);
    listening.iter().for_each(|live| listen::unbind(live));
    // Those who still were in a listening queue come in a moment later.
    tokio::time::sleep(listen::QUIET).await;
}

/// Leaves the sockets that the successor has to it, and closes the others. Idle connections stay open until `at`: a
/// client that uses one meanwhile is served, and told to close it.
async fn leave_to_successor(shared: &Shared, kept: &[ListenAddress], at: Instant) {
    let reload = shared.applying.lock().await;
    let listening = shared.listening();
    for live in listening.iter().filter(|live| kept.contains(&live.address)) {
        live.lend();
    }
    let addresses: Vec<ListenAddress> = listening.iter().map(|live| live.address.clone()).collect();
    shared.order_all(|| Order::Unlisten(addresses.clone())).await;
    drop(reload);
    listening.iter().for_each(|live| listen::unbind(live));
    shared.order_all(|| Order::Phase(Phase::Closing)).await;
    tokio::time::sleep(listen::QUIET).await;
    let _ = tokio::time::timeout_at(at.into(), until_nobody_is_left(shared)).await;
    shared.order_all(|| Order::Phase(Phase::Draining)).await;
}

async fn until_nobody_is_left(shared: &Shared) {
    while shared.counts.open() > 0 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_fits_into_the_time_that_is_left() {
        for (delay, grace, left, expect) in [
            // All the time of the world.
            (5, 30, 120, (5_000, 30_000)),
            // The grace is what can be shortened.
            (5, 60, 32, (5_000, 25_000)),
            // A delay that is too long leaves half to the requests.
            (20, 30, 32, (15_000, 15_000)),
            (0, 30, 12, (0, 10_000)),
            // No time at all.
            (5, 30, 0, (0, 0)),
            (5, 30, 4, (1_500, 1_500)),
        ] {
            let shutdown = Shutdown { delay: Duration::from_secs(delay), grace: Duration::from_secs(grace) };
            let course = Course::within(shutdown, Duration::from_secs(left));
            let seen = (course.delay.as_millis(), course.grace.as_millis());
            assert_eq!(seen, expect, "delay {delay}, grace {grace}, left {left}");
        }
    }
}
