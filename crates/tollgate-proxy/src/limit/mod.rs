//! Stages 5 and 7: rate limits before and after the caller is identified, and how many requests may be in flight.

use tollgate_plan::limit::RateLimitId;

use crate::exchange::{Exchange, Reject};

/// A place under a route's `concurrency`; dropping it gives it up.
pub(crate) struct Place;

/// What one limit said about this request.
pub(crate) struct Verdict {
    pub(crate) limit: RateLimitId,
}

/// Stage 5: limits that need no identity.
pub(crate) async fn by_address(_exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    Ok(())
}

/// Stage 7: limits by consumer and claim.
pub(crate) async fn by_identity(_exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    Ok(())
}

/// Stage 7: takes a place under the route's `concurrency`, waiting for it where a queue is configured.
pub(crate) async fn concurrency(_exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    Ok(())
}

/// Notes in the answer's headers what the limits said.
pub(crate) fn tell(_exchange: &mut Exchange<'_>) {}
