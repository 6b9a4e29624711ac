//! Who may pass a route: which credentials it takes, and what they must say.

use std::sync::Arc;

use tollgate_token::{ClaimPath, Requirement};
use tollgate_wire::Name;

use crate::issuer::IssuerId;

/// How callers of a route identify themselves. At least one kind of credential is accepted.
#[derive(Debug, Clone)]
pub struct Auth {
    /// `jwt`: tokens of any of these issuers.
    pub issuers: Vec<IssuerId>,
    /// Where a token may stand, in order. Never empty where `issuers` is not.
    pub token_from: Vec<Place>,
    /// `api_key`: a header or a query parameter.
    pub api_key: Option<Place>,
    /// `basic`: name and password (RFC 7617).
    pub basic: bool,
    /// Whoever brings no credential passes; a bad one is refused all the same.
    pub optional: bool,
    /// What an accepted credential must say; none asks for nothing.
    pub require: Option<Require>,
    /// Claims that go upstream as headers. A client's own copy is always removed.
    pub forward: Vec<(Name, ClaimPath)>,
    /// Whether the credential is taken off before the upstream.
    pub strip: bool,
}

/// What an accepted credential must say.
#[derive(Debug, Clone)]
pub struct Require {
    /// Of a token.
    pub token: Requirement,
    /// The consumer must be in one of these; empty asks for none.
    pub groups: Vec<Arc<str>>,
}

/// Where a credential stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A request header.
    Header(Name),
    /// A cookie.
    Cookie(Box<str>),
    /// A query parameter, decoded.
    Query(Box<str>),
}
