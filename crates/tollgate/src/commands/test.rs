//! `tollgate test`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::json;
use tollgate_plan::proof::Proof;

use crate::cli::TestArgs;
use crate::proof::{self, Outcome, junit, report};
use crate::{config_file, output};

pub(super) fn test(arguments: &TestArgs) -> ExitCode {
    match run(arguments) {
        Some(true) => ExitCode::SUCCESS,
        Some(false) | None => ExitCode::FAILURE,
    }
}

/// Whether all passed; none when there was nothing to run, which has been said.
fn run(arguments: &TestArgs) -> Option<bool> {
    let loaded = match config_file::load(&arguments.config) {
        Some(loaded) => loaded,
        None => return fault(arguments, None),
    };
    let all = &loaded.proofs.all;
    if all.is_empty() {
        return fault(arguments, Some("the configuration has no `tests`".to_owned()));
    }
    let wanted = arguments.name.as_ref().map(|name| name.to_lowercase());
    let fits = |proof: &&Proof| wanted.as_ref().is_none_or(|part| proof.name.to_lowercase().contains(part));
    let proofs: Vec<&Proof> = all.iter().filter(fits).collect();
    if proofs.is_empty() {
        return fault(
            arguments,
            Some(format!("none of {} has that in its name", config_file::count(all.len(), "test"))),
        );
    }
    let began = Instant::now();
    let outcomes = match proof::run(&loaded.plan, &proofs, None) {
        Ok(outcomes) => outcomes,
        Err(error) => return fault(arguments, Some(error)),
    };
    let took = began.elapsed();
    if let Some(file) = &arguments.junit
        && let Err(error) = std::fs::write(file, junit::document(&proofs, &outcomes))
    {
        output::error(format!("cannot write {}: {error}", file.display()));
        return None;
    }
    let passed = outcomes.iter().filter(|outcome| outcome.passed()).count();
    if arguments.output.json {
        output::json(&report::to_json(&proofs, &outcomes));
    } else {
        output::out(&report::failures(&proofs, &outcomes));
        output::out(&summary(&outcomes, passed, took));
    }
    Some(passed == outcomes.len())
}

fn summary(outcomes: &[Outcome], passed: usize, took: Duration) -> String {
    let (all, took) = (config_file::count(outcomes.len(), "test"), took.as_secs_f64());
    match outcomes.len() - passed {
        0 => format!("ok: {all} passed in {took:.2} s\n"),
        failed => format!("{failed} of {all} failed, in {took:.2} s\n"),
    }
}

/// Nothing was run; what is not said yet is said.
fn fault(arguments: &TestArgs, message: Option<String>) -> Option<bool> {
    if arguments.output.json {
        let message = message.as_deref().unwrap_or("the configuration is refused");
        output::json(&json!({ "ok": false, "passed": 0, "failed": 0, "tests": [], "error": message }));
    } else if let Some(message) = message {
        output::error(message);
    }
    None
}
