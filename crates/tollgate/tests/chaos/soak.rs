//! A gateway that runs for long, with everything that it does at once: what it holds must not grow.

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use tollgate_testkit::pause;

use crate::act::Run;
use crate::ask::Known;
use crate::chain::{Chain, Holding};
use crate::dice::Dice;
use crate::ledger::Ledger;
use crate::load::{self, World};
use crate::script::Turn;
use crate::site::Site;
use crate::{program, variable};

/// Clients, and how often each asks: some hundred requests a second in all.
const CLIENTS: u64 = 6;
const PACE: Duration = Duration::from_millis(20);
/// Between two samples, each of which asks for the metrics as well.
const SAMPLE_EVERY: Duration = Duration::from_secs(10);
/// A reload comes with every third sample.
const RELOAD_AT: usize = 3;
/// Memory of its own may grow by so much between the second tenth of the time and the last.
const GROWTH_MAX_KIB: u64 = 2 * 1024;
const DESCRIPTORS_MAX: u64 = 16;

#[test]
#[ignore = "takes as long as it is told to: ./dev chaos --soak MINUTES"]
fn memory_and_descriptors_stay_flat() {
    let minutes = variable("TOLLGATE_SOAK_MINUTES", 60.0);
    let csv = std::env::var("TOLLGATE_SOAK_CSV").unwrap_or_else(|_| "soak.csv".to_owned());
    let mut csv = File::create(csv).expect("the samples can be written");
    writeln!(csv, "seconds,requests,bad,reloads,own_kib,resident_kib,descriptors,threads").expect("written");
    let binary = program();
    let site = Site::start(&binary);
    let chain = Chain::start(&binary, &site);
    let world = World::new(chain.gateway.address(), Known::of(&site.issuer), Ledger::default());
    let mut run = Run::new(site, chain, &world, Dice::new(1));
    let (begun, length) = (Instant::now(), Duration::from_secs_f64(minutes * 60.0));
    let mut samples: Vec<(Duration, Holding)> = Vec::new();
    std::thread::scope(|scope| {
        let _end = world.end_on_drop();
        load::start(scope, &world, 1, CLIENTS, PACE);
        while begun.elapsed() < length {
            let next = SAMPLE_EVERY * (samples.len() as u32 + 1);
            pause(next.min(length).saturating_sub(begun.elapsed()));
            run.chain.scrape();
            let (at, holding) = (begun.elapsed(), run.chain.holding());
            let ((requests, bad), reloads) = (world.ledger.totals(), run.tally.reloads);
            writeln!(
                csv,
                "{:.1},{requests},{bad},{reloads},{},{},{},{}",
                at.as_secs_f64(),
                holding.own_kib,
                holding.resident_kib,
                holding.descriptors,
                holding.threads
            )
            .expect("the samples can be written");
            samples.push((at, holding));
            if samples.len().is_multiple_of(RELOAD_AT) {
                run.reload(Turn::Reload);
            }
        }
    });
    run.chain.end();
    println!("{}", world.ledger.report());
    let (requests, bad) = world.ledger.totals();
    assert_eq!(bad, 0, "of {requests} requests");
    assert_eq!(run.chain.dropped(), 0, "no record was dropped");
    let mean = |from: f64, to: f64, field: fn(&Holding) -> u64| {
        let within =
            samples.iter().filter(|(at, _)| *at >= length.mul_f64(from) && *at <= length.mul_f64(to));
        let (sum, count) =
            within.fold((0, 0), |(sum, count), (_, holding)| (sum + field(holding), count + 1));
        assert!(count > 0, "too short to say anything");
        sum / count
    };
    let (before, after) =
        (mean(0.1, 0.2, |holding| holding.own_kib), mean(0.9, 1.0, |holding| holding.own_kib));
    println!("memory of its own: {before} KiB in the second tenth of the time, {after} KiB in the last");
    assert!(after <= before + GROWTH_MAX_KIB, "{before} KiB, then {after} KiB");
    let (before, after) =
        (mean(0.1, 0.2, |holding| holding.descriptors), mean(0.9, 1.0, |holding| holding.descriptors));
    println!("descriptors: {before}, then {after}");
    assert!(after <= before + DESCRIPTORS_MAX, "{before} descriptors, then {after}");
}
