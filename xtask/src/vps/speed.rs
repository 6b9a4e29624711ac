//! One instance on one core, as fast as it goes: the busy route of the example, with everything on.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::Args;
use super::stack::{GATEWAYS, NEIGHBOURS, Stack};
use super::wrk::{self, Counted};
use crate::replay::process::load_average;
use crate::say;

/// The instance has this one for itself; load, services and Redis share the other.
const CORE: usize = 0;
const OTHER_CORE: usize = 1;

/// Owners of tokens, and different tokens of theirs: more than a worker remembers, so that each is new when its turn comes again.
const OWNERS: usize = 64;
const MANY: usize = 10_000;

/// A share of failures above which nothing was measured; what failed is on the page.
const MAX_FAILED: f64 = 1e-3;

/// Names of the works, as in the samples.
pub(super) const KNOWN: &str = "tokens that it has seen";
pub(super) const NEW: &str = "another token with each request";
pub(super) const WITHOUT_SCRIPT: &str = "tokens that it has seen, no script";

/// The sample of memory after it.
pub(super) const MEMORY: &str = "memory, one core";

/// What the edit makes a comment.
const SCRIPT: [&str; 2] = ["    lua: {", "    # lua: {"];

/// All works in turn, so often.
pub(super) fn measure(gateway: &Path, dir: &Path, args: &Args, samples: &mut Vec<Value>) -> Result<()> {
    say::step(format_args!("one instance on core {CORE}, load and everything else on core {OTHER_CORE}"));
    let stack = Stack::start(gateway, dir)?;
    let [resident, ..] = stack.memory(0)?;
    stack.pin(GATEWAYS[0], CORE)?;
    for name in NEIGHBOURS.into_iter().chain([GATEWAYS[1]]) {
        stack.pin(name, OTHER_CORE)?;
    }
    say::line(format_args!("making {MANY} tokens"));
    let many = stack.many_tokens(OWNERS, MANY)?;
    let few = many.get(..OWNERS).unwrap_or_default();
    turn(&stack, few, 1)?;
    turn(&stack, &many, 1)?;
    for round in 1..=args.rounds {
        samples.push(sample(&stack, KNOWN, round, few, args)?);
        samples.push(sample(&stack, NEW, round, &many, args)?);
        let [with, without] = SCRIPT;
        stack.edit_served(with, without)?;
        turn(&stack, few, 1)?;
        samples.push(sample(&stack, WITHOUT_SCRIPT, round, few, args)?);
        stack.edit_served(without, with)?;
    }
    let [after, most, own] = stack.memory(0)?;
    say::line(format_args!(
        "resident: {resident:.1} MiB just started, {after:.1} after it, {most:.1} at most"
    ));
    let rejected = stack.rejected(0)?;
    rejected.iter().for_each(say::line);
    samples.push(json!({ "work": MEMORY, "rejected": rejected, "round": 1, "started_mib": resident, "mib": after, "most_mib": most, "own_mib": own }));
    Ok(())
}

/// Load on the busy route.
fn turn(stack: &Stack, tokens: &[String], seconds: u64) -> Result<Counted> {
    let url = format!("http://127.0.0.1:{}/stock/lamp", stack.gateways()[0]);
    wrk::send(stack.dir(), OTHER_CORE, &url, tokens, seconds)
}

fn sample(stack: &Stack, work: &str, round: usize, tokens: &[String], args: &Args) -> Result<Value> {
    let cpu = stack.cpu_seconds(0)?;
    let counted = turn(stack, tokens, args.seconds)?;
    let cpu = stack.cpu_seconds(0)? - cpu;
    if counted.requests == 0.0 || counted.failed > counted.requests * MAX_FAILED {
        bail!("{work}: {} of {} requests failed: {:?}", counted.failed, counted.requests, stack.rejected(0)?);
    }
    let (per_s, us) = (counted.requests / counted.seconds, cpu / counted.requests * 1e6);
    let busy = cpu / counted.seconds;
    say::line(format_args!(
        "round {round}  {work:<36} {per_s:8.0} requests/s, {us:5.1} µs of CPU each, the core {:3.0} % busy",
        busy * 100.0
    ));
    Ok(json!({
        "work": work, "round": round, "requests": counted.requests, "seconds": counted.seconds, "cpu_s": cpu,
        "per_s": per_s, "us_per_request": us, "busy": busy, "p50_us": counted.p50_us, "p99_us": counted.p99_us,
        "failed": counted.failed, "load_average": load_average(),
    }))
}
