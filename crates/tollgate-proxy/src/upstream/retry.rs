//! Trying again: what of a failed attempt makes another one worth it, and the wait before it.

use std::future::poll_fn;
use std::task::Poll;

use tollgate_plan::Reason;
use tollgate_plan::upstream::Upstream;
use tollgate_policy::{Attempted, Circuit, Fault, backoff, worth_retrying};
use tollgate_wire::BodyLength;

use super::attempt::client_closed;
use crate::exchange::{Answer, Exchange, Reject};
use crate::io::Gone;
use crate::live::upstreams::UpstreamLive;
use crate::pump::Upload;

/// What one request has tried.
#[derive(Default)]
pub(super) struct Tried {
    /// The target that the first attempt goes to, where an answer named it.
    pub(super) named: Option<usize>,
    /// The targets, in order.
    pub(super) targets: Vec<usize>,
    /// Retries that the configuration allowed; a kept connection that turned out dead is none of them.
    retries: u32,
}

impl Tried {
    /// Nothing yet. The first attempt is for this target, if there is one.
    pub(super) fn beginning_at(named: Option<usize>) -> Tried {
        Tried { named, ..Tried::default() }
    }

    /// Whether there is to be another attempt after one that came to `outcome`; takes it from the budget.
    pub(super) fn again(
        &mut self,
        exchange: &Exchange<'_>,
        (upstream, live): (&Upstream, &UpstreamLive),
        outcome: &Result<Answer, Reject>,
        upload: Option<&Upload>,
    ) -> bool {
        let Some(rules) = &upstream.retry else { return false };
        let Some(fault) = fault(outcome) else { return false };
        let method = exchange.sent_method();
        let upload = match outcome {
            Ok(answer) => answer.upload.as_deref(),
            Err(_) => upload,
        };
        let attempted = Attempted {
            fault,
            repeatable: rules.methods.allow(method),
            replayable: is_replayable(exchange, upload),
        };
        if exchange.is_overdue() || self.retries >= rules.attempts || !worth_retrying(rules, attempted) {
            return false;
        }
        let now = exchange.worker.clock.recent();
        // A retry that the breaker refuses would hide why the first attempt failed.
        let serves = live.targets.iter().any(|target| !target.shared.is_unhealthy());
        let open = live.shared.circuit(now) == Some(Circuit::Open);
        if !serves || open || !live.shared.withdraw(rules, now) {
            return false;
        }
        self.retries += 1;
        true
    }

    /// Waits until the next attempt is due; an error when the client leaves meanwhile.
    pub(super) async fn pause(&self, exchange: &Exchange<'_>, upstream: &Upstream) -> Result<(), Reject> {
        let Some(rules) = &upstream.retry else { return Ok(()) };
        let (worker, client) = (exchange.worker, exchange.client);
        let after = backoff(rules.backoff, self.retries, worker.random.next());
        if after.is_zero() {
            return Ok(());
        }
        exchange.arm(worker.clock.now(), after);
        poll_fn(|cx| {
            if let Poll::Ready(Gone::Broken) = client.io.poll_gone(cx) {
                return Poll::Ready(Err(client_closed()));
            }
            // A client that only ended its side waits for its answer, perhaps.
            client.timer.poll(cx).map(Ok)
        })
        .await?;
        worker.clock.now();
        if exchange.is_overdue() { Err(Reject::overdue()) } else { Ok(()) }
    }
}

/// What was wrong with an attempt, if it was anything that a retry may help against.
fn fault(outcome: &Result<Answer, Reject>) -> Option<Fault> {
    match outcome {
        // The target has switched: nothing of that is ever done twice.
        Ok(answer) if answer.head.status == 101 => None,
        Ok(answer) => Some(Fault::Status(answer.head.status)),
        Err(reject) => match reject.reason {
            Reason::UpstreamConnect | Reason::UpstreamDns | Reason::UpstreamTls => Some(Fault::Connect),
            Reason::UpstreamReset => Some(Fault::Reset),
            Reason::UpstreamTimeout => Some(Fault::Timeout),
            Reason::UpstreamProtocol => Some(Fault::Protocol),
            _ => None,
        },
    }
}

/// Whether the request's body, if it has one, can be sent again.
pub(super) fn is_replayable(exchange: &Exchange<'_>, upload: Option<&Upload>) -> bool {
    // An upload that went through, and of which nothing is kept, is not there any more.
    !has_body(exchange) || upload.is_some_and(Upload::can_restart)
}

/// Whether what the upstream is sent has a body.
pub(super) fn has_body(exchange: &Exchange<'_>) -> bool {
    exchange.seen.bytes_in.is_some() && !exchange.as_get.get()
}

/// Lets an answer go that nobody will see. Gives back the request's body, if it is still there.
pub(super) fn discard(exchange: &Exchange<'_>, mut answer: Answer) -> Option<Box<Upload>> {
    // A body that came with the head needs no more reading; any other is not worth it.
    let whole = match answer.body {
        BodyLength::None => answer.rest.is_empty(),
        BodyLength::Length(length) => answer.rest.len() as u64 == length,
        BodyLength::Chunked | BodyLength::UntilClose => false,
    };
    answer.ended(exchange, Ok(answer.head.status), whole);
    exchange.worker.spare.keep_response(answer.head);
    exchange.worker.spare.keep_buffer(answer.rest);
    answer.upload
}
