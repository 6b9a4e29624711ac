//! Requests and responses as a script is handed them, and what it makes of them. Values; nothing of the VM.

use std::net::IpAddr;
use std::rc::Rc;

use serde_json::Value;
use tollgate_wire::{HeaderBlock, Method, Name};

/// What the upstream would be sent.
///
/// What [`Script::needs`](crate::Script::needs) does not name may be left empty, but for the headers.
#[derive(Default)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The path in normal form, percent-encoded, without the query. A script may leave one that is not in normal
    /// form; it has no dot segments, no `?`, `#`, backslash or control character.
    pub path: String,
    /// The query as it was sent, without `?`.
    pub query: Option<Vec<u8>>,
    /// The header lines.
    pub headers: HeaderBlock,
    /// The whole body, decoded from its transfer coding. `None` when it was not buffered.
    pub body: Option<Vec<u8>>,
    /// Header names that scripts set or took away. Of the client's, nothing goes on under them in any spelling: neither
    /// here nor behind the body.
    pub edited: Vec<Name>,
    /// What scripts can read and not change.
    pub facts: Facts,
    /// What the script changed.
    pub changed: Changed,
}

/// Claims of a token: made into values where a script reads them, and not again while the token is the same.
pub trait Claims {
    /// All claims, as an object.
    fn tree(&self) -> Value;
}

impl Claims for Value {
    fn tree(&self) -> Value {
        self.clone()
    }
}

/// What is known of a request, for scripts to read.
#[derive(Default)]
pub struct Facts {
    /// The host that the client asked for, in lower case, without port.
    pub host: String,
    /// The client's address; none on a unix socket.
    pub client_ip: Option<IpAddr>,
    /// Who calls, by the name that logs and limits use.
    pub consumer: Option<String>,
    /// The route's parameters, decoded.
    pub params: Vec<(String, String)>,
    /// The claims of the token; none without a token. They never change.
    pub claims: Option<Rc<dyn Claims>>,
}

/// The upstream's answer, before the client sees it.
#[derive(Default)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header lines.
    pub headers: HeaderBlock,
    /// The whole body. `None` when it was not buffered.
    pub body: Option<Vec<u8>>,
    /// What the script changed.
    pub changed: Changed,
}

/// Which parts a script left otherwise than it found them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Changed {
    /// The request's method.
    pub method: bool,
    /// The request's path.
    pub path: bool,
    /// The request's query.
    pub query: bool,
    /// The response's status.
    pub status: bool,
    /// Header lines.
    pub headers: bool,
    /// The body: its length is the caller's to announce, by `Content-Length`.
    pub body: bool,
}

/// An answer that a script makes.
#[derive(Debug, Default, PartialEq)]
pub struct Respond {
    /// 200 to 599.
    pub status: u16,
    /// The header lines: none that frame the message.
    pub headers: HeaderBlock,
    /// The body; empty for 204 and 304.
    pub body: Vec<u8>,
}

/// What a script decided.
#[derive(Debug, PartialEq)]
pub enum Verdict {
    /// The exchange goes on, with what was changed.
    Continue,
    /// This is the answer.
    Respond(Respond),
}
