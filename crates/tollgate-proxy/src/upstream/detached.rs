//! Requests that the gateway makes by itself: nobody's connection is behind them, and nobody sees their answer but who
//! asked for it. They go the way of any other request to an upstream, with all that it has for targets that fail.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tollgate_plan::Reason;
use tollgate_plan::reason::Blame;
use tollgate_plan::route::RouteId;
use tollgate_plan::upstream::UpstreamId;
use tollgate_wire::{
    BodyDecoder, BodyLength, ChunkLimits, HeadLimits, Method, ResponseHead, Step, name, write_chunk,
    write_header, write_last_chunk,
};

use super::call::call_to;
use crate::client::Client;
use crate::exchange::{Answer, Exchange, Facts, Id, Origin, Outgoing, Reject};
use crate::trace::Trace;
use crate::worker::{Active, Kit, Worker};

/// A request of the gateway's own, made on behalf of a client's request.
pub(crate) struct Detached {
    /// What balancing and the Host header go by.
    kit: Box<Kit>,
    outgoing: Outgoing,
    /// In the framing that the lines announce.
    body: Vec<u8>,
    client_ip: Option<IpAddr>,
    route: Option<RouteId>,
    scheme: &'static str,
    /// The only target that may have it; its health is not asked about.
    target: Option<usize>,
    trace: Option<Box<Trace>>,
}

/// What a detached request may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds<'a> {
    /// When all of it must be over, retries and the answer's body included.
    pub(crate) deadline: Option<Instant>,
    /// Bytes that the body of the answer may have.
    pub(crate) answer_bytes: usize,
    /// Whether the body is kept, or only read to its end.
    pub(crate) keep: bool,
    /// Bytes that it may have together with others that are under way, where they share: it takes its own out of them
    /// until it is handed over.
    pub(crate) room: Option<&'a Cell<usize>>,
}

/// An answer that came to its end, or to its bound.
pub(crate) struct Fetched {
    pub(crate) head: Box<ResponseHead>,
    pub(crate) body: FetchedBody,
    /// It is for this request alone, for a reason that its headers do not say.
    pub(crate) unkept: bool,
}

/// What there is of an answer's body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FetchedBody {
    /// All of it; empty where it was not to be kept.
    Whole(Vec<u8>),
    /// It has more bytes than it may: the rest was not read.
    TooLong,
}

impl Detached {
    /// The client's request once more, as `outgoing` says it; its body comes [later](Detached::with_body).
    pub(crate) fn copy(exchange: &Exchange<'_>, outgoing: Outgoing) -> Detached {
        let mut copy = Detached::of(exchange, outgoing);
        copy.kit.head.body = exchange.kit.head.body;
        copy.kit.path.push_str(exchange.path());
        copy
    }

    /// Another request: `outgoing` has its target, in normal form, and its lines without Host and without framing.
    pub(crate) fn part(
        exchange: &Exchange<'_>,
        method: Method,
        mut outgoing: Outgoing,
        body: Option<Vec<u8>>,
        target: Option<usize>,
    ) -> Detached {
        if let Some(body) = &body {
            write_header(
                &mut outgoing.lines,
                &name::CONTENT_LENGTH,
                itoa::Buffer::new().format(body.len()).as_bytes(),
            );
        }
        let mut part = Detached::of(exchange, outgoing);
        part.kit.head.method = method;
        part.kit.head.body =
            body.as_ref().map_or(BodyLength::None, |body| BodyLength::Length(body.len() as u64));
        let path = part.outgoing.target.split(|byte| *byte == b'?').next().unwrap_or_default();
        part.kit.path.push_str(&String::from_utf8_lossy(path));
        part.body = body.unwrap_or_default();
        part.target = target;
        part
    }

    /// A copy with its body, in the framing that its lines announce. What stood behind a chunked one is left out.
    pub(crate) fn with_body(mut self, payload: &[u8]) -> Detached {
        match self.kit.head.body {
            BodyLength::None | BodyLength::Length(_) => self.body.extend_from_slice(payload),
            BodyLength::Chunked | BodyLength::UntilClose => {
                self.kit.head.body = BodyLength::Chunked;
                if !payload.is_empty() {
                    write_chunk(&mut self.body, payload);
                }
                write_last_chunk(&mut self.body, None);
            }
        }
        self
    }

    /// The client's head stays behind the request, for those who balance by a header of it or preserve its Host; what
    /// is sent of it stands in `outgoing` alone.
    fn of(exchange: &Exchange<'_>, outgoing: Outgoing) -> Detached {
        let mut kit = exchange.worker.spare.kit();
        kit.head.clone_from(&exchange.kit.head);
        // The body is here: nobody has to be told to send it.
        kit.head.expect_continue = false;
        Detached {
            kit,
            outgoing,
            body: Vec::new(),
            client_ip: exchange.facts.client_ip,
            route: exchange.route,
            scheme: exchange.facts.scheme,
            target: None,
            trace: exchange.trace.as_ref().map(|trace| trace.shared()),
        }
    }
}

/// Sends the request and reads its answer.
///
/// An error is what the client would have been told: no answer, a broken one, or not in time. Dropping the future in the
/// middle closes the connection it was on, and nothing else remains.
pub(crate) async fn fetch(
    worker: &Rc<Worker>,
    active: &Rc<Active>,
    upstream: UpstreamId,
    request: Detached,
    bounds: Bounds<'_>,
) -> Result<Fetched, Reject> {
    let Detached { mut kit, outgoing, body, client_ip, route, scheme, target, trace } = request;
    let client = Client::nobody(&worker.timers, body);
    // An id costs, and nobody asks for it: the lines say the one of the client's request.
    let facts = Facts { id: Id::Kept(Box::default()), client_ip, trusted: false, scheme };
    let origin = Origin::Gateway { target };
    let mut exchange = Exchange::of(worker, &client, active.clone(), &mut kit, facts, origin);
    exchange.trace = trace;
    exchange.route = route;
    exchange.deadline = bounds.deadline;
    if let Some(body) = &mut exchange.body {
        // It was bounded where it came from.
        body.max = u64::MAX;
    }
    let outcome = match call_to(&mut exchange, upstream, outgoing).await {
        Ok(mut answer) => {
            if exchange.seen.unkept.get() {
                // It came behind a redirect: nobody may keep what is made of it.
                answer.head.headers.set(&name::VARY, b"*");
            }
            gather(&exchange, upstream, answer, bounds).await
        }
        Err(reject) => Err(reject),
    };
    drop(exchange);
    worker.spare.keep_kit(kit);
    outcome
}

/// Reads an answer to its end for the client's own request: the head, and the body up to `bytes`.
pub(crate) async fn whole(
    exchange: &Exchange<'_>,
    answer: Answer,
    bytes: usize,
) -> Result<(Box<ResponseHead>, Vec<u8>), Reject> {
    let Some((upstream, _)) = exchange.seen.upstream.get() else {
        return Err(Reject::internal("an answer of no upstream"));
    };
    let bounds = Bounds { deadline: exchange.deadline, answer_bytes: bytes, keep: true, room: None };
    // Boxed: few answers are read to their end first.
    let Fetched { head, body, .. } = Box::pin(gather(exchange, upstream, answer, bounds)).await?;
    match body {
        FetchedBody::Whole(body) => Ok((head, body)),
        FetchedBody::TooLong => Err(Reject::new(Reason::PartTooLarge, "the service's answer is too large")),
    }
}

/// Reads the body of the answer.
async fn gather(
    exchange: &Exchange<'_>,
    upstream: UpstreamId,
    mut answer: Answer,
    bounds: Bounds<'_>,
) -> Result<Fetched, Reject> {
    let plan = &exchange.active.plan;
    let idle =
        plan.upstreams.get(upstream.0 as usize).map_or(Duration::ZERO, |upstream| upstream.idle_timeout);
    let rest = std::mem::take(&mut answer.rest);
    let decoder = BodyDecoder::of_response(answer.source(), &ChunkLimits::behind(&HeadLimits::RESPONSE));
    let taken = Taken { room: bounds.room, bytes: 0 };
    let mut gathering =
        Gathering { decoder, bounds, body: Vec::new(), held: 0, seen: 0, taken, surplus: false };
    let mut state = gathering.take(exchange, &rest);
    exchange.worker.spare.keep_buffer(rest);
    exchange.arm(exchange.worker.clock.recent(), idle);
    if let Ok(Progress::More) = state {
        state = poll_fn(|cx| gathering.poll(exchange, &mut answer, idle, cx)).await;
    }
    let failed = match state {
        Err(reason) if reason.row().blame == Blame::Upstream => Err(reason),
        _ => Ok(answer.head.status),
    };
    let unkept = exchange.seen.unkept.get();
    answer.ended(exchange, failed, matches!(state, Ok(Progress::End)) && !gathering.surplus);
    match state {
        Ok(Progress::End) => {
            Ok(Fetched { head: answer.head, body: FetchedBody::Whole(gathering.body), unkept })
        }
        Ok(_) => Ok(Fetched { head: answer.head, body: FetchedBody::TooLong, unkept }),
        Err(Reason::Overloaded) => Err(Reject::out_of_memory()),
        Err(Reason::UpstreamTimeout) => {
            Err(Reject::new(Reason::UpstreamTimeout, "the service did not answer in time"))
        }
        Err(reason) => Err(Reject::new(reason, "the service's answer broke off")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    More,
    End,
    TooLong,
}

/// An answer's body on its way into memory.
struct Gathering<'a> {
    decoder: BodyDecoder,
    bounds: Bounds<'a>,
    body: Vec<u8>,
    /// What the exchange was told to hold for it.
    held: usize,
    /// Bytes of the body so far.
    seen: usize,
    taken: Taken<'a>,
    /// The upstream sent more than its body.
    surplus: bool,
}

impl Gathering<'_> {
    /// Ready at the end of the body, at its bound, or when none comes any more.
    fn poll(
        &mut self,
        exchange: &Exchange<'_>,
        answer: &mut Answer,
        idle: Duration,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Progress, Reason>> {
        let worker = exchange.worker;
        loop {
            let uploaded = answer.poll_upload(worker, cx);
            let mut buffer = worker.scratch.borrow_mut().take_read();
            let got = answer.conn.io.poll_read(cx, &mut buffer);
            let state = got.map(|got| match got {
                Ok(0) => self.end_of_stream(),
                Ok(read) => self.take(exchange, buffer.get(..read).unwrap_or_default()),
                Err(_) => Err(Reason::UpstreamReset),
            });
            worker.scratch.borrow_mut().read = buffer;
            if uploaded || state.is_ready() {
                exchange.arm(worker.clock.now(), idle);
            }
            match state {
                // One that comes on and on arms the timer anew; the end of the whole does not wait for a pause.
                Poll::Ready(Ok(Progress::More)) if exchange.is_overdue() => {
                    return Poll::Ready(Err(Reason::UpstreamTimeout));
                }
                Poll::Ready(Ok(Progress::More)) => {}
                Poll::Ready(state) => return Poll::Ready(state),
                Poll::Pending => {
                    ready!(exchange.client.timer.poll(cx));
                    return Poll::Ready(Err(Reason::UpstreamTimeout));
                }
            }
        }
    }

    /// Takes what came of the body.
    fn take(&mut self, exchange: &Exchange<'_>, bytes: &[u8]) -> Result<Progress, Reason> {
        let mut used = 0;
        while !self.decoder.is_done() {
            let rest = bytes.get(used..).unwrap_or_default();
            match self.decoder.step(rest).map_err(|_| Reason::UpstreamProtocol)? {
                Step::More { .. } => return Ok(Progress::More),
                Step::Data { start, end, consumed } => {
                    let payload = rest.get(start..end).unwrap_or_default();
                    self.seen += payload.len();
                    if self.seen > self.bounds.answer_bytes {
                        return Ok(Progress::TooLong);
                    }
                    if self.bounds.keep {
                        if !self.taken.take(payload.len()) {
                            return Ok(Progress::TooLong);
                        }
                        self.body.extend_from_slice(payload);
                        let more = self.body.capacity() - self.held;
                        if more > 0 {
                            exchange.hold(more).map_err(|reject| reject.reason)?;
                            self.held += more;
                        }
                    }
                    used += consumed;
                }
                Step::End { consumed } => used += consumed,
            }
        }
        self.surplus = used < bytes.len();
        Ok(Progress::End)
    }

    /// Only a body that runs to the end of the connection may end here; any other was cut short.
    fn end_of_stream(&self) -> Result<Progress, Reason> {
        self.decoder.finish_at_eof().map(|()| Progress::End).map_err(|_| Reason::UpstreamReset)
    }
}

/// Bytes out of a room that several answers share, given back when they are dropped.
struct Taken<'a> {
    room: Option<&'a Cell<usize>>,
    bytes: usize,
}

impl Taken<'_> {
    fn take(&mut self, more: usize) -> bool {
        let Some(room) = self.room else { return true };
        let Some(left) = room.get().checked_sub(more) else { return false };
        room.set(left);
        self.bytes += more;
        true
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(room) = self.room {
            room.set(room.get() + self.bytes);
        }
    }
}

#[cfg(test)]
mod tests;
