//! Load at a rate, whatever the answers take: what clients who do not know of each other do.
//!
//! Each request has a time at which it is due. Its latency counts from then, also when no connection was free to send
//! it: a contestant that stalls is not spared the requests that came meanwhile (coordinated omission).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZeroU64;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::thread::{CpuSet, sched_setaffinity, set_current_timer_slack};

use super::contestant::Site;
use super::held::connect;
use super::process::not_interrupted;

/// Open connections, each a thread: enough that at the rates measured one is nearly always free.
const CONNECTIONS: u64 = 48;

/// The kernel may round a thread's sleep up by this much.
const SLACK_NS: u64 = 1_000;

/// What came of a run, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Latencies {
    pub(super) requests: usize,
    pub(super) failed: usize,
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) most: f64,
}

/// Sends `rate` requests a second for some seconds, evenly spaced, from the load's core.
pub(super) fn send(site: &Site, port: u16, rate: u64, seconds: u64) -> Result<Latencies> {
    let run = Run {
        core: site.load_core,
        port,
        between: Duration::from_nanos(1_000_000_000 / rate.max(1)),
        count: rate * seconds,
        next: AtomicU64::new(0),
        began: Instant::now() + Duration::from_millis(50),
        found: Mutex::new(Vec::with_capacity((rate * seconds) as usize)),
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(|| run.connection())).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a connection's thread failed")))
    })?;
    let mut found = run.found.into_inner().unwrap_or_default();
    let requests = run.count as usize;
    let failed = requests - found.len();
    if found.is_empty() {
        bail!("no request of {requests} was answered");
    }
    found.sort_unstable();
    Ok(Latencies {
        requests,
        failed,
        p50: quantile(&found, 0.5),
        p99: quantile(&found, 0.99),
        p999: quantile(&found, 0.999),
        most: quantile(&found, 1.0),
    })
}

struct Run {
    core: usize,
    port: u16,
    between: Duration,
    count: u64,
    /// The number of the next request that nobody has taken.
    next: AtomicU64,
    began: Instant,
    found: Mutex<Vec<Duration>>,
}

impl Run {
    fn connection(&self) -> Result<()> {
        let mut cores = CpuSet::new();
        cores.set(self.core);
        sched_setaffinity(None, &cores).context("pinning a connection's thread")?;
        set_current_timer_slack(NonZeroU64::new(SLACK_NS)).context("asking for exact sleeps")?;
        let mut stream = connect(self.port)?;
        let mut own = Vec::new();
        let mut buffer = vec![0; 16 << 10];
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            if number >= self.count {
                break;
            }
            let due = self.began + self.between * u32::try_from(number).context("too many requests")?;
            wait_until(due);
            match exchange(&mut stream, &mut buffer) {
                Ok(()) => own.push(due.elapsed()),
                Err(_) => stream = connect(self.port)?,
            }
            if number.is_multiple_of(1024) {
                not_interrupted()?;
            }
        }
        if let Ok(mut found) = self.found.lock() {
            found.append(&mut own);
        }
        Ok(())
    }
}

/// One request and its whole answer, whose status must be 200.
fn exchange(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: bench.example\r\n\r\n")?;
    let mut filled = 0;
    let head = loop {
        let count = stream.read(&mut buffer[filled..])?;
        if count == 0 {
            bail!("the connection ended");
        }
        filled += count;
        if let Some(at) = buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
    };
    let text = String::from_utf8_lossy(&buffer[..head]).to_ascii_lowercase();
    if !text.starts_with("http/1.1 200") {
        bail!("refused: {text}");
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
    let whole = head + length.context("an answer without a length")?.trim().parse::<usize>()?;
    if whole > buffer.len() {
        bail!("an answer of {whole} bytes");
    }
    stream.read_exact(&mut buffer[filled..whole.max(filled)])?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "requests are sent at times of their own; each wait ends with the run"
)]
fn wait_until(due: Instant) {
    std::thread::sleep(due.saturating_duration_since(Instant::now()));
}

/// Microseconds of the smallest value that as large a share does not exceed.
fn quantile(sorted: &[Duration], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted[rank.min(sorted.len()) - 1].as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let values: Vec<Duration> = (1..=1000).map(Duration::from_micros).collect();
        let found = [0.5, 0.99, 0.999, 1.0].map(|share| quantile(&values, share).round());
        assert_eq!(found, [500.0, 990.0, 999.0, 1000.0]);
        assert_eq!(quantile(&values[..1], 0.999).round(), 1.0);
    }
}
