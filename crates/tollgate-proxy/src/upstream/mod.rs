//! Stage 11 for `to`: a target, a connection to it, the request out and the head of the answer back.

mod attempt;
mod answer;
mod call;
mod choose;
mod connect;
mod detached;
mod explain;
mod outgoing;
mod redirect;
mod token;
mod mirror;
mod resolve;
mod retry;
mod switch;
mod translate;

pub(crate) use call::call;
pub(crate) use detached::{Bounds, Detached, Fetched, FetchedBody, fetch, whole};
pub(crate) use explain::explain;
pub(crate) use mirror::mirror;
pub(crate) use resolve::{NameServers, ResolveError, Resolver, Service, Services, look_up_once};
