//! The head of an answer in HTTP/1: read from the connection, byte by byte if need be, behind interim ones.

use std::task::{Context, Poll, ready};

use tollgate_plan::Reason;
use tollgate_wire::{HeadLimits, HeadProgress, HeaderBlock, Parsed, parse_response, remove_hop_by_hop};

use super::super::switch;
use super::{Attempt, Failure};
use crate::exchange::Reject;
use crate::pump::WaitsFor;

/// Interim answers before the final one; 103 may come a few times, a stream of them is an attack.
const INTERIM_MAX: u32 = 16;

/// What is read at once for a client that speaks HTTP/2: what stands behind the head waits until the client has room,
/// and a client may have a hundred requests under way and room for none.
const STREAM_BYTES: usize = 16 * 1024;

impl Attempt<'_, '_> {
    /// Reads once. Ready(Ok) means that something came; `complete` says whether it was all.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.response.is_some() {
            return self.poll_response(cx);
        }
        let worker = self.exchange.worker;
        let mut buffer = worker.scratch.borrow_mut().take_read();
        let room = match self.exchange.client.io.h2() {
            None => &mut buffer,
            Some(_) => buffer.get_mut(..STREAM_BYTES).unwrap_or_default(),
        };
        let outcome = match self.conn.io.poll_read(cx, room) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(Err(self.lost())),
            Poll::Ready(Ok(read)) => {
                worker.clock.now();
                let bytes = buffer.get(..read).unwrap_or_default();
                Poll::Ready(if self.input.is_empty() {
                    self.take_heads(bytes)
                } else {
                    self.input.extend_from_slice(bytes);
                    let input = std::mem::take(&mut self.input);
                    self.take_heads(&input)
                })
            }
        };
        worker.scratch.borrow_mut().read = buffer;
        ready!(outcome)?;
        Poll::Ready(Ok(()))
    }

    /// Takes interim heads and the final one from what came; keeps what is left.
    fn take_heads(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let exchange = self.exchange;
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            let head = self.head.get_or_insert_with(|| exchange.worker.spare.response());
            let method = exchange.sent_method();
            let parsed = parse_response(rest, &mut self.progress, &HeadLimits::RESPONSE, method, head);
            match parsed.map_err(|_| protocol())? {
                Parsed::Partial => {
                    self.input.extend_from_slice(rest);
                    return Ok(());
                }
                Parsed::Complete(head_bytes) => used += head_bytes,
            }
            self.progress = HeadProgress::default();
            let status = head.status;
            if status >= 200 || (status == 101 && self.is_switched()) {
                self.complete = true;
                self.input = exchange.worker.spare.buffer();
                self.input.extend_from_slice(bytes.get(used..).unwrap_or_default());
                return Ok(());
            }
            self.interim_answer(status)?;
        }
    }

    /// Whether the upstream was asked to switch, was sent all of that, and shows that it did.
    fn is_switched(&self) -> bool {
        let asked = &self.exchange.kit.head.headers;
        let shown = self.head.as_ref().is_some_and(|head| switch::is_right(asked, head));
        self.exchange.websocket && self.out.is_empty() && shown
    }

    pub(super) fn interim_answer(&mut self, status: u16) -> Result<(), Failure> {
        self.interims += 1;
        if status == 101 || self.interims > INTERIM_MAX {
            return Err(protocol());
        }
        let modern = self.exchange.modern();
        match (&mut self.upload, &mut self.head) {
            (Some(upload), _) if status == 100 && upload.waits_for() == WaitsFor::Permission => {
                upload.permit();
                self.exchange.client.inform(100, &HeaderBlock::new());
                self.arm(self.waits_for());
            }
            // A client that did not ask is not told to go on.
            _ if status == 100 || !modern => {}
            (_, Some(head)) => {
                remove_hop_by_hop(&mut head.headers);
                if let Some(route) = self.exchange.matched() {
                    head.headers.retain_entries(|entry| route.lets_out(entry));
                }
                self.exchange.client.inform(status, &head.headers);
            }
            (_, None) => {}
        }
        Ok(())
    }

    /// The connection ended before the head was there.
    pub(super) fn lost(&self) -> Failure {
        let nothing_came = self.input.is_empty() && self.interims == 0;
        if nothing_came && let Some(error) = self.conn.refusal() {
            return Failure::Tls(error);
        }
        let replayable = self.exchange.sent_method().is_idempotent()
            && self.upload.as_ref().is_none_or(|upload| upload.can_restart());
        if self.conn.reused.get() && nothing_came && replayable && !self.again {
            return Failure::DeadOnReuse;
        }
        Failure::Final(Reject::new(
            Reason::UpstreamReset,
            "the service closed the connection without an answer",
        ))
    }
}

pub(super) fn protocol() -> Failure {
    Failure::Final(Reject::new(Reason::UpstreamProtocol, "the service's answer is not valid HTTP"))
}
