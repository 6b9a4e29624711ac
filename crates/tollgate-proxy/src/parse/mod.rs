//! Stage 2: what a head says, made certain once. Everything behind this stage sees one path, one host, one
//! client address.

mod client_address;
mod handshake;

use tollgate_plan::Reason;
use tollgate_plan::host::Host;
use tollgate_plan::path::normalize;
use tollgate_wire::{Method, RequestHead, name, speaks_for_client};

use crate::client::Client;
use crate::exchange::{Exchange, Facts, Id, Reject};
use crate::worker::{Active, Kit, Worker};

/// A request id that a trusted proxy sent is kept up to this length.
const KEPT_ID_BYTES_MAX: usize = 128;

/// What is known of a request before anything is checked: enough to refuse it and to log it.
pub(crate) fn facts(worker: &Worker, active: &Active, client: &Client, head: &RequestHead) -> Facts {
    let trusted = client.peer.is_some_and(|peer| active.plan.trusted_proxies.contains(peer));
    let scheme = if client.secure.is_some() { "https" } else { "http" };
    let mut facts = Facts { id: request_id(worker, head, trusted), client_ip: client.peer, trusted, scheme };
    if trusted {
        facts.client_ip =
            client_address::behind_proxies(&head.headers, &active.plan.trusted_proxies, client.peer);
        let proto = head.headers.get(&name::X_FORWARDED_PROTO);
        match proto {
            Some(proto) if proto.eq_ignore_ascii_case(b"https") => facts.scheme = "https",
            Some(proto) if proto.eq_ignore_ascii_case(b"http") => facts.scheme = "http",
            _ => {}
        }
    }
    facts
}

/// Takes away what only a trusted proxy may say, and what a client says of its own certificate, in every spelling, and puts
/// the truth there: conditions, templates, limits and logs read it as the upstream does.
pub(crate) fn own_headers(active: &Active, client: &Client, facts: &Facts, head: &mut RequestHead) {
    if !facts.trusted && head.headers.entries().any(speaks_for_client) {
        head.headers.retain_entries(|entry| !speaks_for_client(entry));
    }
    let subject = client.subject();
    if subject.is_none() && active.plan.subject_headers.is_empty() {
        return;
    }
    head.headers.retain_entries(|entry| !client.owns(&active.plan, entry));
    if let Some((name, subject)) = subject {
        head.headers.append(name, subject.as_bytes());
    }
}

/// Brings path and host into their one form, or refuses.
pub(crate) fn check(exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    let Kit { head, host, path, .. } = &mut *exchange.kit;
    if let Some(authority) = head.authority() {
        let mut lower = String::new();
        let parsed = Host::parse(authority, &mut lower);
        let parsed = parsed.map_err(|_| Reject::new(Reason::BadHost, "Host is malformed").closing())?;
        host.push_str(parsed.name);
    }
    if matches!(head.method, Method::Connect | Method::Trace) {
        // For the log: what CONNECT names has no normal form.
        path.push_str(&String::from_utf8_lossy(head.path()));
        // After a refused CONNECT the client may already be sending what is no HTTP.
        return Err(Reject::new(Reason::MethodNotImplemented, "the method is not served").closing());
    }
    if head.path() != b"*" {
        let normal = normalize(head.path());
        match normal {
            Ok(normal) => path.push_str(&normal),
            Err(error) => {
                // For the log, which escapes what is no text.
                path.push_str(&String::from_utf8_lossy(head.path()));
                return Err(Reject::new(Reason::BadPath, error.to_string()));
            }
        }
    } else {
        path.push('*');
    }
    exchange.websocket = handshake::check(head)?;
    Ok(())
}

/// A new id, for what is not even a request.
pub(crate) fn fresh_id(worker: &Worker) -> Id {
    Id::Made(worker.ids.borrow_mut().next(worker.clock.wall(worker.clock.recent())))
}

/// The id of a trusted proxy is kept when it is harmless in a log line and a header; else a new one is made.
fn request_id(worker: &Worker, head: &RequestHead, trusted: bool) -> Id {
    let kept = head.headers.get(&name::X_REQUEST_ID).filter(|id| {
        trusted && (1..=KEPT_ID_BYTES_MAX).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
    });
    match kept.and_then(|id| std::str::from_utf8(id).ok()) {
        Some(id) => Id::Kept(id.into()),
        None => fresh_id(worker),
    }
}
