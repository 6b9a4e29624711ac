//! What the command line takes: `check` and `explain` of many routes, and `test`.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Args;
use super::contestant::Site;
use super::process::not_interrupted;
use super::results::Results;
use crate::say;

const ROUTES: usize = 10_000;
pub(super) const TESTS: usize = 3_000;

/// As in tables.
pub(super) const CHECK: &str = "check, 10,000 routes";
pub(super) const EXPLAIN: &str = "explain, 10,000 routes";
pub(super) const TEST: &str = "test, 3,000 tests";

/// Milliseconds from start to end of each command, which has nothing to connect to.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    let Some(binary) = site.gateway() else {
        say::line("needs the gateway: left out");
        return Ok(());
    };
    let (many, tested) = (many_routes(site.dir())?, many_tests(site.dir())?);
    let works = [
        (CHECK, vec!["check", "-c", many.to_str().context("a path")?]),
        (
            EXPLAIN,
            vec!["explain", "GET", "http://h/service-77/items/4", "-c", many.to_str().context("a path")?],
        ),
        (TEST, vec!["test", "-c", tested.to_str().context("a path")?]),
    ];
    for round in 1..=args.rounds {
        for (work, words) in &works {
            let begun = Instant::now();
            let status = Command::new(binary).args(words).stdout(Stdio::null()).status()?;
            let ms = begun.elapsed().as_secs_f64() * 1e3;
            if !status.success() {
                bail!("{work} ended with {status}");
            }
            not_interrupted()?;
            say::line(format_args!("round {round}  {work:<24} {ms:8.1} ms"));
            results.push(json!({ "who": "tollgate", "work": work, "round": round, "ms": ms }));
        }
    }
    Ok(())
}

fn many_routes(dir: &Path) -> Result<PathBuf> {
    let mut text = String::from("upstreams:\n  origin: { targets: [http://127.0.0.1:3000] }\nroutes:\n");
    for number in 0..ROUTES {
        writeln!(text, "  - {{ path: \"/service-{number}/items/{{id}}\", to: origin }}")?;
    }
    written(dir.join("many-routes.yaml"), &text)
}

/// Tests that each go through a limit to a service and look into the answer.
fn many_tests(dir: &Path) -> Result<PathBuf> {
    let mut text = String::from(
        "upstreams:\n  origin: { targets: [http://127.0.0.1:3000] }\nroutes:\n  - name: order\n    path: /orders/{id}\n    \
         rate_limit: { rate: 100/s, per: ip }\n    to: origin\ntests:\n",
    );
    for number in 0..TESTS {
        writeln!(
            text,
            "  - {{ name: \"{number}\", request: {{ path: /orders/{number} }}, upstreams: {{ origin: {{ json: {{ id: {number} }} }} }}, \
             expect: {{ status: 200, route: order, json: {{ id: {number} }} }} }}"
        )?;
    }
    written(dir.join("many-tests.yaml"), &text)
}

fn written(path: PathBuf, text: &str) -> Result<PathBuf> {
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
