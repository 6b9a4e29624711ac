//! A share of one core for one process: a control group with a quota of CPU time (cgroups(7)), of version 1 or 2.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// How often the share is given out, in microseconds. A process that has used its share stands still until the next
/// period, so a short one is more like a slow processor; the kernel gives out 1 ms at least.
pub(super) const PERIOD_US: u64 = 20_000;

/// The least share that can be given: 1 ms of each period.
pub(super) const LEAST_PERCENT: u64 = 100_000 / PERIOD_US;

/// The group; the process goes back and the group goes away when it is dropped.
pub(super) struct Group {
    dir: PathBuf,
    /// Of version 1, or else 2.
    first: bool,
}

impl Group {
    /// Puts a process, with all its threads, into a group of its own, which has no limit yet.
    pub(super) fn around(pid: u32) -> Result<Group> {
        let own = fs::read_to_string("/proc/self/cgroup").context("this system has no control groups")?;
        let (parent, first) = parent(&own).context("no control group of this process is known")?;
        let group = Group { dir: PathBuf::from(parent).join(format!("tollgate-bus-{pid}")), first };
        fs::create_dir(&group.dir)
            .with_context(|| format!("making {}: it takes root", group.dir.display()))?;
        group.allow(None).context("the control group has no CPU controller")?;
        fs::write(group.dir.join("cgroup.procs"), pid.to_string()).context("moving the gateway")?;
        Ok(group)
    }

    /// That much of one core from now on; `None`: as much as there is.
    pub(super) fn allow(&self, percent: Option<u64>) -> Result<()> {
        let quota = percent.map(|percent| (percent.max(LEAST_PERCENT) * PERIOD_US / 100).to_string());
        if self.first {
            self.write("cpu.cfs_period_us", &PERIOD_US.to_string())?;
            return self.write("cpu.cfs_quota_us", quota.as_deref().unwrap_or("-1"));
        }
        self.write("cpu.max", &format!("{} {PERIOD_US}", quota.as_deref().unwrap_or("max")))
    }

    /// For how many seconds its threads wanted to run and were not let, so far, all of them together.
    pub(super) fn throttled_s(&self) -> Result<f64> {
        let text = fs::read_to_string(self.dir.join("cpu.stat")).context("reading cpu.stat")?;
        throttled_s(&text).context("cpu.stat does not say what was withheld")
    }

    /// How a slow processor is emulated, in words.
    pub(super) fn words(&self) -> String {
        let name =
            if self.first { "cgroup version 1, `cpu.cfs_quota_us`" } else { "cgroup version 2, `cpu.max`" };
        format!("{name}, given out every {} ms", PERIOD_US / 1000)
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        fs::write(self.dir.join(file), text).with_context(|| format!("writing `{text}` to {file}"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Only an empty group can be removed. A process that has ended is in none.
        let parent = self.dir.parent().unwrap_or(&self.dir).join("cgroup.procs");
        for pid in fs::read_to_string(self.dir.join("cgroup.procs")).unwrap_or_default().lines() {
            let _ = fs::write(&parent, pid);
        }
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Where a group can be made by what /proc/self/cgroup says, and whether it is of version 1, which comes first: where
/// both are mounted, version 2 has no controllers.
fn parent(own: &str) -> Option<(String, bool)> {
    let groups = || own.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let first = groups().find(|(controllers, _)| controllers.split(',').any(|one| one == "cpu"));
    let first = first.map(|(_, path)| (format!("/sys/fs/cgroup/cpu{path}"), true));
    first.or_else(|| {
        let (_, path) = groups().find(|(controllers, _)| controllers.is_empty())?;
        Some((format!("/sys/fs/cgroup{path}"), false))
    })
}

/// `throttled_time` is in nanoseconds (version 1), `throttled_usec` in microseconds.
fn throttled_s(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        let per_second = match name {
            "throttled_time" => 1e9,
            "throttled_usec" => 1e6,
            _ => return None,
        };
        Some(value.trim().parse::<f64>().ok()? / per_second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_made_where_the_controller_is() {
        for (own, expect) in [
            ("2:cpuacct:/a\n1:cpu:/b\n0::/\n", Some(("/sys/fs/cgroup/cpu/b".to_owned(), true))),
            ("4:cpu,cpuacct:/\n0::/\n", Some(("/sys/fs/cgroup/cpu/".to_owned(), true))),
            ("0::/user.slice\n", Some(("/sys/fs/cgroup/user.slice".to_owned(), false))),
            ("3:cpuset:/\n", None),
        ] {
            assert_eq!(parent(own), expect, "{own}");
        }
    }

    #[test]
    fn what_was_withheld_is_read_of_both_versions() {
        assert_eq!(throttled_s("nr_periods 4\nnr_throttled 2\nthrottled_time 1500000000\n"), Some(1.5));
        assert_eq!(throttled_s("usage_usec 9\nthrottled_usec 2500000\n"), Some(2.5));
        assert_eq!(throttled_s("nr_periods 4\n"), None);
    }

    #[test]
    fn the_least_share_is_a_millisecond() {
        assert_eq!(LEAST_PERCENT * PERIOD_US / 100, 1000);
    }
}
