//! What the figures were measured on.

use std::fs;

use serde_json::{Value, json};

use crate::run;

/// Processor, cores, memory, kernel, distribution.
pub(crate) fn describe() -> Value {
    let field = |path: &str, name: &str, separator: char| -> String {
        let text = fs::read_to_string(path).unwrap_or_default();
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(separator));
        line.unwrap_or_default().trim().trim_matches('"').to_owned()
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "processor": field("/proc/cpuinfo", "model name", ':'),
        "cores": std::thread::available_parallelism().map_or(0, |cores| cores.get()),
        "memory": field("/proc/meminfo", "MemTotal", ':'),
        "kernel": kernel.trim(),
        "system": field("/etc/os-release", "PRETTY_NAME", '='),
    })
}

/// Today, in UTC.
pub(crate) fn date() -> String {
    run::output(&mut run::command("date", &["-u", "+%Y-%m-%d"])).unwrap_or_default().trim().to_owned()
}
