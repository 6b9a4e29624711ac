//! The headers that claims go into are the gateway's own: guards, templates, limits, scripts and the choice of a target read
//! there what the service behind reads.

use tollgate_plan::auth::{Auth, Place};
use tollgate_wire::{EntryRef, name};

use crate::exchange::Exchange;
use crate::values::write_header_claim;

/// Takes away what the client says there, in every spelling, before anything reads it. Where a credential is taken from
/// such a header, it is looked at first.
pub(crate) fn disown(exchange: &mut Exchange<'_>) {
    let active = exchange.active.clone();
    let Some(auth) = forwarding(active.route(exchange.route).and_then(|route| route.auth.as_deref())) else {
        return;
    };
    let is_read = |entry: EntryRef<'_>| {
        let mut places = auth.token_from.iter().chain(&auth.api_key);
        (auth.basic && entry.is(&name::AUTHORIZATION))
            || places.any(|place| matches!(place, Place::Header(name) if entry.spells(name)))
    };
    let headers = &mut exchange.kit.head.headers;
    headers
        .retain_entries(|entry| is_read(entry) || !auth.forward.iter().any(|(name, _)| entry.spells(name)));
}

/// Puts the caller's claims there.
pub(super) fn own(exchange: &mut Exchange<'_>, auth: &Auth) {
    let Some(auth) = forwarding(Some(auth)) else { return };
    let headers = &mut exchange.kit.head.headers;
    headers.retain_entries(|entry| !auth.forward.iter().any(|(name, _)| entry.spells(name)));
    let Some(claims) = exchange.identity.as_ref().and_then(|identity| identity.claims()) else { return };
    let mut value = Vec::new();
    for (name, path) in &auth.forward {
        value.clear();
        if claims.get(path).is_some_and(|claim| write_header_claim(claim, &mut value)) {
            headers.append(name, &value);
        }
    }
}

fn forwarding(auth: Option<&Auth>) -> Option<&Auth> {
    auth.filter(|auth| !auth.forward.is_empty())
}
