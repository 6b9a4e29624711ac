//! What an upstream says of an answer that it calls unchanged (RFC 9111 section 3.2).

use tollgate_wire::{HeaderBlock, Name, name, remove_hop_by_hop};

/// Fields of the kept body, about which an answer without one knows nothing; and cookies, which are never kept.
const OF_THE_BODY: [Name; 4] =
    [name::CONTENT_ENCODING, name::CONTENT_LENGTH, name::CONTENT_RANGE, name::SET_COOKIE];

/// The kept headers with those of a 304 in their place.
pub fn merge(kept: &HeaderBlock, unchanged: &HeaderBlock) -> HeaderBlock {
    let (mut merged, mut news) = (kept.clone(), unchanged.clone());
    remove_hop_by_hop(&mut news);
    news.retain_entries(|entry| !OF_THE_BODY.iter().any(|name| entry.is(name)));
    // Of no field do old lines stay beside new ones: what is for one connection is not among them.
    merged.overlay(&news, &name::CONNECTION);
    merged
}
