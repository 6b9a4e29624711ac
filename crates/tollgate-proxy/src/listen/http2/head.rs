//! The head of a request that came over HTTP/2, brought into the form of HTTP/1 and read as such.
//!
//! So one parser decides what is ambiguous, for both: what could not stand in an HTTP/1 request is refused here too
//! (RFC 9113 section 10.3), and everything behind this place sees one form. `:scheme` is not trusted for anything: whether
//! the client's connection is protected, the gateway knows by itself.

use http::header;
use http::request::Parts;
use tollgate_plan::Reason;
use tollgate_wire::{HeadLimits, HeadProgress, Method, Parsed, parse_request};

use crate::exchange::{Glimpse, Reject};
use crate::io::{check_request, write_request};
use crate::listen::glimpse;
use crate::listen::head::refuse;
use crate::worker::{Kit, Worker};

/// Why a head is no request.
pub(super) enum Refusal {
    /// It is answered.
    Answer(Reject),
    /// It breaks the rules of HTTP/2 (RFC 9113 section 8.1.1): its stream is reset, and this is what the log says.
    Reset(Reject),
}

/// Reads the head; `ended` says that no body follows. With a refusal comes what is certain of the head all the same.
pub(super) fn read(
    worker: &Worker,
    parts: &Parts,
    ended: bool,
    limits: &HeadLimits,
) -> Result<Box<Kit>, Box<(Refusal, Glimpse)>> {
    parse(worker, parts, ended, limits).map_err(|refusal| {
        let (Refusal::Answer(reject) | Refusal::Reset(reject)) = &refusal;
        let read = glimpse(parts, limits, reject.reason != Reason::BadHost);
        Box::new((refusal, read))
    })
}

/// What a head says that is refused. It came whole, so its host is known unless that is what it is refused for.
pub(super) fn glimpse(parts: &Parts, limits: &HeadLimits, host_known: bool) -> Glimpse {
    let path = Some(parts.uri.path()).filter(|path| path.len() <= limits.uri_bytes).unwrap_or_default();
    let authority = parts.uri.authority().filter(|_| host_known);
    let authority = authority.map(|authority| authority.as_str().as_bytes());
    glimpse::of(Method::parse(parts.method.as_str().as_bytes()), path.as_bytes(), authority)
}

fn parse(worker: &Worker, parts: &Parts, ended: bool, limits: &HeadLimits) -> Result<Box<Kit>, Refusal> {
    check_request(parts).map_err(|what| Refusal::Reset(Reject::new(Reason::BadHeader, what)))?;
    // Cookies are one line, however many fields they came in.
    let more_cookies = parts.headers.get_all(header::COOKIE).iter().skip(1).count();
    if parts.headers.len() - more_cookies > limits.header_count {
        // Not even written out.
        return Err(Refusal::Answer(Reject::new(Reason::HeadersTooLarge, "the head has too many lines")));
    }
    let mut text = std::mem::take(&mut worker.scratch.borrow_mut().out);
    text.clear();
    write_request(parts, &mut text);
    let mut kit = worker.spare.kit();
    let parsed = parse_request(&text, &mut HeadProgress::default(), limits, &mut kit.head);
    worker.scratch.borrow_mut().out = text;
    match parsed {
        Ok(Parsed::Complete(_)) => {
            kit.head.over_http2(ended);
            Ok(kit)
        }
        Ok(Parsed::Partial) => Err(Refusal::Answer(Reject::internal("a head that was written whole is not"))),
        Err(error) => Err(Refusal::Answer(refuse(error))),
    }
}
