//! Closed-loop load by wrk on one core: each of its connections has one request under way, always.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::replay::interrupt::not_interrupted;
use crate::tree;

/// Open connections.
pub(super) const CONNECTIONS: usize = 64;

/// What wrk counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Counted {
    pub(super) requests: f64,
    pub(super) seconds: f64,
    /// Connect, read and write errors, timeouts, and statuses of 400 and over.
    pub(super) failed: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

/// Sends load to a URL for some seconds, with a token of the list in each request. The scripts are those of `./dev bench`.
pub(super) fn send(dir: &Path, core: usize, url: &str, tokens: &[String], seconds: u64) -> Result<Counted> {
    let folder = tree::root().join("bench/load");
    let mut script = fs::read_to_string(folder.join("count.lua"))?;
    script.push_str(&fs::read_to_string(folder.join("tokens.lua"))?);
    let (path, list) = (dir.join("load.lua"), dir.join("tokens.txt"));
    fs::write(&path, script)?;
    fs::write(&list, tokens.join("\n"))?;
    let output = Command::new("taskset")
        .args(["-c", &core.to_string(), "wrk", "-t1"])
        .arg(format!("-c{CONNECTIONS}"))
        .arg(format!("-d{seconds}s"))
        .args(["--timeout", "10s", "-s"])
        .arg(&path)
        .arg(url)
        .env("TOLLGATE_TOKENS", &list)
        .output()
        .context("starting wrk")?;
    not_interrupted()?;
    let text = String::from_utf8_lossy(&output.stdout);
    match counted(&text) {
        Some(counted) => Ok(counted),
        None => bail!("wrk counted nothing: {text}{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// The line of JSON that `count.lua` ends with.
fn counted(text: &str) -> Option<Counted> {
    let line = text.lines().rfind(|line| line.starts_with('{'))?;
    let value: Value = serde_json::from_str(line).ok()?;
    let number = |name: &str| value[name].as_f64();
    Some(Counted {
        requests: number("requests")?,
        seconds: number("micros")? / 1e6,
        failed: number("failed")?,
        p50_us: number("p50_us")?,
        p99_us: number("p99_us")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wrk_counted_is_its_last_line() {
        let line = r#"{"requests":300,"bytes":1,"micros":1500000,"failed":2,"p50_us":40,"p99_us":90}"#;
        let expect = Counted { requests: 300.0, seconds: 1.5, failed: 2.0, p50_us: 40.0, p99_us: 90.0 };
        assert_eq!(counted(&format!("Running 1s test\n\n{line}\n")), Some(expect));
        assert_eq!(counted("Running 1s test\n{\"requests\":300}\n"), None);
        assert_eq!(counted("unable to connect\n"), None);
    }
}
