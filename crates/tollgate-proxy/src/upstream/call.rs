//! One request to an upstream: out with the head and the body, in with the head of the answer.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Instant;

use tollgate_plan::Reason;
use tollgate_plan::route::{Action, Weighted};
use tollgate_plan::upstream::{HostMode, Target, Upstream, UpstreamId};

use super::attempt::{Attempt, Failure};
use super::choose::choose;
use super::connect::connect;
use crate::exchange::{Answer, Exchange, Outgoing, Reject};
use crate::live::upstreams::{InFlight, TargetLive, UpstreamLive};
use crate::pump::Upload;

/// Sends the request to the route's upstream and waits for the head of the answer.
pub(crate) async fn call(exchange: &mut Exchange<'_>, outgoing: Outgoing) -> Result<Answer, Reject> {
    let id = upstream_of(exchange);
    let active = exchange.active.clone();
    let at = id.0 as usize;
    let (Some(upstream), Some(live)) = (active.plan.upstreams.get(at), active.upstreams.get(at)) else {
        return Err(Reject::internal("no such upstream"));
    };
    let received = exchange.seen.bytes_in.clone();
    let body = exchange.body.take().zip(received);
    let mut upload = body.map(|(body, received)| Box::new(Upload::new(exchange, body, received)));
    let outcome = attempts(exchange, id, upstream, live, &outgoing, &mut upload).await;
    exchange.body_read = match &outcome {
        Ok(answer) => answer.upload.is_none(),
        Err(_) => upload.as_ref().is_none_or(|upload| upload.is_read()),
    };
    exchange.worker.spare.keep_buffer(outgoing.target);
    exchange.worker.spare.keep_buffer(outgoing.lines);
    outcome
}

/// Tries once; and once more, on a fresh connection, when a kept one turned out dead before anything came back.
async fn attempts(
    exchange: &Exchange<'_>,
    id: UpstreamId,
    upstream: &Upstream,
    live: &UpstreamLive,
    outgoing: &Outgoing,
    upload: &mut Option<Box<Upload>>,
) -> Result<Answer, Reject> {
    let mut fresh = false;
    loop {
        let started = exchange.worker.clock.recent();
        let at = choose(exchange, live, started);
        let (Some(target), Some(target_live)) = (upstream.targets.get(at), live.targets.get(at)) else {
            return Err(Reject::internal("no such target"));
        };
        let seen = &exchange.seen;
        seen.upstream.set(Some((id, at)));
        seen.attempts.set(seen.attempts.get() + 1);
        let place = (upstream, target, target_live);
        let outcome = attempt(exchange, place, outgoing, upload, started, fresh).await;
        let failure = match outcome {
            Ok(answer) => return Ok(answer),
            Err(failure) => failure,
        };
        let reason = match &failure {
            Failure::DeadOnReuse => Reason::UpstreamReset,
            Failure::Final(reject) => reject.reason,
        };
        exchange.attempt_ended(started, Err(reason));
        match failure {
            Failure::DeadOnReuse => {
                exchange.active.series.count_retry(id);
                fresh = true;
            }
            Failure::Final(reject) => return Err(reject),
        }
    }
}

async fn attempt(
    exchange: &Exchange<'_>,
    (upstream, target, live): (&Upstream, &Target, &Rc<TargetLive>),
    outgoing: &Outgoing,
    upload: &mut Option<Box<Upload>>,
    started: Instant,
    fresh: bool,
) -> Result<Answer, Failure> {
    let in_flight = InFlight::new(live);
    let timer = &exchange.client.timer;
    let kept = if fresh { None } else { live.idle_connection(exchange.worker.clock.recent()) };
    let conn = match kept {
        Some(conn) => conn,
        // Boxed: most requests find a connection and need not carry the room for making one.
        None => {
            let made = Box::pin(connect(exchange.worker, upstream, target, live, timer, fresh)).await;
            // The time for the answer begins now, not when somebody last looked at the clock.
            exchange.worker.clock.now();
            made.map_err(Failure::Final)?
        }
    };
    let timeout = exchange.matched().and_then(|route| route.timeout).unwrap_or(upstream.timeout);
    let mut attempt = Attempt::new(exchange, conn, upload.take(), started, timeout);
    let arrived = poll_fn(|cx| {
        if !attempt.is_begun() {
            attempt.begin(cx, |out| write_head(exchange, upstream, target, outgoing, out))?;
        }
        attempt.poll(cx)
    })
    .await;
    match arrived {
        Ok(()) => attempt
            .into_answer(in_flight)
            .ok_or_else(|| Failure::Final(Reject::internal("an answer without a head"))),
        Err(failure) => {
            *upload = attempt.into_upload();
            Err(failure)
        }
    }
}

fn write_head(
    exchange: &Exchange<'_>,
    upstream: &Upstream,
    target: &Target,
    outgoing: &Outgoing,
    out: &mut Vec<u8>,
) {
    let host: &[u8] = match &upstream.host {
        HostMode::Upstream => target.authority.as_bytes(),
        HostMode::Preserve => exchange.kit.head.authority().unwrap_or(target.authority.as_bytes()),
        HostMode::Fixed(name) => name.as_bytes(),
    };
    let pieces: [&[u8]; 8] = [
        exchange.kit.head.method.as_str().as_bytes(),
        b" ",
        target.prefix.as_bytes(),
        &outgoing.target,
        b" HTTP/1.1\r\nhost: ",
        host,
        b"\r\n",
        &outgoing.lines,
    ];
    pieces.into_iter().for_each(|piece| out.extend_from_slice(piece));
    out.extend_from_slice(b"\r\n");
}

/// The route's upstream, by weight where it names several.
fn upstream_of(exchange: &Exchange<'_>) -> UpstreamId {
    let choices: &[Weighted] = match exchange.matched().map(|route| &route.action) {
        Some(Action::To(only)) => return *only,
        Some(Action::Split(choices)) => choices,
        _ => &[],
    };
    let total: u64 = choices.iter().map(|choice| u64::from(choice.weight)).sum();
    let mut ticket = exchange.worker.random.next() % total.max(1);
    for choice in choices {
        match ticket.checked_sub(u64::from(choice.weight)) {
            Some(rest) => ticket = rest,
            None => return choice.upstream,
        }
    }
    UpstreamId(u32::MAX)
}
