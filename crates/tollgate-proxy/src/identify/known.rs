//! What a worker remembers of credentials that it has checked. All of it is bounded, none of it outlives what it
//! rests on.

use std::cell::RefCell;

use tollgate_token::{Memory, TokenError};

use super::basic::Proven;
use super::flights::Flights;
use super::{Refused, Verified};
use tollgate_plan::issuer::IssuerId;

/// Tokens that were found good, in bytes: some thousand usual ones, and little beside what a worker needs anyway.
const TOKENS_BYTES: usize = 2 * 1024 * 1024;
/// Tokens that their issuer does not want: enough for a client that goes on trying, too little to be worth filling.
const REFUSED_BYTES: usize = 256 * 1024;

/// One worker's memory of credentials.
pub(crate) struct Known {
    pub(super) tokens: RefCell<Memory<crate::identity::Verified>>,
    /// What issuers said against tokens that only they understand.
    pub(super) refused: RefCell<Memory<Vec<(IssuerId, TokenError)>>>,
    /// Questions to issuers, by plan, issuer and token.
    pub(super) questions: Flights<(u64, IssuerId, Box<[u8]>), Result<Verified, Refused>>,
    pub(super) passwords: Proven,
}

impl Known {
    pub(crate) fn new() -> Known {
        Known {
            tokens: RefCell::new(Memory::new(TOKENS_BYTES)),
            refused: RefCell::new(Memory::new(REFUSED_BYTES)),
            questions: Flights::default(),
            passwords: Proven::new(),
        }
    }
}
