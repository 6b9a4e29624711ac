//! What operating the gateway does to its clients: reloads, hand-overs, drains behind a balancer, scrapes, followers.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::Args;
use super::contestant::{Contestant, Site};
use super::held::{get_text, post};
use super::load::{Counted, Load, send};
use super::plain::{Turn, sample};
use super::process::{hold, look_every, wait_for};
use super::results::Results;
use crate::say;

/// How often each thing is done.
const RELOADS: usize = 100;
const MANY_RELOADS: usize = 10_000;
const HAND_OVERS: usize = 50;

/// Between two of them, so that there is load in between.
const PAUSE: Duration = Duration::from_millis(50);
/// A scrape so often is some hundred times what people have.
const SCRAPE_EVERY: Duration = Duration::from_millis(100);

/// The ways in which clients connect.
pub(super) const WAYS: [&str; 2] = ["kept", "closed"];
/// As in tables.
pub(super) const ALONE: &str = "left alone";
pub(super) const SCRAPED: &str = "scraped ten times a second";
pub(super) const LOGGED: &str = "with an access log";
pub(super) const FOLLOWED: &str = "and followed";

const TEMPLATE: &str = "tollgate-operation.yaml";
const NO_LOG: (&str, &str) = ("SINK", "sink: off");

/// Each of them in its turn.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    if site.gateway().is_none() {
        say::line("needs the gateway: left out");
        return Ok(());
    }
    for way in WAYS {
        reloads(site, way, results)?;
        hand_overs(site, way, results)?;
        super::drains::run(site, way, results)?;
    }
    many_reloads(site, results)?;
    watched(site, args, results)
}

/// What wrk sends: over kept connections, or each request on its own.
pub(super) fn load(way: &str) -> Load {
    Load { script: (way == "closed").then_some("handshake.lua"), ..Load::get("/") }
}

/// Has `events` happen while wrk sends, which it does until they are over.
pub(super) fn under_load(
    site: &Site,
    port: u16,
    load: &Load,
    events: impl FnOnce() -> Result<()>,
) -> Result<Counted> {
    const TURN_S: u64 = 4;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let mut all = send(site, port, load, TURN_S)?;
            while !over.load(Ordering::Acquire) {
                let more = send(site, port, load, TURN_S)?;
                all.requests += more.requests;
                all.seconds += more.seconds;
                all.failed += more.failed;
            }
            anyhow::Ok(all)
        });
        // The connections are open by then.
        let done = hold(Duration::from_millis(500)).and_then(|()| events());
        over.store(true, Ordering::Release);
        let counted = sender.join().ok().context("the load generator's thread failed")?;
        done?;
        counted
    })
}

/// Says and keeps what came of it.
pub(super) fn tell(
    results: &mut Results,
    work: &str,
    way: &str,
    count: usize,
    counted: Counted,
    more: Value,
) {
    say::line(format_args!(
        "{count} {work}, connections {way}: {:.0} requests, {:.0} failed",
        counted.requests, counted.failed
    ));
    let mut sample = json!({
        "who": "tollgate", "work": format!("{work}, {way}"), "round": 1, "count": count,
        "requests": counted.requests, "seconds": counted.seconds, "failed": counted.failed,
    });
    if let (Some(sample), Value::Object(more)) = (sample.as_object_mut(), more) {
        sample.extend(more);
    }
    results.push(sample);
}

fn reloads(site: &Site, way: &str, results: &mut Results) -> Result<()> {
    let who = site.start_gateway("reloads", TEMPLATE, &[NO_LOG])?;
    let counted = under_load(site, who.port, &load(way), || {
        (0..RELOADS).try_for_each(|number| {
            reload(&who, number)?;
            hold(PAUSE)
        })
    })?;
    tell(results, "reloads", way, RELOADS, counted, json!({}));
    Ok(())
}

/// Adds a route and asks for a reload.
fn reload(who: &Contestant, number: usize) -> Result<()> {
    let text = fs::read_to_string(&who.config)?;
    let kept = text.lines().filter(|line| !line.contains("/added-")).collect::<Vec<_>>().join("\n");
    let fresh = who.config.with_extension("new");
    fs::write(&fresh, format!("{kept}\n  - {{ path: /added-{number}, to: origin }}\n"))?;
    fs::rename(&fresh, &who.config)?;
    let status = post(who.admin, "/api/v1/reload")?;
    if status != 200 {
        bail!("a reload was refused with {status}");
    }
    Ok(())
}

/// Reloads without a pause: nothing of the old configurations may be left.
fn many_reloads(site: &Site, results: &mut Results) -> Result<()> {
    const WARM: usize = 500;
    let who = site.start_gateway("many-reloads", TEMPLATE, &[NO_LOG])?;
    let load = Load { connections: 8, ..Load::get("/") };
    let mut holds = Vec::new();
    let counted = under_load(site, who.port, &load, || {
        for number in 0..WARM + MANY_RELOADS {
            reload(&who, number)?;
            if number + 1 >= WARM && (number + 1 - WARM).is_multiple_of(MANY_RELOADS / 10) {
                holds.push(who.process.own_bytes_and_descriptors()?);
            }
        }
        Ok(())
    })?;
    let first = holds.first().copied().unwrap_or_default();
    let last = holds.last().copied().unwrap_or_default();
    say::line(format_args!("own memory and descriptors: {first:?}, then {last:?}"));
    let more = json!({
        "own_kib": holds.iter().map(|(bytes, _)| bytes / 1024).collect::<Vec<_>>(),
        "descriptors": holds.iter().map(|(_, descriptors)| descriptors).collect::<Vec<_>>(),
        "own_kib_before": first.0 / 1024, "own_kib_after": last.0 / 1024,
        "descriptors_before": first.1, "descriptors_after": last.1,
    });
    tell(results, "reloads in a row", "kept", MANY_RELOADS, counted, more);
    Ok(())
}

/// A process that took over; it is ended when dropped.
struct Heir(Pid);

impl Heir {
    fn runs(&self) -> bool {
        let path = format!("/proc/{}/stat", self.0.as_raw_nonzero());
        let stat = fs::read_to_string(path).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    }
}

impl Drop for Heir {
    fn drop(&mut self) {
        if self.runs() {
            // Who is gone already needs no end.
            let _ = kill_process(self.0, Signal::TERM);
            let _ = wait_for("the last process to end", Duration::from_secs(15), || Ok(!self.runs()));
        }
    }
}

fn hand_overs(site: &Site, way: &str, results: &mut Results) -> Result<()> {
    let name = format!("hand-overs-{way}");
    let who = site.start_gateway(&name, TEMPLATE, &[NO_LOG])?;
    let log = site.dir().join(format!("{name}.log"));
    let mut heirs: Vec<Heir> = Vec::new();
    let counted = under_load(site, who.port, &load(way), || {
        for number in 0..HAND_OVERS {
            match heirs.last() {
                None => who.process.signal(Signal::USR2)?,
                Some(last) => kill_process(last.0, Signal::USR2)?,
            }
            wait_for("a hand-over", Duration::from_secs(30), || {
                let text = fs::read_to_string(&log)?;
                if text.contains("not replaced") {
                    bail!("a hand-over failed: {text}");
                }
                let told = text.split("handed over to process ").nth(number + 1);
                let pid =
                    told.and_then(|rest| rest.split(':').next()?.trim().parse().ok()).and_then(Pid::from_raw);
                heirs.extend(pid.map(Heir));
                Ok(pid.is_some())
            })?;
            if let [.., old, _] = &heirs[..] {
                wait_for("the replaced process to end", Duration::from_secs(20), || Ok(!old.runs()))?;
            }
            hold(PAUSE)?;
        }
        Ok(())
    })?;
    tell(results, "hand-overs", way, HAND_OVERS, counted, json!({}));
    Ok(())
}

/// Latency with and without scrapes, and CPU with and without a follower of the last requests.
fn watched(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    let who = site.start_gateway("watched", TEMPLATE, &[NO_LOG])?;
    let sink = format!("sink: file, path: \"{}\"", site.dir().join("logs-access.log").display());
    let logs = site.start_gateway("logs", TEMPLATE, &[("SINK", &sink)])?;
    for at in [&who, &logs] {
        send(site, at.port, &Load::get("/"), 1)?;
    }
    for round in 1..=args.rounds {
        let turn = |who, work| Turn { who, work, load: Load::get("/") };
        results.push(sample(site, args, &turn(&who, ALONE), round)?);
        results.push(beside(
            |over| scrape(who.admin, over),
            || sample(site, args, &turn(&who, SCRAPED), round),
        )?);
        results.push(sample(site, args, &turn(&logs, LOGGED), round)?);
        results.push(beside(
            |over| follow(logs.admin, over),
            || sample(site, args, &turn(&logs, FOLLOWED), round),
        )?);
    }
    Ok(())
}

/// Runs `measured` while `other` goes on.
fn beside(
    other: impl FnOnce(&AtomicBool) -> Result<()> + Send,
    measured: impl FnOnce() -> Result<Value>,
) -> Result<Value> {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| other(&over));
        let sample = measured();
        over.store(true, Ordering::Release);
        thread.join().ok().context("the other side's thread failed")??;
        sample
    })
}

fn scrape(admin: u16, over: &AtomicBool) -> Result<()> {
    while !over.load(Ordering::Acquire) {
        let next = Instant::now() + SCRAPE_EVERY;
        get_text(admin, "/metrics")?;
        look_every(Duration::from_millis(5), "the next scrape", Duration::from_secs(5), || {
            Ok(Instant::now() >= next)
        })?;
    }
    Ok(())
}

/// Reads the stream of requests as it comes.
fn follow(admin: u16, over: &AtomicBool) -> Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", admin))?;
    stream.set_read_timeout(Some(Duration::from_millis(200)))?;
    write!(stream, "GET /api/v1/requests?follow HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let (mut buffer, mut bytes) = (vec![0; 64 * 1024], 0);
    while !over.load(Ordering::Acquire) {
        match stream.read(&mut buffer) {
            Ok(0) => bail!("the stream ended after {bytes} bytes"),
            Ok(count) => bytes += count,
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error.into()),
        }
    }
    if bytes < 10_000 {
        bail!("the stream told {bytes} bytes only");
    }
    Ok(())
}
