//! The parts of a run: a burst that is refused, the peak, the month, large files.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::mix::{KINDS, Mix};
use super::stack::{GATEWAY, Stack};
use super::{replay, shape, websocket};
use crate::replay::client::Client;
use crate::replay::due::even;
use crate::replay::interrupt::not_interrupted;
use crate::replay::process::load_average;
use crate::say;

/// The peak of the original, in requests a second.
pub(super) const PEAK: u64 = 83;
/// Its requests in a month.
pub(super) const MONTH: u64 = 2_000_000;

/// Names of the parts, as in the samples.
pub(super) const STARTED: &str = "started";
pub(super) const RINGS: &str = "a doorbell that rings 40 times at once";
pub(super) const AT_PEAK: &str = "peak";
pub(super) const A_MONTH: &str = "month";
pub(super) const FILES: &str = "files of 8 MiB";
pub(super) const WEBSOCKETS: &str = "WebSockets that stay open";

/// Held open while everything else goes on.
const SOCKETS: usize = 20;

/// Rings, what the example lets pass of them at once, and per second.
const RUNG: u64 = 40;
const RING_BURST: u64 = 10;
const RINGS_PER_S: f64 = 2.0;
/// The key of `doorbell` in the example.
const DOORBELL_KEY: &str = "tg_closetExampleDoorbellKeyThatIsNoSecret00000";

/// Who loads large files, and for how long.
const READERS: usize = 4;
const READING: Duration = Duration::from_secs(10);

/// How long each part takes.
pub(super) struct Plan<'a> {
    pub(super) who: &'a str,
    pub(super) peak_s: u64,
    pub(super) month_s: u64,
    /// One of so many requests of the month is sent.
    pub(super) share: u64,
}

/// One part after the other.
pub(super) fn run(stack: &Stack, plan: &Plan, samples: &mut Vec<Value>) -> Result<()> {
    samples.push(json!({ "who": plan.who, "work": STARTED, "round": 1, "mib": stack.mebibytes("VmRSS")? }));
    let token = stack.token(&["sub=owner-0"])?;
    let open = |_| websocket::open(stack.port(GATEWAY), &token);
    let mut sockets = (0..SOCKETS).map(open).collect::<Result<Vec<_>>>()?;
    sockets.iter_mut().try_for_each(websocket::echo).context("the first message of a WebSocket")?;

    samples.push(rings(stack, plan.who)?);
    let due = even(PEAK, Duration::from_secs(plan.peak_s));
    samples.push(replayed(stack, plan.who, AT_PEAK, &due, 1)?);
    let due = shape::month(MONTH / plan.share, Duration::from_secs(plan.month_s));
    samples.push(replayed(stack, plan.who, A_MONTH, &due, plan.share)?);
    samples.push(files(stack, plan.who, &token)?);

    let alive = sockets.iter_mut().filter_map(|socket| websocket::echo(socket).ok()).count();
    say::line(format_args!("{alive} of {SOCKETS} WebSockets are there after everything else"));
    samples
        .push(json!({ "who": plan.who, "work": WEBSOCKETS, "round": 1, "opened": SOCKETS, "alive": alive }));
    Ok(())
}

/// Sends what is due and says what the gateway took for it.
pub(super) fn replayed(stack: &Stack, who: &str, work: &str, due: &[Duration], share: u64) -> Result<Value> {
    let mix = Mix::prepare(stack)?;
    let (begun, cpu) = (Instant::now(), stack.cpu_seconds()?);
    let outcome = replay::send(stack.port(GATEWAY), &mix, due)?;
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), stack.cpu_seconds()? - cpu);
    let requests = outcome.requests();
    let [p50, p95, p99] = [50.0, 95.0, 99.0].map(|percent| outcome.percentile_ms(percent));
    say::line(format_args!(
        "{work}: {requests} requests in {seconds:.0} s, p95 {:.2} ms, {:.2} % of one core, {:.1} MiB; {} wrong, {} failed{}",
        p95.0,
        cpu / seconds * 100.0,
        stack.mebibytes("VmRSS")?,
        outcome.wrong,
        outcome.failed,
        outcome.first.as_ref().map_or(String::new(), |first| format!(" (the first: {first})")),
    ));
    let kinds: Value = KINDS.iter().zip(outcome.sent).map(|(kind, sent)| (kind.0, sent)).collect();
    Ok(json!({
        "who": who, "work": work, "round": 1, "requests": requests, "seconds": seconds, "share": share, "kinds": kinds,
        "wrong": outcome.wrong, "failed": outcome.failed, "first_fault": outcome.first,
        "p50_ms": p50.0, "p95_ms": p95.0, "p99_ms": p99.0,
        "p50_sent_ms": p50.1, "p95_sent_ms": p95.1, "p99_sent_ms": p99.1,
        "cpu_s": cpu, "us_per_request": cpu / requests as f64 * 1e6,
        "mib": stack.mebibytes("VmRSS")?, "most_mib": stack.mebibytes("VmHWM")?, "load_average": load_average(),
    }))
}

/// What is beyond the limit must be refused, and no more than that.
pub(super) fn rings(stack: &Stack, who: &str) -> Result<Value> {
    let mut client = Client::new(stack.port(GATEWAY));
    let body = "{\"door\":\"front\"}";
    let request = format!(
        "POST /rings HTTP/1.1\r\nHost: closet.example\r\nX-Api-Key: {DOORBELL_KEY}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let begun = Instant::now();
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..RUNG {
        match client.send(request.as_bytes())?.status {
            202 => passed += 1,
            429 => refused += 1,
            other => bail!("a ring is answered with {other}"),
        }
    }
    let most = RING_BURST + (begun.elapsed().as_secs_f64() * RINGS_PER_S).ceil() as u64;
    say::line(format_args!("{passed} of {RUNG} rings at once pass, {most} may"));
    Ok(json!({
        "who": who, "work": RINGS, "round": 1, "passed": passed, "refused": refused, "least": RING_BURST, "most": most,
    }))
}

/// Large files over a few connections, one after the other on each.
fn files(stack: &Stack, who: &str, token: &str) -> Result<Value> {
    let request = format!(
        "GET /files/backup.bin HTTP/1.1\r\nHost: closet.example\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let (begun, cpu) = (Instant::now(), stack.cpu_seconds()?);
    let read = || -> Result<u64> {
        let mut client = Client::new(stack.port(GATEWAY));
        let mut bytes = 0;
        while begun.elapsed() < READING {
            not_interrupted()?;
            let answer = client.send(request.as_bytes())?;
            if answer.status != 200 {
                bail!("a file is answered with {}", answer.status);
            }
            bytes += answer.bytes;
        }
        Ok(bytes)
    };
    let bytes: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..READERS).map(|_| scope.spawn(read)).collect();
        let read = |thread: std::thread::ScopedJoinHandle<'_, Result<u64>>| {
            thread.join().ok().context("a reader's thread failed")?
        };
        threads.into_iter().map(read).sum::<Result<u64>>()
    })?;
    let (seconds, cpu) = (begun.elapsed().as_secs_f64(), stack.cpu_seconds()? - cpu);
    let mbit_s = bytes as f64 * 8.0 / 1e6 / seconds;
    say::line(format_args!("{FILES}: {mbit_s:.0} Mbit/s, {:.0} % of one core", cpu / seconds * 100.0));
    Ok(json!({
        "who": who, "work": FILES, "round": 1, "bytes": bytes, "seconds": seconds, "mbit_s": mbit_s, "cpu_s": cpu,
        "mib": stack.mebibytes("VmRSS")?,
    }))
}
