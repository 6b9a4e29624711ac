//! A route: what it matches is in the [table](crate::table); what it does is here.

use std::sync::Arc;
use std::time::Duration;

use tollgate_content::Shape;
use tollgate_content::decode::Notation;
use tollgate_content::encode::Encoding;
use tollgate_content::jq::Jq;
use tollgate_wire::{EntryRef, Name};

use crate::access::{AddressRules, Cors, UserAgents};
use crate::aggregate::Aggregate;
use crate::auth::Auth;
use crate::cache::Cache;
use crate::checks::Checks;
use crate::limit::{Concurrency, RouteLimits};
use crate::script::Scripts;
use crate::template::Template;
use crate::upstream::UpstreamId;

/// Index into [`crate::Plan::routes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u32);

/// What a matched request meets.
///
/// Ten thousand of them do not fit a core's cache, so each request pays for every line of its route that it
/// touches: what every request asks is in front, what few routes have is behind a pointer, and a route begins
/// where a cache line does.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub struct Route {
    /// The one thing the route does.
    pub action: Action,
    /// Answers to browsers of other origins; none leaves them to the upstream.
    pub cors: Option<Box<Cors>>,
    /// Addresses that may or may not call; none lets everybody.
    pub addresses: Option<Box<AddressRules>>,
    /// Programs that may not call; none lets all of them.
    pub user_agents: Option<Box<UserAgents>>,
    /// How callers identify themselves; none is public.
    pub auth: Option<Box<Auth>>,
    /// How often it may be called.
    pub limits: Option<Box<RouteLimits>>,
    /// How many requests may be in flight.
    pub concurrency: Option<Box<Concurrency>>,
    /// Bytes that a request body may have.
    pub max_body: u64,
    /// Edits on the way to the upstream.
    pub request: Option<Box<RequestEdits>>,
    /// Edits on the way to the client.
    pub response: Option<Box<ResponseEdits>>,
    /// A second upstream that gets copies of requests.
    pub mirror: Option<Box<Mirror>>,
    /// To the upstream's response head; `None` leaves it to the upstream.
    pub timeout: Option<Duration>,
    /// For the whole request, from its head to the last byte of the answer.
    pub deadline: Option<Box<Duration>>,
    /// Unique name, used in logs and metrics.
    pub name: Arc<str>,
    /// The path pattern as the configuration wrote it.
    pub pattern: Arc<str>,
    /// Milliseconds for which nothing may move through an upgraded connection.
    pub tunnel_idle_ms: u64,
    /// What a request must be like.
    pub checks: Option<Box<Checks>>,
    /// Scripts that see requests and answers.
    pub scripts: Option<Box<Scripts>>,
    /// Answers are kept, in this way.
    pub cache: Option<Box<Cache>>,
}

/// Edits on the way to the upstream. Order: only, remove, set, add.
#[derive(Debug, Clone, Default)]
pub struct RequestEdits {
    /// The path that is sent; `None` sends the path as it came.
    pub rewrite: Option<Rewrite>,
    /// The only headers of the client that go on, but what the protocol needs; `None` lets all of them.
    pub only_headers: Option<Box<[Name]>>,
    /// The only query parameters of the client that go on; `None` lets all of them.
    pub only_query: Option<Box<[Box<str>]>>,
    /// Header edits, in the order in which they apply.
    pub headers: Vec<HeaderEdit>,
    /// Query edits, in the order in which they apply.
    pub query: Vec<QueryEdit>,
}

/// How the path for the upstream is made.
#[derive(Debug, Clone)]
pub enum Rewrite {
    /// `rewrite:` a template that makes a whole path.
    To(Template),
    /// `strip_prefix:` literal, on a segment boundary; a path without it is sent as it came.
    StripPrefix(Box<str>),
}

/// Edits on the way to the client. Order: remove, set.
#[derive(Debug, Clone, Default)]
pub struct ResponseEdits {
    /// Header edits, in the order in which they apply.
    pub headers: Vec<HeaderEdit>,
    /// Whether answers are compressed where the client takes that and the answer gains by it.
    pub compress: bool,
    /// What is made of the body; none passes it on unread.
    pub body: Option<Box<BodyRules>>,
}

/// What is made of the body of an upstream's answer.
#[derive(Debug, Clone)]
pub struct BodyRules {
    /// What the upstream writes it in.
    pub decode: Notation,
    /// What is done to it.
    pub shape: Shape,
    /// A filter that makes it, in the place of the rules.
    pub jq: Option<Arc<Jq>>,
    /// What the client gets it in; none lets it choose.
    pub encode: Option<Encoding>,
    /// Bytes that it may have, in and out.
    pub bytes: usize,
}

/// One edit of a header block.
#[derive(Debug, Clone)]
pub enum HeaderEdit {
    /// Take every line of that name away.
    Remove(Name),
    /// Replace every line of that name by one.
    Set(Name, Template),
    /// Add a line, whatever is there.
    Add(Name, Template),
}

/// One edit of the query. Names are decoded.
#[derive(Debug, Clone)]
pub enum QueryEdit {
    /// Take every parameter of that name away.
    Remove(Box<str>),
    /// Replace every parameter of that name by one (added at the end when there was none).
    Set(Box<str>, Template),
}

/// The one thing a route does.
#[derive(Debug, Clone)]
pub enum Action {
    /// Forward.
    To(UpstreamId),
    /// Forward to one of several, chosen by weight. Weights sum above 0.
    Split(Box<[Weighted]>),
    /// Answer from the configuration.
    Respond(Box<Respond>),
    /// Answer with a redirect.
    Redirect(Box<Redirect>),
    /// Answer with the answers of several services.
    Aggregate(Box<Aggregate>),
    /// Answer with the health of these upstreams (`all` is already resolved to every named upstream).
    Health(Box<[UpstreamId]>),
}

/// Who gets copies of a route's requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirror {
    /// The second upstream.
    pub to: UpstreamId,
    /// Share of the requests, in percent, that are copied.
    pub share_percent: u32,
}

/// One of several upstreams of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Weighted {
    /// The upstream.
    pub upstream: UpstreamId,
    /// Its share; 0 is allowed (never chosen).
    pub weight: u32,
}

/// An answer from the configuration.
#[derive(Debug, Clone)]
pub struct Respond {
    /// 200-599.
    pub status: u16,
    /// Headers; `content-type` is already there when the body implies one.
    pub headers: Vec<(Name, Template)>,
    /// The body.
    pub body: RespondBody,
}

/// The body of a [`Respond`].
#[derive(Debug, Clone)]
pub enum RespondBody {
    /// Fixed bytes: a file, or text and JSON without placeholders.
    Fixed(Arc<[u8]>),
    /// Text with placeholders, inserted as they are.
    Text(Template),
    /// JSON text whose placeholders stand inside strings; values are JSON-escaped when inserted.
    Json(Template),
}

/// A redirect.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// The `Location`. Variables are percent-encoded as in a path; `{path}` and `{query}` are inserted as they are.
    pub to: Template,
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
}

impl Action {
    /// Whether the request goes to an upstream.
    pub fn forwards(&self) -> bool {
        matches!(self, Action::To(_) | Action::Split(_))
    }
}

impl Route {
    /// Whether the header edits say something about answers.
    pub fn edits_answers(&self) -> bool {
        self.response.as_deref().is_some_and(|edits| !edits.headers.is_empty())
    }

    /// Whether a line of the upstream goes out before or behind the answer, in an interim head or as a trailer: what the
    /// route takes out of the answer, or says itself, does not come from the upstream there either.
    pub fn lets_out(&self, entry: EntryRef<'_>) -> bool {
        let edits = self.response.as_deref().map_or(&[][..], |edits| &edits.headers);
        !edits.iter().any(|edit| match edit {
            HeaderEdit::Remove(name) | HeaderEdit::Set(name, _) => entry.is(name),
            HeaderEdit::Add(..) => false,
        })
    }
}

/// Two lines for all but the names.
const _: () = assert!(std::mem::offset_of!(Route, name) <= 128 && size_of::<Route>() <= 192);
