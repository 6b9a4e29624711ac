//! `reload.require_tests`: whether the tests of a configuration let it be taken over.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate_config::Loaded;
use tollgate_plan::proof::Proof;

use crate::config_file;
use crate::proof::{self, Fault};

/// All tests of one load together. A reload that does not end would keep the next one from coming, and a process that takes
/// over has no more than half a minute to be ready.
const TESTS_WITHIN: Duration = Duration::from_secs(20);

/// A test that failed, in the shape of a diagnostic.
const CODE: &str = "test_failed";

/// Runs the tests if they are required; they take their time. What failed, each as a diagnostic.
pub(crate) fn failures(loaded: &Loaded) -> Vec<Value> {
    if !loaded.proofs.required {
        return Vec::new();
    }
    let proofs: Vec<&Proof> = loaded.proofs.all.iter().collect();
    let outcomes = match proof::run(&loaded.plan, &proofs, Some(Instant::now() + TESTS_WITHIN)) {
        Ok(outcomes) => outcomes,
        Err(error) => return vec![config_file::fault(CODE, &error)],
    };
    let failed = proofs.iter().zip(&outcomes).filter(|(_, outcome)| !outcome.passed());
    failed
        .map(|(proof, outcome)| {
            // Everybody may read this: what was found may hold credentials, and stays where `tollgate test` runs.
            let mut keys: Vec<&str> = outcome.faults.iter().map(Fault::key).collect();
            keys.dedup();
            let message = format!("the test `{}` fails: {}", proof.name, keys.join(", "));
            json!({
                "severity": "error", "file": proof.file, "line": proof.line, "column": 1,
                "code": CODE, "message": message,
                "hint": "`tollgate test` shows what was expected and what came", "related": [],
            })
        })
        .collect()
}

/// Tells the operator's log which tests failed.
pub(crate) fn tell(failures: &[Value]) {
    for failure in failures {
        let (file, line) =
            (failure["file"].as_str().unwrap_or("-"), failure["line"].as_u64().unwrap_or_default());
        tracing::error!("{file}:{line}: {}", failure["message"].as_str().unwrap_or_default());
    }
}
