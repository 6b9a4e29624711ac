//! The operator's log of what is not the client's fault, so many lines a second and no more: a service that is down
//! fails every request, and a line for each would cost more than the requests.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tollgate_plan::Reason;
use tollgate_plan::reason::Level;

use super::record::Record;
use crate::worker::Worker;

/// Lines that one worker writes between two looks at what was left out, of each level. The access log has them all.
const LINES_MAX: u64 = 10;

/// The time between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// What one worker reported lately.
#[derive(Default)]
pub(crate) struct Reports {
    warnings: Turn,
    errors: Turn,
}

/// Lines since the last look.
#[derive(Default)]
struct Turn(Cell<u64>);

impl Turn {
    /// Whether one more line may be written.
    fn admits(&self) -> bool {
        self.0.set(self.0.get().saturating_add(1));
        self.0.get() <= LINES_MAX
    }

    /// How many were not, since the last look.
    fn left_out(&self) -> u64 {
        self.0.take().saturating_sub(LINES_MAX)
    }
}

/// Lines about scripts that one worker writes between two looks: those that scripts log, and those about their faults.
const SCRIPT_LINES_MAX: u64 = 100;

/// Lines of scripts since the last look.
#[derive(Default)]
pub(crate) struct ScriptLines(Cell<u64>);

impl ScriptLines {
    /// Whether one more line may be written.
    pub(crate) fn admits(&self) -> bool {
        self.0.set(self.0.get().saturating_add(1));
        self.0.get() <= SCRIPT_LINES_MAX
    }

    /// Says how many lines were left out since the last look, if any.
    fn tell(&self) {
        let left_out = self.0.take().saturating_sub(SCRIPT_LINES_MAX);
        if left_out > 0 {
            tracing::warn!(left_out, "scripts had more to say");
        }
    }
}

/// Tells of a failed request, with the names that the client is not told.
pub(super) fn report(reports: &Reports, record: &Record<'_>, reason: Reason) {
    match reason.row().level {
        Level::Warn if reports.warnings.admits() => {
            tracing::warn!(reason = reason.code(), target = record.target, id = record.id, "request failed");
        }
        Level::Error if reports.errors.admits() => {
            tracing::error!(reason = reason.code(), target = record.target, id = record.id, "request failed");
        }
        Level::Debug | Level::Warn | Level::Error => {}
    }
}

/// Runs for the life of the worker: says how many lines were left out, here and where connections are accepted.
pub(crate) async fn tell_left_out(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(EVERY).await;
        worker.reports.tell();
        worker.scripting.lines().tell();
        if let Some(failures) = worker.shared.counts.accept_errors.rest(Instant::now()) {
            tracing::warn!(failures, "could not accept connections");
        }
    }
}

impl Reports {
    /// Says how many lines were left out since the last look, if any.
    pub(crate) fn tell(&self) {
        let (warnings, errors) = (self.warnings.left_out(), self.errors.left_out());
        if warnings + errors > 0 {
            tracing::warn!(left_out = warnings + errors, "more requests failed; the access log has them all");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_bound_is_counted_and_the_next_look_begins_anew() {
        let turn = Turn::default();
        for (failures, written, left_out) in [(3, 3, 0), (10, 10, 0), (25, 10, 15), (1, 1, 0), (0, 0, 0)] {
            let admitted = (0..failures).filter(|_| turn.admits()).count();
            assert_eq!((admitted, turn.left_out()), (written, left_out), "{failures} failures");
        }
    }
}
