//! Drains behind a balancer of connections: two gateways, of which one after the other ends and comes back.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde_json::json;

use super::contestant::{Contestant, Kind, Site};
use super::held::get_text;
use super::operation::{load, tell, under_load};
use super::process::{Running, free_port, hold, wait_for};
use super::results::Results;

const DRAINS: usize = 20;

/// The balancer asks ten times a second: by then it has noticed who came back.
const NOTICED: Duration = Duration::from_millis(400);

/// One at a time, under load through the balancer.
pub(super) fn run(site: &Site, way: &str, results: &mut Results) -> Result<()> {
    let start = |name: &str| site.start_gateway(name, "tollgate-operation.yaml", &[("SINK", "sink: off")]);
    let mut gateways = [Some(start("a")?), Some(start("b")?)];
    let (balancer, port) = balance(site, &gateways)?;
    let counted = under_load(site, port, &load(way), || {
        for number in 0..DRAINS {
            let place = &mut gateways[number % 2];
            let old = place.take().context("a gateway that does not run")?;
            *place = Some(again(site, old)?);
            hold(NOTICED)?;
        }
        Ok(())
    })?;
    drop(balancer);
    tell(results, "drains behind HAProxy", way, DRAINS, counted, json!({}));
    Ok(())
}

/// Drains it, waits for its end, and starts it anew in its place.
fn again(site: &Site, old: Contestant) -> Result<Contestant> {
    let Contestant { name, port, admin, config, mut process, .. } = old;
    process.signal(Signal::TERM)?;
    wait_for("the end of a drain", Duration::from_secs(20), || match process.ended()? {
        None => Ok(false),
        Some(status) if status.success() => Ok(true),
        Some(status) => bail!("a drain ended with {status}"),
    })?;
    drop(process);
    let new = site.run(Kind::Tollgate, &name, (port, admin), config)?;
    wait_for("readiness", Duration::from_secs(10), || Ok(get_text(admin, "/readyz").is_ok()))?;
    Ok(new)
}

/// HAProxy in front of both.
fn balance(site: &Site, gateways: &[Option<Contestant>; 2]) -> Result<(Running, u16)> {
    let port = free_port()?;
    let mut text = fs::read_to_string(crate::tree::root().join("bench/peers/haproxy-tcp.cfg"))?;
    text = text.replace("@BALANCER@", &port.to_string());
    for (letter, gateway) in ["A", "B"].iter().zip(gateways.iter().flatten()) {
        text = text.replace(&format!("@{letter}@"), &gateway.port.to_string());
        text = text.replace(&format!("@{letter}_ADMIN@"), &gateway.admin.to_string());
    }
    let config = site.dir().join("haproxy-tcp.cfg");
    fs::write(&config, text)?;
    let config = config.to_string_lossy().into_owned();
    let mut balancer =
        Running::start("haproxy", site.load_core, &["haproxy", "-db", "-f", &config], site.dir())?;
    balancer.listens_on(port, site.dir())?;
    // It takes nobody for well before its first question was answered.
    hold(NOTICED)?;
    Ok((balancer, port))
}
