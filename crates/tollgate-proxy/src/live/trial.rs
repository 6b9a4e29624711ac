//! One attempt on a target, as those see it who look for targets and upstreams that fail.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tollgate_policy::{Ending, Ticket};

use super::upstreams::UpstreamLive;

/// An attempt whose outcome matters. Dropped without a word it says nothing: the client left, or the connection was
/// dead from the start.
pub(crate) struct Trial {
    upstream: Rc<UpstreamLive>,
    at: usize,
    ticket: Option<Ticket>,
    told: Option<Ending>,
}

impl Trial {
    /// Begins an attempt on the target at `at`; none where nobody looks. An error is the breaker's: when to ask again.
    pub(crate) fn begin(
        upstream: &Rc<UpstreamLive>,
        at: usize,
        now: Instant,
    ) -> Result<Option<Trial>, Duration> {
        if !upstream.shared.is_watched() {
            return Ok(None);
        }
        let ticket = upstream.shared.admit(now)?;
        Ok(Some(Trial { upstream: upstream.clone(), at, ticket, told: None }))
    }

    /// The head of an answer came, and its status is good.
    pub(crate) fn answered(&mut self, now: Instant) {
        self.tell(Ending::Success, now);
    }

    /// No answer came, or one whose status counts as a failure.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.tell(Ending::Failure, now);
        self.upstream.shared.failed(self.at, now);
    }

    /// The answer is over, to its end or not. A target has succeeded only now: one whose answers all break off would
    /// else never fail twice in a row.
    pub(crate) fn ended(mut self, broken_off: bool, now: Instant) {
        if self.told != Some(Ending::Success) {
            return;
        }
        if broken_off {
            self.tell(Ending::BrokenOff, now);
            self.upstream.shared.failed(self.at, now);
        } else {
            self.upstream.shared.succeeded(self.at);
        }
    }

    fn tell(&mut self, ending: Ending, now: Instant) {
        self.told = Some(ending);
        if let Some(ticket) = self.ticket {
            self.upstream.shared.settle(ticket, ending, now);
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if self.told.is_none() && self.ticket.is_some() {
            self.tell(Ending::Unknown, Instant::now());
        }
    }
}
