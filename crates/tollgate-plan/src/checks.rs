//! What a request must be like, beyond who sends it: expressions that must hold, interfaces and schemas.

use std::sync::Arc;

use tollgate_content::expr::Expr;
use tollgate_content::openapi::OpenApi;
use tollgate_content::schema::Schema;

/// What a route asks of its requests, in the order in which it asks.
#[derive(Debug, Clone, Default)]
pub struct Checks {
    /// All of them must hold; the first that does not decides the answer.
    pub guards: Vec<Guard>,
    /// The interface that the request must be of.
    pub interface: Option<Arc<OpenApi>>,
    /// What query parameters must be: names to a text, or to a list where a name is repeated.
    pub query: Option<Arc<Schema>>,
    /// What headers must be: lower-case names to a text.
    pub headers: Option<Arc<Schema>>,
    /// What the body must be.
    pub body: Option<Arc<Schema>>,
}

/// An expression that must hold.
#[derive(Debug, Clone)]
pub struct Guard {
    /// The expression.
    pub holds: Arc<Expr>,
    /// The status of the refusal, 400 to 599.
    pub status: u16,
    /// What the refusal tells people.
    pub detail: Box<str>,
}
