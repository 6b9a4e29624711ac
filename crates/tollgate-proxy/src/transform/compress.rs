//! Stage 12, last: compressing what gains by it, as the client accepts it.
//!
//! What is coded here is another representation of the same thing (RFC 9110 section 8.4): its length is not known
//! ahead, its ETag is weak, and no range of it can be asked for.

mod accept;
mod coder;

use std::borrow::Cow;

use tollgate_plan::Reason;
use tollgate_wire::{BodyLength, HeaderBlock, name, vary_on};

use self::accept::{Coding, choose};
pub(crate) use self::coder::Coder;
use crate::exchange::{Exchange, Outcome};

/// A body shorter than this hardly shrinks, and fits into one packet as it is.
const GAINS_FROM_BYTES: u64 = 1024;

/// After so much of a body others have their turn: a few milliseconds.
pub(crate) const CODED_TURN_BYTES: usize = 128 * 1024;

/// Compresses the answer if the route asks for that, the client takes it and the answer gains by it.
pub(crate) async fn compress(exchange: &Exchange<'_>, outcome: &mut Outcome<'_>) {
    let edits = exchange.matched().and_then(|route| route.response.as_deref());
    if !edits.is_some_and(|edits| edits.compress) {
        return;
    }
    // Caches must not give one client's coding to another.
    vary_on(outcome.headers(), "accept-encoding");
    let asked = &exchange.kit.head.headers;
    // HTTP/1.0 has no way to end a body of unknown length and keep the connection, nor to tell its end from a break.
    let Some(coding) = choose(asked).filter(|_| exchange.modern() && !forbids(asked)) else { return };
    let (status, length) = facts(exchange, outcome);
    let headers = outcome.headers();
    if status == 304 {
        // What is validated may be the coded representation.
        return weaken(headers);
    }
    if !gains(status, headers, length) {
        return;
    }
    match outcome {
        Outcome::Reply(reply) => {
            let Some(coder) = Coder::begin(exchange.worker, coding, length) else { return };
            // Boxed: few answers are made here and compressed.
            if let Ok(coded) = Box::pin(whole(coder, &reply.body)).await {
                reply.body = Cow::Owned(coded);
                tell(&mut reply.headers, coding);
            }
        }
        // HEAD tells what GET would.
        Outcome::Answer(answer) if exchange.is_head() => tell(&mut answer.head.headers, coding),
        Outcome::Answer(answer) => {
            answer.coder = Coder::begin(exchange.worker, coding, length);
            if answer.coder.is_some() {
                tell(&mut answer.head.headers, coding);
            }
        }
    }
}

/// Codes a body that is here as a whole. Between its pieces others have their turn.
async fn whole(mut coder: Box<Coder>, body: &[u8]) -> Result<Vec<u8>, Reason> {
    let mut coded = Vec::new();
    for (at, piece) in body.chunks(CODED_TURN_BYTES).enumerate() {
        if at > 0 {
            tokio::task::yield_now().await;
        }
        coder.push(piece, &mut coded)?;
    }
    coder.finish(&mut coded)?;
    Ok(coded)
}

/// The status, and how long the body is where that is known.
fn facts(exchange: &Exchange<'_>, outcome: &Outcome<'_>) -> (u16, Option<u64>) {
    match outcome {
        Outcome::Reply(reply) => (reply.status, Some(reply.body.len() as u64)),
        Outcome::Answer(answer) => {
            let announced = || {
                let value = answer.head.headers.get(&name::CONTENT_LENGTH)?;
                str::from_utf8(value).ok()?.parse().ok()
            };
            let length = match answer.body {
                BodyLength::Length(length) => Some(length),
                BodyLength::None if exchange.is_head() => announced(),
                BodyLength::None => Some(0),
                BodyLength::Chunked | BodyLength::UntilClose => None,
            };
            (answer.head.status, length)
        }
    }
}

/// Whether an answer gets smaller, and may be touched at all.
fn gains(status: u16, headers: &HeaderBlock, length: Option<u64>) -> bool {
    !matches!(status, ..200 | 204..=206 | 304)
        && length.is_none_or(|length| length >= GAINS_FROM_BYTES)
        && !forbids(headers)
        && headers.list(&name::CONTENT_ENCODING).all(|coding| coding.eq_ignore_ascii_case(b"identity"))
        && !headers.contains(&name::CONTENT_RANGE)
        && !headers.iter().any(|(name, _)| DIGESTS.iter().any(|digest| name.eq_ignore_ascii_case(digest)))
        && headers.get(&name::CONTENT_TYPE).is_some_and(is_text)
}

/// Whether client or service forbids that intermediaries change the body (RFC 9111 sections 5.2.1.6 and 5.2.2.6).
fn forbids(headers: &HeaderBlock) -> bool {
    headers.has_token(&name::CACHE_CONTROL, "no-transform")
}

/// The service vouches for the very bytes it sent.
const DIGESTS: [&[u8]; 4] = [b"content-digest", b"repr-digest", b"digest", b"content-md5"];

/// Types that are text inside. Everything else is compressed already, or has to come as it is: each event of an event
/// stream by itself, the frames of gRPC untouched.
fn is_text(value: &[u8]) -> bool {
    let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let essence = essence.to_ascii_lowercase();
    let Some((kind, subtype)) = str::from_utf8(&essence).ok().and_then(|text| text.split_once('/')) else {
        return false;
    };
    match kind {
        // Also `grpc+json`: its frames have lengths, and the client takes no coding of them.
        "application" if subtype.starts_with("grpc") => false,
        "text" => subtype != "event-stream",
        "application" => {
            APPLICATIONS.contains(&subtype) || STRUCTURED.iter().any(|suffix| subtype.ends_with(suffix))
        }
        "image" => matches!(subtype, "svg+xml" | "bmp" | "x-icon" | "vnd.microsoft.icon"),
        "font" => matches!(subtype, "ttf" | "otf" | "collection"),
        "model" | "message" => STRUCTURED.iter().any(|suffix| subtype.ends_with(suffix)),
        _ => false,
    }
}

const STRUCTURED: [&str; 3] = ["+json", "+xml", "+yaml"];

const APPLICATIONS: [&str; 16] = [
    "json",
    "javascript",
    "x-javascript",
    "ecmascript",
    "xml",
    "yaml",
    "x-yaml",
    "toml",
    "graphql",
    "x-ndjson",
    "ndjson",
    "jsonl",
    "json-seq",
    "wasm",
    "sql",
    "x-www-form-urlencoded",
];

/// Puts the headers of a coded answer. What frames it is not their matter.
fn tell(headers: &mut HeaderBlock, coding: Coding) {
    headers.set(&name::CONTENT_ENCODING, coding.name().as_bytes());
    headers.remove(&name::CONTENT_LENGTH);
    headers.remove(&name::ACCEPT_RANGES);
    weaken(headers);
}

/// The coded bytes are not the service's: equal in meaning, not byte by byte (RFC 9110 section 8.8.1).
fn weaken(headers: &mut HeaderBlock) {
    if let Some(etag) = headers.get(&name::ETAG).filter(|etag| !etag.starts_with(b"W/")) {
        let weak = [b"W/", etag].concat();
        headers.set(&name::ETAG, &weak);
    }
}
