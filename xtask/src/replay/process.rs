//! The gateway's binary, what its process takes as the kernel tells it (proc(5)), and free ports for it.

use std::fs;
use std::net::TcpListener;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{run, tree};

/// The binary that is named, or else a release build of this tree.
pub(crate) fn gateway(named: Option<&Path>) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => {
            run::required(&mut run::cargo(&["build", "--release", "--locked", "--package", "tollgate"]))?;
            tree::target().join("release/tollgate")
        }
    };
    path.canonicalize().with_context(|| format!("no gateway at {}", path.display()))
}

/// What a binary says of itself; empty where it says nothing.
pub(crate) fn version(binary: &Path) -> String {
    let said = run::output(Command::new(binary).arg("version"));
    said.unwrap_or_default().trim().trim_start_matches("tollgate ").to_owned()
}

/// What the ports of an example may begin with, so that nobody uses any of those with these last two digits.
pub(crate) fn free_ports(last: Range<u16>) -> Result<u16> {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let free = |ports: &u16| last.clone().all(|last| is_free(ports * 100 + last));
    (70..100).find(free).context("no free ports between 7000 and 9999")
}

/// CPU seconds so far, user and system: fields 14 and 15 of /proc/PID/stat.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).context("the gateway is gone")?;
    let (_, fields) = text.rsplit_once(')').context("no name in /proc/PID/stat")?;
    let fields = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}

/// A field of /proc/PID/status that is in KiB, as MiB.
pub(crate) fn mebibytes(pid: u32, field: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).context("the gateway is gone")?;
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.with_context(|| format!("no {field} in /proc/PID/status"))? / 1024.0)
}

/// How many processes wanted to run in the last minute, of the whole machine: what is measured shares it.
pub(crate) fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}
