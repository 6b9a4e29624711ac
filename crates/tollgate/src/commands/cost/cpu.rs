//! What one request costs in CPU: stated, measured by the benchmarks, or told by a gateway that runs.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;

use super::super::top::numbers::Numbers;
use crate::admin_side::AdminSide;
use crate::cli::CostArgs;

/// The last measurement with RS256 tokens, a limit for each owner, metrics and an access log, as committed.
const MEASURED: &str = include_str!("../../../../../bench/results/p2.json");
const MEASURED_PATH: &str = "bench/results/p2.json";
const MEASURED_WORK: &str = "token, limit, log";

/// Others that are measured beside the gateway.
const PEERS: &[&str] = &["nginx", "haproxy", "envoy", "caddy", "openresty"];

/// A file of measurements; the largest has some ten thousand bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// Fewer tell little: the kernel counts CPU in hundredths of a second, and the start's is in it.
const REQUESTS_MIN: f64 = 10_000.0;

/// CPU of one request.
pub(super) struct Cpu {
    /// User and system time, in microseconds.
    pub(super) us: f64,
    /// Where that is from, in words.
    pub(super) source: String,
}

impl Cpu {
    pub(super) fn of(arguments: &CostArgs) -> Result<Cpu, String> {
        if let Some(us) = arguments.cpu_us {
            return Ok(Cpu { us, source: "as stated".to_owned() });
        }
        if let Some(address) = arguments.from {
            let told = AdminSide::at(address).text("/metrics")?;
            return Cpu::told(&told, &address.to_string());
        }
        match &arguments.measured {
            Some(path) => {
                let name = path.display().to_string();
                let text = read(path).map_err(|error| format!("{name}: {error}"))?;
                Cpu::measured(&text, &name, arguments.work.as_deref())
            }
            None => Cpu::measured(MEASURED, MEASURED_PATH, Some(MEASURED_WORK)),
        }
    }

    /// The median over the samples of one work; which one has to be said where there are several.
    fn measured(text: &str, name: &str, work: Option<&str>) -> Result<Cpu, String> {
        let file: Value =
            serde_json::from_str(text).map_err(|error| format!("{name} is no JSON: {error}"))?;
        let mut samples: Vec<(String, f64)> = Vec::new();
        for sample in file["samples"].as_array().into_iter().flatten() {
            let (who, what) = (sample["who"].as_str().unwrap_or(""), sample["work"].as_str().unwrap_or(""));
            let chosen = work.is_none_or(|work| work == what || work == who);
            if let Some(us) = sample["us_per_request"].as_f64()
                && us.is_finite()
                && us > 0.0
                && chosen
                && !PEERS.contains(&who)
            {
                samples.push((format!("{who}: {what}"), us));
            }
        }
        let mut works: Vec<&str> = samples.iter().map(|(work, _)| work.as_str()).collect();
        works.dedup();
        works.sort_unstable();
        works.dedup();
        let of = match works[..] {
            [of] => of.to_owned(),
            [] => return Err(format!("{name} has no samples with `us_per_request` of that work")),
            _ => return Err(format!("{name} has several works, name one by --work: {}", works.join("; "))),
        };
        let mut figures: Vec<f64> = samples.iter().map(|(_, us)| *us).collect();
        let date = file["date"].as_str().unwrap_or("an unknown day");
        let processor = file["machine"]["processor"].as_str().unwrap_or("an unknown processor");
        let count = figures.len();
        let source =
            format!("median of {count} runs of `{of}` in {name}, {date}, on one core of {processor}");
        Ok(Cpu { us: median(&mut figures), source })
    }

    /// CPU time by requests, both since the process started.
    fn told(metrics: &str, address: &str) -> Result<Cpu, String> {
        let numbers = Numbers::parse(metrics);
        let requests = numbers.sum("tollgate_requests_total");
        let Some(seconds) = numbers.get("process_cpu_seconds_total") else {
            return Err(format!(
                "{address} tells no `process_cpu_seconds_total`: is that a gateway's admin side?"
            ));
        };
        if requests < REQUESTS_MIN {
            return Err(format!(
                "{address} has answered {requests} requests; fewer than {REQUESTS_MIN} say little about one: ask later"
            ));
        }
        let us = seconds * 1e6 / requests;
        if us <= 0.0 || !us.is_finite() {
            return Err(format!("{address} tells {seconds} s of CPU for {requests} requests"));
        }
        let source = format!("{seconds:.2} s of CPU for {requests} requests of {address} since its start");
        Ok(Cpu { us, source })
    }
}

/// The whole of a text file, up to a bound.
pub(super) fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let length =
        file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if length as u64 > FILE_BYTES_MAX {
        return Err(format!("longer than {FILE_BYTES_MAX} bytes"));
    }
    Ok(text)
}

/// The middle one, or the mean of the two in the middle. There is at least one.
fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    let upper = figures.get(half).copied().unwrap_or_default();
    match figures.len() % 2 {
        0 => (figures.get(half.wrapping_sub(1)).copied().unwrap_or_default() + upper) / 2.0,
        _ => upper,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{ "date": "2026-01-31", "machine": { "processor": "P" }, "samples": [
        { "who": "tollgate", "work": "plain", "us_per_request": 10.0 },
        { "who": "gate", "work": "token", "us_per_request": 40.0 },
        { "who": "nginx", "work": "plain", "us_per_request": 1.0 },
        { "who": "tollgate", "work": "plain", "us_per_request": 20.0 },
        { "who": "gate", "work": "token", "us_per_request": 30.0 },
        { "who": "gate", "work": "token", "us_per_request": 90.0 },
        { "who": "tollgate", "work": "start", "ms": 7 },
        { "who": "tollgate", "work": "broken", "us_per_request": -1 }
    ] }"#;

    #[test]
    fn the_median_of_the_work_that_was_named() {
        let of = |work: Option<&str>| Cpu::measured(FILE, "f.json", work).map(|cpu| cpu.us);
        assert_eq!(of(Some("token")), Ok(40.0), "the middle of three");
        assert_eq!(of(Some("gate")), Ok(40.0), "by who did it");
        assert_eq!(of(Some("plain")), Ok(15.0), "of two their mean, and nginx is somebody else");
        let several = of(None).expect_err("two works");
        assert!(several.contains("gate: token; tollgate: plain"), "{several}");
        for nothing in ["start", "broken", "nginx", "other"] {
            assert!(of(Some(nothing)).is_err(), "{nothing}");
        }
        assert!(Cpu::measured("[]", "f", None).is_err() && Cpu::measured("no", "f", None).is_err());
    }

    #[test]
    fn what_is_committed_can_be_read() {
        let cpu = Cpu::measured(MEASURED, MEASURED_PATH, Some(MEASURED_WORK)).expect("samples");
        assert!((5.0..200.0).contains(&cpu.us), "{}", cpu.us);
        assert!(cpu.source.contains(MEASURED_PATH), "{}", cpu.source);
    }

    #[test]
    fn a_gateway_tells_time_and_requests() {
        let told = |cpu: &str, requests: &str| {
            let text = format!(
                "# TYPE x counter\ntollgate_requests_total{{route=\"a b\",status=\"200\"}} {requests}\n\
                 tollgate_requests_total{{route=\"c\",status=\"404\"}} 5000\n{cpu}\n"
            );
            Cpu::told(&text, "here").map(|cpu| cpu.us)
        };
        // 0.6 s by 20,000 requests.
        assert_eq!(told("process_cpu_seconds_total 0.6", "15000"), Ok(30.0));
        assert!(told("process_cpu_seconds_total 0.6", "4999").is_err_and(|error| error.contains("9999")));
        assert!(told("", "15000").is_err() && told("process_cpu_seconds_total 0", "15000").is_err());
        assert!(Cpu::told("<html>", "here").is_err());
    }
}
