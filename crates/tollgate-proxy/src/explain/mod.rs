//! What would become of a request that nobody sent: it goes the way of all requests, and the stages leave notes.
//!
//! On a gateway that serves, a worker answers with what it knows; offline, one that has neither listeners nor a network.

mod asked;
mod offline;
mod preflight;
mod shown;
mod steps;
mod told;

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::oneshot;
use tollgate_plan::Reason;
use tollgate_wire::{HeadProgress, Parsed, parse_request};

use crate::client::Client;
use crate::control::Control;
use crate::exchange::Reject;
use crate::listen;
use crate::pipeline;
use crate::run::Order;
use crate::worker::Worker;

pub use asked::{Asked, EXPLAINED_BODY_BYTES_MAX};
pub(crate) use told::{Told, told};

/// A script may take a while, and so may a password.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A request to be explained, on its way to a worker.
pub(crate) struct Question {
    head: Vec<u8>,
    secure: bool,
    body: Vec<u8>,
    ip: IpAddr,
    live: bool,
    answer: oneshot::Sender<Told>,
}

/// What would become of a request.
pub struct Explained(Told);

/// Why there is no explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExplainError {
    /// No client could send that; what is wrong with it.
    BadRequest(String),
    /// The gateway does not answer in time, or goes down.
    Unanswered,
}

impl std::fmt::Display for ExplainError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExplainError::BadRequest(fault) => f.write_str(fault),
            ExplainError::Unanswered => f.write_str("the gateway does not answer in time"),
        }
    }
}

impl std::error::Error for ExplainError {}

impl Explained {
    /// `{"request", "routes", "steps", "outcome"}`. It looks at every route: not on a thread that others wait for.
    pub fn to_json(&self) -> Value {
        self.0.to_json()
    }
}

impl Control {
    /// Explains what would become of a request now. Nothing of it is sent, counted or kept.
    pub async fn explain(&self, asked: &Asked) -> Result<Explained, ExplainError> {
        let wire = asked.wire().map_err(ExplainError::BadRequest)?;
        let (answer, told) = oneshot::channel();
        let question = Question {
            head: wire.head,
            secure: wire.secure,
            body: asked.body.clone(),
            ip: asked.ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            live: self.shared.serves,
            answer,
        };
        // Always the same one: what it has learned of targets and tokens does not change from question to question.
        let inbox = self.shared.inboxes().first().ok_or(ExplainError::Unanswered)?;
        inbox.try_send(Order::Explain(Box::new(question))).map_err(|_| ExplainError::Unanswered)?;
        let told = tokio::time::timeout(ANSWER_WITHIN, told).await;
        told.ok().and_then(Result::ok).map(Explained).ok_or(ExplainError::Unanswered)
    }
}

/// Answers a question, on the worker.
pub(crate) async fn answer(worker: Rc<Worker>, question: Question) {
    let Question { head, secure, body, ip, live, answer } = question;
    worker.clock.now();
    let client = Client::imagined(&worker.timers, ip, secure, body);
    let mut kit = worker.spare.kit();
    let limits = listen::head_limits(&worker);
    let told = match parse_request(&head, &mut HeadProgress::default(), &limits, &mut kit.head) {
        Ok(Parsed::Complete(_)) => {
            // The body is here: nobody has to be told to send it.
            kit.head.expect_continue = false;
            pipeline::explain(&worker, &client, kit, live).await
        }
        // What was written as a whole head is one, or is wrong.
        Ok(Parsed::Partial) => {
            Told::not_a_head(&Reject::new(Reason::BadRequestLine, "the head is incomplete"))
        }
        Err(error) => Told::not_a_head(&listen::refuse(error)),
    };
    // Who asked may have left.
    let _ = answer.send(told);
}
