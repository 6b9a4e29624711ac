//! What the admin side knows about reloads, and how it asks for one.
//!
//! The admin side never reads a configuration itself: it sends a [`Command`] to the process, which acts as on
//! the signal of the same meaning, and reads the result from [`Reloads`], which the process writes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::config::Running;

/// How many commands may wait for the process; more are refused as `overloaded`.
pub const COMMANDS_WAITING_MAX: usize = 16;

/// Something the process is asked to do.
#[derive(Debug)]
pub enum Command {
    /// Reload, as SIGHUP does, and say how it went.
    Reload(oneshot::Sender<Reloaded>),
    /// Drain, as SIGTERM does.
    Drain,
}

/// The sending side of the process's command queue.
pub type Commands = mpsc::Sender<Command>;

/// How a reload went.
#[derive(Debug, Clone, PartialEq)]
pub struct Reloaded {
    /// Whether the configuration was applied.
    pub ok: bool,
    /// The generation that serves now.
    pub generation: u64,
    /// Settings that changed but need a restart.
    pub needs_restart: Vec<String>,
    /// Errors and warnings: objects with `severity`, `code`, `message`, `hint`, `file`, `line`, `column`.
    pub diagnostics: Vec<Value>,
}

/// The last time a configuration was read, the start included.
#[derive(Debug, Clone, PartialEq)]
pub struct LastReload {
    /// Whether it was applied.
    pub ok: bool,
    /// When it was decided.
    pub at: SystemTime,
    /// The errors, as in [`Reloaded::diagnostics`]; empty when it was applied.
    pub errors: Vec<Value>,
}

/// Counters of reloads and the last one. Written by the process, read by the admin side; cheap to clone.
#[derive(Debug, Clone)]
pub struct Reloads {
    shared: Arc<Mutex<Shared>>,
    running: Running,
}

#[derive(Debug)]
struct Shared {
    last: LastReload,
    /// Since the source of the configuration gives none: why.
    silent: Option<LastReload>,
    ok: u64,
    rejected: u64,
}

impl Reloads {
    /// The state after a start at `at`: the first configuration counts as read, not as a reload.
    pub fn started(at: SystemTime) -> Reloads {
        let last = LastReload { ok: true, at, errors: Vec::new() };
        let shared = Arc::new(Mutex::new(Shared { last, silent: None, ok: 0, rejected: 0 }));
        Reloads { shared, running: Running::default() }
    }

    /// The texts of what runs, to be told of every configuration that is applied, the first one included.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// A reload was applied.
    pub fn applied(&self, at: SystemTime) {
        let mut shared = self.lock();
        shared.ok += 1;
        shared.last = LastReload { ok: true, at, errors: Vec::new() };
    }

    /// A reload was rejected; the old configuration goes on.
    pub fn rejected(&self, at: SystemTime, errors: Vec<Value>) {
        let mut shared = self.lock();
        shared.rejected += 1;
        shared.last = LastReload { ok: false, at, errors };
    }

    /// Where the configuration comes from gives none, which is a reload that was rejected. What was known of the last one
    /// holds again once [`Reloads::source_gives`] says so, without anything being applied.
    pub fn source_fails(&self, at: SystemTime, errors: Vec<Value>) {
        let mut shared = self.lock();
        shared.rejected += 1;
        shared.silent = Some(LastReload { ok: false, at, errors });
    }

    /// Where the configuration comes from gives one, whatever it is.
    pub fn source_gives(&self) {
        self.lock().silent = None;
    }

    /// The last one.
    pub fn last(&self) -> LastReload {
        let shared = self.lock();
        shared.silent.as_ref().unwrap_or(&shared.last).clone()
    }

    /// How many were applied and how many were rejected.
    pub fn counts(&self) -> (u64, u64) {
        let shared = self.lock();
        (shared.ok, shared.rejected)
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Every update is a plain assignment, so a poisoned lock still guards a whole value.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
