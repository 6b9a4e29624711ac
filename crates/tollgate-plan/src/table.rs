//! Which route a request takes.
//!
//! The most specific route wins: exact host over wildcard (longer suffix first) over any; then, segment by
//! segment, literal over text with parameters (more literal bytes first) over parameter over tail; then more
//! header and query conditions; then `methods` over any; then `priority`. A route that does not match in all of
//! that is no candidate, and the next one is asked.
//!
//! The table is a tree of segments per host pattern, so what a look-up costs depends on the request's path and
//! on how many routes share its very pattern, not on the number of routes.

use tollgate_wire::{Method, Name};

use crate::host::HostPattern;
use crate::route::RouteId;

mod allow;
mod analyse;
mod build;
mod conditions;
mod consider;
mod find;
mod params;
mod pattern;
mod segment;

pub use allow::Allow;
pub use analyse::{Finding, analyse};
pub use build::RouteTable;
pub use conditions::{HeaderCondition, QueryCondition, ValueMatch};
pub use consider::{By, Considered, Why};
pub use params::Params;
pub use pattern::{PathPattern, PatternError, PatternErrorKind};

/// What a route matches.
#[derive(Debug, Clone)]
pub struct RouteSpec {
    /// The route that is found.
    pub id: RouteId,
    /// Any of these; empty: every host.
    pub hosts: Vec<HostPattern>,
    /// The path.
    pub path: PathPattern,
    /// Any of these; empty: every method. `GET` covers `HEAD`.
    pub methods: Vec<Method>,
    /// All of these.
    pub headers: Vec<HeaderCondition>,
    /// All of these.
    pub query: Vec<QueryCondition>,
    /// Settles what specificity does not: the higher one wins.
    pub priority: i64,
}

/// What the table asks about a request beyond host and path.
pub trait Facts {
    /// The method.
    fn method(&self) -> &Method;
    /// The values of every line of that header.
    fn header<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]>;
    /// The query as it was sent, without the question mark.
    fn query(&self) -> Option<&[u8]>;
    /// Whether a condition of a route holds, or may, where not all of the request is known.
    fn meets(&self, _: RouteId, condition: &HeaderCondition) -> bool {
        condition.holds(self.header(&condition.name))
    }
}

/// The answer of a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// The route. The parameters are filled in.
    Route(RouteId),
    /// No route, but at least one that differs only in the method.
    MethodNotAllowed(Allow),
    /// No route.
    NotFound,
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
