//! P9: TLS. What a handshake costs, and a request over a kept connection; and memory of idle connections.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Args;
use super::contestant::{Contestant, Kind, Site};
use super::load::Load;
use super::plain::{Turn, take};
use super::process::hold;
use super::results::Results;
use crate::{run, tree};

/// Clients that make one handshake after the other.
const SHAKING: usize = 16;

/// A certificate for `bench.example` that vouches for itself, on P-256.
const REQUEST: &str = "[req]\ndistinguished_name = dn\nx509_extensions = v3\nprompt = no\n\
                       [dn]\nCN = bench.example\n\
                       [v3]\nsubjectAltName = DNS:bench.example\nbasicConstraints = CA:FALSE\n";

/// The gateway and nginx, with the same certificate: handshakes, then requests.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    let pair = Pair::make(site)?;
    let kinds = site.kinds().into_iter().filter(|kind| matches!(kind, Kind::Tollgate | Kind::Nginx));
    let contestants: Vec<Contestant> = kinds.map(|kind| pair.start(site, kind)).collect::<Result<_>>()?;
    let handshakes =
        Load { connections: SHAKING, script: Some("handshake.lua"), tls: true, ..Load::get("/handshake") };
    let requests = Load { tls: true, ..Load::get("/") };
    let mut turns = Vec::new();
    for (work, load) in [("handshakes", &handshakes), ("requests", &requests)] {
        turns.extend(contestants.iter().map(|who| Turn { who, work, load: load.clone() }));
    }
    take(site, args, &turns, results)
}

/// Resident bytes of the gateway with that many idle connections over TLS.
pub(super) fn idle(site: &Site, count: usize, settle: Duration) -> Result<u64> {
    let pair = Pair::make(site)?;
    let words = ["build", "--release", "--locked", "--package", "xtask", "--example", "connections"];
    run::required(&mut run::cargo(&words))?;
    let who = pair.start(site, Kind::Tollgate)?;
    let words = [who.port.to_string(), count.to_string(), pair.cert.to_string_lossy().into_owned()];
    let mut command = Command::new(tree::target().join("release/examples/connections"));
    command.args(words).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = Held(command.spawn().context("starting the client")?);
    let mut line = String::new();
    BufReader::new(client.0.stdout.take().context("its output")?).read_line(&mut line)?;
    if line.trim() != "open" {
        bail!("not all connections could be opened: see what was printed");
    }
    hold(settle)?;
    who.process.resident_bytes()
}

/// A client that ends when it is dropped.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        // It ends with its input; whoever is gone already needs no signal.
        drop(self.0.stdin.take());
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A certificate and its key, in the folder of the run.
struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

impl Pair {
    fn make(site: &Site) -> Result<Pair> {
        let [cert, key, config] = ["tls.pem", "tls.key", "tls.cnf"].map(|name| site.dir().join(name));
        fs::write(&config, REQUEST)?;
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        command.args(["-days", "30", "-config"]).arg(&config).arg("-keyout").arg(&key).arg("-out").arg(&cert);
        run::output(&mut command)?;
        Ok(Pair { cert, key })
    }

    fn start(&self, site: &Site, kind: Kind) -> Result<Contestant> {
        let template = match kind {
            Kind::Tollgate => "tollgate-tls.yaml",
            _ => "nginx-tls.conf",
        };
        let (cert, key) = (self.cert.to_string_lossy(), self.key.to_string_lossy());
        site.start_with(kind, kind.name(), template, &[("CERT", &cert), ("KEY", &key)])
    }
}
