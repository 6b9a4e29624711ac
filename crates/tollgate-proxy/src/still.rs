//! A gateway in which the time of rate limits stands still, for tests of a configuration: what a burst lets pass does not
//! depend on how quick the machine is. All other time goes on.

use std::time::{Duration, Instant};

use tollgate_plan::Plan;

use crate::gateway::{Gateway, Shared, StartError};
use crate::handover::Held;

/// Until the time of the buckets begins: longer than any test takes.
const STILL: Duration = Duration::from_secs(30 * 86_400);

impl Gateway {
    /// [`Gateway::start_on`], with buckets that are never refilled.
    pub fn start_still(plan: Plan, held: Vec<Held>) -> Result<Gateway, StartError> {
        let now = Instant::now();
        Gateway::begin(plan, held, now.checked_add(STILL).unwrap_or(now), true)
    }
}

impl Shared {
    /// Whether the time of rate limits stands still.
    pub(crate) fn is_still(&self) -> bool {
        self.nanos(Instant::now() + Duration::from_secs(1)) == 0
    }
}
