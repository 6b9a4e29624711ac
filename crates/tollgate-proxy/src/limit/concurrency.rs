//! Places under a route's `concurrency`.

use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use serde_json::json;
use tollgate_plan::Reason;
use tollgate_plan::limit::Concurrency;
use tollgate_plan::route::{Action, Route};
use tollgate_plan::upstream::UpstreamId;

use crate::exchange::{Exchange, Reject};
use crate::io::Gone;
use crate::live::gate::{Gate, Place};
use crate::pump::Watch;
use crate::trail::{Stage, Trail, Verdict};
use crate::worker::Active;

/// How long a request waits for its turn where neither the route nor an upstream bounds it: the default of both.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Takes a place under the route's `concurrency`, waiting for it where a queue is configured.
pub(crate) async fn concurrency(exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    let Some(rule) = exchange.matched().and_then(|route| route.concurrency.as_deref().copied()) else {
        return Ok(());
    };
    let active = exchange.active.clone();
    let Some(gate) = active.limits.route(exchange.route).and_then(|route| route.gate.as_ref()) else {
        return Err(Reject::internal("a route without its places"));
    };
    if let Some(trail) = exchange.trail.as_deref() {
        return would_enter(trail, gate, rule);
    }
    let place = match gate.enter() {
        Some(place) => place,
        None if rule.queue == 0 => return Err(full(rule)),
        // Boxed: most requests need not wait.
        None => Box::pin(wait(exchange, &active, gate, rule)).await?,
    };
    exchange.place = Some(Box::new(place));
    Ok(())
}

/// Whether there is a place for a request that is only explained.
fn would_enter(trail: &Trail, gate: &Gate, rule: Concurrency) -> Result<(), Reject> {
    let (taken, waiting) = (gate.taken(), gate.waiting());
    let verdict = match taken < rule.max || waiting < rule.queue {
        true => Ok(()),
        false => Err(full(rule)),
    };
    let wait = if taken < rule.max { "" } else { "; it would wait for its turn" };
    let answer = verdict.as_ref().err().map_or(Verdict::Ok, Verdict::of);
    let detail = format!("{taken} of {} places are taken, {waiting} of {} wait{wait}", rule.max, rule.queue);
    let more = json!({ "max": rule.max, "in_flight": taken, "queue": rule.queue, "waiting": waiting });
    trail.step(Stage::Concurrency, answer, detail, more);
    verdict
}

/// Waits until it is this request's turn, as long as an answer may take, and while the client is there.
async fn wait(
    exchange: &Exchange<'_>,
    active: &Active,
    gate: &Gate,
    rule: Concurrency,
) -> Result<Place, Reject> {
    let (worker, client) = (exchange.worker, exchange.client);
    let patience = exchange.matched().map_or(WAIT_MAX, |route| patience(active, route));
    exchange.arm(worker.clock.now(), patience);
    let mut watch = Watch::default();
    let mut turn = pin!(gate.wait(rule.queue));
    let place = poll_fn(|cx| {
        if let Poll::Ready(place) = turn.as_mut().poll(cx) {
            return Poll::Ready(place.ok_or_else(|| full(rule)));
        }
        if gone(exchange, &mut watch, cx).is_ready() {
            return Poll::Ready(Err(Reject::new(Reason::ClientClosed, "the client closed the connection")));
        }
        let late = || if exchange.is_overdue() { Reject::overdue() } else { full(rule) };
        client.timer.poll(cx).map(|()| Err(late()))
    })
    .await;
    // The time for the answer begins now.
    worker.clock.now();
    place
}

/// The time that the route gives to its answers.
fn patience(active: &Active, route: &Route) -> Duration {
    let upstream = match &route.action {
        Action::To(only) => Some(*only),
        Action::Split(choices) => choices.first().map(|choice| choice.upstream),
        _ => None,
    };
    let upstream = upstream.and_then(|UpstreamId(at)| active.plan.upstreams.get(at as usize));
    route.timeout.or(upstream.map(|upstream| upstream.timeout)).unwrap_or(WAIT_MAX)
}

/// Ready when the client is gone.
fn gone(exchange: &Exchange<'_>, watch: &mut Watch, cx: &mut Context<'_>) -> Poll<()> {
    let client = exchange.client;
    if !exchange.modern() {
        // HTTP/1.0 has no interim answers to ask with: its half-close is taken at its word.
        return match client.io.poll_gone(cx) {
            Poll::Ready(Gone::Broken) => Poll::Ready(()),
            Poll::Ready(Gone::End) | Poll::Pending => Poll::Pending,
        };
    }
    watch.poll(exchange.worker, client, false, cx)
}

fn full(rule: Concurrency) -> Reject {
    let detail = match rule.queue {
        0 => format!("{} requests at once here", rule.max),
        queue => format!("{} requests at once here, {queue} more may wait", rule.max),
    };
    Reject::new(Reason::ConcurrencyLimited, detail)
}
