//! P7: the same limit kept in the process, leased from Redis, and asked for in Redis.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Args;
use super::contestant::Site;
use super::load::{Load, send};
use super::plain::{Turn, sample};
use super::process::{Running, free_port};
use super::results::Results;
use crate::say;

/// As in tables, and what stands in the limit.
const STORES: [(&str, &str); 3] = [
    ("local", "store: local"),
    ("leased", "store: redis, sync: leased"),
    ("exact", "store: redis, sync: exact"),
];
/// Commands that a decision is asked with; others, such as those that a script runs, are no calls of the gateway.
const CALLS: [&str; 3] = ["eval", "evalsha", "fcall"];
/// The whole of INFO is some kilobytes.
const INFO_BYTES_MAX: u64 = 1024 * 1024;

/// All three in each round, with the calls that Redis counted.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    if site.gateway().is_none() {
        say::line("needs the gateway: left out");
        return Ok(());
    }
    let redis = free_port()?;
    let port = redis.to_string();
    let command =
        ["redis-server", "--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"];
    let mut server = Running::start("redis", site.load_core, &command, site.dir())?;
    server.listens_on(redis, site.dir())?;
    let who = STORES.map(|(name, store)| {
        site.start_gateway(name, "tollgate-limit.yaml", &[("REDIS", &port), ("STORE", store)])
    });
    let [local, leased, exact] = who;
    let who = [local?, leased?, exact?];
    let turns = who.each_ref().map(|who| Turn { who, work: "one limit", load: Load::get("/") });
    for turn in &turns {
        send(site, turn.who.port, &turn.load, 1)?;
    }
    for round in 1..=args.rounds {
        for turn in &turns {
            let before = calls(redis)?;
            let mut sample = sample(site, args, turn, round)?;
            let calls = calls(redis)?.saturating_sub(before);
            if sample["failed"] != json!(0.0) {
                bail!("the limit is too high to be reached, and yet requests were refused: {sample}");
            }
            let per_request = calls as f64 / sample["requests"].as_f64().unwrap_or_default().max(1.0);
            say::line(format_args!(
                "round {round}  {:<14} {per_request:.4} calls of Redis a request",
                turn.who.name
            ));
            sample["calls_per_request"] = json!(per_request);
            results.push(sample);
        }
    }
    Ok(())
}

/// Calls that Redis has answered since it started.
fn calls(port: u16) -> Result<u64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).context("Redis")?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"INFO commandstats\r\n")?;
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    (&mut reader).take(32).read_line(&mut head)?;
    let length: u64 = head.trim().strip_prefix('$').and_then(|n| n.parse().ok()).context("what INFO says")?;
    let mut text = String::new();
    reader.take(length.min(INFO_BYTES_MAX)).read_to_string(&mut text)?;
    Ok(counted(&text))
}

/// `cmdstat_evalsha:calls=21,usec=…`
fn counted(text: &str) -> u64 {
    let lines = text.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="));
    let own = lines.filter(|(name, _)| CALLS.contains(name));
    own.filter_map(|(_, rest)| rest.split(',').next()?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_of_the_gateway_count() {
        let text = "# Commandstats\r\ncmdstat_evalsha:calls=21,usec=1,usec_per_call=0.5\r\n\
                    cmdstat_time:calls=23,usec=4\r\ncmdstat_eval:calls=2,usec=9\r\ncmdstat_info:calls=4,usec=1\r\n";
        assert_eq!(counted(text), 23);
    }
}
