//! An origin that answers as the request asks, and what tests of caches look at.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tollgate_testkit::{Client, Conn, Gateway, Origin, Response};

/// An origin that answers as the header `x-answer` says, `200 | Cache-Control: max-age=60 | …`, with the number of the
/// request as the body. A request with the tag of that answer gets 304. `x-body: N` makes the body N bytes longer.
pub(crate) fn origin() -> Origin {
    let count = Arc::new(AtomicUsize::new(0));
    Origin::start(move |conn| {
        loop {
            answer(conn, &count)?;
        }
    })
}

fn answer(conn: &mut Conn, count: &AtomicUsize) -> io::Result<()> {
    let seen = conn.request()?;
    let number = count.fetch_add(1, Ordering::SeqCst) + 1;
    let mut said = seen.header("x-answer").unwrap_or("200").split(" | ");
    let status = said.next().unwrap_or("200").to_owned();
    let lines: Vec<&str> = said.collect();
    let more: usize = seen.header("x-body").and_then(|text| text.parse().ok()).unwrap_or(0);
    let body = format!("{number}{}", "x".repeat(more));
    let tag = lines.iter().find_map(|line| line.strip_prefix("ETag: "));
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    if tag.is_some() && seen.header("if-none-match") == tag {
        return conn.send(format!("HTTP/1.1 304 Not Modified\r\nX-Number: {number}\r\n{lines}\r\n"));
    }
    let length = body.len();
    let body = if seen.method() == "HEAD" { String::new() } else { body };
    conn.send(format!(
        "HTTP/1.1 {status} Status\r\nX-Number: {number}\r\nContent-Length: {length}\r\n{lines}\r\n{body}"
    ))
}

/// What the origin is to answer, as a line of a request.
pub(crate) fn says(answer: &str) -> String {
    format!("X-Answer: {answer}\r\n")
}

/// An answer that is fresh for a minute.
pub(crate) const FRESH: &str = "X-Answer: 200 | Cache-Control: max-age=60\r\n";

/// One request on a connection of its own.
#[track_caller]
pub(crate) fn ask(gateway: &Gateway, method: &str, path: &str, lines: &str) -> Response {
    gateway.client().exchange(format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n"))
}

#[track_caller]
pub(crate) fn get(gateway: &Gateway, path: &str, lines: &str) -> Response {
    ask(gateway, "GET", path, lines)
}

/// What the answer says of the cache.
#[track_caller]
pub(crate) fn status(response: &Response) -> &str {
    response.header("cache-status").unwrap_or("-")
}

/// Whether the answer was kept.
#[track_caller]
pub(crate) fn is_hit(response: &Response) -> bool {
    status(response).starts_with("tollgate; hit")
}

/// One request to the admin side.
pub(crate) fn post(gateway: &Gateway, path: &str, lines: &str, body: &str) -> Response {
    let mut client = Client::connect(&gateway.admin_address());
    let (host, length) = (gateway.admin_address(), body.len());
    client.exchange(format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\n{lines}Content-Length: {length}\r\n\r\n{body}"
    ))
}
