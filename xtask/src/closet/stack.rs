//! The example as `examples/closet/start` starts it, with the gateway's process in view.

use std::fs::{self, File};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::replay::interrupt::{not_interrupted, pause};
use crate::replay::{client, ports, process, started};
use crate::{run, tree};

/// And to end.
const END_LIMIT: Duration = Duration::from_secs(20);

/// The last digits of the example's ports, and some more for what a run puts beside it.
pub(super) const PORTS: Range<u16> = 0..20;
pub(super) const GATEWAY: u16 = 0;
pub(super) const AUTHORITY: u16 = 3;
pub(super) const PROMETHEUS: u16 = 8;

/// The running example; it ends when dropped.
pub(super) struct Stack {
    child: Child,
    dir: PathBuf,
    /// What its ports begin with.
    ports: u16,
    gateway: u32,
    native: PathBuf,
}

impl Stack {
    /// Starts it with its state in `dir`, and with another configuration where one is given. `native` makes the tokens.
    pub(super) fn start(
        binary: &Path,
        native: &Path,
        dir: &Path,
        config: Option<(u16, &Path)>,
    ) -> Result<Stack> {
        fs::create_dir_all(dir)?;
        let ports = match config {
            Some((ports, _)) => ports,
            None => ports::free(PORTS)?,
        };
        let log = File::create(dir.join("start.log"))?;
        let mut command = Command::new(tree::root().join("examples/closet/start"));
        command.env("TOLLGATE", binary).env("CLOSET_DIR", dir).env("CLOSET_PORTS", ports.to_string());
        if let Some((_, config)) = config {
            command.env("CLOSET_CONFIG", config);
        }
        command.current_dir(tree::root()).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("starting examples/closet/start")?;
        let mut stack = Stack { child, dir: dir.into(), ports, gateway: 0, native: native.into() };
        started::wait("examples/closet/start", &mut stack.child, dir, "Ctrl-C ends it.")?;
        let pid = fs::read_to_string(dir.join("gateway.pid"))?;
        stack.gateway = pid.trim().parse().context("the gateway's process id")?;
        Ok(stack)
    }

    /// One of its ports, by its last digits.
    pub(super) fn port(&self, last: u16) -> u16 {
        self.ports * 100 + last
    }

    /// A signed token of the example's issuer.
    pub(super) fn token(&self, claims: &[&str]) -> Result<String> {
        not_interrupted()?;
        let iss = format!("http://127.0.0.1:{}", self.port(2));
        let mut command = Command::new(&self.native);
        command.args(["token", "--iss", &iss, "--aud", "closet", "--key"]).arg(self.dir.join("key.json"));
        claims.iter().for_each(|claim| {
            command.args(["--claim", claim]);
        });
        Ok(run::output(&mut command)?.trim().to_owned())
    }

    /// An opaque token of the example's authority.
    pub(super) fn opaque_token(&self) -> Result<String> {
        let form = "grant_type=client_credentials";
        let request = format!(
            "POST /token HTTP/1.0\r\nHost: localhost\r\nAuthorization: Basic ZGFzaGJvYXJkOmRhc2hib2FyZA==\r\n\
             Accept: text/plain\r\nContent-Length: {}\r\n\r\n{form}",
            form.len()
        );
        Ok(client::whole(self.port(AUTHORITY), &request)?.trim().to_owned())
    }

    /// CPU seconds of the gateway so far.
    pub(super) fn cpu_seconds(&self) -> Result<f64> {
        process::cpu_seconds(self.gateway)
    }

    /// A field of /proc/PID/status that is in KiB, as MiB.
    pub(super) fn mebibytes(&self, field: &str) -> Result<f64> {
        process::mebibytes(self.gateway, field)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) else { return };
        // The script ends what it started, and then itself.
        if kill_process(pid, Signal::TERM).is_err() {
            return;
        }
        let begun = Instant::now();
        while begun.elapsed() < END_LIMIT && !matches!(self.child.try_wait(), Ok(Some(_))) {
            pause(Duration::from_millis(20));
        }
    }
}
