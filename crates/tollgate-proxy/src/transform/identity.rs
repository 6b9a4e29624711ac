//! Who calls, as the upstream is told: claims as headers, and credentials taken off.
//!
//! The gateway owns the headers that claims go into. A client's own copies go in every case and every spelling,
//! also where nobody was identified: the service behind believes them.

use tollgate_plan::auth::Auth;
use tollgate_wire::{EntryRef, HeaderBlock, Name};

use crate::credentials::Stripped;
use crate::exchange::Exchange;
use crate::values::write_header_claim;

/// What the route does about the caller's credentials and claims.
#[derive(Clone, Copy)]
pub(super) struct Told<'a> {
    auth: Option<&'a Auth>,
    stripped: Option<Stripped<'a>>,
}

impl<'a> Told<'a> {
    pub(super) fn of(auth: Option<&'a Auth>) -> Told<'a> {
        Told { auth, stripped: Stripped::of(auth) }
    }

    /// Whether a line of the client goes on.
    pub(super) fn keeps(self, entry: EntryRef<'_>) -> bool {
        let Some(auth) = self.auth else { return true };
        !auth.forward.iter().any(|(name, _)| entry.spells(name))
            && self.stripped.is_none_or(|stripped| stripped.keeps(entry))
    }

    /// Writes the claims that the caller has, and what is left of cookies.
    pub(super) fn write(
        self,
        exchange: &Exchange<'_>,
        headers: &HeaderBlock,
        value: &mut Vec<u8>,
        mut put: impl FnMut(&Name, &[u8]),
    ) {
        if let Some(stripped) = self.stripped {
            stripped.cookies(headers, value, &mut put);
        }
        let Some(claims) = exchange.identity.as_ref().and_then(|identity| identity.claims()) else { return };
        for (name, path) in self.auth.iter().flat_map(|auth| &auth.forward) {
            value.clear();
            if claims.get(path).is_some_and(|claim| write_header_claim(claim, value)) {
                put(name, value);
            }
        }
    }

    /// Query parameters that are taken off.
    pub(super) fn parameters(self) -> impl Iterator<Item = &'a str> {
        self.stripped.into_iter().flat_map(Stripped::parameters)
    }
}
