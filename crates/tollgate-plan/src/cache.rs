//! Keeping answers: what a route's `cache` asks for.

use std::time::Duration;

use tollgate_wire::Name;

use crate::template::Var;

/// How a route keeps answers, for requests of GET and HEAD.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    /// How long an answer is fresh where the upstream says nothing explicit about it; zero keeps only what the upstream
    /// allows.
    pub ttl: Duration,
    /// Whether what the upstream says comes before `ttl`.
    pub respect: bool,
    /// Request headers that tell answers apart, beside those of the answer's own `Vary`.
    pub vary: Vec<Name>,
    /// What else of a request its answer is made of: it tells answers apart, too.
    pub inputs: Vec<Input>,
    /// For so long a stale answer is given while the upstream is asked again; none leaves it to the upstream.
    pub stale_while_revalidate: Option<Duration>,
    /// For so long a stale answer is given where the upstream fails; none leaves it to the upstream.
    pub stale_if_error: Option<Duration>,
    /// Bytes that all answers of the route may take together.
    pub max_bytes: u64,
    /// Whether each caller has answers of their own.
    pub private: bool,
}

/// Something of a request that stands neither in its URL nor in one header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// What a placeholder stands for.
    Value(Var),
    /// All that the caller's token says.
    Claims,
    /// All headers.
    Headers,
}
