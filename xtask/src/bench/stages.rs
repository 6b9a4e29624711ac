//! P11 and the cache: single stages beside plain proxying.

use std::io::Write;

use anyhow::{Result, bail};

use super::Args;
use super::contestant::{Kind, Site};
use super::held::{connect, read_head};
use super::load::Load;
use super::plain::{Turn, take};
use super::results::Results;
use crate::say;

/// As in tables.
pub(super) const PLAIN: &str = "plain proxying";
pub(super) const SCRIPT: &str = "Lua sets a header";
pub(super) const HIT: &str = "cache hit";

/// P11: a script that sets a header of each request.
pub(super) fn script(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    beside_plain(site, args, ("lua", "tollgate-lua.yaml", SCRIPT), results)
}

/// Answers out of the cache.
pub(super) fn cache(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    beside_plain(site, args, ("cache", "tollgate-cache.yaml", HIT), results)
}

fn beside_plain(
    site: &Site,
    args: &Args,
    (name, template, work): (&str, &str, &'static str),
    results: &mut Results,
) -> Result<()> {
    if site.gateway().is_none() {
        say::line("needs the gateway: left out");
        return Ok(());
    }
    let plain = site.start(Kind::Tollgate, "tollgate", site.origin_port(), 1)?;
    let other = site.start_gateway(name, template, &[])?;
    if work == HIT {
        stored(other.port)?;
    }
    let turns = [
        Turn { who: &plain, work: PLAIN, load: Load::get("/") },
        Turn { who: &other, work, load: Load::get("/") },
    ];
    take(site, args, &turns, results)
}

/// Sees to it that what is measured comes out of the cache: the second answer says so (RFC 9211).
fn stored(port: u16) -> Result<()> {
    let mut head = String::new();
    for _ in 0..2 {
        let mut stream = connect(port)?;
        write!(stream, "GET / HTTP/1.1\r\nHost: bench.example\r\nConnection: close\r\n\r\n")?;
        head = String::from_utf8_lossy(&read_head(&mut stream)?).to_ascii_lowercase();
    }
    let status = head.lines().find_map(|line| line.strip_prefix("cache-status:"));
    if !status.is_some_and(|status| status.contains("hit")) {
        bail!("the second answer does not come out of the cache: {status:?}");
    }
    Ok(())
}
