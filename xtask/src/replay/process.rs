//! What a process takes, as the kernel tells it (proc(5)), and the machine that it shares.

use std::fs;

use anyhow::{Context, Result};

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
