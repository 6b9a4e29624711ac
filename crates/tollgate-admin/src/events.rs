//! Access records as server-sent events (WHATWG HTML, section 9.2), as they come.
//!
//! What the client does not read is not kept here: the connection takes an event when it has room, and what a follower
//! misses meanwhile is counted where it is told, and told.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use hyper::body::{Bytes, Frame};
use tokio::time::{Interval, MissedTickBehavior, interval};
use tollgate_proxy::{Following, News};

use crate::requests::Filter;

/// A comment so often tells both sides, and who stands between, that the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A browser whose stream ends comes back after so many milliseconds.
const RETRY_MS: u32 = 1_000;

/// The answer to `?follow`: an event for each record that fits, and `event: missed` for those that were not told.
pub(crate) fn stream(following: Following, filter: Filter) -> Response {
    let mut keep_alive = interval(KEEP_ALIVE);
    keep_alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let events = Events { following, filter, keep_alive, begun: false };
    let mut response = Response::new(Body::new(events));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response
}

struct Events {
    following: Following,
    filter: Filter,
    keep_alive: Interval,
    begun: bool,
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = |text: String| Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))));
        if !std::mem::replace(&mut self.begun, true) {
            return frame(format!("retry: {RETRY_MS}\n\n"));
        }
        while let Poll::Ready(news) = self.following.poll_next(cx) {
            let Some(news) = news else { return Poll::Ready(None) };
            let text = events(&news, &self.filter);
            if !text.is_empty() {
                return frame(text);
            }
        }
        ready!(self.keep_alive.poll_tick(cx));
        frame(": still here\n\n".to_owned())
    }
}

/// The events of what is new; empty when none of it is asked for.
fn events(news: &News, filter: &Filter) -> String {
    let mut out = String::new();
    if news.missed > 0 {
        out.push_str(&format!("event: missed\ndata: {{\"missed\":{}}}\n\n", news.missed));
    }
    let lines = str::from_utf8(&news.lines).unwrap_or_default().lines();
    for line in lines.filter(|line| filter.fits(line)) {
        out.push_str("data: ");
        out.push_str(line);
        out.push_str("\n\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_is_an_event_and_what_was_missed_is_told() {
        let lines = "{\"status\":200}\n{\"status\":500}\n{\"status\":503}\n";
        let filter = Filter::parse("follow&status=5xx").expect("a filter");
        for (missed, expect) in [
            (0, "data: {\"status\":500}\n\ndata: {\"status\":503}\n\n"),
            (
                7,
                "event: missed\ndata: {\"missed\":7}\n\ndata: {\"status\":500}\n\ndata: {\"status\":503}\n\n",
            ),
        ] {
            let news = News { lines: lines.as_bytes().into(), missed };
            assert_eq!(events(&news, &filter), expect);
        }
        let nothing = News { lines: b"{\"status\":200}\n".as_slice().into(), missed: 0 };
        assert_eq!(events(&nothing, &filter), "");
    }
}
