//! One target of four dies under load: what its clients notice.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::Args;
use super::contestant::Site;
use super::load::{Load, send};
use super::paced::PacedOrigin;
use super::process::hold;
use super::results::Results;
use crate::say;

/// As in tables, and what stands in the upstream.
pub(super) const RETRIES: [(&str, &str); 2] =
    [("without retry", "{ attempts: 1 }"), ("with retry", "{ attempts: 3 }")];
/// Milliseconds that a target takes, so that there is always something in its hands.
const PATH: &str = "/parts/10";
/// How many targets there are.
const TARGETS: usize = 4;

/// Each round kills another target, of upstreams with `retry` and without.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    if site.gateway().is_none() {
        say::line("needs the gateway: left out");
        return Ok(());
    }
    for round in 1..=args.rounds {
        for (work, retry) in RETRIES {
            let mut targets = (0..TARGETS).map(|_| PacedOrigin::start()).collect::<Result<Vec<_>>>()?;
            let urls: Vec<String> =
                targets.iter().map(|target| format!("http://127.0.0.1:{}", target.port)).collect();
            let values = [("TARGETS", urls.join(", ")), ("RETRY", retry.to_owned())];
            let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
            let who = site.start_gateway("targets", "tollgate-targets.yaml", &values)?;
            let dies = targets.swap_remove(round % TARGETS);
            let (load, half) = (Load::get(PATH), Duration::from_secs(args.seconds) / 2);
            let (counted, held) = std::thread::scope(|scope| {
                let sender = scope.spawn(|| send(site, who.port, &load, args.seconds));
                let waited = hold(half);
                let held = dies.kill();
                let counted = sender.join().ok().context("the load generator's thread failed")?;
                waited?;
                anyhow::Ok((counted?, held))
            })?;
            say::line(format_args!(
                "round {round}  {work:<14} {held} in its hands, {:.0} of {:.0} requests failed",
                counted.failed, counted.requests
            ));
            results.push(json!({
                "who": "tollgate", "work": work, "round": round, "requests": counted.requests,
                "failed": counted.failed, "in_hands": held,
            }));
        }
    }
    Ok(())
}
