//! Spans to a collector of traces: OTLP over HTTP, in batches, from the background thread.
//!
//! Workers never wait: between them and the exporter stands a bounded queue, and what it has no room for is counted. A
//! collector that does not answer is asked a few times, then the batch is lost; spans are not worth a disk.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Bytes;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tollgate_plan::Plan;
use tollgate_plan::traces::Traces;

use super::http::{Fault, Http, Rim, backoff};
use crate::observe::{Batch, SpanCounts, SpanTotals, WorkerSpans, span_request};

/// Batches that wait for the exporter: of some 32 KiB each, so 4 MiB.
const QUEUE_BATCHES_MAX: usize = 128;

/// An export has about so many bytes; collectors refuse more than some MiB.
const EXPORT_BYTES: usize = 512 * 1024;

/// Spans wait so long for others.
const EXPORT_EVERY: Duration = Duration::from_secs(1);

/// How often one export is tried.
const TRIES_MAX: u32 = 4;

/// A collector that fails goes on failing: one line in the operator's log per this time says so.
const WARNING_EVERY: Duration = Duration::from_secs(60);

/// Statuses after which the same export may work (OpenTelemetry Protocol 1.x, section "Retryable Response Codes").
const RETRYABLE: [u16; 4] = [429, 502, 503, 504];

/// The collector as the rest of the process sees it.
pub(crate) struct Collector {
    sender: mpsc::Sender<Batch>,
    flushes: mpsc::Sender<oneshot::Sender<()>>,
    wanted: watch::Sender<Option<Arc<Traces>>>,
    counts: Arc<SpanCounts>,
}

/// The other end, on the background thread.
pub(crate) struct Exporter {
    batches: mpsc::Receiver<Batch>,
    flushes: mpsc::Receiver<oneshot::Sender<()>>,
    wanted: watch::Receiver<Option<Arc<Traces>>>,
    counts: Arc<SpanCounts>,
    warned: Option<Instant>,
}

impl Collector {
    pub(crate) fn new(plan: &Plan) -> (Collector, Exporter) {
        let (sender, batches) = mpsc::channel(QUEUE_BATCHES_MAX);
        let (flush_sender, flushes) = mpsc::channel(1);
        let (want, wanted) = watch::channel(traces_of(plan));
        let counts = Arc::<SpanCounts>::default();
        let collector = Collector { sender, flushes: flush_sender, wanted: want, counts: counts.clone() };
        (collector, Exporter { batches, flushes, wanted, counts, warned: None })
    }

    /// From now on spans go where this plan says.
    pub(crate) fn follow(&self, plan: &Plan) {
        let traces = traces_of(plan);
        self.wanted.send_if_modified(|wanted| {
            let changed = *wanted != traces;
            *wanted = traces;
            changed
        });
    }

    /// A worker's end.
    pub(crate) fn worker_spans(&self) -> WorkerSpans {
        WorkerSpans::new(self.sender.clone(), self.counts.clone())
    }

    /// Waits until what was handed over is sent, at most `limit`. Nothing is worth waiting for where there are no traces.
    pub(crate) async fn flush(&self, limit: Duration) {
        if self.wanted.borrow().is_none() {
            return;
        }
        let (done, flushed) = oneshot::channel();
        if self.flushes.try_send(done).is_ok() {
            // Late or not, the drain goes on.
            let _ = timeout(limit, flushed).await;
        }
    }

    /// What became of spans since the start; none where there never were traces.
    pub(crate) fn totals(&self) -> Option<SpanTotals> {
        let (exported, dropped) = self.counts.get();
        let used = self.wanted.borrow().is_some() || exported + dropped > 0;
        used.then_some(SpanTotals { exported, dropped })
    }
}

fn traces_of(plan: &Plan) -> Option<Arc<Traces>> {
    plan.traces.as_deref().map(|traces| Arc::new(traces.clone()))
}

/// Why the exporter stopped gathering.
enum Gathered {
    /// It is time.
    Due,
    /// Somebody waits for all of it.
    Asked(oneshot::Sender<()>),
    /// No more spans come.
    End,
}

impl Exporter {
    /// Sends spans as long as there are workers.
    pub(crate) async fn attend(mut self, rim: Rc<Rim>) {
        let mut client: Option<(Arc<Traces>, Http)> = None;
        loop {
            let mut gathered = Batch::default();
            let why = self.gather(&mut gathered).await;
            let wanted = self.wanted.borrow_and_update().clone();
            // Traces that were switched off meanwhile are still sent where they were to go.
            if let Some(traces) =
                wanted.filter(|traces| client.as_ref().is_none_or(|(known, _)| known != traces))
            {
                let http = Http::new(&rim, &traces.reach);
                client = Some((traces, http));
            }
            match &client {
                Some((traces, http)) if gathered.spans > 0 => {
                    self.export(traces, http, gathered).await;
                }
                _ => self.counts.lose(gathered.spans),
            }
            match why {
                Gathered::Due => {}
                Gathered::Asked(done) => {
                    // Whoever asked may have stopped waiting.
                    let _ = done.send(());
                }
                // The thread ends when it is told to, not because of this.
                Gathered::End => return std::future::pending().await,
            }
        }
    }

    /// Gathers spans until there are enough, or they have waited long enough.
    async fn gather(&mut self, into: &mut Batch) -> Gathered {
        let mut until = None;
        loop {
            let due = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                batch = self.batches.recv() => match batch {
                    None => return Gathered::End,
                    Some(batch) => {
                        into.bytes.extend_from_slice(&batch.bytes);
                        into.spans += batch.spans;
                        until.get_or_insert_with(|| tokio::time::Instant::now() + EXPORT_EVERY);
                        if into.bytes.len() >= EXPORT_BYTES {
                            return Gathered::Due;
                        }
                    }
                },
                // Behind the batches: what was handed over before is gathered.
                Some(done) = self.flushes.recv() => return Gathered::Asked(done),
                () = due => return Gathered::Due,
            }
        }
    }

    async fn export(&mut self, traces: &Traces, http: &Http, batch: Batch) {
        let body = Bytes::from(span_request(&traces.service, &batch.bytes));
        let headers: Vec<(&str, &str)> =
            traces.headers.iter().map(|(name, value)| (&**name, value.expose())).collect();
        let mut tried = 1;
        loop {
            let fault = match http.deliver(&traces.url, &headers, body.clone(), traces.timeout).await {
                Ok(200..=299) => return self.counts.export(batch.spans),
                Ok(status) => Fault::Status(status),
                Err(fault) => fault,
            };
            let in_vain = matches!(fault, Fault::Status(status) if !RETRYABLE.contains(&status));
            // Who ends does not wait for a collector that is down.
            if in_vain || tried == TRIES_MAX || !self.flushes.is_empty() {
                self.warn(&fault);
                return self.counts.lose(batch.spans);
            }
            tokio::time::sleep(backoff(tried)).await;
            tried += 1;
        }
    }

    fn warn(&mut self, fault: &Fault) {
        if self.warned.is_none_or(|at| at.elapsed() >= WARNING_EVERY) {
            self.warned = Some(Instant::now());
            tracing::warn!(%fault, "the collector does not take traces, they are lost");
        }
    }
}
