//! How many descriptors another process may have, changed while it runs.

use std::fs;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Sets how many descriptors a process may have, more or fewer than are open; gives what it was allowed before. `None` is
/// no limit. What the process may raise it to by itself stays as it is.
#[track_caller]
pub fn limit_descriptors(process: u32, current: Option<u64>) -> Option<u64> {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).expect("the process runs");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the kernel says it");
    let maximum = line.split_ascii_whitespace().nth(4).and_then(|word| word.parse().ok());
    let pid = Pid::from_raw(process.cast_signed()).expect("a process id");
    let before = prlimit(Some(pid), Resource::Nofile, Rlimit { current, maximum });
    before.expect("the limit can be set").current
}
