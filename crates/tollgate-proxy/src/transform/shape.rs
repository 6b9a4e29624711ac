//! Stage 12: what is made of the body of an upstream's answer.

use std::borrow::Cow;

use tollgate_content::Raw;
use tollgate_content::decode::decode;
use tollgate_content::encode::{encode, negotiate};
use tollgate_plan::Reason;
use tollgate_plan::route::BodyRules;
use tollgate_wire::{Name, ResponseHead, name};

use crate::exchange::{Answer, Exchange, Reject, Reply};

/// What says something about the body as the upstream sent it, and is wrong about what is made of it.
const OF_THE_BODY: [Name; 6] = [
    name::ACCEPT_RANGES,
    name::CONTENT_DIGEST,
    name::CONTENT_LENGTH,
    name::CONTENT_RANGE,
    name::ETAG,
    name::TRANSFER_ENCODING,
];

/// The same, by names that are seldom seen any more.
const OF_THE_BODY_ONCE: [&[u8]; 3] = [b"content-md5", b"digest", b"repr-digest"];

/// The rules for the body of this answer; none where it passes as it is. Errors of the upstream do: they are seldom
/// written as its answers are.
pub(crate) fn rules<'a>(exchange: &'a Exchange<'_>, answer: &Answer) -> Option<&'a BodyRules> {
    let rules = exchange.matched()?.response.as_ref()?.body.as_deref()?;
    let status = answer.head.status;
    ((200..300).contains(&status) && !matches!(status, 204..=206) && !exchange.is_head()).then_some(rules)
}

/// Makes the answer out of the upstream's, all of which is there.
pub(crate) fn shape(
    exchange: &Exchange<'_>,
    rules: &BodyRules,
    head: &mut ResponseHead,
    body: &[u8],
) -> Result<Reply<'static>, Reject> {
    let headers = &mut head.headers;
    let coded =
        headers.get_all(&name::CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    if coded {
        return Err(Reject::new(
            Reason::UpstreamProtocol,
            "the service's answer is compressed, which nobody asked for",
        ));
    }
    let unreadable =
        || Reject::new(Reason::UpstreamProtocol, "the service's answer is not written as it should be");
    let document = decode(body, rules.decode, rules.bytes).map_err(|_| unreadable())?;
    let node = rules.shape.apply(Raw::of_checked(&document));
    let accept = exchange.kit.head.headers.get_all(&name::ACCEPT);
    let accept: Vec<&str> = accept.filter_map(|line| std::str::from_utf8(line).ok()).collect();
    let encoding = rules.encode.unwrap_or_else(|| negotiate(accept.iter().copied()));
    let made = encode(&node, encoding);
    if made.len() > rules.bytes {
        return Err(Reject::new(Reason::PartTooLarge, "the answer is too large"));
    }
    headers.retain_entries(|entry| {
        !OF_THE_BODY.iter().any(|name| entry.is(name))
            && !OF_THE_BODY_ONCE.iter().any(|name| entry.name().eq_ignore_ascii_case(name))
    });
    headers.set(&name::CONTENT_TYPE, encoding.media_type().as_bytes());
    if rules.encode.is_none() {
        headers.append(&name::VARY, b"accept");
    }
    Ok(Reply { status: head.status, headers: std::mem::take(headers), body: Cow::Owned(made) })
}
