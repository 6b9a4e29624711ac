//! The example as `examples/bus/start` starts it, with each process in view.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::replay::interrupt::pause;
use crate::replay::{client, started};
use crate::tree;

/// And to end.
const END_LIMIT: Duration = Duration::from_secs(20);

/// Where the central listens, bus 1, and the issuer of tokens.
pub(super) const CENTRAL: u16 = 8000;
pub(super) const BUS_1: u16 = 8100;
const ISSUER: u16 = 3003;

/// How `start` calls the gateways of the central and of the buses.
pub(super) const CENTRAL_NAME: &str = "central";
pub(super) const BUS_NAMES: [&str; 3] = ["bus-1", "bus-2", "bus-3"];

/// The running example; it ends when dropped.
pub(super) struct Stack {
    child: Child,
    dir: PathBuf,
}

impl Stack {
    /// Starts it, with its logs in `dir`.
    pub(super) fn start(binary: &Path, dir: &Path) -> Result<Stack> {
        for port in ports() {
            // The script only sees that something listens there.
            TcpListener::bind(("127.0.0.1", port))
                .with_context(|| format!("examples/bus needs port {port}, which is taken"))?;
        }
        let log = File::create(dir.join("start.log"))?;
        let mut command = Command::new(tree::root().join("examples/bus/start"));
        command.env("TOLLGATE", binary).env("BUS_DIR", dir).current_dir(tree::root());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("starting examples/bus/start")?;
        let mut stack = Stack { child, dir: dir.into() };
        started::wait("examples/bus/start", &mut stack.child, dir, "Ctrl-C ends it all.")?;
        Ok(stack)
    }

    /// The process id of one of them.
    pub(super) fn pid(&self, name: &str) -> Result<u32> {
        let text = fs::read_to_string(self.dir.join(format!("{name}.pid")))?;
        text.trim().parse().with_context(|| format!("the process id of {name}"))
    }

    /// Sends it a signal.
    pub(super) fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        send_signal(self.pid(name)?, signal).with_context(|| format!("signalling {name}"))
    }

    /// Some tokens of the example's issuer, each good for five minutes.
    pub(super) fn tokens(&self, count: usize) -> Result<Vec<String>> {
        let form = "grant_type=client_credentials";
        let request = format!(
            "POST /token HTTP/1.0\r\nHost: localhost\r\nAuthorization: Basic ZGVtbzpkZW1v\r\nAccept: text/plain\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        (0..count).map(|_| Ok(client::whole(ISSUER, &request)?.trim().to_owned())).collect()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // The script ends what it started, and then itself.
        if send_signal(self.child.id(), Signal::TERM).is_err() {
            return;
        }
        let begun = Instant::now();
        while begun.elapsed() < END_LIMIT && !matches!(self.child.try_wait(), Ok(Some(_))) {
            pause(Duration::from_millis(20));
        }
    }
}

/// A process that stands still until this is dropped.
pub(super) struct Stopped(u32);

impl Stopped {
    pub(super) fn new(pid: u32) -> Result<Stopped> {
        send_signal(pid, Signal::STOP)?;
        Ok(Stopped(pid))
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        // Whoever is gone needs no more.
        let _ = send_signal(self.0, Signal::CONT);
    }
}

fn send_signal(pid: u32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid.cast_signed()).context("no process id")?;
    kill_process(pid, signal).context("the process is gone")
}

/// All that the example listens on: the issuer, the central, and for each bus a gateway and four devices; and their
/// admin sides.
fn ports() -> impl Iterator<Item = u16> {
    let buses =
        (1..=3).flat_map(|bus| (0..=4).flat_map(move |at| [8000 + bus * 100 + at, 9700 + bus * 10 + at]));
    [ISSUER, CENTRAL, 9700].into_iter().chain(buses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_of_the_example_is_looked_at() {
        let ports: Vec<u16> = ports().collect();
        for port in [3003, 8000, 8100, 8104, 8300, 8304, 9700, 9710, 9734] {
            assert!(ports.contains(&port), "{port}");
        }
        assert_eq!(ports.len(), 3 + 3 * 5 * 2);
    }
}
