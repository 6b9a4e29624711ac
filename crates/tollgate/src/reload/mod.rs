//! Reloads: one after the other, all or nothing, and every one accounted for.

mod follow;

mod links;
mod proved;
mod reads;
mod summary;
mod watch;
mod writers;

use std::path::Path;
use std::time::SystemTime;

use serde_json::Value;
use tokio::sync::mpsc;
use tollgate_admin::{Reloaded, Reloads};
use tollgate_config::{Diagnostic, Failed, Loaded, Severity};
use tollgate_proxy::{ApplyError, Control};

use crate::config_file;
use crate::source::Source;
use crate::startup_pages;
use crate::systemd::Supervisor;
use follow::{Attempt, Follower, Outcome, PACE};

pub(crate) use follow::Request;
pub(crate) use proved::{failures, tell};
pub(crate) use reads::{Reads, Recording};

/// Reloads the configuration when it changes or when somebody asks, until the process ends.
pub(crate) async fn run(
    source: Source,
    reads: Reads,
    control: Control,
    reloads: Reloads,
    supervisor: Supervisor,
    mut requests: mpsc::Receiver<Request>,
) {
    let mut follower = Follower::new(source.clone(), reads, PACE);
    loop {
        let Attempt { asked, outcome } = follower.next(&mut requests).await;
        supervisor.reloading();
        let before = summary::Runs::now(&control, &reloads);
        let result = act(outcome, source.path(), &control, &reloads).await;
        if result.ok {
            follower.applied();
            source.applied();
        } else {
            follower.refused()
        }
        supervisor.ready(&status(&result));
        for request in asked.into_iter().flatten() {
            // Who asked may have gone.
            let _ = request.send(result.clone());
        }
        if result.ok {
            summary::tell(before, summary::Runs::now(&control, &reloads)).await;
        }
        startup_pages::give_back();
    }
}

/// What a supervisor shows of it.
fn status(result: &Reloaded) -> String {
    let generation = result.generation;
    match result.ok {
        true => format!("serving; configuration {generation}"),
        false => format!("serving; configuration {generation}, the last reload was refused"),
    }
}

async fn act(outcome: Outcome, main: &Path, control: &Control, reloads: &Reloads) -> Reloaded {
    match outcome {
        Outcome::Loaded(loaded) => apply(*loaded, main, control, reloads).await,
        Outcome::Failed(failed) => refuse(&failed, control, reloads),
        Outcome::BeingWritten(path) => {
            let message =
                format!("{} is being written; it is loaded when its writer closes it", path.display());
            tracing::error!("not reloaded: {message}");
            reject(vec![config_file::fault_of(&path, "being_written", &message)], control, reloads)
        }
    }
}

async fn apply(loaded: Loaded, main: &Path, control: &Control, reloads: &Reloads) -> Reloaded {
    config_file::show(&loaded.warnings, &loaded.sources);
    // Beside the runtime, which has signals to attend to.
    let proved = tokio::task::spawn_blocking(move || (failures(&loaded), loaded)).await;
    let (failed, loaded) = match proved {
        Ok(proved) => proved,
        Err(error) => {
            let message = format!("the tests could not be run: {error}");
            tracing::error!("configuration not applied, the old one goes on: {message}");
            return reject(vec![config_file::fault("not_applied", &message)], control, reloads);
        }
    };
    if !failed.is_empty() {
        tell(&failed);
        let failures = config_file::count(failed.len(), "test");
        tracing::error!("configuration refused, the old one goes on: {failures} failed");
        return reject(failed, control, reloads);
    }
    match control.apply(loaded.plan).await {
        Ok(applied) => {
            reloads.applied(SystemTime::now());
            reloads.running().applied(applied.generation, loaded.sources);
            tracing::info!(generation = applied.generation, "configuration reloaded");
            for key in &applied.needs_restart {
                tracing::warn!("`{key}` changed: it needs a restart, everything else is in effect");
            }
            Reloaded {
                ok: true,
                generation: applied.generation,
                needs_restart: applied.needs_restart.iter().map(|key| (*key).to_owned()).collect(),
                diagnostics: loaded.warnings.iter().map(Diagnostic::to_json).collect(),
            }
        }
        Err(error) => {
            tracing::error!("configuration not applied, the old one goes on: {error}");
            let mut fault = match error {
                // Of the others it is not known where they stand, or they stand nowhere.
                ApplyError::Bind { .. } | ApplyError::AccessLog(_) => {
                    config_file::fault_of(main, "not_applied", &error.to_string())
                }
                _ => config_file::fault("not_applied", &error.to_string()),
            };
            if let (ApplyError::Bind { .. }, Some(hint)) = (&error, fault.get_mut("hint")) {
                *hint =
                    "the address must be one of this machine, and free: `ss -ltnp` shows who has it".into();
            }
            reject(vec![fault], control, reloads)
        }
    }
}

fn refuse(failed: &Failed, control: &Control, reloads: &Reloads) -> Reloaded {
    config_file::show(&failed.diagnostics, &failed.sources);
    let errors = config_file::count_errors(&failed.diagnostics);
    tracing::error!("configuration refused, the old one goes on: {errors}");
    let errors = failed.diagnostics.iter().filter(|one| one.severity == Severity::Error);
    reject(errors.map(Diagnostic::to_json).collect(), control, reloads)
}

/// Accounts for a reload that did not happen.
fn reject(errors: Vec<Value>, control: &Control, reloads: &Reloads) -> Reloaded {
    reloads.rejected(SystemTime::now(), errors.clone());
    let generation = control.status().generation;
    Reloaded { ok: false, generation, needs_restart: Vec::new(), diagnostics: errors }
}
