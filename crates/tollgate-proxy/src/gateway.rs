//! Starts the workers and keeps what they share.

use std::sync::Arc;

use tollgate_plan::Plan;

use crate::control::{Applied, ApplyError, Control, Drained, Status, UpstreamHealth};
use crate::observe::Snapshot;

/// The running data plane.
pub struct Gateway {
    shared: Arc<Shared>,
}

/// The data plane could not start; nothing is left behind.
pub type StartError = ApplyError;

impl Gateway {
    /// Binds every listener, opens the access log, starts the workers; returns when they accept.
    pub fn start(plan: Plan) -> Result<Gateway, StartError> {
        let _ = plan;
        Err(ApplyError::Draining)
    }

    /// A handle for the rest of the process.
    pub fn control(&self) -> Control {
        Control { shared: self.shared.clone() }
    }
}

pub(crate) struct Shared {}

impl Shared {
    pub(crate) fn status(&self) -> Status {
        unreachable!()
    }
    pub(crate) fn plan(&self) -> Arc<Plan> {
        unreachable!()
    }
    pub(crate) fn health(&self) -> Vec<UpstreamHealth> {
        unreachable!()
    }
    pub(crate) async fn snapshot(&self) -> Snapshot {
        unreachable!()
    }
    pub(crate) async fn apply(&self, _plan: Plan) -> Result<Applied, ApplyError> {
        unreachable!()
    }
    pub(crate) fn begin_drain(&self) {}
    pub(crate) async fn drained(&self) -> Drained {
        unreachable!()
    }
}
