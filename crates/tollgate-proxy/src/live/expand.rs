//! An upstream as it is served: in place of a service that DNS knows stand the hosts that its SRV records name.
//!
//! What comes out is an upstream like any other, so that each host is balanced, checked, ejected and pooled by itself.
//! Only metrics, whose labels come from the configuration, count all of them as the one target that was configured.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};

use tollgate_plan::upstream::{Address, Target, Upstream};

use crate::upstream::Service;

/// Hosts that may stand for one service; those of the lowest tiers count.
pub(crate) const HOSTS_MAX: usize = 128;

/// The weight of a whole target is so many times its own, so that a host's share of it is a whole number.
const SHARES: u64 = 1000;

/// An upstream with a service among its targets, as it is served now.
#[derive(Debug)]
pub(crate) struct Expanded {
    /// Targets may be none at all.
    pub(crate) upstream: Upstream,
    /// For each of them, which of the configured ones it is or stands for.
    pub(crate) places: Vec<usize>,
    /// For each of them, its tier: the next one is used when none of the lower ones can serve. Empty where all are in
    /// the same.
    pub(crate) tiers: Vec<u16>,
}

/// One target as it is served.
struct Served {
    target: Target,
    place: usize,
    tier: u16,
    /// In shares.
    weight: u64,
}

/// The upstream as it is served; none where it is what is configured. `services` says what is known of a name.
pub(crate) fn expand<'s>(
    upstream: &Upstream,
    services: impl Fn(&str) -> Option<&'s [Service]>,
) -> Option<Expanded> {
    let is_service = |target: &Target| matches!(target.address, Address::Service { .. });
    if !upstream.targets.iter().any(is_service) {
        return None;
    }
    let mut served = Vec::new();
    for (place, target) in upstream.targets.iter().enumerate() {
        match &target.address {
            Address::Service { name } => {
                served.extend(hosts(target, place, services(name).unwrap_or_default()));
            }
            _ => {
                let weight = u64::from(target.weight) * SHARES;
                served.push(Served { target: target.clone(), place, tier: 0, weight });
            }
        }
    }
    let divisor = served.iter().fold(0, |divisor, one| common_divisor(divisor, one.weight)).max(1);
    for one in &mut served {
        one.target.weight = u32::try_from(one.weight / divisor).unwrap_or(u32::MAX);
    }
    let places = served.iter().map(|one| one.place).collect();
    let tiers: Vec<u16> = served.iter().map(|one| one.tier).collect();
    let tiers = if tiers.iter().all(|tier| *tier == 0) { Vec::new() } else { tiers };
    let targets = served.into_iter().map(|one| one.target).collect();
    Some(Expanded { upstream: Upstream { targets, ..upstream.clone() }, places, tiers })
}

/// The hosts of one service. Priorities of different services cannot be compared, so each has tiers from 0 on.
fn hosts(target: &Target, place: usize, services: &[Service]) -> Vec<Served> {
    let mut sorted: Vec<&Service> = services.iter().collect();
    // DNS gives them in any order; a new order is no change.
    sorted.sort_by(|a, b| (a.priority, &a.host, a.port).cmp(&(b.priority, &b.host, b.port)));
    // A host that is named twice is one target, in the lower of its tiers.
    let mut known = HashSet::new();
    sorted.retain(|service| known.insert((&service.host, service.port)));
    sorted.truncate(HOSTS_MAX);
    let mut priorities: Vec<u16> = sorted.iter().map(|service| service.priority).collect();
    priorities.dedup();
    let host = |service: &&Service| {
        let peers = sorted.iter().filter(|other| other.priority == service.priority);
        let all: u64 = peers.map(|other| weight_of(other)).sum();
        let tier = priorities.iter().position(|priority| *priority == service.priority).unwrap_or_default();
        let share = u64::from(target.weight) * SHARES * weight_of(service) / all.max(1);
        Served { target: host_target(target, service), place, tier: tier as u16, weight: share.max(1) }
    };
    sorted.iter().map(host).collect()
}

/// A weight of 0 means "a very small chance" (RFC 2782): a hundredth of the smallest other one.
fn weight_of(service: &Service) -> u64 {
    (u64::from(service.weight) * 100).max(1)
}

fn host_target(target: &Target, service: &Service) -> Target {
    let Service { host, port, .. } = service;
    let authority = if *port == 80 { host.to_string() } else { format!("{host}:{port}") };
    Target {
        url: format!("http://{host}:{port}{}", target.prefix).into(),
        address: match host.parse::<IpAddr>() {
            Ok(ip) => Address::Socket(SocketAddr::new(ip, *port)),
            Err(_) => Address::Name { host: host.clone(), port: *port },
        },
        authority: authority.into(),
        ..target.clone()
    }
}

fn common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::observe::fixture;

    /// Targets are written as `url`, or `name` for a service, with a weight behind `*`.
    fn upstream(targets: &[&str]) -> Upstream {
        let mut upstream = fixture::plan(&[], &[("u", targets)]).upstreams.swap_remove(0);
        for target in &mut upstream.targets {
            let (url, weight) = target.url.split_once('*').unwrap_or((&target.url, "1"));
            let (url, weight) = (Arc::<str>::from(url), weight.parse().expect("a weight"));
            if !url.contains(':') {
                target.address = Address::Service { name: (*url).into() };
            }
            (target.url, target.weight) = (url, weight);
        }
        upstream
    }

    /// Records are written as `priority weight host:port`; targets as `tier weight url <place>`.
    #[track_caller]
    fn check(targets: &[&str], records: &[&str], expect: &[&str]) {
        let services: Vec<Service> = records
            .iter()
            .map(|record| {
                let words: Vec<&str> = record.split(' ').collect();
                let (host, port) = words[2].split_once(':').expect("a port");
                let number = |text: &str| text.parse().expect("a number");
                let (priority, weight, port) = (number(words[0]), number(words[1]), number(port));
                Service { priority, weight, host: host.into(), port }
            })
            .collect();
        let expanded = expand(&upstream(targets), |name| (name == "svc").then_some(&services[..]));
        let Expanded { upstream, places, tiers } = expanded.expect("there is a service");
        let shown = upstream.targets.iter().enumerate().map(|(at, target)| {
            let tier = tiers.get(at).copied().unwrap_or_default();
            format!("{tier} {} {} <{}>", target.weight, target.url, places[at])
        });
        assert_eq!(shown.collect::<Vec<_>>(), expect, "{targets:?} {records:?}");
        assert!(tiers.is_empty() || tiers.len() == places.len());
    }

    #[test]
    fn records_stand_in_the_place_of_the_service() {
        check(&["svc"], &[], &[]);
        check(&["unknown"], &["0 1 a:1"], &[]);
        check(&["svc"], &["0 0 b:80", "0 0 a:81"], &["0 1 http://a:81 <0>", "0 1 http://b:80 <0>"]);
        check(&["svc"], &["5 60 a:1", "5 20 b:1"], &["0 3 http://a:1 <0>", "0 1 http://b:1 <0>"]);
        check(&["svc"], &["0 1 a:1", "0 1 a:2", "1 9 a:1"], &["0 1 http://a:1 <0>", "0 1 http://a:2 <0>"]);
        // A weight of 0 among others is a very small chance, and never none.
        check(&["svc"], &["0 0 a:1", "0 1 b:1"], &["0 1 http://a:1 <0>", "0 110 http://b:1 <0>"]);
        check(&["svc"], &["0 0 a:1", "0 65535 b:1"], &["0 1 http://a:1 <0>", "0 999 http://b:1 <0>"]);
    }

    #[test]
    fn priorities_become_tiers_of_their_own_service() {
        let tiers = [
            "0 1000 http://a:1 <0>",
            "1 500 http://b:1 <0>",
            "1 500 http://c:1 <0>",
            "2 1000 http://d:1 <0>",
        ];
        let tiers = tiers.map(|line| line.replace("1000", "2").replace("500", "1"));
        check(
            &["svc"],
            &["30 1 d:1", "10 7 a:1", "20 1 c:1", "20 1 b:1"],
            &tiers.iter().map(String::as_str).collect::<Vec<_>>(),
        );
        check(
            &["svc", "http://x:1"],
            &["9 0 a:1", "11 0 b:1"],
            &["0 1 http://a:1 <0>", "1 1 http://b:1 <0>", "0 1 http://x:1 <1>"],
        );
    }

    #[test]
    fn a_service_has_the_share_of_one_target() {
        check(
            &["http://x:1*3", "svc*2"],
            &["0 1 a:1", "0 3 b:1"],
            &["0 6 http://x:1 <0>", "0 1 http://a:1 <1>", "0 3 http://b:1 <1>"],
        );
        // A host that is configured beside the service has both shares.
        check(
            &["http://a:1", "svc"],
            &["0 1 a:1", "0 1 b:1"],
            &["0 2 http://a:1 <0>", "0 1 http://a:1 <1>", "0 1 http://b:1 <1>"],
        );
    }

    #[test]
    fn hosts_are_bounded_and_the_rest_is_as_configured() {
        let services: Vec<Service> = (0..500u16)
            .map(|n| Service { priority: 500 - n, weight: 1, host: format!("h{n}").into(), port: 80 })
            .collect();
        let mut configured = upstream(&["svc"]);
        configured.targets[0].prefix = "/v1".into();
        let expanded = expand(&configured, |_| Some(&services)).expect("a service");
        assert_eq!((expanded.upstream.targets.len(), expanded.tiers.len()), (HOSTS_MAX, HOSTS_MAX));
        let first = &expanded.upstream.targets[0];
        assert_eq!((&*first.url, &*first.authority, &*first.prefix), ("http://h499:80/v1", "h499", "/v1"));
        assert!(expand(&upstream(&["http://x:1"]), |_| None).is_none(), "nothing to expand");
    }
}
