//! What a worker remembers of credentials that it has checked. All of it is bounded, none of it outlives what it
//! rests on.

use std::cell::RefCell;
use std::rc::Rc;

use tollgate_plan::issuer::IssuerId;
use tollgate_token::{Headers, Memory, TokenError};

use super::Refused;
use super::basic::Proven;
use super::flights::Flights;
use crate::identity::Verified;
use crate::live::memory::Memory as ProcessMemory;

/// Tokens that were found good, in bytes: some thousand usual ones, and little beside what a worker needs anyway.
const TOKENS_BYTES: usize = 2 * 1024 * 1024;
/// Tokens that their issuer does not want: enough for a client that goes on trying, too little to be worth filling.
const REFUSED_BYTES: usize = 256 * 1024;

/// What one issuer said against a token.
#[derive(Clone, Copy)]
pub(super) struct Refusal {
    pub(super) by: IssuerId,
    pub(super) error: TokenError,
    /// From then on it is asked again.
    pub(super) until_unix_s: i64,
}

/// Generation of the plan, issuer, token.
type Asked = (u64, IssuerId, Box<[u8]>);

type Answer = Result<Rc<Verified>, Refused>;

/// One worker's memory of credentials.
pub(crate) struct Known {
    pub(super) tokens: RefCell<Memory<Verified>>,
    /// What their headers say.
    pub(super) headers: RefCell<Headers>,
    /// What issuers said against tokens that only they understand.
    pub(super) refused: RefCell<Memory<Vec<Refusal>>>,
    /// Questions to issuers.
    pub(super) questions: Flights<Asked, Answer>,
    pub(super) passwords: Proven,
}

impl Known {
    pub(crate) fn new() -> Known {
        Known {
            tokens: RefCell::new(Memory::new(TOKENS_BYTES)),
            headers: RefCell::default(),
            refused: RefCell::new(Memory::new(REFUSED_BYTES)),
            questions: Flights::default(),
            passwords: Proven::new(),
        }
    }

    /// Keeps to its part of the memory that the process may use.
    pub(crate) fn follow(&self, memory: &ProcessMemory, workers: usize) {
        let bytes = memory.token_bytes(TOKENS_BYTES + REFUSED_BYTES, workers);
        let refused = REFUSED_BYTES.min(bytes / 8);
        self.refused.borrow_mut().resize(refused);
        self.tokens.borrow_mut().resize((bytes - refused).min(TOKENS_BYTES));
    }
}
