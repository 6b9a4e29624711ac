//! Tests of a configuration: what is sent, what services answer, what must come of it. They run beside the gateway and never
//! take part in serving, so a [`crate::Plan`] does not hold them.

use std::net::IpAddr;
use std::time::Duration;

use tollgate_wire::{Method, Name};

use crate::Reason;
use crate::auth::Place;
use crate::consumer::ConsumerId;
use crate::issuer::IssuerId;
use crate::resilience::StatusSet;
use crate::table::ValueMatch;
use crate::upstream::UpstreamId;

/// All tests of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Proofs {
    /// Whether a configuration whose tests fail may not be taken over.
    pub required: bool,
    /// In the order of the files.
    pub all: Vec<Proof>,
}

/// One test. Names are resolved; JSON is held as text.
#[derive(Debug, Clone)]
pub struct Proof {
    /// What it shows, in words. Not unique.
    pub name: Box<str>,
    /// The file in which it stands, as that was named.
    pub file: Box<str>,
    /// The line, from 1.
    pub line: u32,
    /// What is sent.
    pub request: ProofRequest,
    /// How often; at least 1. What is expected is expected of the last answer.
    pub repeat: u32,
    /// What services answer; of those that are not here, something harmless.
    pub stubs: Vec<(UpstreamId, Stub)>,
    /// What must come of it.
    pub expect: Expect,
}

/// What a test sends.
#[derive(Debug, Clone)]
pub struct ProofRequest {
    /// The method.
    pub method: Method,
    /// Path and query, not in normal form.
    pub path: Box<str>,
    /// The `Host`.
    pub host: Box<str>,
    /// Header lines.
    pub headers: Vec<(Name, Box<str>)>,
    /// A token that is made for it.
    pub token: Option<ProofToken>,
    /// A key that is made for it: whose, and where it stands.
    pub key: Option<(ConsumerId, Place)>,
    /// The client.
    pub ip: IpAddr,
    /// The body; empty for none.
    pub body: Box<[u8]>,
}

/// A token that is made for a test.
#[derive(Debug, Clone)]
pub struct ProofToken {
    /// Whose it is.
    pub issuer: IssuerId,
    /// A JSON object; `null` leaves a claim out that would be there otherwise.
    pub claims: Box<str>,
    /// Where it stands.
    pub place: Place,
}

/// What a service does.
#[derive(Debug, Clone)]
pub enum Stub {
    /// It answers.
    Answer(StubAnswer),
    /// It refuses connections.
    Refuse,
    /// It never answers.
    Silence,
}

/// What a service answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StubAnswer {
    /// 200-599.
    pub status: u16,
    /// Header lines; `content-type` is there when the body implies one.
    pub headers: Vec<(Name, Box<str>)>,
    /// The body.
    pub body: Box<[u8]>,
    /// How long it takes.
    pub delay: Duration,
}

/// What must come of a test. At least one is asked for.
#[derive(Debug, Clone, Default)]
pub struct Expect {
    /// One of these statuses.
    pub status: Option<StatusSet>,
    /// Why the gateway answered by itself.
    pub reason: Option<Reason>,
    /// The name of the route.
    pub route: Option<Box<str>>,
    /// An upstream that was asked.
    pub upstream: Option<UpstreamId>,
    /// Path and query of a request that a service got.
    pub upstream_path: Option<Box<str>>,
    /// Headers of that request.
    pub upstream_headers: Vec<(Name, ValueMatch)>,
    /// Its body: JSON text.
    pub upstream_json: Option<Box<str>>,
    /// The body of the answer: JSON text.
    pub json: Option<Box<str>>,
    /// The body of the answer as text; [`ValueMatch::Absent`] for an empty one.
    pub body: Option<ValueMatch>,
    /// Headers of the answer.
    pub headers: Vec<(Name, ValueMatch)>,
}
