//! Chaos: a sequence of reloads, hand-overs and outages that follows from a seed, under clients that know what each answer
//! has to be. Whoever is let in without a right, gets another's answer or an answer of a configuration that is over, is one
//! too many; an error needs an event that explains it, there and then.
//!
//! One round takes about half a minute and is part of the tests. `./dev chaos --seed N --minutes M` goes on for longer,
//! `./dev chaos --soak M` lets a gateway run without outages and writes down what it holds.
//!
//! | variable | |
//! |---|---|
//! | `TOLLGATE_CHAOS_SEED` | a number; 1 when left out |
//! | `TOLLGATE_CHAOS_MINUTES` | so long, in whole rounds; one round when left out |
//! | `TOLLGATE_CHAOS_BINARY` | another gateway than the one that was built with this test |
//! | `TOLLGATE_SOAK_MINUTES`, `TOLLGATE_SOAK_CSV` | how long the soak takes, and where its samples go |
#![expect(clippy::print_stdout, reason = "a run is known by its seed, and read by what it did")]

mod act;
mod ask;
mod chain;
mod clock;
mod dice;
mod ledger;
mod load;
mod script;
mod site;
mod soak;

use std::collections::HashSet;
use std::str::FromStr;
use std::time::{Duration, Instant};

use tollgate_testkit::binary;

use act::Run;
use ask::{BURST, Known};
use chain::Chain;
use dice::Dice;
use ledger::Ledger;
use load::World;
use site::Site;

/// Clients, half of them with kept connections, and how often each asks.
const CLIENTS: u64 = 6;
const PACE: Duration = Duration::from_millis(10);

#[test]
fn errors_are_explained_and_no_answer_is_wrong() {
    let (seed, minutes) = (variable("TOLLGATE_CHAOS_SEED", 1), variable("TOLLGATE_CHAOS_MINUTES", 0.0));
    println!("seed {seed}: repeat it with `./dev chaos --seed {seed} --minutes {minutes}`");
    let binary = program();
    let site = Site::start(&binary);
    let chain = Chain::start(&binary, &site);
    let world = World::new(chain.gateway.address(), Known::of(&site.issuer), Ledger::remembering());
    let mut dice = Dice::new(seed);
    let begun = Instant::now();
    let mut run = Run::new(site, chain, &world, Dice::new(dice.number()));
    std::thread::scope(|scope| {
        let _end = world.end_on_drop();
        load::start(scope, &world, seed, CLIENTS, PACE);
        loop {
            for step in script::round(&mut dice) {
                println!("{:>8.2} s  {step}", begun.elapsed().as_secs_f64());
                run.step(step);
            }
            if begun.elapsed().as_secs_f64() >= minutes * 60.0 {
                break;
            }
        }
    });
    run.chain.end();
    check_limits(&run, begun.elapsed());
    check_records(&run, &binary);
    let text = run.chain.gateway.stderr().text();
    for line in text.lines().filter(|line| line.contains("panic")) {
        world.ledger.complain(format!("the log says: {line}"));
    }
    println!("\n{}", world.ledger.report());
    println!("seed {seed}, {:.0} s: {:?}", begun.elapsed().as_secs_f64(), run.tally);
    let (requests, bad) = world.ledger.totals();
    if bad > 0 {
        println!("--- the gateway's log ---\n{text}");
    }
    assert_eq!(bad, 0, "of {requests} requests, with seed {seed}");
    assert!(requests > 500, "only {requests} requests were made");
}

/// No key was let pass more often than its limit and the losses of Redis explain.
fn check_limits(run: &Run<'_>, time: Duration) {
    // A store that comes back empty, or a gateway that counts by itself, has a full bucket.
    let buckets = 1 + 2 * run.tally.redis + run.tally.hand_overs;
    let refilled = time.as_secs() * BURST / 3600 + 1;
    for (key, passed) in run.world.ledger.passed() {
        let most = buckets * BURST + refilled;
        println!("{passed:>9}  passed of at most {most}: {key}");
        if passed > most {
            run.world.ledger.complain(format!("{passed} requests of key {key} passed, at most {most} may"));
        }
        if passed < BURST / 2 {
            run.world.ledger.complain(format!("only {passed} requests of key {key} passed"));
        }
    }
}

/// Every request that was answered is in the log, but for those that are counted as dropped.
fn check_records(run: &Run<'_>, binary: &str) {
    let logs = run.chain.gateway.dir().join("logs").display().to_string();
    let read = tollgate_testkit::run(binary, run.chain.gateway.dir(), &["logs", &logs], &[]);
    assert_eq!(read.code, Some(0), "{}", read.stderr);
    let tag = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).ok()?;
        record["headers"]["x-tag"].as_str()?.parse().ok()
    };
    let stored: HashSet<u64> = read.stdout.lines().filter_map(tag).collect();
    let answered = run.world.ledger.answered();
    let missing = answered.difference(&stored).count() as u64;
    let dropped = run.chain.dropped();
    println!("{:>9}  answered, {missing} without a record, {dropped} dropped and counted", answered.len());
    if missing > dropped {
        run.world
            .ledger
            .complain(format!("{missing} records are missing, {dropped} were counted as dropped"));
    }
}

/// The gateway under test.
fn program() -> String {
    std::env::var("TOLLGATE_CHAOS_BINARY").unwrap_or_else(|_| binary!().to_owned())
}

/// A number from the environment.
fn variable<T: FromStr>(name: &str, otherwise: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")),
        Err(_) => otherwise,
    }
}
