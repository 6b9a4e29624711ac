//! The gateway's own credentials toward an upstream.

use crate::issuer::{HttpUrl, Reach};
use crate::secret::Secret;

/// A token that the gateway gets for itself and shows to the upstream: OAuth 2.0 client credentials (RFC 6749
/// section 4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCredentials {
    /// Who issues it.
    pub token_url: HttpUrl,
    /// The gateway's own name there.
    pub client_id: Box<str>,
    /// The gateway's own secret there.
    pub client_secret: Secret,
    /// What is asked for: scopes with spaces between them; empty asks for what is usual there.
    pub scope: Box<str>,
    /// For whom the token is to be, where the issuer wants to be told.
    pub audience: Option<Box<str>>,
    /// How name and secret are told.
    pub client_auth: ClientAuth,
    /// How the issuer is reached.
    pub reach: Reach,
}

/// How the gateway says who it is (RFC 6749 section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// By HTTP Basic, which every issuer must know.
    Basic,
    /// In the form.
    Body,
}
