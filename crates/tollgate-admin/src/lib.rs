//! The admin side: health, readiness, metrics, and the API for operators, on `admin.address` only.
//!
//! It runs on a thread and a runtime of its own, so that no scrape costs a worker anything but its snapshot. It
//! reaches the data plane through [`tollgate_proxy::Control`] and the process through [`Command`]s. The configuration
//! file it reads and writes for those alone who may change it (`admin.allow_write`).

mod router;
mod server;

mod access;
mod assets;
mod config;
mod events;
mod explain;
mod health;
mod inventory;
mod limits;
mod metrics;
mod problem;
mod purge;
mod requests;
mod source;
mod unread;

mod reload;

use std::path::PathBuf;

use tollgate_proxy::Control;

pub use config::Running;
pub use inventory::routes_json;
pub use metrics::metrics_reference;
pub use reload::{COMMANDS_WAITING_MAX, Command, Commands, LastReload, Reloaded, Reloads};
pub use server::{Server, bind};

/// What the admin side shows and what it may ask for.
#[derive(Clone)]
pub struct Admin {
    /// The data plane.
    pub control: Control,
    /// Where commands for the process go; see [`COMMANDS_WAITING_MAX`] for its capacity.
    pub commands: Commands,
    /// Written by whoever reloads.
    pub reloads: Reloads,
    /// Which build runs.
    pub build: Build,
    /// The main file of the configuration; none where it comes from a URL.
    pub file: Option<PathBuf>,
}

/// Which build runs.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// The version of the binary.
    pub version: &'static str,
    /// The commit it was built from; `unknown` outside a repository.
    pub commit: &'static str,
}
