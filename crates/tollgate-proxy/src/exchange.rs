//! The values that stages hand to each other, from the head of a request to its log record.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tollgate_plan::Reason;
use tollgate_plan::limits::Limits;
use tollgate_plan::route::{Route, RouteId};
use tollgate_plan::upstream::UpstreamId;
use tollgate_wire::{
    BodyDecoder, BodyLength, ChunkError, ChunkLimits, HeaderBlock, Method, Name, Offence, RequestHead,
    ResponseHead, Version, name,
};

use crate::client::Client;
use crate::identity::Identity;
use crate::live::cache::Filling;
use crate::live::conn::Conn;
use crate::live::gate::Place;
use crate::live::memory::Held;
use crate::live::trial::Trial;
use crate::live::upstreams::InFlight;
// What became of a copy is counted by the observe stage, and known to the upstream stage.
pub(crate) use crate::observe::Copied;
use crate::observe::{self, Outcome as AttemptOutcome, RequestId};
use crate::pump::{Upload, Watch};
use crate::trace::Trace;
use crate::trail::Trail;
use crate::transform::Coder;
use crate::worker::{Active, Kit, Phase, Worker};

/// One request and everything that is known about it.
pub(crate) struct Exchange<'c> {
    pub(crate) worker: &'c Rc<Worker>,
    pub(crate) client: &'c Rc<Client>,
    pub(crate) active: Rc<Active>,
    /// The head, and what was made of it.
    pub(crate) kit: &'c mut Kit,
    pub(crate) facts: Facts,
    pub(crate) origin: Origin,
    pub(crate) route: Option<RouteId>,
    /// When the whole of it must be over, where that is bounded.
    pub(crate) deadline: Option<Instant>,
    /// The client asks for a WebSocket, and its handshake is right.
    pub(crate) websocket: bool,
    /// The request asks on behalf of another one what a browser may do there.
    pub(crate) preflight: bool,
    /// Who calls, from the identify stage on.
    pub(crate) identity: Option<Identity>,
    /// A place under the route's `concurrency`, given up before the client has the last of its answer: it may ask again at
    /// once.
    pub(crate) place: Option<Box<Place>>,
    /// The gateway asks for its cache.
    pub(crate) validators: Option<Box<Validators>>,
    /// The request's body, until someone takes it to read it.
    pub(crate) body: Option<Box<RequestBody>>,
    /// Where `body` is none: whether the client's bytes were all read, so that the next request can follow.
    pub(crate) body_read: bool,
    /// What is kept of bodies until the exchange ends.
    held: RefCell<Held>,
    /// A redirect asked for GET in the place of what the client asked for.
    pub(crate) as_get: Cell<bool>,
    /// Where it stands in a trace, where there are traces.
    pub(crate) trace: Option<Box<Trace>>,
    /// It is only explained: nothing of it is counted, kept or sent.
    pub(crate) trail: Option<Box<Trail>>,
    pub(crate) seen: Seen,
}

/// Who made a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A client, who waits for the answer.
    Client,
    /// The gateway, on behalf of a client's request: it leaves no record of its own and is not counted among those in
    /// flight.
    Gateway {
        /// The index of the only target that may have it.
        target: Option<usize>,
    },
}

/// What the parse stage found out.
pub(crate) struct Facts {
    pub(crate) id: Id,
    /// The client, behind trusted proxies too; none on a unix socket.
    pub(crate) client_ip: Option<IpAddr>,
    /// Whether the peer is a trusted proxy, whose forwarding headers are kept.
    pub(crate) trusted: bool,
    /// `http` or `https`, as the client saw it.
    pub(crate) scheme: &'static str,
}

/// The id of a request: made here, or kept from a trusted proxy.
pub(crate) enum Id {
    Made(RequestId),
    Kept(Box<str>),
}

impl Id {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Id::Made(id) => id.as_str(),
            Id::Kept(id) => id,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Id::Made(id) => id.as_bytes(),
            Id::Kept(id) => id.as_bytes(),
        }
    }
}

/// What the observe stage will write down.
pub(crate) struct Seen {
    pub(crate) started: Instant,
    pub(crate) status: Cell<u16>,
    pub(crate) reason: Cell<Option<Reason>>,
    /// Bytes of the request's body that the client sent.
    pub(crate) bytes_in: Option<Rc<Cell<u64>>>,
    /// Bytes of the answer's body that the client was sent.
    pub(crate) bytes_out: Cell<u64>,
    pub(crate) upstream: Cell<Option<(UpstreamId, usize)>>,
    pub(crate) upstream_time: Cell<Option<Duration>>,
    pub(crate) attempts: Cell<u32>,
    /// The answer is out, or cannot be; an exchange that ends without this was cut.
    pub(crate) finished: Cell<bool>,
    /// What the cache had to do with it, on routes that have one.
    pub(crate) cache: Cell<Option<Cached>>,
    /// What came is for this request alone, for a reason that its headers do not say.
    pub(crate) unkept: Cell<bool>,
    /// Parts that failed, and why: as the client is told. Not there where none did.
    pub(crate) parts_failed: OnceCell<Box<[String]>>,
}

/// What the cache had to do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Cached {
    /// It was kept, and fresh.
    Hit,
    /// Another request asked for it at the same time.
    Collapsed,
    /// It was kept, and is not fresh any more.
    Stale,
    /// It was kept, and the upstream said that it is still right.
    Revalidated,
    /// It is the upstream's.
    Miss,
    /// It is the upstream's, and the request is one with which the cache has nothing to do.
    Bypass,
}

impl Cached {
    pub(crate) const ALL: [Cached; 6] =
        [Cached::Hit, Cached::Collapsed, Cached::Stale, Cached::Revalidated, Cached::Miss, Cached::Bypass];

    /// In logs and metrics.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Cached::Hit => "hit",
            Cached::Collapsed => "collapsed",
            Cached::Stale => "stale",
            Cached::Revalidated => "revalidated",
            Cached::Miss => "miss",
            Cached::Bypass => "bypass",
        }
    }
}

/// What the upstream is asked with in the place of the client's own preconditions and ranges: whether what is kept is still
/// right. With neither it is asked for the whole.
pub(crate) struct Validators {
    pub(crate) etag: Option<Box<[u8]>>,
    pub(crate) last_modified: Option<Box<[u8]>>,
}

impl Validators {
    pub(crate) fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// What every part of an aggregate is sent.
pub(crate) struct ForParts {
    /// Header lines.
    pub(crate) lines: Vec<u8>,
    /// Query parameters behind those of the part's own path.
    pub(crate) query: Option<Vec<u8>>,
}

/// What the upstream will be sent: everything but the parts that depend on the target.
pub(crate) struct Outgoing {
    /// Path in normal form, and query.
    pub(crate) target: Vec<u8>,
    /// Header lines, without Host.
    pub(crate) lines: Vec<u8>,
}

/// What a request that got through comes to.
pub(crate) enum Outcome<'a> {
    /// An answer that the gateway makes.
    Reply(Reply<'a>),
    /// The answer of an upstream.
    Answer(Answer),
}

impl Outcome<'_> {
    /// The status that the client will be sent.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Outcome::Reply(reply) => reply.status,
            Outcome::Answer(answer) => answer.head.status,
        }
    }

    /// The headers that the client will be sent.
    pub(crate) fn headers(&mut self) -> &mut HeaderBlock {
        match self {
            Outcome::Reply(reply) => &mut reply.headers,
            Outcome::Answer(answer) => &mut answer.head.headers,
        }
    }
}

/// An answer that the gateway makes itself.
pub(crate) struct Reply<'a> {
    pub(crate) status: u16,
    pub(crate) headers: HeaderBlock,
    pub(crate) body: Cow<'a, [u8]>,
}

/// The head of an upstream's answer, and what it takes to move the rest.
pub(crate) struct Answer {
    pub(crate) head: Box<ResponseHead>,
    pub(crate) body: BodyLength,
    /// Whether the upstream's connection may be kept after the body.
    pub(crate) reusable: bool,
    /// What was read behind the head.
    pub(crate) rest: Vec<u8>,
    pub(crate) conn: Rc<Conn>,
    /// The request's body, where the answer came before its end.
    pub(crate) upload: Option<Box<Upload>>,
    /// The upstream takes no more of the request's body.
    pub(crate) cut: bool,
    pub(crate) watch: Watch,
    /// When the attempt began.
    pub(crate) started: Instant,
    pub(crate) _in_flight: InFlight,
    /// Who watches the attempt, until its end is told.
    pub(crate) trial: Option<Trial>,
    /// What compresses the body for the client.
    pub(crate) coder: Option<Box<Coder>>,
    /// What keeps the body for other clients.
    pub(crate) store: Option<Box<Filling>>,
}

/// A request body that nobody has read yet.
pub(crate) struct RequestBody {
    pub(crate) decoder: BodyDecoder,
    pub(crate) length: BodyLength,
    /// Bytes that it may have.
    pub(crate) max: u64,
    /// The client waits for `100 Continue` before it sends.
    pub(crate) expects_continue: bool,
    /// Who wants a copy of its payload once all of it is there; dropped when it grows too long for that.
    pub(crate) copy: Option<oneshot::Sender<Vec<u8>>>,
    /// Where it is, when it was read already: somebody who sends nothing else.
    pub(crate) here: Option<Rc<Client>>,
    /// Names that scripts set or took away: what stands behind the body under one of them does not go on.
    pub(crate) edited: Vec<Name>,
}

impl RequestBody {
    /// The body that the head announces, of at most `max` bytes; none when there is none.
    pub(crate) fn of(head: &RequestHead, limits: &Limits, max: u64) -> Option<Box<RequestBody>> {
        (!matches!(head.body, BodyLength::None | BodyLength::Length(0))).then(|| {
            // On HTTP/2 the stream knows the end, and compares it with the length that was announced; trailers may
            // follow even so.
            let framed = head.version == Version::Http2;
            let length = if framed { BodyLength::UntilClose } else { head.body };
            Box::new(RequestBody {
                decoder: BodyDecoder::new(length, &ChunkLimits::behind(&limits.head())),
                length: head.body,
                max,
                expects_continue: head.expect_continue,
                copy: None,
                here: None,
                edited: Vec::new(),
            })
        })
    }
}

/// The gateway answers by itself, and why.
#[derive(Debug)]
pub(crate) struct Reject {
    pub(crate) reason: Reason,
    /// The status of the answer: the reason's own, unless the configuration says another.
    pub(crate) status: u16,
    /// For people; never names addresses, files or internals.
    pub(crate) detail: Cow<'static, str>,
    /// What the answer says beside the problem document: `Allow`, `WWW-Authenticate`.
    pub(crate) headers: HeaderBlock,
    /// Seconds after which another try makes sense, where that is known.
    pub(crate) retry_after: Option<u64>,
    /// What follows on the connection cannot be told apart from the request any more.
    pub(crate) close: bool,
}

impl Reject {
    pub(crate) fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Reject {
        Reject {
            reason,
            status: reason.status(),
            detail: detail.into(),
            headers: HeaderBlock::default(),
            retry_after: None,
            close: false,
        }
    }

    /// Something that must not happen happened.
    pub(crate) fn internal(what: &'static str) -> Reject {
        debug_assert!(false, "{what}");
        tracing::error!(what, "an impossible state; please report it");
        Reject::new(Reason::Internal, "an internal error")
    }

    /// Memory has no room for what the request needs.
    pub(crate) fn out_of_memory() -> Reject {
        Reject::new(Reason::Overloaded, "the gateway has no memory left for this request")
    }

    /// The time for the whole request is over.
    pub(crate) fn overdue() -> Reject {
        Reject::new(Reason::UpstreamTimeout, "the request took longer than it may here")
    }

    /// The refusal of a body of more than `max` bytes, announced or counted.
    pub(crate) fn body_too_large(max: u64) -> Reject {
        Reject::new(Reason::BodyTooLarge, format!("a request body here has {max} bytes at most"))
    }

    /// The refusal of a body whose framing is wrong, or of what stands behind it.
    pub(crate) fn malformed_body(error: ChunkError) -> Reject {
        let reason = match error.offence() {
            Offence::HeadersTooLarge => Reason::HeadersTooLarge,
            _ => Reason::BadFraming,
        };
        Reject::new(reason, error.to_string()).closing()
    }

    /// The answer carries this header too.
    pub(crate) fn with(mut self, name: &Name, value: &[u8]) -> Reject {
        self.headers.append(name, value);
        self
    }

    /// The connection ends with this answer.
    pub(crate) fn closing(self) -> Reject {
        Reject { close: true, ..self }
    }
}

/// What is known of a request that never became one.
#[derive(Debug, Default)]
pub(crate) struct Glimpse {
    /// None when the request line could not be read.
    pub(crate) method: Option<Method>,
    /// Lower-case name without port; empty where the head did not come whole.
    pub(crate) host: String,
    /// In normal form, or as it came when it has none; empty when it is not known.
    pub(crate) path: String,
}

/// What becomes of the client's connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next request may come.
    Keep,
    /// The answer is out; end the connection so that the client sees all of it.
    Close,
    /// The answer could not be completed: nothing may look as if it was.
    Abort,
}

impl<'c> Exchange<'c> {
    /// A request whose head just came.
    pub(crate) fn begin(
        worker: &'c Rc<Worker>,
        client: &'c Rc<Client>,
        active: Rc<Active>,
        kit: &'c mut Kit,
        facts: Facts,
    ) -> Exchange<'c> {
        worker.inflight.set(worker.inflight.get() + 1);
        let traces = active.plan.traces.as_deref();
        let trace = traces.map(|traces| {
            Trace::begin(traces, &kit.head.headers, facts.trusted, &mut worker.ids.borrow_mut())
        });
        let exchange = Exchange::of(worker, client, active, kit, facts, Origin::Client);
        exchange.traced(trace)
    }

    /// The same at this place in a trace.
    pub(crate) fn traced(mut self, trace: Option<Box<Trace>>) -> Exchange<'c> {
        self.trace = trace;
        self
    }

    /// A request of whatever origin.
    pub(crate) fn of(
        worker: &'c Rc<Worker>,
        client: &'c Rc<Client>,
        active: Rc<Active>,
        kit: &'c mut Kit,
        facts: Facts,
        origin: Origin,
    ) -> Exchange<'c> {
        let body = RequestBody::of(&kit.head, &active.plan.limits, active.plan.limits.body);
        let seen = Seen {
            started: client.began(worker),
            status: Cell::new(0),
            reason: Cell::new(None),
            bytes_in: body.as_ref().map(|_| Rc::default()),
            bytes_out: Cell::new(0),
            upstream: Cell::new(None),
            upstream_time: Cell::new(None),
            attempts: Cell::new(0),
            finished: Cell::new(false),
            cache: Cell::new(None),
            unkept: Cell::new(false),
            parts_failed: OnceCell::new(),
        };
        Exchange {
            worker,
            client,
            active,
            kit,
            facts,
            origin,
            route: None,
            deadline: None,
            websocket: false,
            preflight: false,
            identity: None,
            place: None,
            validators: None,
            body,
            body_read: true,
            held: RefCell::default(),
            as_get: Cell::new(false),
            trace: None,
            trail: None,
            seen,
        }
    }

    /// A request that nobody sent, to be explained.
    pub(crate) fn explained(
        worker: &'c Rc<Worker>,
        client: &'c Rc<Client>,
        active: Rc<Active>,
        kit: &'c mut Kit,
        facts: Facts,
        trail: Trail,
    ) -> Exchange<'c> {
        let traces = active.plan.traces.as_deref();
        let trace = traces.map(|traces| {
            Trace::begin(traces, &kit.head.headers, facts.trusted, &mut worker.ids.borrow_mut())
        });
        let origin = Origin::Gateway { target: None };
        let mut exchange = Exchange::of(worker, client, active, kit, facts, origin).traced(trace);
        exchange.trail = Some(Box::new(trail));
        exchange
    }

    /// Whether it is only explained.
    pub(crate) fn is_explained(&self) -> bool {
        self.trail.is_some()
    }

    /// Leaves a note where it is.
    #[inline]
    pub(crate) fn note(&self, note: impl FnOnce(&Trail)) {
        if let Some(trail) = self.trail.as_deref() {
            seldom(|| note(trail));
        }
    }

    /// The path in normal form; as it came when it has none and the request is refused.
    pub(crate) fn path(&self) -> &str {
        &self.kit.path
    }

    /// The method that the upstream sees.
    pub(crate) fn sent_method(&self) -> &Method {
        const GET: &Method = &Method::Get;
        if self.as_get.get() { GET } else { &self.kit.head.method }
    }

    /// The route; every stage after `route` has one.
    pub(crate) fn matched(&self) -> Option<&Route> {
        self.route.and_then(|RouteId(at)| self.active.plan.routes.get(at as usize))
    }

    /// Holds so many bytes more until the exchange ends, or refuses it: memory has no room for them.
    pub(crate) fn hold(&self, more: usize) -> Result<(), Reject> {
        let mut held = self.held.borrow_mut();
        held.count_for(&self.worker.memory);
        let all = held.bytes().saturating_add(more);
        if held.hold(all) { Ok(()) } else { Err(Reject::out_of_memory()) }
    }

    /// Adds to the answer what earlier stages found out about it, whoever makes it.
    pub(crate) fn carry_to(&self, headers: &mut HeaderBlock) {
        // `Vary` is a list that others have written to; every other header here is the gateway's own.
        headers.overlay(&self.kit.carried, &name::VARY);
    }

    /// Who calls, by the name that logs and limits use.
    pub(crate) fn consumer(&self) -> Option<&str> {
        self.identity.as_ref().and_then(|identity| identity.consumer(&self.active.plan))
    }

    /// Notes how an attempt on a target ended: with the status that came, or why none did.
    pub(crate) fn attempt_ended(&self, started: Instant, outcome: Result<u16, Reason>) {
        let spent = self.worker.clock.now().saturating_duration_since(started);
        let seen = &self.seen;
        seen.upstream_time.set(Some(seen.upstream_time.get().unwrap_or_default() + spent));
        if let Some((upstream, target)) = seen.upstream.get() {
            let live = self.active.upstreams.get(upstream.0 as usize);
            // Metrics know what is configured, not what DNS says of it.
            let target = live.map_or(target, |live| live.shared.place(target));
            observe::attempt_span(self, started, outcome);
            let outcome = outcome.map_or_else(AttemptOutcome::Failed, AttemptOutcome::Status);
            self.active.series.count_attempt(upstream, target, outcome, spent);
        }
    }

    /// Sets the deadline of what the exchange waits for now: `after`, or the end of the whole if that is earlier.
    pub(crate) fn arm(&self, now: Instant, after: Duration) {
        self.client.timer.arm(now, self.at_most(now, after));
    }

    /// `wanted`, or the time that is left for the whole.
    pub(crate) fn at_most(&self, now: Instant, wanted: Duration) -> Duration {
        match self.deadline {
            Some(deadline) => wanted.min(deadline.saturating_duration_since(now)),
            None => wanted,
        }
    }

    /// Whether the time for the whole is over.
    pub(crate) fn is_overdue(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Whether the client's connection may serve another request after this one.
    pub(crate) fn persistent(&self) -> bool {
        let max = self.active.plan.limits.requests_per_connection;
        self.kit.head.persistent
            && self.worker.phase.get() == Phase::Serving
            && (max == 0 || self.client.served.get() < max)
            && self.client.is_welcome()
    }

    /// Whether the client speaks HTTP/1.1 or HTTP/2.
    pub(crate) fn modern(&self) -> bool {
        self.kit.head.version != Version::Http10
    }

    /// Whether the answer has no body because of the method.
    pub(crate) fn is_head(&self) -> bool {
        self.kit.head.method == Method::Head
    }
}

/// Keeps what only explanations need out of the way of those who are served.
#[cold]
#[inline(never)]
fn seldom(note: impl FnOnce()) {
    note();
}
