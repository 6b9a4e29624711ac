//! What a worker lets go of when memory is tight: connections that are idle, on both sides, and what it had set aside.

use std::rc::Rc;
use std::time::Duration;

use super::memory::Pressure;
use crate::worker::Worker;

/// How often a worker looks at how tight memory is, while it is and while it is not.
const LOOK_OFTEN: Duration = Duration::from_millis(250);
const LOOK_SELDOM: Duration = Duration::from_secs(1);

/// Runs for the life of the worker. Each time an eighth of the idle clients go, those that are idle longest first, so
/// that nobody is closed who need not be, and nearly all are gone after some seconds.
pub(crate) async fn relieve(worker: Rc<Worker>) {
    let mut wait = LOOK_SELDOM;
    loop {
        tokio::time::sleep(wait).await;
        wait = match worker.memory.pressure() {
            Pressure::Calm => LOOK_SELDOM,
            Pressure::Tight | Pressure::Full => {
                let_go(&worker);
                LOOK_OFTEN
            }
        };
    }
}

fn let_go(worker: &Worker) {
    worker.memory.count_closed(worker.timers.hasten_idle(worker.clock.now()));
    worker.spare.clear();
    let active = worker.active.borrow().clone();
    // It is everybody's: one worker is enough.
    if worker.index == 0 {
        active.caches.let_go();
    }
    active.upstreams.iter().flat_map(|upstream| &upstream.targets).for_each(|target| target.give_way());
}
