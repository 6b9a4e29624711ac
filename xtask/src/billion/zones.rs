//! The running example: its script, which does everything in the namespaces, and what can be read of its parts.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::{run, say, tree};

/// The zones, by the names of the example.
pub(super) const ZONES: [&str; 3] = ["a", "b", "c"];

const SCRIPT: &str = "examples/billion/zones";
const CONFIG: &str = "examples/billion/tollgate.yaml";

/// Where the example keeps its files while it runs.
const RUN: &str = "/run/tollgate-billion";

/// The stand-in for S3 where none is on the path, from the Python index into `target`.
const MOTO_PACKAGE: &str = "moto[server]==5.2.1";

/// What HAProxy tells of all its servers is some kilobytes.
const STATE_BYTES_MAX: u64 = 256 * 1024;

/// How often is looked at what changes by itself.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The example while it runs; dropped, it is ended and nothing is left of it.
pub(super) struct Zones {
    gateway: PathBuf,
    moto: PathBuf,
    interrupted: Arc<AtomicBool>,
}

impl Zones {
    /// Starts everything.
    pub(super) fn up(gateway: PathBuf) -> Result<Zones> {
        if !rustix::process::getuid().is_root() {
            bail!("network namespaces need root");
        }
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, interrupted.clone()).context("watching signals")?;
        }
        // Not ours, then: it must not be ended when this run ends.
        if Path::new(RUN).exists() {
            bail!("{RUN} is there: the example runs, or was not ended. `{SCRIPT} down`");
        }
        let zones = Zones { gateway, moto: moto()?, interrupted };
        zones.script(&["up"])?;
        Ok(zones)
    }

    /// Lets the script do something, or tell something.
    pub(super) fn script(&self, arguments: &[&str]) -> Result<String> {
        self.not_interrupted()?;
        run::output(&mut self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = run::command(&tree::root().join(SCRIPT).to_string_lossy(), arguments);
        command.env("TOLLGATE", &self.gateway).env("MOTO", &self.moto).env("BILLION_RUN", RUN);
        command.stdin(Stdio::null());
        command
    }

    /// The gateway's command line, in the repository's root.
    pub(super) fn tollgate(&self, arguments: &[&str]) -> Command {
        let mut command = run::command(&self.gateway.to_string_lossy(), arguments);
        command.args(["-c", CONFIG]).stdin(Stdio::null());
        command
    }

    /// A token for this owner.
    pub(super) fn token(&self, owner: &str) -> Result<String> {
        self.not_interrupted()?;
        let (claim, key) = (format!("sub={owner}"), format!("{RUN}/key.json"));
        let arguments = ["token", "--issuer", "main", "--claim", &claim, "--key", &key, "--ttl", "1d"];
        Ok(run::output(&mut self.tollgate(&arguments))?.trim().to_owned())
    }

    pub(super) fn pid(&self, zone: &str) -> Result<u32> {
        self.script(&["pid", zone])?.trim().parse().context("a process id")
    }

    /// Sends a signal to a process of the example: to a gateway by its zone, to the store by `store`.
    pub(super) fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        let file = if name == "store" { "store.pid".to_owned() } else { format!("gateway-{name}.pid") };
        let pid = fs::read_to_string(Path::new(RUN).join(&file)).with_context(|| file.clone())?;
        let pid =
            pid.trim().parse().ok().and_then(Pid::from_raw).with_context(|| format!("what {file} says"))?;
        kill_process(pid, signal).with_context(|| format!("signalling {name}"))
    }

    /// Whether a process has ended, waited for by its parent or not.
    pub(super) fn has_ended(pid: u32) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
    }

    /// A gateway's metrics: the sum of what begins like this.
    pub(super) fn metric(&self, zone: &str, begin: &str) -> Result<f64> {
        let text = self.script(&["ask", zone, "/metrics"])?;
        Ok(sum(&text, begin))
    }

    /// What a gateway holds, in KiB, as the kernel says: resident, its share of what is shared, and the most so far.
    pub(super) fn memory(&self, zone: &str) -> Result<Value> {
        let pid = self.pid(zone)?;
        let field = |file: &str, name: &str| {
            let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok())
        };
        Ok(json!({
            "resident_kib": field("status", "VmRSS:").context("the kernel does not say what it holds")?,
            "proportional_kib": field("smaps_rollup", "Pss:"),
            "most_kib": field("status", "VmHWM:"),
        }))
    }

    /// CPU seconds that a gateway has used.
    pub(super) fn cpu_seconds(&self, zone: &str) -> Result<f64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid(zone)?))?;
        let (_, fields) = text.rsplit_once(") ").context("what the kernel says of a process")?;
        // The 12th and 13th behind the name: user and system time (proc(5)).
        let ticks: u64 =
            fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// What the balancer thinks of a zone's gateway: `UP`, `DOWN`, `NOLB` while it drains, with steps in between.
    pub(super) fn balancer(&self, zone: &str) -> Result<String> {
        let mut stream =
            UnixStream::connect(Path::new(RUN).join("haproxy.sock")).context("HAProxy's socket")?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"show stat\n")?;
        let mut text = String::new();
        stream.take(STATE_BYTES_MAX).read_to_string(&mut text)?;
        state(&text, zone).context("HAProxy does not tell of this zone")
    }

    /// Waits until the balancer says one of these, for a time that any check of it should need; which one it was.
    pub(super) fn wait_balancer(&self, zone: &str, wanted: &[&'static str]) -> Result<&'static str> {
        let what = format!("HAProxy to say {wanted:?} of zone {zone}");
        let mut said = None;
        self.wait_until(&what, Duration::from_secs(20), || {
            let state = self.balancer(zone)?;
            said = wanted.iter().find(|wanted| state.split(' ').next() == Some(**wanted)).copied();
            Ok(said.is_some())
        })?;
        said.context("a state that was waited for")
    }

    pub(super) fn balancer_is_well(&self) -> Result<()> {
        ZONES.iter().try_for_each(|zone| self.wait_balancer(zone, &["UP"]).map(|_| ()))
    }

    /// Waits for a condition.
    #[expect(clippy::disallowed_methods, reason = "the one pause between two looks; it has a limit")]
    pub(super) fn wait_until(
        &self,
        what: &str,
        limit: Duration,
        mut done: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let begun = Instant::now();
        while !done()? {
            self.not_interrupted()?;
            if begun.elapsed() > limit {
                bail!("waited {limit:?} for {what}");
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn not_interrupted(&self) -> Result<()> {
        if self.interrupted.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        Ok(())
    }

    /// What ran.
    pub(super) fn versions(&self) -> Value {
        let first = |program: &str, flag: &str| {
            let output = Command::new(program).arg(flag).output().ok();
            let text = output.map(|output| [output.stdout, output.stderr].concat()).unwrap_or_default();
            String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
        };
        json!({
            "tollgate": first(&self.gateway.to_string_lossy(), "version").trim_start_matches("tollgate "),
            "haproxy": first("haproxy", "-v"),
            "redis": first("redis-server", "--version").split(" sha").next(),
            "nginx": first("nginx", "-v"),
            "store": MOTO_PACKAGE,
        })
    }
}

impl Drop for Zones {
    fn drop(&mut self) {
        match self.command(&["down"]).status() {
            Ok(status) if status.success() => {}
            other => say::line(format_args!("`{SCRIPT} down` failed: {other:?}")),
        }
    }
}

/// The sum of the samples whose line begins so.
fn sum(text: &str, begin: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(begin));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

/// The status of a server in HAProxy's `show stat`: CSV with a head, `pxname,svname,…,status,…`.
fn state(text: &str, server: &str) -> Option<String> {
    let mut lines = text.lines();
    let at = lines.next()?.trim_start_matches("# ").split(',').position(|name| name == "status")?;
    lines.find_map(|line| {
        let fields: Vec<&str> = line.split(',').collect();
        (fields.get(1) == Some(&server)).then(|| fields.get(at).map(|status| (*status).to_owned()))?
    })
}

/// The stand-in for S3: the one on the path, or one in `target`, installed there at first.
fn moto() -> Result<PathBuf> {
    if run::output(&mut run::command("sh", &["-c", "command -v moto_server"])).is_ok() {
        return Ok("moto_server".into());
    }
    let home = tree::target().join("billion-moto");
    let program = home.join("bin/moto_server");
    if !program.exists() {
        say::line(format_args!("installing {MOTO_PACKAGE} into {}", home.display()));
        run::required(&mut run::command("python3", &["-m", "venv", &home.to_string_lossy()]))?;
        let pip = home.join("bin/pip");
        run::required(&mut run::command(&pip.to_string_lossy(), &["install", "--quiet", MOTO_PACKAGE]))?;
    }
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_haproxy_says_of_a_server() {
        let text = "# pxname,svname,qcur,status,weight\ngateways,FRONTEND,,OPEN,\ngateways,a,0,UP,1\n\
                    gateways,b,0,NOLB 1/2,1\ngateways,BACKEND,0,UP,2\n\n";
        assert_eq!([state(text, "a"), state(text, "b")], [Some("UP".into()), Some("NOLB 1/2".into())]);
        assert_eq!(state(text, "c"), None);
    }

    #[test]
    fn samples_of_a_metric_are_added() {
        let text = "# HELP x y\nx{sink=\"a\"} 2\nx{sink=\"b\"} 3\nxy 7\n";
        assert_eq!((sum(text, "x{"), sum(text, "xy ")), (5.0, 7.0));
    }
}
