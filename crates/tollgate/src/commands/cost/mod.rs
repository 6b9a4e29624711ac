//! `tollgate cost`: what a month's requests take in machines and in money, from measured CPU and stated prices.
//!
//! Arithmetic is in `model`, which knows neither files nor terminals; docs/cost.md says what it is.

mod cpu;
mod model;
mod prices;
mod shown;

use std::process::ExitCode;

use crate::cli::CostArgs;
use crate::output;
use cpu::Cpu;
use model::{Estimate, Needs};
use prices::Prices;

pub(super) fn cost(arguments: &CostArgs) -> ExitCode {
    if arguments.show_prices {
        return match Prices::text(arguments.prices.as_deref()) {
            Ok(text) => output::out(&text).exit(true),
            Err(message) => fail(arguments, message),
        };
    }
    let (cpu, prices) = match (Cpu::of(arguments), Prices::of(arguments.prices.as_deref())) {
        (Ok(cpu), Ok(prices)) => (cpu, prices),
        (Err(message), _) | (_, Err(message)) => return fail(arguments, message),
    };
    let estimate = Estimate::new(needs(arguments, cpu.us), &prices);
    let written = if arguments.output.json {
        output::json(&shown::json(&estimate, &cpu, &prices))
    } else {
        output::out(&shown::text(&estimate, &cpu, &prices))
    };
    written.exit(true)
}

fn fail(arguments: &CostArgs, message: String) -> ExitCode {
    output::failed(arguments.output.json, message);
    ExitCode::FAILURE
}

fn needs(arguments: &CostArgs, cpu_us: f64) -> Needs {
    Needs {
        requests: arguments.requests as f64,
        peak: arguments.peak,
        cpu_us,
        bytes_in: arguments.bytes_in,
        bytes_out: arguments.bytes_out,
        utilisation: arguments.utilisation / 100.0,
        zones: arguments.zones.into(),
        redis: arguments.redis,
        record_bytes: arguments.record_bytes,
        keep_days: arguments.keep_days.into(),
        cold: arguments.cold(),
    }
}
