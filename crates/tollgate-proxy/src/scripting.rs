//! Where a worker runs scripts, and what they reach of it: the time and the operator's log.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tollgate_script::{Failure, Host, Level, Request, Vm};

use crate::exchange::Exchange;
use crate::observe::ScriptLines;

/// Requests that are kept for their memory.
const SPARE_MAX: usize = 64;

/// Bytes of header lines that one of them may hold on to.
const SPARE_BYTES_MAX: usize = 8 << 10;

/// The worker's machine for scripts: made with the first call, and never where no route has a script.
#[derive(Default)]
pub(crate) struct Scripting {
    vm: RefCell<Option<Vm>>,
    desk: Rc<Desk>,
    spare: RefCell<Vec<Request>>,
}

/// Whose script runs now, and the room that is left in the log.
#[derive(Default)]
struct Desk {
    caller: RefCell<Option<Caller>>,
    lines: Rc<ScriptLines>,
}

/// The request for which a script runs.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) route: Arc<str>,
    pub(crate) id: Rc<str>,
    /// It is only explained: nothing of it is written down.
    pub(crate) quiet: bool,
}

impl Scripting {
    /// One call, on behalf of a request. A failure of the script leaves its place and message in the operator's log.
    pub(crate) fn call<T>(
        &self,
        caller: &Caller,
        call: impl FnOnce(&mut Vm) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut vm = self.vm.borrow_mut();
        let vm = match &mut *vm {
            Some(vm) => vm,
            empty => empty.insert(Vm::new(self.desk.clone())?),
        };
        *self.desk.caller.borrow_mut() = Some(caller.clone());
        let outcome = call(vm);
        *self.desk.caller.borrow_mut() = None;
        if let Err(failure) = &outcome {
            self.failed(caller, failure);
        }
        outcome
    }

    /// A request with nothing in it, to be filled for scripts.
    pub(crate) fn spare(&self) -> Request {
        self.spare.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps the memory of a request's head. What else is in it is dropped.
    pub(crate) fn keep_spare(&self, request: Request) {
        let Request { mut path, mut headers, .. } = request;
        let bytes = path.capacity() + headers.capacity_bytes();
        let mut kept = self.spare.borrow_mut();
        if kept.len() < SPARE_MAX && (1..=SPARE_BYTES_MAX).contains(&bytes) {
            path.clear();
            headers.clear();
            kept.push(Request { path, headers, ..Request::default() });
        }
    }

    /// Writes down why a script's request failed. The client is told nothing of it.
    pub(crate) fn failed(&self, caller: &Caller, failure: &Failure) {
        if !caller.quiet && self.desk.lines.admits() {
            let Failure { file, line, message, .. } = failure;
            tracing::error!(route = &*caller.route, id = &*caller.id, file, line, "script failed: {message}");
        }
    }

    /// Writes down why a filter or a template came to nothing. The client is told nothing of that either.
    pub(crate) fn tell(&self, exchange: &Exchange<'_>, what: &str, why: &dyn std::fmt::Display) {
        if self.desk.lines.admits() {
            let route = exchange.matched().map(|route| &*route.name).unwrap_or_default();
            tracing::error!(route, id = exchange.facts.id.as_str(), "{what} failed: {why}");
        }
    }

    /// The room for lines in the operator's log, for who tells what was left out.
    pub(crate) fn lines(&self) -> &ScriptLines {
        &self.desk.lines
    }
}

impl Host for Desk {
    fn unix_time(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn log(&self, script: &str, level: Level, line: &str) {
        let caller = self.caller.borrow();
        let Some(Caller { route, id, .. }) =
            caller.as_ref().filter(|caller| !caller.quiet && self.lines.admits())
        else {
            return;
        };
        let (route, id) = (&**route, &**id);
        match level {
            Level::Info => tracing::info!(route, id, script, "{line}"),
            Level::Warn => tracing::warn!(route, id, script, "{line}"),
            Level::Error => tracing::error!(route, id, script, "{line}"),
        }
    }
}
