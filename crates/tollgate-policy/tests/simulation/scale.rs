//! The fleet at scale: what it is put through, and what is written down.
//!
//! `the_fleet` is run by `./dev scale`, which says in `TOLLGATE_SCALE` where the figures go.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::link::Server;
use crate::tally::SLICE_MS;
use crate::world::{Outage, Setting, Spread, World};

/// Ten million clients, of which few ask for much.
const KEYS: u32 = 10_000_000;
/// Runs that go on at the same time: each takes some hundred megabytes.
const THREADS: usize = 2;
/// When Redis goes away, where it does.
const GOES_MS: u64 = 5_000;

const FLEET: Setting = Setting {
    group: "",
    seed: 1,
    gateways: 1_000,
    keys: KEYS,
    requests_per_s: 200_000,
    limit: (100, 1, 200),
    spread: Spread::Any,
    delay_ms: (1, 1),
    lost_per_million: 0,
    drift_ppm: 100,
    call_ns: 0,
    outage: None,
    warm_ms: 3_000,
    measured_ms: 10_000,
};

const COLUMNS: &str = "group,gateways,keys,requests_s,limit,spread,delay_ms,lost_per_million,drift_ppm,call_ns,\
                       outage,seconds,offered,ideal,passed,over_pct,under_pct,limited_keys,limited_over_pct,\
                       limited_under_pct,waited_pct,alone_pct,calls_s,calls_per_request,pipelines_s,in_bytes_s,\
                       out_bytes_s,leases_most,buckets,shared_again_ms,right_again_ms";
const COURSE: &str = "outage,spread,seconds,offered,ideal,passed,alone,calls";

/// Everything that is run.
fn settings() -> Vec<Setting> {
    use Spread::{Any, Sticky};
    let mut all = Vec::new();
    for requests_per_s in [20_000, 50_000, 100_000, 200_000] {
        for spread in [Sticky, Any] {
            all.push(Setting { group: "load", requests_per_s, spread, ..FLEET });
        }
    }
    let quarter = Setting { requests_per_s: 50_000, measured_ms: 5_000, ..FLEET };
    for gateways in [1, 2, 10, 100, 1_000] {
        all.push(Setting { group: "gateways", gateways, ..quarter.clone() });
    }
    for (lost_per_million, spread) in [(100, Any), (1_000, Any), (10_000, Any), (10_000, Sticky)] {
        all.push(Setting { group: "loss", lost_per_million, spread, ..quarter.clone() });
    }
    let few = Setting { requests_per_s: 20_000, ..FLEET };
    for (server, forgets, gone_ms, spread) in [
        (Server::Refuses, true, 10_000, Any),
        (Server::Silent, false, 10_000, Any),
        (Server::Refuses, true, 10_000, Sticky),
        (Server::Refuses, true, 1_000, Any),
    ] {
        let outage = Some(Outage { ms: GOES_MS..GOES_MS + gone_ms, server, forgets });
        let measured_ms = GOES_MS + gone_ms + 6_000 - FLEET.warm_ms;
        all.push(Setting { group: "outage", outage, spread, measured_ms, ..few.clone() });
    }
    for limit in [(5, 1, 10), (1_000, 60, 100), (1_000, 1, 1_000)] {
        all.push(Setting { group: "limit", limit, ..quarter.clone() });
    }
    for call_ns in [16_000, 34_000] {
        all.push(Setting { group: "capacity", call_ns, ..quarter.clone() });
    }
    all.push(Setting { group: "skew", drift_ppm: 10_000, ..quarter.clone() });
    all.push(Setting { group: "delay", delay_ms: (10, 15), ..quarter.clone() });
    all
}

#[test]
#[ignore = "minutes of simulation: ./dev scale"]
fn the_fleet() {
    let folder = std::env::var_os("TOLLGATE_SCALE").map(PathBuf::from).expect("TOLLGATE_SCALE says where");
    // Some groups alone, for those who work on one.
    let only = std::env::var("TOLLGATE_SCALE_GROUP").ok();
    let settings: Vec<Setting> = settings()
        .into_iter()
        .filter(|at| only.as_ref().is_none_or(|only| only.split(' ').any(|only| at.group == only)))
        .collect();
    let (next, done) = (Mutex::new(0..settings.len()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let Some(at) = next.lock().expect("no panic").next() else { break };
                    let mut world = World::new(settings[at].clone());
                    world.run();
                    let row = row(&world);
                    println!("{row}");
                    let course = if settings[at].outage.is_some() { course(&world) } else { String::new() };
                    done.lock().expect("no panic").push((at, row, course));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no panic");
    done.sort_by_key(|(at, ..)| *at);
    let (mut rows, mut courses) = (format!("{COLUMNS}\n"), format!("{COURSE}\n"));
    for (_, row, course) in &done {
        let _ = writeln!(rows, "{row}");
        courses.push_str(course);
    }
    std::fs::write(folder.join("scale.csv"), rows).expect("the figures are written");
    std::fs::write(folder.join("scale-outage.csv"), courses).expect("the courses are written");
}

#[test]
fn a_fleet_without_faults_is_near_one_limiter_and_spares_redis_what_repeats() {
    let small = Setting {
        gateways: 20,
        keys: 20_000,
        requests_per_s: 20_000,
        warm_ms: 2_000,
        measured_ms: 6_000,
        ..FLEET
    };
    for (spread, most_calls) in [(Spread::Any, 1.15), (Spread::Sticky, 0.9)] {
        let mut world = World::new(Setting { spread, ..small.clone() });
        world.run();
        let (error, sum) = (world.tally.error(), world.tally.sum);
        let told = format!("{spread:?}: {error:?}, {sum:?}");
        assert!(error.limited_keys > 10, "{told}");
        assert!(error.over < 0.5 && error.under < 1.5 && error.limited_under < 5.0, "{told}");
        let calls = sum.calls as f64 / sum.offered as f64;
        assert!(calls < most_calls && sum.alone == 0, "{calls} calls a request; {told}");
    }
}

#[test]
fn a_fleet_whose_redis_was_away_shares_again_within_two_seconds() {
    let small = Setting {
        gateways: 20,
        keys: 20_000,
        requests_per_s: 10_000,
        warm_ms: 1_000,
        measured_ms: 7_000,
        ..FLEET
    };
    for (server, forgets) in [(Server::Refuses, true), (Server::Silent, false)] {
        let outage = Some(Outage { ms: 2_000..4_000, server, forgets });
        let mut world = World::new(Setting { outage, ..small.clone() });
        world.run();
        let (shared_ms, right_ms) = again(&world).expect("Redis was away");
        let alone: u64 = world.tally.course[20..40].iter().map(|slice| slice.alone).sum();
        assert!(alone > 15_000, "{alone} decided alone of 20000");
        assert!(shared_ms.is_some_and(|ms| ms <= 2_000), "{server:?}: shared again after {shared_ms:?} ms");
        assert!(right_ms.is_some_and(|ms| ms <= 3_000), "{server:?}: right again after {right_ms:?} ms");
    }
}

fn row(world: &World) -> String {
    let (at, tally, error, sum) = (&world.setting, &world.tally, world.tally.error(), world.tally.sum);
    let seconds = at.measured_ms as f64 / 1_000.0;
    let per_s = |count: u64| count as f64 / seconds;
    let share = |count: u64| count as f64 * 100.0 / sum.offered.max(1) as f64;
    let (count, period_s, burst) = at.limit;
    let leases_most = world.gateways.iter().map(|gateway| gateway.leases_most).max().unwrap_or(0);
    let (shared_ms, right_ms) = again(world).unwrap_or_default();
    let ms = |ms: Option<u64>| ms.map(|ms| ms.to_string()).unwrap_or_default();
    format!(
        "{},{},{},{},{count}/{period_s}s burst {burst},{:?},{},{},{},{},{},{seconds},{},{},{},{:.3},{:.3},{},{:.3},{:.3},\
         {:.2},{:.2},{:.0},{:.3},{:.0},{:.0},{:.0},{leases_most},{},{},{}",
        at.group,
        at.gateways,
        at.keys,
        at.requests_per_s,
        at.spread,
        at.delay_ms.0,
        at.lost_per_million,
        at.drift_ppm,
        at.call_ns,
        outage(at),
        sum.offered,
        sum.ideal,
        sum.passed,
        error.over,
        error.under,
        error.limited_keys,
        error.limited_over,
        error.limited_under,
        share(sum.asked),
        share(sum.alone),
        per_s(sum.calls),
        sum.calls as f64 / sum.offered.max(1) as f64,
        per_s(tally.pipelines),
        per_s(tally.bytes_in),
        per_s(tally.bytes_out),
        world.kept(),
        ms(shared_ms),
        ms(right_ms),
    )
}

fn outage(at: &Setting) -> String {
    let Some(outage) = &at.outage else { return String::new() };
    let how = if outage.server == Server::Refuses { "killed" } else { "silent" };
    format!("{how} {} ms", outage.ms.end - outage.ms.start)
}

fn course(world: &World) -> String {
    let mut text = String::new();
    for (at, slice) in world.tally.course.iter().enumerate() {
        let seconds = (at as u64 * SLICE_MS) as f64 / 1_000.0;
        let counts =
            [slice.offered, slice.ideal, slice.passed, slice.alone, slice.calls].map(|it| it.to_string());
        let _ = writeln!(
            text,
            "{},{:?},{seconds:.1},{}",
            outage(&world.setting),
            world.setting.spread,
            counts.join(",")
        );
    }
    text
}

/// Milliseconds from the return of Redis until no more than one request in a hundred is decided alone, and until what
/// passes is within five percent of what the ideal limiter lets pass: for half a second each.
fn again(world: &World) -> Option<(Option<u64>, Option<u64>)> {
    const LASTS: usize = 5;
    let outage = world.setting.outage.as_ref()?;
    let from = (outage.ms.end / SLICE_MS) as usize;
    let after = world.tally.course.get(from..)?;
    let first = |is: fn(&crate::tally::Slice) -> bool| {
        after.windows(LASTS).position(|slices| slices.iter().all(is)).map(|at| at as u64 * SLICE_MS)
    };
    let shared = first(|slice| slice.alone * 100 <= slice.offered);
    let right = first(|slice| slice.passed.abs_diff(slice.ideal) * 20 <= slice.ideal);
    Some((shared, right))
}
