//! Which route a request takes.

/// The look-up over all routes of a plan.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {}
