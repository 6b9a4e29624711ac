//! What stages say where a request is only explained: the verdict of each, in the order of the way.
//!
//! An exchange that is served has none. Where there is one, stages decide as they always do, and nothing is counted,
//! kept or sent. It knows no stage's rules.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use serde_json::{Map, Value};
use tollgate_plan::Reason;

use crate::exchange::Reject;

/// The notes of one explained request. Written by stages, read when the way is over.
pub(crate) struct Trail {
    /// It is explained by a gateway that serves: what it knows of targets, limits and keys counts. Else there is only
    /// the configuration, and no network.
    pub(crate) live: bool,
    steps: RefCell<Vec<Step>>,
    /// Target and header lines for the upstream in front of scripts: what a script adds may be a secret.
    plain: RefCell<Option<(Vec<u8>, Vec<u8>)>>,
    sent: RefCell<Option<Sent>>,
    /// What would follow cannot be known.
    undecided: Cell<bool>,
}

/// The verdict of one stage.
pub(crate) struct Step {
    pub(crate) stage: Stage,
    pub(crate) verdict: Verdict,
    /// For people. Quotes no credential.
    pub(crate) detail: String,
    /// For programs.
    pub(crate) more: Map<String, Value>,
}

/// What became of a request at one stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It goes on.
    Ok,
    /// The stage had nothing to do.
    Skipped,
    /// It cannot be known here; what follows is told as if it went on.
    Unknown,
    /// The gateway answers so.
    Refused { status: u16, reason: Reason },
}

impl Verdict {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Skipped => "skipped",
            Verdict::Unknown => "unknown",
            Verdict::Refused { .. } => "refused",
        }
    }
}

/// A piece of the way, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Listen,
    Parse,
    Route,
    Memory,
    Cors,
    Addresses,
    UserAgents,
    RateLimit,
    Credentials,
    Require,
    IdentityLimit,
    Concurrency,
    Body,
    Guard,
    Openapi,
    Schema,
    Cache,
    Request,
    Script,
    Mirror,
    Act,
    Response,
    Observe,
}

impl Stage {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Stage::Listen => "listen",
            Stage::Parse => "parse",
            Stage::Route => "route",
            Stage::Memory => "memory",
            Stage::Cors => "cors",
            Stage::Addresses => "addresses",
            Stage::UserAgents => "user_agents",
            Stage::RateLimit => "rate_limit",
            Stage::Credentials => "credentials",
            Stage::Require => "require",
            Stage::IdentityLimit => "rate_limit_by_identity",
            Stage::Concurrency => "concurrency",
            Stage::Body => "body",
            Stage::Guard => "guard",
            Stage::Openapi => "openapi",
            Stage::Schema => "schema",
            Stage::Cache => "cache",
            Stage::Request => "request",
            Stage::Script => "script",
            Stage::Mirror => "mirror",
            Stage::Act => "act",
            Stage::Response => "response",
            Stage::Observe => "observe",
        }
    }

    /// Which of the 13 steps of the way it belongs to.
    pub(crate) fn number(self) -> u8 {
        match self {
            Stage::Listen => 1,
            Stage::Parse => 2,
            Stage::Route | Stage::Memory | Stage::Cors => 3,
            Stage::Addresses | Stage::UserAgents => 4,
            Stage::RateLimit => 5,
            Stage::Credentials | Stage::Require => 6,
            Stage::IdentityLimit | Stage::Concurrency => 7,
            Stage::Body | Stage::Guard | Stage::Openapi | Stage::Schema => 8,
            Stage::Cache => 9,
            Stage::Request | Stage::Script => 10,
            Stage::Mirror | Stage::Act => 11,
            Stage::Response => 12,
            Stage::Observe => 13,
        }
    }
}

/// What an upstream would be sent.
pub(crate) struct Sent {
    pub(crate) upstream: Arc<str>,
    /// As configured; none where it cannot be known.
    pub(crate) target: Option<Arc<str>>,
    /// Scheme and authority.
    pub(crate) origin: String,
    /// The whole head, as HTTP/1.1 writes it.
    pub(crate) head: Vec<u8>,
}

impl Trail {
    pub(crate) fn new(live: bool) -> Trail {
        Trail {
            live,
            steps: RefCell::default(),
            plain: RefCell::default(),
            sent: RefCell::default(),
            undecided: Cell::new(false),
        }
    }

    /// The request goes on.
    pub(crate) fn ok(&self, stage: Stage, detail: impl Into<String>) {
        self.step(stage, Verdict::Ok, detail, Value::Null);
    }

    /// Whether it goes on is not known; it is told as if it did.
    pub(crate) fn unknown(&self, stage: Stage, detail: impl Into<String>) {
        self.step(stage, Verdict::Unknown, detail, Value::Null);
    }

    /// The gateway answers.
    pub(crate) fn refused(&self, stage: Stage, reject: &Reject) {
        self.step(stage, Verdict::of(reject), &*reject.detail, Value::Null);
    }

    /// One or the other.
    pub(crate) fn told<T>(&self, stage: Stage, outcome: &Result<T, Reject>, detail: impl Into<String>) {
        match outcome {
            Ok(_) => self.ok(stage, detail),
            Err(reject) => self.refused(stage, reject),
        }
    }

    /// A step with more to say; `more` is an object, or nothing.
    pub(crate) fn step(&self, stage: Stage, verdict: Verdict, detail: impl Into<String>, more: Value) {
        let more = if let Value::Object(more) = more { more } else { Map::new() };
        self.steps.borrow_mut().push(Step { stage, verdict, detail: detail.into(), more });
    }

    /// Nothing can be said of what follows.
    pub(crate) fn give_up(&self, stage: Stage, detail: impl Into<String>) {
        self.undecided.set(true);
        self.unknown(stage, detail);
    }

    pub(crate) fn is_undecided(&self) -> bool {
        self.undecided.get()
    }

    /// Target and header lines for the upstream, before a script sees them.
    pub(crate) fn before_scripts(&self, target: &[u8], lines: &[u8]) {
        *self.plain.borrow_mut() = Some((target.to_vec(), lines.to_vec()));
    }

    /// See [`Trail::before_scripts`]; none where there are no scripts.
    pub(crate) fn take_plain(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        self.plain.take()
    }

    /// This would go out now.
    pub(crate) fn sends(&self, sent: Sent) {
        *self.sent.borrow_mut() = Some(sent);
    }

    pub(crate) fn take_sent(&self) -> Option<Sent> {
        self.sent.take()
    }

    pub(crate) fn take_steps(&self) -> Vec<Step> {
        self.steps.take()
    }
}

impl Verdict {
    pub(crate) fn of(reject: &Reject) -> Verdict {
        Verdict::Refused { status: reject.status, reason: reject.reason }
    }
}
