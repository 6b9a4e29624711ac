//! Stage 12: what is made of the body of an upstream's answer.

use std::borrow::Cow;

use tollgate_content::Raw;
use tollgate_content::decode::{Undecoded, decode};
use tollgate_content::encode::{Encoding, encode, negotiate};
use tollgate_content::jq::{Jq, JqFailed};
use tollgate_plan::Reason;
use tollgate_plan::route::BodyRules;
use tollgate_wire::{HeaderBlock, Name, name, vary_on};

use crate::exchange::{Exchange, Reject, Reply};

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
pub(crate) fn rules<'a>(exchange: &'a Exchange<'_>, status: u16) -> Option<&'a BodyRules> {
    rules_for(exchange, status).filter(|_| !exchange.is_head())
}

fn rules_for<'a>(exchange: &'a Exchange<'_>, status: u16) -> Option<&'a BodyRules> {
    let rules = exchange.matched()?.response.as_ref()?.body.as_deref()?;
    ((200..300).contains(&status) && !matches!(status, 204 | 205)).then_some(rules)
}

/// Makes the answer out of the upstream's, all of which is there.
pub(crate) fn shape(
    exchange: &Exchange<'_>,
    rules: &BodyRules,
    status: u16,
    mut headers: HeaderBlock,
    body: &[u8],
) -> Result<Reply<'static>, Reject> {
    if status == 206 {
        // What the rules take out may stand in any piece.
        return Err(Reject::new(
            Reason::UpstreamProtocol,
            "the service's answer is a piece, which nobody asked for",
        ));
    }
    let coded =
        headers.get_all(&name::CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case(b"identity"));
    if coded {
        return Err(Reject::new(
            Reason::UpstreamProtocol,
            "the service's answer is compressed, which nobody asked for",
        ));
    }
    let document = decode(body, rules.decode, rules.bytes).map_err(|undecoded| match undecoded {
        Undecoded::Malformed(_) => {
            Reject::new(Reason::UpstreamProtocol, "the service's answer is not written as it should be")
        }
        Undecoded::TooLarge(_) => Reject::new(Reason::PartTooLarge, "the answer is too large"),
    })?;
    let filtered = match &rules.jq {
        Some(jq) => Some(filter(exchange, jq, Raw::of_checked(&document), rules.bytes)?),
        None => None,
    };
    let node = rules.shape.apply(Raw::of_checked(filtered.as_deref().unwrap_or(&document)));
    let encoding = encoding(exchange, rules);
    let made = encode(&node, encoding);
    if made.len() > rules.bytes {
        return Err(Reject::new(Reason::PartTooLarge, "the answer is too large"));
    }
    describe(&mut headers, rules, encoding);
    Ok(Reply { status, headers, body: Cow::Owned(made) })
}

/// What is known of the answer to HEAD: the type of what would have been made. Its length is not, and must not be that of
/// another body (RFC 9110 section 8.6).
pub(crate) fn shape_head(exchange: &Exchange<'_>, status: u16, headers: &mut HeaderBlock) {
    if !exchange.is_head() {
        return;
    }
    if let Some(rules) = rules_for(exchange, status) {
        headers.remove(&name::CONTENT_ENCODING);
        describe(headers, rules, encoding(exchange, rules));
    }
}

/// Says of what is made, and no more of what came.
fn describe(headers: &mut HeaderBlock, rules: &BodyRules, encoding: Encoding) {
    headers.retain_entries(|entry| {
        !OF_THE_BODY.iter().any(|name| entry.is(name))
            && !OF_THE_BODY_ONCE.iter().any(|name| entry.name().eq_ignore_ascii_case(name))
    });
    headers.set(&name::CONTENT_TYPE, encoding.media_type().as_bytes());
    if rules.encode.is_none() {
        vary_on(headers, "accept");
    }
}

fn encoding(exchange: &Exchange<'_>, rules: &BodyRules) -> Encoding {
    rules.encode.unwrap_or_else(|| {
        let accept = exchange.kit.head.headers.get_all(&name::ACCEPT);
        let accept: Vec<&str> = accept.filter_map(|line| std::str::from_utf8(line).ok()).collect();
        negotiate(accept.iter().copied())
    })
}

/// What a filter makes of the document. What goes wrong is for the operator to know.
fn filter(exchange: &Exchange<'_>, jq: &Jq, document: Raw<'_>, bytes: usize) -> Result<String, Reject> {
    jq.run(document, bytes).map_err(|failed| {
        exchange.worker.scripting.tell(exchange, "the filter of `response.body`", &failed);
        match failed {
            JqFailed::Error(_) => Reject::new(
                Reason::UpstreamProtocol,
                "the service's answer is not what is made into another one",
            ),
            JqFailed::Steps | JqFailed::Large | JqFailed::Deep => {
                Reject::new(Reason::PartTooLarge, "the service's answer is too large for what is made of it")
            }
        }
    })
}
