//! HTTP/2: plain proxying of 1 KB answers to clients that send many requests at once on a few connections.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Args;
use super::contestant::{Contestant, Kind, Site};
use super::process::{free_port, not_interrupted};
use super::results::Results;
use crate::say;

/// Connections, and requests under way on each: as much at once as in P1.
const CONNECTIONS: usize = 8;
const STREAMS: usize = 8;

/// As in tables.
pub(super) const WORK: &str = "1 KB, HTTP/2";

/// CPU per request, beside the peers. The load comes from h2load, in clear and without asking first.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    if Command::new("h2load").arg("--version").output().is_err() {
        say::line("needs h2load (nghttp2-client): left out");
        return Ok(());
    }
    let contestants: Vec<Contestant> =
        site.kinds().into_iter().map(|kind| start(site, kind)).collect::<Result<_>>()?;
    for who in &contestants {
        send(site, who.port, 1)?;
    }
    for round in 1..=args.rounds {
        for who in &contestants {
            let before = who.process.cpu_seconds()?;
            let (requests, failed) = send(site, who.port, args.seconds)?;
            let cpu = who.process.cpu_seconds()? - before;
            let micros = cpu * 1e6 / requests.max(1.0);
            say::line(format_args!(
                "round {round}  {:<14} {micros:8.2} µs/request  {failed:.0} failed",
                who.name
            ));
            results.push(json!({
                "who": who.name, "work": WORK, "round": round, "requests": requests, "failed": failed,
                "cpu_seconds": cpu, "us_per_request": micros, "requests_per_cpu_second": requests / cpu,
            }));
        }
    }
    Ok(())
}

/// The configuration of P1, with HTTP/2 where it has to be asked for.
fn start(site: &Site, kind: Kind) -> Result<Contestant> {
    let (port, admin) = (free_port()?, free_port()?);
    let config = site.config(kind, kind.name(), port, admin, site.origin_port(), 1)?;
    let edit = match kind {
        Kind::Nginx => Some((" backlog=4096;", " http2 backlog=4096;")),
        Kind::Envoy => Some(("codec_type: HTTP1", "codec_type: HTTP2")),
        Kind::Caddy => Some((r#"["h1"]"#, r#"["h1", "h2c"]"#)),
        // They see how a connection begins.
        Kind::Tollgate | Kind::Haproxy => None,
    };
    if let Some((from, to)) = edit {
        let text = std::fs::read_to_string(&config)?;
        if !text.contains(from) {
            bail!("{} has no `{from}` any more", config.display());
        }
        std::fs::write(&config, text.replace(from, to))?;
    }
    site.run(kind, kind.name(), (port, admin), config)
}

/// Sends for some seconds: how many requests were answered, and how many were not.
fn send(site: &Site, port: u16, seconds: u64) -> Result<(f64, f64)> {
    let output = Command::new("taskset")
        .args(["-c", &site.load_core.to_string(), "h2load", "-t1"])
        .arg(format!("-c{CONNECTIONS}"))
        .arg(format!("-m{STREAMS}"))
        .arg(format!("-D{seconds}"))
        .arg(format!("http://127.0.0.1:{port}/"))
        .output()
        .context("starting h2load")?;
    not_interrupted()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let (Some(requests), Some(statuses)) = (counts(&text, "requests:"), counts(&text, "status codes:"))
    else {
        bail!("h2load counted nothing: {text}{}", String::from_utf8_lossy(&output.stderr));
    };
    let of = |line: &[(f64, String)], what: &str| {
        line.iter().find(|(_, name)| name == what).map_or(0.0, |(count, _)| *count)
    };
    let refused = of(&statuses, "4xx") + of(&statuses, "5xx");
    Ok((of(&statuses, "2xx"), refused + of(&requests, "failed") + of(&requests, "errored")))
}

/// The counts on a line such as `requests: 9 total, 8 succeeded, 1 failed`.
fn counts(text: &str, line: &str) -> Option<Vec<(f64, String)>> {
    let rest = text.lines().find_map(|found| found.strip_prefix(line))?;
    let pair = |part: &str| {
        let (count, name) = part.trim().split_once(' ')?;
        Some((count.parse().ok()?, name.to_owned()))
    };
    Some(rest.split(',').filter_map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_h2load_says_is_read() {
        let text = "finished in 5.00s, 9 req/s\nrequests: 9 total, 9 started, 8 done, 7 succeeded, 1 failed\n\
                    status codes: 7 2xx, 0 3xx, 1 4xx, 0 5xx\n";
        let requests = counts(text, "requests:").expect("a line");
        assert_eq!(requests.last(), Some(&(1.0, "failed".to_owned())));
        assert_eq!(counts(text, "status codes:").expect("a line").first(), Some(&(7.0, "2xx".to_owned())));
        assert_eq!(counts(text, "none:"), None);
    }
}
