//! What an issuer's tokens must look like: the configuration of one issuer, as the verifier needs it.

use crate::algorithm::Algorithms;

/// What is checked beside the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectations {
    /// What `iss` must be, octet for octet. `None`: not looked at.
    pub issuer: Option<Box<str>>,
    /// Whom the token must be for.
    pub audience: Audience,
    /// The algorithms that count. `none` can not be among them.
    pub algorithms: Algorithms,
    /// How far the issuer's clock may be off, in seconds, for `exp` and `nbf`.
    pub leeway_s: u64,
    /// Whether a token must end.
    pub exp: Exp,
    /// What `typ` in the header must be (RFC 7515 §4.1.9: case does not matter, nor does a leading
    /// `application/`). `None`: not looked at.
    pub typ: Option<Box<str>>,
}

/// Whom a token must be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// `aud` is not looked at.
    Any,
    /// `aud` must name one of these.
    AnyOf(Vec<Box<str>>),
}

/// Whether a token must end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exp {
    /// A token without `exp` is refused.
    #[default]
    Required,
    /// A token without `exp` holds as long as its key.
    Optional,
}
