//! Noticing that the client went away while it has nothing to send and we have nothing to say.
//!
//! The end of the client's stream looks the same whether it only finished sending (half-close, RFC 9112
//! section 9.6 allows it) or is gone for good: only an answer to something we send tells. So shortly after it
//! an interim response is sent, which every HTTP/1.1 client has to expect at any time and may discard (RFC
//! 9110 section 15.2): a client that is gone answers with a reset, and its request is cancelled.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::client::Client;
use crate::io::Gone;
use crate::timer::Timer;
use crate::worker::Worker;

/// From the client's end to the question whether it is still there. Most answers come earlier than this.
const ASK_AFTER: Duration = Duration::from_millis(500);

/// From the question to a look at what came back.
const LOOK_AFTER: Duration = Duration::from_millis(200);

const QUESTION: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Watches the client's side of a connection.
#[derive(Default)]
pub(crate) struct Watch {
    state: State,
    timer: Option<Timer>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Open,
    Ended,
    Asked,
}

impl Watch {
    /// Ready when the client is gone. With `silent` the answer has begun, and no question can be asked in the
    /// middle of it: then the end itself counts when nothing moves for a while.
    pub(crate) fn poll(
        &mut self,
        worker: &Worker,
        client: &Client,
        silent: bool,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        if self.state == State::Open {
            match ready!(client.io.poll_gone(cx)) {
                Gone::Broken => return Poll::Ready(()),
                Gone::End => self.wait(worker, State::Ended, ASK_AFTER),
            }
        }
        loop {
            let Some(timer) = &self.timer else { return Poll::Pending };
            ready!(timer.poll(cx));
            if client.io.is_broken() || (silent && self.state == State::Ended) {
                return Poll::Ready(());
            }
            if self.state == State::Ended {
                // It fits: nothing was sent since the last answer.
                match client.io.poll_write(cx, QUESTION) {
                    Poll::Ready(Ok(written)) if written == QUESTION.len() => {}
                    _ => return Poll::Ready(()),
                }
            }
            self.wait(worker, State::Asked, LOOK_AFTER);
        }
    }

    /// The answer moves: an end that was seen before does not count against the client.
    pub(crate) fn progress(&mut self, worker: &Worker) {
        if self.state == State::Ended {
            self.wait(worker, State::Ended, ASK_AFTER);
        }
    }

    fn wait(&mut self, worker: &Worker, state: State, after: Duration) {
        self.state = state;
        self.timer.get_or_insert_with(|| worker.timers.timer()).arm(worker.clock.now(), after);
    }
}
