//! One answer out of several: what is asked, in which order, and how it is put together.

use std::sync::Arc;
use std::time::Duration;

use tollgate_content::decode::Notation;
use tollgate_content::encode::Encoding;
use tollgate_content::expr::Expr;
use tollgate_content::jq::Jq;
use tollgate_content::render::Template as Page;
use tollgate_content::{Merge, Path, Shape};
use tollgate_wire::{Method, Name};

use crate::resilience::StatusSet;
use crate::template::Template;
use crate::upstream::UpstreamId;

/// An answer that is made of others.
#[derive(Debug, Clone)]
pub struct Aggregate {
    /// For the whole answer.
    pub timeout: Duration,
    /// How the parts are put together.
    pub merge: Merge,
    /// In declared order, in which they are merged. A part refers to others by their index here.
    pub parts: Vec<Part>,
    /// Headers of the client that the parts may see.
    pub headers: Vec<Name>,
    /// Query parameters of the client that the parts may see, by their decoded names.
    pub query: Vec<Box<str>>,
    /// Bytes of one part's answer.
    pub part_bytes: usize,
    /// Bytes of the whole answer.
    pub answer_bytes: usize,
    /// What it is written in; none lets the client choose.
    pub encode: Option<Encoding>,
    /// The template that it goes through in the place of being written as data.
    pub render: Option<Arc<Page>>,
}

/// One piece of the answer.
#[derive(Debug, Clone)]
pub struct Part {
    /// Unique in its aggregate: references and `X-Tollgate-Failed` use it.
    pub name: Box<str>,
    /// Where it comes from.
    pub source: Source,
    /// What is made of it.
    pub shape: Shape,
    /// A filter that makes it, in the place of the rules.
    pub jq: Option<Arc<Jq>>,
    /// False leaves it out.
    pub condition: Option<Arc<Expr>>,
    /// Stands in its place when it fails: JSON text, put under the name that `shape` gives.
    pub fallback: Option<Arc<str>>,
    /// Without it there is no answer.
    pub required: bool,
    /// Parts that must have come before, by index.
    pub after: Vec<usize>,
}

/// Where a part comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Constant data: JSON text with placeholders in its strings.
    Constant(Template),
    /// The answer of a service.
    Call(Box<Call>),
}

/// A request to a service.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who is asked.
    pub upstream: UpstreamId,
    /// How often.
    pub times: Times,
    /// The method.
    pub method: Method,
    /// The path that is sent, and the query behind it.
    pub path: Template,
    /// The body that is sent.
    pub body: PartBody,
    /// What the answer is written in.
    pub decode: Notation,
    /// For one request; none: what is left of the whole.
    pub timeout: Option<Duration>,
    /// Statuses of an answer that counts.
    pub success: StatusSet,
}

/// The body of a part's request.
#[derive(Debug, Clone)]
pub enum PartBody {
    /// None.
    Nothing,
    /// The client's own.
    Request,
    /// JSON text with placeholders in its strings.
    Json(Template),
}

/// How often a service is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Times {
    /// Once.
    Once,
    /// For each element of a list in an earlier part's answer.
    Each {
        /// The part, by index.
        part: usize,
        /// Where the list stands in it, before it was shaped.
        list: Path,
        /// Requests at the same time.
        concurrency: usize,
    },
    /// Every target once.
    EachTarget,
}
