//! A gateway that only explains: out of a configuration, with neither listeners nor a network.

use std::time::Instant;

use tollgate_plan::Plan;
use tollgate_plan::plan::LogSink;

use crate::gateway::{Gateway, StartError};

impl Gateway {
    /// Starts one worker that serves nobody: [`Control::explain`](crate::Control::explain) asks it. Buckets are full,
    /// caches are empty, targets are as nobody has asked them. It connects to nothing, fetches nothing and writes
    /// nothing.
    pub fn offline(mut plan: Plan) -> Result<Gateway, StartError> {
        plan.listeners.clear();
        plan.workers = 1;
        plan.access_log.sink = LogSink::Off;
        // Connections to it are made when a worker starts.
        plan.redis = None;
        Gateway::begin(plan, Vec::new(), Instant::now(), false)
    }
}
