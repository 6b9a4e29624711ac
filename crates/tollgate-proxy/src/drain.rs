//! The drain: readiness fails at once, after `shutdown.delay` nothing is accepted any more, after
//! `shutdown.grace` what is left is cut.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::control::Drained;
use crate::gateway::Shared;
use crate::listen;
use crate::run::Order;
use crate::worker::Phase;

/// How often the drain looks whether everybody is gone.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The access log has so long to write what is left.
const FLUSH_WITHIN: Duration = Duration::from_secs(5);

/// Drains in a thread of its own: the caller may have no runtime, and the workers are what ends.
pub(crate) fn begin(shared: Arc<Shared>, began: Instant) {
    let run = move || match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime.block_on(drain(&shared, began)),
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

async fn drain(shared: &Shared, began: Instant) {
    let shutdown = shared.plan().shutdown;
    let until = began + shutdown.delay + shutdown.grace;
    // A worker that waits for the log may take no order; the grace has an end all the same.
    let gone = tokio::time::timeout_at(until.into(), until_all_left(shared, began + shutdown.delay)).await;
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
    shared.background.end();
    if !shared.log.flush(FLUSH_WITHIN) {
        tracing::warn!("the access log could not be written to its end");
    }
    shared.drained.send_replace(Some(Drained { cut }));
}

/// Stops accepting at `at`, and waits until the last connection is closed.
async fn until_all_left(shared: &Shared, at: Instant) {
    shared.order_all(|| Order::Phase(Phase::Closing)).await;
    tokio::time::sleep_until(at.into()).await;
    // A reload that began before the drain may still be adding listeners.
    let reload = shared.applying.lock().await;
    let addresses = shared.addresses();
    shared.order_all(|| Order::Drain(addresses.clone())).await;
    drop(reload);
    addresses.iter().for_each(listen::unbind);
    // Those who still were in a listening queue come in a moment later.
    tokio::time::sleep(listen::QUIET).await;
    while shared.counts.open() > 0 {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
