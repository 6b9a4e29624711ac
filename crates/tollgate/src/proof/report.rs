//! The outcome of tests for people and for machines.

use std::fmt::Write;

use serde_json::{Value, json};
use tollgate_plan::proof::Proof;

use super::Outcome;

/// Every test that failed, with what was expected and what came.
pub(crate) fn failures(proofs: &[&Proof], outcomes: &[Outcome]) -> String {
    let mut out = String::new();
    for (proof, outcome) in proofs.iter().zip(outcomes).filter(|(_, outcome)| !outcome.passed()) {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "FAILED {}  ({}:{})", proof.name, proof.file, proof.line);
        out.push_str(&details(outcome));
        out.push('\n');
    }
    out
}

/// One failure, below its name.
pub(super) fn details(outcome: &Outcome) -> String {
    let mut out = String::new();
    for fault in &outcome.faults {
        let _ = writeln!(out, "  {}", fault.what);
        block("    expected  ", &fault.expected, &mut out);
        block("    found     ", &fault.found, &mut out);
    }
    block("  sent      ", &outcome.sent, &mut out);
    block("  answer    ", &outcome.answer, &mut out);
    outcome.notes.iter().for_each(|note| block("  note      ", note, &mut out));
    out
}

/// Lines behind a word, aligned.
fn block(word: &str, text: &str, out: &mut String) {
    for (at, line) in text.lines().enumerate() {
        let lead = if at == 0 { word.to_owned() } else { " ".repeat(word.len()) };
        let _ = writeln!(out, "{}", format!("{lead}{line}").trim_end());
    }
}

/// `{ok, passed, failed, tests: [{name, file, line, ok, ms, faults: [{what, expected, found}], sent, answer, notes}]}`; the
/// last three only of tests that failed.
pub(crate) fn to_json(proofs: &[&Proof], outcomes: &[Outcome]) -> Value {
    let tests = proofs.iter().zip(outcomes).map(|(proof, outcome)| {
        let faults = outcome.faults.iter();
        let faults: Vec<Value> = faults
            .map(|fault| json!({ "what": fault.what, "expected": fault.expected, "found": fault.found }))
            .collect();
        let mut test = json!({
            "name": proof.name, "file": proof.file, "line": proof.line, "ok": outcome.passed(),
            "ms": milliseconds(outcome), "faults": faults,
        });
        if !outcome.passed() {
            test["sent"] = outcome.sent.as_str().into();
            test["answer"] = outcome.answer.as_str().into();
            test["notes"] = outcome.notes.clone().into();
        }
        test
    });
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    json!({
        "ok": failed == 0,
        "passed": outcomes.len() - failed,
        "failed": failed,
        "tests": tests.collect::<Vec<_>>(),
    })
}

fn milliseconds(outcome: &Outcome) -> f64 {
    (outcome.took.as_secs_f64() * 1e6).round() / 1e3
}
