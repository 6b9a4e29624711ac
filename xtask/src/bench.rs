//! Measures the gateway beside its peers: CPU per request, memory, start and reload.
//!
//! The method is in `bench/README.md`. Every process started here is ended here, also when the run fails or
//! is interrupted; nothing listens anywhere but on 127.0.0.1.

mod contestant;
mod held;
mod load;
mod open_loop;
mod paced;
mod packaged;
mod process;

mod aggregation;
mod bodies;
mod curves;
mod drains;
mod dying;
mod everything;
mod http2;
mod identity;
mod memory;
mod operation;
mod plain;
mod routes;
mod stages;
mod start;
mod stores;
mod tail;
mod tls;
mod tools;
mod workers;

pub(crate) mod machine;
mod page;
mod results;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use contestant::{Kind, Site};
use results::Results;

use crate::{run, say, tree};

/// What to measure, and how long.
#[derive(clap::Args, Clone)]
pub struct Args {
    /// Cases; all of them when left out
    cases: Vec<Case>,
    /// Rounds, in each of which every contestant has its turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds of load in each turn
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// The gateway's binary; built when left out
    #[arg(long)]
    gateway: Option<PathBuf>,
    /// Only the peers, to try the driver
    #[arg(long)]
    without_gateway: bool,
    /// Peers to run beside the gateway
    #[arg(long, value_delimiter = ',', default_values_t = [Kind::Nginx, Kind::Haproxy, Kind::Envoy])]
    peers: Vec<Kind>,
    /// The contestant's core; load and origin run on the other
    #[arg(long, default_value_t = 0)]
    core: usize,
    /// The core of load generator and origin
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Only make the page again from the samples in bench/results
    #[arg(long)]
    page: bool,
}

/// The cases, named as the bars are.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Plain proxying of 1 KB answers
    P1,
    /// Tokens, a limit for each owner, metrics and an access log
    P2,
    /// The same with a new token on every request
    P3,
    /// From 10 to 10,000 routes, and reloading 10,000
    P4,
    /// Memory
    P5,
    /// One answer of four parts
    P6,
    /// A limit kept locally, leased from Redis, and asked for in Redis
    P7,
    /// Answers and uploads of 1 MiB
    P8,
    /// Handshakes, and requests over kept connections, with TLS 1.3
    P9,
    /// From exec to the first answer
    P10,
    /// A script on each request
    P11,
    /// Answers out of the cache
    Cache,
    /// A long document, picked and merged
    Merge,
    /// One of four targets dies under load
    Dying,
    /// Plain proxying to clients of HTTP/2
    Http2,
    /// Refusing bad tokens
    Flood401,
    /// Reloads, hand-overs and drains under load; what watching costs
    Operation,
    /// A token of a shared secret, a limit and a log, beside nginx with Lua
    Hs256,
    /// Latency of an open loop at half load
    Tail,
    /// CPU over routes, upstreams, headers and lengths of answers
    Curves,
    /// One worker and two
    Workers,
    /// `check` and `explain` of 10,000 routes, and `test`
    Tools,
}

/// Runs the chosen cases, writes their samples, and makes the page.
pub fn run(args: &Args) -> Result<()> {
    if args.page {
        return page::write();
    }
    if args.rounds == 0 || args.rounds > 100 || args.seconds == 0 || args.seconds > 600 {
        bail!("rounds must be 1 to 100 and seconds 1 to 600");
    }
    process::watch_interrupts()?;
    let site = Site::prepare(args, gateway(args)?)?;
    let cases = if args.cases.is_empty() { Case::value_variants().to_vec() } else { args.cases.clone() };
    for case in cases {
        let name = case.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        say::step(format_args!("{name}, {} rounds of {} s", args.rounds, args.seconds));
        let mut results = Results::new(&name, args, &site)?;
        match case {
            Case::P1 => plain::run(&site, args, &mut results)?,
            Case::P2 => identity::few_tokens(&site, args, &mut results)?,
            Case::P3 => identity::many_tokens(&site, args, &mut results)?,
            Case::P4 => routes::run(&site, args, &mut results)?,
            Case::P5 => memory::run(&site, args, &mut results)?,
            Case::P6 => aggregation::four_parts(&site, args, &mut results)?,
            Case::P7 => stores::run(&site, args, &mut results)?,
            Case::P8 => bodies::run(&site, args, &mut results)?,
            Case::P9 => tls::run(&site, args, &mut results)?,
            Case::P10 => start::run(&site, args, &mut results)?,
            Case::P11 => stages::script(&site, args, &mut results)?,
            Case::Cache => stages::cache(&site, args, &mut results)?,
            Case::Merge => aggregation::long_document(&site, args, &mut results)?,
            Case::Dying => dying::run(&site, args, &mut results)?,
            Case::Http2 => http2::run(&site, args, &mut results)?,
            Case::Flood401 => identity::flood(&site, args, &mut results)?,
            Case::Operation => operation::run(&site, args, &mut results)?,
            Case::Hs256 => identity::shared_secret(&site, args, &mut results)?,
            Case::Tail => tail::run(&site, args, &mut results)?,
            Case::Curves => curves::run(&site, args, &mut results)?,
            Case::Workers => workers::run(&site, args, &mut results)?,
            Case::Tools => tools::run(&site, args, &mut results)?,
        }
        results.write()?;
    }
    page::write()
}

/// The binary to measure; none when only the peers run.
fn gateway(args: &Args) -> Result<Option<PathBuf>> {
    if args.without_gateway {
        return Ok(None);
    }
    let path = match &args.gateway {
        Some(path) => path.clone(),
        None => {
            run::required(&mut run::cargo(&["build", "--release", "--locked", "--package", "tollgate"]))?;
            tree::target().join("release/tollgate")
        }
    };
    let path = path.canonicalize().with_context(|| format!("no gateway at {}", path.display()))?;
    Ok(Some(path))
}
