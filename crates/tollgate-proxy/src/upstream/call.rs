//! One request to an upstream: out with the head and the body, in with the head of the answer.

use std::borrow::Cow;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tollgate_plan::Reason;
use tollgate_plan::reason::Blame;
use tollgate_plan::route::{Action, Weighted};
use tollgate_plan::upstream::{HostMode, Target, Upstream, UpstreamId};

use super::attempt::{Attempt, Failure};
use super::choose::choose;
use super::connect::{Link, Wanted, connect, tls_failed};
use super::retry::{Tried, discard, is_replayable};
use super::{redirect, token, translate};
use crate::exchange::{Answer, Exchange, Outgoing, Reject};
use crate::live::trial::Trial;
use crate::live::upstreams::{InFlight, TargetLive, UpstreamLive};
use crate::pump::Upload;

/// Stands in a record for the target of a request that was sent to none.
const NO_TARGET: usize = usize::MAX;

/// Sends the request to the route's upstream and waits for the head of the answer.
pub(crate) async fn call(exchange: &mut Exchange<'_>, outgoing: Outgoing) -> Result<Answer, Reject> {
    let id = upstream_of(exchange);
    call_to(exchange, id, outgoing).await
}

/// Sends the request to this upstream and waits for the head of the answer.
pub(super) async fn call_to(
    exchange: &mut Exchange<'_>,
    id: UpstreamId,
    mut outgoing: Outgoing,
) -> Result<Answer, Reject> {
    let active = exchange.active.clone();
    let at = id.0 as usize;
    let (Some(upstream), Some(live)) = (active.plan.upstreams.get(at), active.upstreams.get(at)) else {
        return Err(Reject::internal("no such upstream"));
    };
    let upstream = live.shared.served(upstream);
    let body = exchange.body.take();
    // What was read before has been counted.
    let here = body.as_ref().is_some_and(|body| body.here.is_some());
    let received = if here { Some(Rc::default()) } else { exchange.seen.bytes_in.clone() };
    let body = body.zip(received);
    let led = upstream.credentials.is_some() || upstream.follow_redirects > 0;
    let keep = upstream.retry.is_some() || led;
    let mut upload = body.map(|(body, received)| Box::new(Upload::new(exchange, body, received, keep)));
    live.shared.count_request(exchange.worker.clock.recent());
    let outcome = match led {
        false => attempts(exchange, id, (upstream, live), &outgoing, None, &mut upload).await,
        // Boxed: most upstreams are not, and their requests need not carry the room.
        true => Box::pin(lead(exchange, id, (upstream, live), &mut outgoing, &mut upload)).await,
    };
    let outcome = outcome.map(accept);
    exchange.body_read = here
        || match &outcome {
            Ok(answer) => answer.upload.is_none(),
            Err(_) => upload.as_ref().is_none_or(|upload| upload.is_read()),
        };
    exchange.worker.spare.keep_buffer(outgoing.target);
    exchange.worker.spare.keep_buffer(outgoing.lines);
    outcome
}

/// The same for an upstream that is shown a token of the gateway's own, or whose redirects are followed.
async fn lead(
    exchange: &Exchange<'_>,
    id: UpstreamId,
    place: (&Upstream, &Rc<UpstreamLive>),
    outgoing: &mut Outgoing,
    upload: &mut Option<Box<Upload>>,
) -> Result<Answer, Reject> {
    let (upstream, live) = place;
    let shown = token::show(exchange, upstream, live.shared.token.as_ref(), outgoing).await;
    let mut shown = shown.inspect_err(|_| exchange.seen.upstream.set(Some((id, NO_TARGET))))?;
    let (mut followed, mut named) = (0, None);
    loop {
        let answer = attempts(exchange, id, place, outgoing, named, upload).await?;
        if answer.head.status == 401
            && is_replayable(exchange, answer.upload.as_deref())
            && let Some(shown) = &mut shown
            && shown.renew(exchange, upstream, outgoing).await?
        {
            // What was refused was not done: whatever the method, it may be asked again.
            exchange.active.series.count_retry(id);
            *upload = discard(exchange, answer);
            continue;
        }
        let from = exchange.seen.upstream.get().map_or(NO_TARGET, |(_, at)| at);
        let onward = match followed < upstream.follow_redirects {
            true => redirect::onward(exchange, &upstream.targets, from, outgoing, &answer),
            false => None,
        };
        let Some(onward) = onward else { return Ok(answer) };
        followed += 1;
        named = Some(onward.target);
        let rest = discard(exchange, answer);
        *upload = onward.turn(exchange, outgoing, rest);
        if let Some(shown) = &shown {
            shown.again(outgoing);
        }
    }
}

/// Tries once; once more, on a fresh connection, when a kept one turned out dead before anything came back; and as
/// often as the upstream's `retry` allows.
async fn attempts(
    exchange: &Exchange<'_>,
    id: UpstreamId,
    (upstream, live): (&Upstream, &Rc<UpstreamLive>),
    outgoing: &Outgoing,
    named: Option<usize>,
    upload: &mut Option<Box<Upload>>,
) -> Result<Answer, Reject> {
    let mut tried = Tried::beginning_at(named);
    let mut fresh = false;
    loop {
        if exchange.is_overdue() {
            return Err(Reject::overdue());
        }
        let started = exchange.worker.clock.recent();
        let (at, mut trial) = begin(exchange, id, (upstream, live), &tried, started)?;
        let (Some(target), Some(target_live)) = (upstream.targets.get(at), live.targets.get(at)) else {
            return Err(Reject::internal("no such target"));
        };
        let seen = &exchange.seen;
        seen.upstream.set(Some((id, at)));
        seen.attempts.set(seen.attempts.get() + 1);
        if let Some(trace) = &exchange.trace {
            trace.attempt(&target.url, &outgoing.target, &mut exchange.worker.ids.borrow_mut());
        }
        let place = (upstream, target, target_live);
        let outcome = match attempt(exchange, place, outgoing, upload, started, fresh).await {
            Ok(answer) => Ok(answer),
            Err(Failure::DeadOnReuse) => {
                exchange.attempt_ended(started, Err(Reason::UpstreamReset));
                exchange.active.series.count_retry(id);
                fresh = true;
                continue;
            }
            Err(Failure::Final(reject)) => Err(reject),
            Err(Failure::Tls(error)) => Err(tls_failed(target_live, &error)),
        };
        tell(&mut trial, &outcome, upstream, exchange.worker.clock.recent());
        let again = tried.again(exchange, (upstream, live), &outcome, upload.as_deref());
        match outcome {
            Ok(answer) if !again => return Ok(Answer { trial, ..answer }),
            Ok(answer) => *upload = discard(exchange, Answer { trial, ..answer }),
            Err(reject) => {
                exchange.attempt_ended(started, Err(reject.reason));
                if !again {
                    return Err(reject);
                }
            }
        }
        exchange.active.series.count_retry(id);
        tried.targets.push(at);
        fresh = false;
        tried.pause(exchange, upstream).await?;
    }
}

/// A target, and leave to try it.
pub(super) fn begin(
    exchange: &Exchange<'_>,
    id: UpstreamId,
    (upstream, live): (&Upstream, &Rc<UpstreamLive>),
    tried: &Tried,
    now: Instant,
) -> Result<(usize, Option<Trial>), Reject> {
    let named = tried.named.filter(|_| tried.targets.is_empty());
    let chosen = named.or_else(|| choose(exchange, live, &tried.targets, now));
    let refused = |reason, detail, after: Duration| {
        if exchange.seen.attempts.get() == 0 {
            exchange.seen.upstream.set(Some((id, NO_TARGET)));
        }
        let retry_after = Some(after.as_secs_f64().ceil().max(1.0) as u64);
        Reject { retry_after, ..Reject::new(reason, detail) }
    };
    let at = chosen.ok_or_else(|| {
        if live.targets.is_empty() {
            let nobody = refused(Reason::UpstreamDns, "the service's name has no address", Duration::ZERO);
            return Reject { retry_after: None, ..nobody };
        }
        let every = upstream.health_check.as_ref().map(|check| check.every).unwrap_or_default();
        refused(Reason::NoHealthyTarget, "no target of the service is healthy", every)
    })?;
    let trial = match exchange.is_explained() {
        true => live.shared.would_admit(now).map(|()| None),
        false => Trial::begin(live, at, now),
    };
    let trial =
        trial.map_err(|after| refused(Reason::CircuitOpen, "the service failed too often lately", after))?;
    Ok((at, trial))
}

/// Tells how an attempt ended, as far as it is known when the head of an answer is there.
fn tell(trial: &mut Option<Trial>, outcome: &Result<Answer, Reject>, upstream: &Upstream, now: Instant) {
    let Some(trial) = trial else { return };
    match outcome {
        Ok(answer) if upstream.failure_status.contains(answer.head.status) => trial.failed(now),
        Ok(_) => trial.answered(now),
        Err(reject) if reject.reason.row().blame == Blame::Upstream => trial.failed(now),
        // The client's fault, or the gateway's: it says nothing about the target.
        Err(_) => {}
    }
}

/// The answer that the client will see: its request is not sent again.
fn accept(answer: Answer) -> Answer {
    let upload = answer.upload.filter(|upload| !upload.is_done());
    let upload = upload.map(|mut upload| {
        upload.settle();
        upload
    });
    Answer { upload, ..answer }
}

async fn attempt(
    exchange: &Exchange<'_>,
    (upstream, target, live): (&Upstream, &Target, &Rc<TargetLive>),
    outgoing: &Outgoing,
    upload: &mut Option<Box<Upload>>,
    started: Instant,
    fresh: bool,
) -> Result<Answer, Failure> {
    check_switch(exchange, target).map_err(Failure::Final)?;
    let in_flight = InFlight::new(live);
    let timer = &exchange.client.timer;
    let now = exchange.worker.clock.recent();
    // A WebSocket has a connection to itself.
    let wanted = Wanted { patience: upstream.connect_timeout, fresh, http2: !exchange.websocket };
    let link = match live.kept(target, now, wanted) {
        Some(link) => link,
        // Boxed: most requests find a connection and need not carry the room for making one.
        None => {
            let patience = exchange.at_most(exchange.worker.clock.now(), upstream.connect_timeout);
            let wanted = Wanted { patience, ..wanted };
            let made = Box::pin(connect(exchange.worker, upstream, target, live, timer, wanted)).await;
            // The time for the answer begins now, not when somebody last looked at the clock.
            exchange.worker.clock.now();
            made.map_err(|reject| if exchange.is_overdue() { Reject::overdue() } else { reject })
                .map_err(Failure::Final)?
        }
    };
    let timeout = exchange.matched().and_then(|route| route.timeout).unwrap_or(upstream.timeout);
    let mut attempt = match link {
        Link::Whole(conn) => Attempt::new(exchange, conn, upload.take(), started, timeout),
        Link::Stream(lease) => {
            let request = translated(exchange, (upstream, target), outgoing).map_err(Failure::Final)?;
            // One that goes just now has done nothing for the request.
            let sent = lease.send(request, upload.is_none(), now);
            let (response, conn) = sent.map_err(|_| Failure::refused(upload.as_deref(), fresh))?;
            Attempt::new(exchange, conn, upload.take(), started, timeout).on_stream(response, fresh)
        }
    };
    let arrived = poll_fn(|cx| {
        if !attempt.is_begun() {
            attempt.begin(cx, |out| write_head(exchange, upstream, target, outgoing, out));
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

/// Refuses a WebSocket where the target speaks HTTP/2 only.
pub(super) fn check_switch(exchange: &Exchange<'_>, target: &Target) -> Result<(), Reject> {
    if target.http2 && exchange.websocket {
        return Err(Reject::new(Reason::UpgradeRefused, "the service cannot be reached by WebSocket"));
    }
    Ok(())
}

pub(super) fn write_head(
    exchange: &Exchange<'_>,
    upstream: &Upstream,
    target: &Target,
    outgoing: &Outgoing,
    out: &mut Vec<u8>,
) {
    let pieces: [&[u8]; 8] = [
        exchange.sent_method().as_str().as_bytes(),
        b" ",
        target.prefix.as_bytes(),
        &outgoing.target,
        b" HTTP/1.1\r\nhost: ",
        host(exchange, upstream, target),
        b"\r\n",
        &outgoing.lines,
    ];
    pieces.into_iter().for_each(|piece| out.extend_from_slice(piece));
    if let Some(trace) = &exchange.trace {
        trace.write_line(out);
    }
    out.extend_from_slice(b"\r\n");
}

/// The same for HTTP/2.
fn translated(
    exchange: &Exchange<'_>,
    (upstream, target): (&Upstream, &Target),
    outgoing: &Outgoing,
) -> Result<http::Request<()>, Reject> {
    let mut lines = Cow::Borrowed(&*outgoing.lines);
    if let Some(trace) = &exchange.trace {
        trace.write_line(lines.to_mut());
    }
    translate::request(&translate::Parts {
        method: exchange.sent_method().as_str(),
        secure: target.tls.is_some(),
        host: host(exchange, upstream, target),
        target: [target.prefix.as_bytes(), &outgoing.target],
        lines: &lines,
    })
}

fn host<'a>(exchange: &'a Exchange<'_>, upstream: &'a Upstream, target: &'a Target) -> &'a [u8] {
    match &upstream.host {
        HostMode::Upstream => target.authority.as_bytes(),
        HostMode::Preserve => exchange.kit.head.authority().unwrap_or(target.authority.as_bytes()),
        HostMode::Fixed(name) => name.as_bytes(),
    }
}

/// The route's upstream, by weight where it names several.
pub(super) fn upstream_of(exchange: &Exchange<'_>) -> UpstreamId {
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
