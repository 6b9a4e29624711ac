//! What is let go of when memory is tight: kept answers, connections that are idle, on both sides, and what was set aside.

use std::rc::Rc;
use std::time::Duration;

use super::memory::Pressure;
use crate::worker::Worker;

/// How often a worker looks at how tight memory is, while it is and while it is not.
const LOOK_OFTEN: Duration = Duration::from_millis(250);
const LOOK_SELDOM: Duration = Duration::from_secs(1);

/// Looks for which kept answers go alone before connections do: they may be enough.
const CACHES_ALONE: u32 = 2;

/// Runs for the life of the worker. Each time an eighth of the idle clients go, those that are idle longest first, so
/// that nobody is closed who need not be, and nearly all are gone after some seconds.
pub(crate) async fn relieve(worker: Rc<Worker>) {
    let mut looks = 0;
    loop {
        tokio::time::sleep(if looks == 0 { LOOK_SELDOM } else { LOOK_OFTEN }).await;
        let pressure = worker.memory.pressure();
        if pressure == Pressure::Calm {
            looks = 0;
            continue;
        }
        if looks == 0 {
            worker.spare.clear();
        }
        // The stores are shared: one worker is enough.
        if worker.index == 0 {
            worker.active.borrow().clone().caches.let_go();
        }
        looks = (looks + 1).min(CACHES_ALONE + 1);
        if looks > CACHES_ALONE || pressure == Pressure::Full {
            close_idle(&worker);
        }
    }
}

fn close_idle(worker: &Worker) {
    worker.memory.count_closed(worker.timers.hasten_idle(worker.clock.now()));
    let active = worker.active.borrow().clone();
    active.upstreams.iter().flat_map(|upstream| &upstream.targets).for_each(|target| target.give_way());
}
