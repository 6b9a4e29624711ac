//! What the kernel says about this process, for the `process_*` metrics.

use std::fs;

/// Ticks per second in `/proc/<pid>/stat`. The kernel's interface fixes it at 100 whatever its own clock is.
const USER_HZ: f64 = 100.0;

/// The process at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Process {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) open_fds: usize,
    /// `None`: unlimited.
    pub(super) max_fds: Option<u64>,
    pub(super) start_seconds: f64,
}

impl Process {
    /// Reads `/proc`; `None` where there is none.
    pub(crate) fn read() -> Option<Process> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let limits = fs::read_to_string("/proc/self/limits").ok()?;
        let system = fs::read_to_string("/proc/stat").ok()?;
        // The descriptor that reads the directory is one of its entries.
        let open_fds = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
        parse(&stat, &status, &limits, &system).map(|parsed| Process {
            cpu_seconds: cpu_seconds(),
            open_fds,
            ..parsed
        })
    }
}

/// The clock counts nanoseconds, `/proc` only hundredths of a second.
fn cpu_seconds() -> f64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// All but what does not stand in a file.
fn parse(stat: &str, status: &str, limits: &str, system: &str) -> Option<Process> {
    // The second field is the program's name in parentheses and may hold anything, parentheses too.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let kib = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let boot: f64 = system.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let max_fds = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    Some(Process {
        cpu_seconds: 0.0,
        resident_bytes: kib("VmRSS:")? * 1024,
        virtual_bytes: kib("VmSize:")? * 1024,
        open_fds: 0,
        max_fds: max_fds.split_whitespace().next()?.parse().ok(),
        start_seconds: boot + ticks(22)? / USER_HZ,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\ttollgate\nVmPeak:\t  300 kB\nVmSize:\t  200 kB\nVmRSS:\t   100 kB\n";
    const SYSTEM: &str = "cpu  1 2 3\nbtime 1000\nprocesses 5\n";
    const STAT: &str = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 4 0 12345 8192 99 1844";

    #[test]
    fn fields_are_counted_from_the_last_parenthesis() {
        let limits =
            "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024     4096      files\n";
        let expect = Process {
            cpu_seconds: 0.0,
            resident_bytes: 102_400,
            virtual_bytes: 204_800,
            open_fds: 0,
            max_fds: Some(1024),
            start_seconds: 1123.45,
        };
        assert_eq!(parse(STAT, STATUS, limits, SYSTEM), Some(expect));
    }

    #[test]
    fn unlimited_descriptors_have_no_number() {
        let limits = "Max open files            unlimited     unlimited      files\n";
        assert_eq!(parse(STAT, STATUS, limits, SYSTEM).unwrap().max_fds, None);
    }

    #[test]
    fn what_is_not_there_is_no_process() {
        assert_eq!(parse("", STATUS, "Max open files 1 1 files", SYSTEM), None);
        assert_eq!(parse(STAT, "", "Max open files 1 1 files", SYSTEM), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let process = Process::read().expect("tests run on Linux");
        assert!(process.resident_bytes > 0 && process.virtual_bytes >= process.resident_bytes);
        assert!(process.open_fds >= 3);
        assert!(process.cpu_seconds > 0.0);
        assert!(process.start_seconds > 1_000_000_000.0);
    }
}
