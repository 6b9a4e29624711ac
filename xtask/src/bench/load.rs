//! Closed-loop load by wrk, counted by wrk.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::contestant::Site;
use super::process::not_interrupted;
use crate::tree;

/// What to send.
#[derive(Clone)]
pub(super) struct Load {
    /// Path and query.
    pub(super) path: Cow<'static, str>,
    /// Open connections, each with one request at a time.
    pub(super) connections: usize,
    /// A script of `bench/load` beside `count.lua`.
    pub(super) script: Option<&'static str>,
    /// How many the script goes through: routes, headers.
    pub(super) count: usize,
    /// A list of tokens for the script, one a line.
    pub(super) tokens: Option<PathBuf>,
    /// Over TLS. wrk checks no certificate.
    pub(super) tls: bool,
}

impl Load {
    /// GET of one path over 64 keep-alive connections.
    pub(super) fn get(path: impl Into<Cow<'static, str>>) -> Load {
        Load { path: path.into(), connections: 64, script: None, count: 1, tokens: None, tls: false }
    }

    /// The same with a token of this list in each request.
    pub(super) fn with_tokens(tokens: PathBuf) -> Load {
        Load { script: Some("tokens.lua"), tokens: Some(tokens), ..Load::get("/") }
    }
}

/// What wrk counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) requests: f64,
    pub(super) seconds: f64,
    /// Connect, read and write errors, timeouts, and statuses of 400 and over.
    pub(super) failed: f64,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
}

/// Sends load for some seconds.
pub(super) fn send(site: &Site, port: u16, load: &Load, seconds: u64) -> Result<Counted> {
    let folder = tree::root().join("bench/load");
    let mut script = fs::read_to_string(folder.join("count.lua"))?;
    if let Some(name) = load.script {
        script.push_str(&fs::read_to_string(folder.join(name))?);
    }
    let path = site.dir().join(format!("load-{port}.lua"));
    fs::write(&path, script)?;

    let output = Command::new("taskset")
        .args(["-c", &site.load_core.to_string(), "wrk", "-t1"])
        .arg(format!("-c{}", load.connections))
        .arg(format!("-d{seconds}s"))
        .args(["--timeout", "10s", "-s"])
        .arg(&path)
        .arg(format!("{}://127.0.0.1:{port}{}", if load.tls { "https" } else { "http" }, load.path))
        .env("TOLLGATE_COUNT", load.count.to_string())
        .env("TOLLGATE_TOKENS", load.tokens.as_deref().unwrap_or(Path::new("")))
        .output()
        .context("starting wrk")?;
    not_interrupted()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(line) = text.lines().rfind(|line| line.starts_with('{')) else {
        bail!("wrk counted nothing: {text}{}", String::from_utf8_lossy(&output.stderr));
    };
    let counted: Value = serde_json::from_str(line).context("what wrk counted")?;
    let number = |name: &str| counted[name].as_f64().unwrap_or_default();
    Ok(Counted {
        requests: number("requests"),
        seconds: number("micros") / 1e6,
        failed: number("failed"),
        p50_us: number("p50_us"),
        p99_us: number("p99_us"),
    })
}
