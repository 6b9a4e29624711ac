//! What clients, logs and metrics are told of the cache: `Cache-Status` (RFC 9211), and one word.

use std::fmt::Write as _;
use std::time::Instant;

use tollgate_wire::{HeaderBlock, name};

use crate::live::cache::Entry;

/// Why the upstream was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Forward {
    /// What the request is like: a body, an upgrade, a precondition for the origin.
    Bypass,
    /// Its method.
    Method,
    /// The client wants it.
    Request,
    /// Nothing is kept under its URL.
    UriMiss,
    /// Nothing that suits its headers.
    VaryMiss,
    /// What is kept is not fresh any more.
    Stale,
}

impl Forward {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::Request => "request",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Stale => "stale",
        }
    }
}

/// The parameters that `Cache-Status` may have.
#[derive(Clone, Copy, Default)]
pub(super) struct Status<'a> {
    /// None: it was not asked.
    pub(super) forward: Option<Forward>,
    /// What it answered, where that is not what the client gets.
    pub(super) forward_status: Option<u16>,
    pub(super) stored: bool,
    /// It was asked for several clients at once.
    pub(super) collapsed: bool,
    /// What is given, and when.
    pub(super) entry: Option<(&'a Entry, Instant)>,
}

impl Status<'_> {
    /// Adds it behind what caches nearer to the origin say.
    pub(super) fn tell(self, headers: &mut HeaderBlock) {
        let mut out = String::from("tollgate");
        // Writing to a string cannot fail.
        match self.forward {
            None => out.push_str("; hit"),
            Some(forward) => {
                let _ = write!(out, "; fwd={}", forward.as_str());
            }
        }
        if let Some(status) = self.forward_status {
            let _ = write!(out, "; fwd-status={status}");
        }
        if self.stored {
            out.push_str("; stored");
        }
        if self.collapsed {
            out.push_str("; collapsed");
        }
        if let Some((entry, now)) = self.entry {
            let left = entry.terms.lifetime.as_secs() as i64 - entry.age(now).as_secs() as i64;
            let _ = write!(out, "; ttl={left}");
        }
        headers.append(&name::CACHE_STATUS, out.as_bytes());
    }
}
