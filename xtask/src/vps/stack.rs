//! The example as `examples/vps/start` starts it, and its parts by their names.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::replay::interrupt::{not_interrupted, pause, wait_for};
use crate::replay::{client, ports, process, started};
use crate::{run, tree};

const END_LIMIT: Duration = Duration::from_secs(60);
/// And until a change is noticed.
const NOTICE_LIMIT: Duration = Duration::from_secs(20);

/// The two instances.
pub(super) const GATEWAYS: [&str; 2] = ["gateway-1", "gateway-2"];

/// All other parts.
pub(super) const NEIGHBOURS: [&str; 5] = ["redis", "issuer", "orders", "stock", "reports"];

/// The running example; it ends when dropped.
pub(super) struct Stack {
    child: Child,
    gateway: PathBuf,
    /// Its state; in `config` in it the configuration, so that the repository's is not touched.
    dir: PathBuf,
    /// What its ports begin with.
    ports: u16,
}

impl Stack {
    /// Starts it with its state in `dir`.
    pub(super) fn start(gateway: &Path, dir: &Path) -> Result<Stack> {
        let example = tree::root().join("examples/vps");
        fs::create_dir_all(dir.join("config"))?;
        for name in ["tollgate.yaml", "stock.lua"] {
            fs::copy(example.join(name), dir.join("config").join(name)).context(name)?;
        }
        let ports = ports::free(0..41)?;
        let log = File::create(dir.join("start.log"))?;
        let mut command = with(Command::new(example.join("start")), gateway, dir, ports);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().context("starting examples/vps/start")?;
        let mut stack = Stack { child, gateway: gateway.into(), dir: dir.into(), ports };
        started::wait("examples/vps/start", &mut stack.child, dir, "Ctrl-C ends it.")?;
        Ok(stack)
    }

    /// `examples/vps/part` with these words.
    pub(super) fn part(&self, words: &[&str]) -> Result<()> {
        let command = Command::new(tree::root().join("examples/vps/part"));
        let mut command = with(command, &self.gateway, &self.dir, self.ports);
        // What it starts outlives it, and would keep a pipe open.
        let log = File::options().append(true).open(self.dir.join("start.log"))?;
        command.args(words).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        if !command.status().context("starting examples/vps/part")?.success() {
            bail!("part {} failed: {}", words.join(" "), fs::read_to_string(self.dir.join("start.log"))?);
        }
        Ok(())
    }

    /// The folder with its state.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process of a part.
    pub(super) fn pid(&self, name: &str) -> Result<u32> {
        let text =
            fs::read_to_string(self.dir.join(format!("{name}.pid"))).with_context(|| name.to_owned())?;
        text.trim().parse().with_context(|| format!("the process id of {name}"))
    }

    /// The ports of the two gateways.
    pub(super) fn gateways(&self) -> [u16; 2] {
        [1, 2].map(|last| self.ports * 100 + last)
    }

    /// The claim `iss` of tokens for people.
    pub(super) fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}30", self.ports)
    }

    /// A token that `tollgate token` makes with these words.
    pub(super) fn token(&self, words: &[&str]) -> Result<String> {
        not_interrupted()?;
        let mut command = with(Command::new(&self.gateway), &self.gateway, &self.dir, self.ports);
        command.args(["token", "-c"]).arg(self.config()).args(words);
        Ok(run::output(&mut command)?.trim().to_owned())
    }

    /// So many different RS256 tokens of so many people, `user-0` first, good for a day.
    pub(super) fn many_tokens(&self, owners: usize, count: usize) -> Result<Vec<String>> {
        let mut command = Command::new(tree::target().join("debug/examples/tokens"));
        command.arg("sign").arg(self.dir.join("RS256.json")).args([&self.issuer(), "vps"]);
        command.args([owners.to_string(), count.to_string()]);
        let tokens: Vec<String> = run::output(&mut command)?.lines().map(str::to_owned).collect();
        if tokens.len() != count {
            bail!("{} tokens were made, not {count}", tokens.len());
        }
        Ok(tokens)
    }

    /// The configuration of the run.
    pub(super) fn config(&self) -> PathBuf {
        self.dir.join("config/tollgate.yaml")
    }

    /// Replaces a text in the configuration, which must be there, and saves the file as an editor does: by a rename.
    pub(super) fn edit(&self, from: &str, to: &str) -> Result<()> {
        let text = fs::read_to_string(self.config())?;
        if !text.contains(from) {
            bail!("the example's configuration has no `{from}` any more");
        }
        let new = self.dir.join("config/.tollgate.yaml.new");
        fs::write(&new, text.replace(from, to))?;
        fs::rename(new, self.config())?;
        Ok(())
    }

    /// The same, and waits until both gateways serve it.
    pub(super) fn edit_served(&self, from: &str, to: &str) -> Result<()> {
        let before = self.both("tollgate_config_generation", "")?;
        self.edit(from, to)?;
        self.wait_both("the edit to be served", |at, stack| {
            Ok(stack.metric(at, "tollgate_config_generation", "")? > before[at])
        })
    }

    /// Waits until something holds for both gateways.
    pub(super) fn wait_both(&self, what: &str, holds: impl Fn(usize, &Stack) -> Result<bool>) -> Result<()> {
        wait_for(what, NOTICE_LIMIT, || Ok(holds(0, self)? && holds(1, self)?))
    }

    /// A metric of both gateways.
    pub(super) fn both(&self, name: &str, label: &str) -> Result<[f64; 2]> {
        Ok([self.metric(0, name, label)?, self.metric(1, name, label)?])
    }

    /// The sum of a metric's series with this label; 0 where there is none.
    pub(super) fn metric(&self, gateway: usize, name: &str, label: &str) -> Result<f64> {
        Ok(sum(&self.metrics(gateway)?, name, label))
    }

    fn metrics(&self, gateway: usize) -> Result<String> {
        let port = self.ports * 100 + 11 + gateway as u16;
        client::whole(port, "GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    }

    /// What a gateway says of requests on the busy route that it refused or ended.
    pub(super) fn rejected(&self, gateway: usize) -> Result<Vec<String>> {
        Ok(lines(&self.metrics(gateway)?, "tollgate_rejected_total{route=\"stock\""))
    }

    /// How often a gateway says that Redis was back.
    pub(super) fn redis_returns(&self, gateway: usize) -> Result<usize> {
        let log = fs::read_to_string(self.dir.join(format!("{}.log", GATEWAYS[gateway])))?;
        Ok(log.matches("Redis can be used again").count())
    }

    /// `VmRSS`, `VmHWM` and `RssAnon` of a gateway, in MiB.
    pub(super) fn memory(&self, gateway: usize) -> Result<[f64; 3]> {
        let pid = self.pid(GATEWAYS[gateway])?;
        let of = |field| process::mebibytes(pid, field);
        Ok([of("VmRSS")?, of("VmHWM")?, of("RssAnon")?])
    }

    /// CPU seconds of a gateway's process so far.
    pub(super) fn cpu_seconds(&self, gateway: usize) -> Result<f64> {
        process::cpu_seconds(self.pid(GATEWAYS[gateway])?)
    }

    /// Lets a part run on this core only, with all its threads.
    pub(super) fn pin(&self, name: &str, core: usize) -> Result<()> {
        let pid = self.pid(name)?.to_string();
        run::output(&mut run::command("taskset", &["-a", "-c", "-p", &core.to_string(), &pid])).map(drop)
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

/// What the scripts of the example go by.
fn with(mut command: Command, gateway: &Path, dir: &Path, ports: u16) -> Command {
    command.env("TOLLGATE", gateway).env("VPS_DIR", dir).env("VPS_PORTS", ports.to_string());
    command.env("VPS_CONFIG", dir.join("config/tollgate.yaml")).current_dir(tree::root());
    command
}

/// Of a page of metrics.
fn sum(text: &str, name: &str, label: &str) -> f64 {
    let of = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let (labels, value) = rest.rsplit_once(' ')?;
        let fits = labels.is_empty() || (labels.starts_with('{') && labels.contains(label));
        fits.then(|| value.parse::<f64>().ok())?
    };
    text.lines().filter_map(of).sum()
}

/// Its lines that begin so.
fn lines(text: &str, begin: &str) -> Vec<String> {
    text.lines().filter(|line| line.starts_with(begin)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_the_sum_of_its_series_with_a_label() {
        let text = "# HELP a_total x\na_total{to=\"b\",by=\"c\"} 2\na_total{to=\"b\"} 3\na_total{to=\"d\"} 4\na_total_more 8\nup 1\n";
        assert_eq!(sum(text, "a_total", "to=\"b\""), 5.0);
        assert_eq!(sum(text, "a_total", ""), 9.0);
        assert_eq!(sum(text, "up", ""), 1.0);
        assert_eq!(sum(text, "down", ""), 0.0);
    }
}
