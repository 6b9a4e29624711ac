//! A kept answer for one client: as a whole, as a piece of it, or as the word that nothing has changed.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Instant;

use tollgate_plan::Reason;
use tollgate_policy::cache::{Given, answer_with};
use tollgate_wire::{HeaderBlock, Name, name};

use super::Shelf;
use super::told::Status;
use crate::exchange::{Cached, Exchange, Reject, Reply};
use crate::live::cache::Entry;

/// What describes a body that an answer without one does not have.
const OF_THE_BODY: [Name; 6] = [
    name::CONTENT_ENCODING,
    name::CONTENT_LANGUAGE,
    name::CONTENT_LENGTH,
    name::CONTENT_RANGE,
    name::CONTENT_TYPE,
    name::CONTENT_DIGEST,
];

/// Gives the kept answer, and notes how it was had. A range of which it has nothing is refused.
pub(super) fn give<'a>(
    exchange: &Exchange<'_>,
    shelf: &'a Shelf,
    entry: Arc<Entry>,
    cached: Cached,
    status: Status<'_>,
    now: Instant,
) -> Result<Reply<'a>, Reject> {
    exchange.seen.cache.set(Some(cached));
    let entry = shelf.put(entry);
    let mut headers = entry.headers.clone();
    headers.set(&name::AGE, itoa::Buffer::new().format(entry.age(now).as_secs()).as_bytes());
    Status { entry: Some((entry, now)), ..status }.tell(&mut headers);
    let head = &exchange.kit.head;
    let length = entry.body.len();
    Ok(match answer_with(&head.method, &head.headers, entry.status, &entry.headers, length) {
        Given::Whole => Reply { status: entry.status, headers, body: Cow::Borrowed(entry.body.as_ref()) },
        Given::NotModified => bodiless(304, headers),
        Given::Part(range) => {
            let (first, last) = (range.start, range.end.saturating_sub(1));
            headers.set(&name::CONTENT_RANGE, format!("bytes {first}-{last}/{length}").as_bytes());
            let body = entry.body.get(range).unwrap_or_default();
            Reply { status: 206, headers, body: Cow::Borrowed(body) }
        }
        Given::OutOfRange => {
            let told = headers.get_all(&name::CACHE_STATUS).last().unwrap_or_default();
            let range = format!("bytes */{length}");
            return Err(Reject::new(Reason::RangeNotSatisfiable, "the answer has nothing in that range")
                .with(&name::CONTENT_RANGE, range.as_bytes())
                .with(&name::CACHE_STATUS, told));
        }
    })
}

fn bodiless(status: u16, mut headers: HeaderBlock) -> Reply<'static> {
    headers.retain_entries(|entry| !OF_THE_BODY.iter().any(|name| entry.is(name)));
    Reply { status, headers, body: Cow::Borrowed(&[]) }
}
