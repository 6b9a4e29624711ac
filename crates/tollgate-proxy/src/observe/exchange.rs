//! From an exchange to its record. It runs when the exchange is dropped, so it always runs: also when the client
//! left, when the drain cut the connection, when a task panicked.

use std::time::Instant;

use tollgate_plan::Reason;
use tollgate_wire::Version;

use super::record::Record;
use super::reports::report;
use super::spans;
use crate::client::Client;
use crate::exchange::{Exchange, Glimpse, Origin, Reject};
use crate::io::H2Stream;
use crate::worker::{Active, Phase, Worker};

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        let worker = self.worker;
        if self.origin != Origin::Client {
            return;
        }
        worker.inflight.set(worker.inflight.get().saturating_sub(1));
        let seen = &self.seen;
        if !seen.finished.get() {
            let cut = match () {
                () if self.client.io.h2().is_some_and(H2Stream::is_broken) => Reason::ClientClosed,
                () if worker.phase.get() == Phase::Draining => Reason::Draining,
                () => Reason::Internal,
            };
            seen.reason.set(Some(cut));
            if seen.status.get() == 0 {
                seen.status.set(cut.status());
            }
        }
        let (upstream, target) = seen.upstream.get().unzip();
        let live = upstream.and_then(|id| self.active.upstreams.get(id.0 as usize));
        let target = live.zip(target).and_then(|(live, at)| live.shared.targets.get(at));
        let record = Record {
            started: worker.clock.wall(seen.started),
            id: self.facts.id.as_str(),
            client: self.facts.client_ip,
            method: Some(&self.kit.head.method),
            host: &self.kit.host,
            path: self.path(),
            query: self.kit.head.query(),
            route: self.route,
            status: seen.status.get(),
            reason: seen.reason.get(),
            consumer: self.consumer(),
            bytes_in: seen.bytes_in.as_ref().map_or(0, |bytes| bytes.get()),
            bytes_out: seen.bytes_out.get(),
            duration: worker.clock.now().saturating_duration_since(seen.started),
            upstream,
            target: target.map(|target| &*target.url),
            upstream_time: seen.upstream_time.get(),
            attempts: seen.attempts.get(),
            parts_failed: seen.parts_failed.get().map_or(&[], |failed| failed),
            cache: seen.cache.get(),
            version: self.kit.head.version,
            headers: Some(&self.kit.head.headers),
            generation: self.active.generation,
            tls: self.client.secure.as_ref().map(|secure| secure.version),
            trace: self.trace.as_ref().map(|trace| trace.id),
        };
        leave(worker, &self.active, &record);
        spans::server(self, &record);
    }
}

/// The end of something that was not even a request.
pub(crate) struct Refusal<'a> {
    pub(crate) reject: &'a Reject,
    /// What was read of it.
    pub(crate) read: &'a Glimpse,
    pub(crate) id: &'a str,
    pub(crate) started: Instant,
    pub(crate) bytes_out: u64,
}

/// Leaves the record of something that was not even a request.
pub(crate) fn refusal(worker: &Worker, client: &Client, active: &Active, refusal: &Refusal<'_>) {
    let Refusal { reject, read, id, started, bytes_out } = *refusal;
    let record = Record {
        started: worker.clock.wall(started),
        id,
        client: client.peer,
        method: read.method.as_ref(),
        host: &read.host,
        path: &read.path,
        query: None,
        route: None,
        status: reject.status,
        reason: Some(reject.reason),
        consumer: None,
        bytes_in: 0,
        bytes_out,
        duration: worker.clock.now().saturating_duration_since(started),
        upstream: None,
        target: None,
        upstream_time: None,
        attempts: 0,
        parts_failed: &[],
        cache: None,
        version: if client.io.h2().is_some() { Version::Http2 } else { Version::Http11 },
        headers: None,
        generation: active.generation,
        tls: client.secure.as_ref().map(|secure| secure.version),
        trace: None,
    };
    leave(worker, active, &record);
}

fn leave(worker: &Worker, active: &Active, record: &Record<'_>) {
    active.series.count(record);
    if let Some(reason) = record.reason {
        report(&worker.reports, record, reason);
    }
    // A record is made inside nothing that holds the log; during a panic it is better lost than fatal.
    if let Ok(mut log) = worker.log.try_borrow_mut() {
        log.record(record, &active.plan);
        worker.logged.notify_one();
    }
}
