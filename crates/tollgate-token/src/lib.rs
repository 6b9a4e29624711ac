//! Signed tokens: JWS in compact form, JWT claims, JWK sets, and the memory of what was verified.
//!
//! Sans-IO: bytes and the time come in, a decision goes out. No clock, no sockets, no files; whoever fetches key
//! sets hands in their text. The algorithm always comes from the configuration, never from the token: a token that
//! says another is refused before any cryptography.
//!
//! ```
//! use tollgate_token::{Algorithm, Audience, Exp, Expectations, KeySet, mint::Signer, verify};
//!
//! let signer = Signer::generate(Algorithm::ES256)?;
//! let jwks = tollgate_token::mint::public_jwks(&[&signer]).to_string();
//! let (keys, skipped) = KeySet::from_jwks(jwks.as_bytes(), Algorithm::ES256.into())?;
//! assert!(skipped.is_empty());
//!
//! let expect = Expectations {
//!     issuer: Some("https://id.example.com/".into()),
//!     audience: Audience::AnyOf(vec!["orders-api".into()]),
//!     algorithms: Algorithm::ES256.into(),
//!     leeway_s: 30,
//!     exp: Exp::Required,
//!     typ: None,
//! };
//! let claims = serde_json::json!({
//!     "iss": "https://id.example.com/", "aud": "orders-api", "sub": "u1", "exp": 2_000_000_000,
//! });
//! let token = signer.sign(&claims, Some(signer.kid()))?;
//! assert_eq!(verify(&token, &keys, &expect, 1_900_000_000)?.sub().as_deref(), Some("u1"));
//! assert!(verify(&token, &keys, &expect, 2_000_000_030).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// Tokens and key sets come from the network: nothing in them may panic here.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod algorithm;
mod error;
mod expect;

mod base64url;
mod der;
mod document;
mod json;

mod key;
mod roca;
mod jwk;
mod pem;
mod keyset;

mod header;
mod token;
mod standing;
mod claims;
mod path;
mod requirement;
mod memory;

pub mod certificate;
pub mod introspection;
pub mod mint;

pub use algorithm::{Algorithm, Algorithms, UnknownAlgorithm};
pub use claims::Claims;
pub use document::{Json, List, Object};
pub use error::TokenError;
pub use expect::{Audience, Exp, Expectations};
pub use header::Headers;
pub use key::{Key, MAX_RSA_BITS, MIN_RSA_BITS, MIN_SECRET_BYTES, Unusable};
pub use keyset::{JwksError, KeySet, MAX_KEY_TEXT_BYTES, MAX_KEYS, MAX_TRIES, SecretError, Skipped};
pub use memory::Memory;
pub use path::{BadClaimPath, ClaimPath, MAX_PATH_PARTS};
pub use pem::PemError;
pub use requirement::{Lacking, Requirement};
pub use token::{MAX_TOKEN_BYTES, Token, verify};
