//! `mirror`: copies of requests for a second upstream. Nobody waits for them: whatever becomes of a copy, the client's
//! request does not notice.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tollgate_plan::route::Mirror;
use tollgate_wire::BodyLength;

use super::detached::{Bounds, Detached, fetch};
use crate::exchange::{Copied, Exchange, Outgoing};
use crate::pump::KEPT_BYTES_MAX;
use crate::worker::Active;

/// Copies that a worker has on their way at the same time, those included that wait for the end of their body. With
/// bodies of 64 KiB they are 4 MiB.
const COPIES_MAX: usize = 64;

/// Of the answer so much is read; beyond it the connection is cheaper to make anew.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// A copy is given up after this time, so that a second upstream that hangs holds no place for long.
const WITHIN: Duration = Duration::from_secs(30);

/// Sends a copy of the request to the route's mirror, if it has one and this request is of its share.
pub(crate) fn mirror(exchange: &mut Exchange<'_>, outgoing: &Outgoing) {
    let active = exchange.active.clone();
    let Some(mirror) = active.route(exchange.route).and_then(|route| route.mirror.as_deref()) else { return };
    let drawn = exchange.worker.random.next() % 100 < u64::from(mirror.share_percent);
    // What an upgraded connection carries cannot be copied.
    if drawn && !exchange.kit.head.wants_upgrade() {
        begin(exchange, &active, mirror, outgoing);
    }
}

fn begin(exchange: &mut Exchange<'_>, active: &Rc<Active>, mirror: &Mirror, outgoing: &Outgoing) {
    let worker = exchange.worker;
    let route = exchange.route;
    let count = |copied| active.series.count_copy(route, copied);
    if matches!(exchange.kit.head.body, BodyLength::Length(length) if length > KEPT_BYTES_MAX as u64) {
        return count(Copied::TooLong);
    }
    let Some(place) = Place::take(&worker.copies) else { return count(Copied::TooMany) };
    let body = exchange.body.as_mut().map(|body| {
        let (copy, whole) = oneshot::channel();
        body.copy = Some(copy);
        whole
    });
    let mut copied = Outgoing { target: worker.spare.buffer(), lines: worker.spare.buffer() };
    copied.target.extend_from_slice(&outgoing.target);
    copied.lines.extend_from_slice(&outgoing.lines);
    let request = Detached::copy(exchange, copied);
    let (worker, active, to) = (worker.clone(), active.clone(), mirror.to);
    tokio::task::spawn_local(async move {
        let _place = place;
        let request = match body {
            None => request,
            Some(body) => match body.await {
                Ok(body) => request.with_body(&body),
                // It was longer than is kept of a body, or it never came to its end.
                Err(_) => return active.series.count_copy(route, Copied::Incomplete),
            },
        };
        active.series.count_copy(route, Copied::Sent);
        let deadline = Some(worker.clock.now() + WITHIN);
        let bounds = Bounds { deadline, answer_bytes: ANSWER_BYTES_MAX, keep: false, room: None };
        // How it went, the upstream's metrics tell.
        if let Ok(fetched) = fetch(&worker, &active, to, request, bounds).await {
            worker.spare.keep_response(fetched.head);
        }
    });
}

/// A place among the copies of a worker, given up when dropped.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(copies: &Rc<Cell<usize>>) -> Option<Place> {
        let taken = copies.get();
        (taken < COPIES_MAX).then(|| {
            copies.set(taken + 1);
            Place(copies.clone())
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
