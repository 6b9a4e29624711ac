//! The gateway's processes: the first one, and those that took over from it one after the other.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tollgate_testkit::{Gateway, limit_descriptors, wait_for, wait_some};

use crate::site::Site;

/// How long anything of a process may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// The gateway as its operator sees it: one address, one process at a time.
pub(crate) struct Chain {
    pub(crate) gateway: Gateway,
    names: Vec<(&'static str, String)>,
    pid: Pid,
    /// How many hand-overs were told of in the log, done or not.
    done: usize,
    not_done: usize,
}

/// What a process holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Holding {
    /// Memory of its own, in KiB.
    pub(crate) own_kib: u64,
    /// All that is resident, the pages of the program's file included, in KiB.
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: u64,
    pub(crate) threads: u64,
}

impl Chain {
    /// Starts the first process with configuration 1.
    pub(crate) fn start(binary: &str, site: &Site) -> Chain {
        let (names, text) = (site.names(), site.config(1));
        let variables = site.clock.as_ref().map(|clock| clock.variables()).unwrap_or_default();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let gateway = Gateway::start_under(binary, &text, &names, &variables);
        let pid = Pid::from_raw(gateway.pid().cast_signed()).expect("a process id");
        Chain { gateway, names, pid, done: 0, not_done: 0 }
    }

    /// A configuration with all names replaced.
    pub(crate) fn complete(&self, text: &str) -> String {
        self.gateway.complete(text, &self.names)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).expect("the gateway can be signalled");
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// `/readyz`, once it answers.
    pub(crate) fn ready(&self) -> Value {
        self.gateway.readyz()
    }

    /// Waits for what `/readyz` says.
    pub(crate) fn wait_ready(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        wait_some(what, PATIENCE, || holds(&self.ready()).then_some(()));
    }

    /// Asks for a hand-over, and waits for its outcome and for the end of the process that was replaced: whether it was.
    pub(crate) fn hand_over(&mut self) -> bool {
        self.signal(Signal::USR2);
        let outcome = wait_some("the end of the hand-over", PATIENCE * 2, || {
            let lines = self.gateway.stderr().lines();
            let told = |what: &'static str| lines.iter().filter(move |line| line.contains(what));
            if told("not replaced").count() > self.not_done {
                return Some(None);
            }
            let pid = told("handed over to process ").nth(self.done)?;
            let pid = pid.split("handed over to process ").nth(1)?.split(':').next()?;
            Some(pid.parse().ok().and_then(Pid::from_raw))
        });
        let Some(next) = outcome else {
            self.not_done += 1;
            return false;
        };
        let old = std::mem::replace(&mut self.pid, next);
        self.done += 1;
        if self.done == 1 {
            assert_eq!(self.gateway.wait_exit().code(), Some(0), "the first process drains and ends");
        } else {
            wait_some("the process that was replaced to end", PATIENCE, || (!runs(old)).then_some(()));
        }
        true
    }

    /// Ends the last process, and waits for it.
    pub(crate) fn end(&mut self) {
        self.signal(Signal::TERM);
        if self.done == 0 {
            assert_eq!(self.gateway.wait_exit().code(), Some(0), "a drain ends well");
        } else {
            wait_some("the last process to end", PATIENCE, || (!runs(self.pid)).then_some(()));
        }
    }

    /// Sets how many descriptors the process may have; gives what it was allowed before.
    pub(crate) fn limit_descriptors(&self, current: Option<u64>) -> Option<u64> {
        limit_descriptors(self.pid().cast_unsigned(), current)
    }

    /// What the process that serves holds.
    pub(crate) fn holding(&self) -> Holding {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let number = |field: &str| {
            let rest = status.lines().find_map(|line| line.strip_prefix(field))?;
            rest.split_ascii_whitespace().next()?.parse().ok()
        };
        Holding {
            own_kib: number("RssAnon:").unwrap_or_default(),
            resident_kib: number("VmRSS:").unwrap_or_default(),
            threads: number("Threads:").unwrap_or_default(),
            descriptors: fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count) as u64,
        }
    }

    /// Records that all processes lost, by their last words; for the time when the last one has ended.
    pub(crate) fn dropped(&self) -> u64 {
        let lines = self.gateway.stderr().lines();
        let told = lines.iter().filter(|line| line.contains("access records were lost since the start"));
        told.filter_map(|line| line.split("records=").nth(1)?.split(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// A scrape: as often as a sample is taken.
    pub(crate) fn scrape(&self) {
        self.gateway.metrics();
    }

    /// Waits until Redis is used again.
    pub(crate) fn wait_redis(&self) {
        wait_for("Redis to be used again", || {
            self.gateway.admin("/health").json()["redis"]["status"] == "ok"
        });
    }
}

impl Drop for Chain {
    fn drop(&mut self) {
        if self.done > 0 && runs(self.pid) {
            let _ = kill_process(self.pid, Signal::KILL);
        }
    }
}

/// Whether a process is there. One that ended and that nobody has waited for is still there, as a zombie.
fn runs(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
    test_kill_process(pid).is_ok() && state.is_some_and(|state| state != 'Z')
}
