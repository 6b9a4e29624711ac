//! Processes under measurement: started pinned, accounted with their children, ended when the guard goes.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How long a process may take to end by itself before it is killed.
const END_GRACE: Duration = Duration::from_secs(5);

/// Set by SIGINT and SIGTERM: every wait ends with an error, so that every guard ends its process.
static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Makes SIGINT and SIGTERM end the run by way of the guards.
pub(super) fn watch_interrupts() -> Result<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, INTERRUPTED.clone()).context("watching signals")?;
    }
    Ok(())
}

/// An error once the run shall end.
pub(super) fn not_interrupted() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}

/// Waits until `done` says so, for at most `limit`.
pub(super) fn wait_for(what: &str, limit: Duration, done: impl FnMut() -> Result<bool>) -> Result<()> {
    look_every(Duration::from_micros(500), what, limit, done)
}

/// The same where looking disturbs what is measured.
pub(super) fn look_every(
    interval: Duration,
    what: &str,
    limit: Duration,
    mut done: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let start = Instant::now();
    while !done()? {
        not_interrupted()?;
        if start.elapsed() > limit {
            bail!("waited {limit:?} for {what}");
        }
        pause(interval);
    }
    Ok(())
}

/// Lets a measured state last for a while.
pub(super) fn hold(time: Duration) -> Result<()> {
    let start = Instant::now();
    wait_for("the time to pass", time + Duration::from_secs(1), || Ok(start.elapsed() >= time))
}

#[expect(clippy::disallowed_methods, reason = "the one pause between two looks; both callers have a limit")]
fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// A port that was free a moment ago.
pub(super) fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A running process, ended with its children when dropped.
pub(super) struct Running {
    name: String,
    child: Child,
}

impl Running {
    /// Starts a command on one core. What it prints goes to `NAME.log` in `dir`.
    pub(super) fn start(name: &str, core: usize, command: &[&str], dir: &Path) -> Result<Running> {
        Self::start_on(&[core], name, command, dir)
    }

    /// The same on several.
    pub(super) fn start_on(cores: &[usize], name: &str, command: &[&str], dir: &Path) -> Result<Running> {
        let log = File::create(dir.join(format!("{name}.log")))?;
        let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
        let child = Command::new("taskset")
            .args(["-c", &cores.join(",")])
            .args(command)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        Ok(Running { name: name.into(), child })
    }

    /// Waits until something accepts on the port.
    pub(super) fn listens_on(&mut self, port: u16, dir: &Path) -> Result<()> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let name = self.name.clone();
        wait_for(&format!("{name} to listen"), Duration::from_secs(20), || {
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(dir.join(format!("{name}.log"))).unwrap_or_default();
                bail!("{name} ended with {status}: {}", log.trim());
            }
            Ok(TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_ok())
        })
    }

    /// Sends a signal.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(self.pid()?, signal).with_context(|| format!("signalling {}", self.name))
    }

    /// CPU seconds so far, user and system, children included.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        let ticks: u64 = family(self.child.id()).into_iter().filter_map(cpu_ticks).sum();
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Resident set in bytes, children included.
    pub(super) fn resident_bytes(&self) -> Result<u64> {
        Ok(family(self.child.id()).into_iter().filter_map(resident_bytes).sum())
    }

    /// Memory of its own in bytes, without the pages of the program's file, and its open descriptors.
    pub(super) fn own_bytes_and_descriptors(&self) -> Result<(u64, u64)> {
        let pid = self.child.id();
        let own = memory_bytes(pid, "RssAnon:").context("the kernel does not say what it holds")?;
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd"))?.count() as u64;
        Ok((own, descriptors))
    }

    /// How it ended, once it did.
    pub(super) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("waiting for {}", self.name))
    }

    fn pid(&self) -> Result<Pid> {
        Pid::from_raw(self.child.id().cast_signed()).context("a process without an id")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let family = family(self.child.id());
        if self.signal(Signal::TERM).is_err() {
            return;
        }
        let start = Instant::now();
        while !matches!(self.child.try_wait(), Ok(Some(_))) {
            if start.elapsed() > END_GRACE {
                for pid in family.into_iter().filter_map(|pid| Pid::from_raw(pid.cast_signed())) {
                    // Already gone is as good as killed.
                    let _ = kill_process(pid, Signal::KILL);
                }
                let _ = self.child.wait();
                return;
            }
            pause(Duration::from_millis(5));
        }
    }
}

/// The process and all that descend from it.
fn family(root: u32) -> Vec<u32> {
    let mut parents: Vec<(u32, u32)> = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        at += 1;
    }
    found
}

/// The fields of `/proc/PID/stat` after the name, which may hold spaces: state, parent, … (proc(5)).
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// User and system time, with that of children that have ended: fields 14 to 17 of proc(5).
fn cpu_ticks(pid: u32) -> Option<u64> {
    stat(pid)?.get(11..15)?.iter().map(|field| field.parse::<u64>().ok()).sum()
}

fn resident_bytes(pid: u32) -> Option<u64> {
    memory_bytes(pid, "VmRSS:")
}

fn memory_bytes(pid: u32, field: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
