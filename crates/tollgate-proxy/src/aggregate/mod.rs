//! Stage 11, for routes that answer with the answers of several services.
//!
//! Parts begin as soon as the parts that they refer to have come; those that refer to none begin at once. All of them run
//! on the request's own task: dropping it, because the client left or a part failed without which there is no answer,
//! drops every request that is under way.

mod answer;
mod explain;
mod part;
mod values;

use std::cell::{Cell, OnceCell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tollgate_plan::Reason;
use tollgate_plan::aggregate::{Aggregate, Part, PartBody, Source};
use tollgate_policy::cache::Parts;

use crate::buffer;
use crate::exchange::{Exchange, ForParts, Reject, Reply};
use crate::pump::Watch;

use part::Came;

/// Asks the services and puts their answers together. `shared` is what every part is sent.
pub(crate) async fn aggregate(
    exchange: &mut Exchange<'_>,
    aggregate: &Aggregate,
    shared: ForParts,
) -> Result<Reply<'static>, Reject> {
    let sends_body = aggregate.parts.iter().any(takes_body);
    if sends_body {
        buffer::request_body(exchange).await?;
    }
    if let Some(trail) = exchange.trail.as_deref() {
        return Ok(explain::explain(exchange, trail, aggregate));
    }
    let started = exchange.worker.clock.now();
    let deadline = started + exchange.at_most(started, aggregate.timeout);
    let work = Work {
        exchange,
        aggregate,
        shared,
        deadline,
        room: Cell::new(aggregate.answer_bytes.max(aggregate.part_bytes)),
        said: RefCell::default(),
        came: aggregate.parts.iter().map(|_| OnceCell::new()).collect(),
    };
    let gathered = work.gather().await;
    let said = work.said.take();
    exchange.seen.upstream_time.set(Some(exchange.worker.clock.now().saturating_duration_since(started)));
    answer::answer(exchange, aggregate, gathered?, &said)
}

fn takes_body(part: &Part) -> bool {
    matches!(&part.source, Source::Call(call) if matches!(call.body, PartBody::Request))
}

/// One aggregate under way.
struct Work<'a, 'c> {
    exchange: &'a Exchange<'c>,
    aggregate: &'a Aggregate,
    shared: ForParts,
    /// For all of it.
    deadline: Instant,
    /// Bytes that documents may still take: those that are under way, and what is kept of those that came.
    room: Cell<usize>,
    /// What the services say about keeping their answers.
    said: RefCell<Parts>,
    /// What became of each part.
    came: Vec<OnceCell<Came>>,
}

type Running<'a> = (usize, Pin<Box<dyn Future<Output = Came> + 'a>>);

impl Work<'_, '_> {
    /// Runs all parts to their end. An error is the client's: it left.
    async fn gather(&self) -> Result<Vec<Came>, Reject> {
        let mut begun = vec![false; self.came.len()];
        let mut running: Vec<Running<'_>> = Vec::new();
        let mut watch = Watch::default();
        poll_fn(|cx| {
            loop {
                self.begin(&mut begun, &mut running);
                let progress = self.poll(&mut running, cx);
                if self.is_lost() || (running.is_empty() && !progress) {
                    return Poll::Ready(Ok(()));
                }
                if !progress {
                    break;
                }
            }
            if watch.poll(self.exchange.worker, self.exchange.client, false, cx).is_ready() {
                let left = Reject::new(Reason::ClientClosed, "the client closed the connection");
                return Poll::Ready(Err(left));
            }
            Poll::Pending
        })
        .await?;
        drop(running);
        // What did not come to an end was not waited for: it did not fail.
        Ok(self.came.iter().map(|cell| cell.get().cloned().unwrap_or(Came::LeftOut)).collect())
    }

    /// Begins the parts that wait for nothing more.
    fn begin<'w>(&'w self, begun: &mut [bool], running: &mut Vec<Running<'w>>) {
        for (at, (part, begun)) in self.aggregate.parts.iter().zip(begun).enumerate() {
            let ready = || part.after.iter().all(|other| self.came(*other).is_some());
            if !*begun && ready() {
                *begun = true;
                running.push((at, Box::pin(self.run(part))));
            }
        }
    }

    /// Whether a part came to its end.
    fn poll(&self, running: &mut Vec<Running<'_>>, cx: &mut Context<'_>) -> bool {
        let before = running.len();
        running.retain_mut(|(at, future)| match future.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(came) => {
                if let Some(cell) = self.came.get(*at) {
                    // Each part runs once.
                    let _ = cell.set(came);
                }
                false
            }
        });
        running.len() < before
    }

    /// Whether a part failed without which there is no answer.
    fn is_lost(&self) -> bool {
        let failed =
            |(at, part): (usize, &Part)| part.required && self.came(at).is_some_and(Came::is_nothing);
        self.aggregate.parts.iter().enumerate().any(failed)
    }

    fn came(&self, at: usize) -> Option<&Came> {
        self.came.get(at).and_then(OnceCell::get)
    }
}
