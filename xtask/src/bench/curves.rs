//! How CPU per request grows: with routes, upstreams, headers, and the length of answers.

use std::fmt::Write as _;

use anyhow::Result;

use super::Args;
use super::contestant::{BODIES, Contestant, Kind, Site};
use super::load::Load;
use super::plain::{Turn, sample};
use super::results::Results;
use crate::say;

const ROUTES: [usize; 4] = [10, 100, 1_000, 10_000];
const UPSTREAMS: [usize; 4] = [1, 10, 100, 1_000];
const HEADERS: [usize; 5] = [5, 10, 20, 40, 80];

/// As in samples.
pub(super) const OF_ROUTES: &str = "routes";
pub(super) const OF_UPSTREAMS: &str = "upstreams";
pub(super) const OF_HEADERS: &str = "headers";
pub(super) const OF_BODIES: &str = "bytes of the answer";

/// One place on one curve.
struct Point<'a> {
    curve: &'static str,
    at: usize,
    turn: Turn<'a>,
}

/// Every place on every curve in each round, so that the machine's moods meet all of them.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    if site.gateway().is_none() {
        say::line("needs the gateway: left out");
        return Ok(());
    }
    let contestants = site.start_all()?;
    let routes: Vec<(usize, Contestant)> = each(ROUTES, |count| {
        site.start(Kind::Tollgate, &format!("routes-{count}"), site.origin_port(), count)
    })?;
    let upstreams: Vec<(usize, Contestant)> = each(UPSTREAMS, |count| many_upstreams(site, count))?;
    let mut points = Vec::new();
    let of_table =
        routes.iter().map(|own| (OF_ROUTES, own)).chain(upstreams.iter().map(|own| (OF_UPSTREAMS, own)));
    points.extend(of_table.map(|(curve, (count, who))| {
        let load = Load { script: Some("routes.lua"), count: *count, ..Load::get("/") };
        Point { curve, at: *count, turn: Turn { who, work: curve, load } }
    }));
    for who in &contestants {
        points.extend(HEADERS.map(|count| {
            let load = Load { script: Some("headers.lua"), count, ..Load::get("/") };
            Point { curve: OF_HEADERS, at: count, turn: Turn { who, work: OF_HEADERS, load } }
        }));
        points.extend(BODIES.map(|bytes| {
            // Many long answers at once measure the memory of the machine.
            let connections = if bytes < 1 << 20 { 64 } else { 8 };
            let load = Load { connections, ..Load::get(format!("/bytes/{bytes}")) };
            Point { curve: OF_BODIES, at: bytes, turn: Turn { who, work: OF_BODIES, load } }
        }));
    }
    for round in 1..=args.rounds {
        for point in &points {
            let mut found = sample(site, args, &point.turn, round)?;
            // Contestants that differ in what they hold are one curve.
            let who = if point.curve == OF_ROUTES || point.curve == OF_UPSTREAMS {
                "tollgate"
            } else {
                &point.turn.who.name
            };
            found["who"] = who.into();
            found["at"] = point.at.into();
            results.push(found);
        }
    }
    Ok(())
}

fn each<const N: usize>(
    counts: [usize; N],
    start: impl Fn(usize) -> Result<Contestant>,
) -> Result<Vec<(usize, Contestant)>> {
    counts.into_iter().map(|count| Ok((count, start(count)?))).collect()
}

/// The gateway with that many upstreams, all at the one origin, and a route to each.
fn many_upstreams(site: &Site, count: usize) -> Result<Contestant> {
    let (mut upstreams, mut routes) = (String::new(), String::new());
    for number in 0..count {
        writeln!(
            upstreams,
            "  origin-{number}: {{ targets: [http://127.0.0.1:{}], timeout: 2m }}",
            site.origin_port()
        )?;
        writeln!(routes, "  - {{ path: \"/service-{number}/items/{{id}}\", to: origin-{number} }}")?;
    }
    let values = [("UPSTREAMS", upstreams.as_str()), ("ROUTES", routes.as_str())];
    site.start_gateway(&format!("upstreams-{count}"), "tollgate-upstreams.yaml", &values)
}
