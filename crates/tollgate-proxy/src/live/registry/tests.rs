//! What a reload keeps of upstreams and targets, and what it does not.

use std::time::{Duration, Instant};

use tollgate_plan::resilience::{CircuitBreaker, HealthCheck, Outlier, Probe};
use tollgate_policy::{Circuit, Ending};

use super::*;
use crate::observe::fixture;

const OUTLIER: Outlier =
    Outlier { consecutive_failures: 2, eject: Duration::from_secs(60), max_ejected_percent: 100 };
const BREAKER: CircuitBreaker = CircuitBreaker {
    failure_percent: 50,
    min_requests: 1,
    window: Duration::from_secs(10),
    open: Duration::from_secs(60),
    half_open_requests: 1,
};

fn check_every(seconds: u64) -> HealthCheck {
    HealthCheck {
        probe: Probe::Tcp,
        every: Duration::from_secs(seconds),
        timeout: Duration::from_secs(1),
        healthy_after: 1,
        unhealthy_after: 1,
    }
}

/// One upstream with these targets, changed.
fn plan(urls: &[&str], change: impl Fn(&mut Upstream)) -> Plan {
    let mut plan = fixture::plan(&[], &[("u", urls)]);
    plan.upstreams.iter_mut().for_each(change);
    plan
}

/// The upstream after a reload.
fn reload(registry: &UpstreamRegistry, plan: &Plan) -> Arc<UpstreamShared> {
    registry.reconcile(plan, &Sides::default(), SystemTime::now()).swap_remove(0)
}

#[test]
fn checks_go_on_in_their_rhythm_while_nothing_about_them_changes() {
    let registry = UpstreamRegistry::default();
    let running = registry.checked();
    let checks = |seconds: Option<u64>, urls: &[&str]| -> Vec<Arc<Checked>> {
        reload(&registry, &plan(urls, |upstream| upstream.health_check = seconds.map(check_every)));
        running.borrow().clone()
    };
    let same = |one: &[Arc<Checked>], other: &[Arc<Checked>]| -> Vec<bool> {
        one.iter().zip(other).map(|(one, other)| Arc::ptr_eq(one, other)).collect()
    };
    let first = checks(Some(5), &["a", "b"]);
    assert_eq!(same(&first, &checks(Some(5), &["a", "b"])), [true, true]);
    let more = checks(Some(5), &["b", "c", "a"]);
    assert!(Arc::ptr_eq(&first[0], &more[2]) && Arc::ptr_eq(&first[1], &more[0]));
    let other = checks(Some(6), &["b", "c", "a"]);
    assert_eq!((same(&more, &other), other.len()), (vec![false; 3], 3));
    assert!(checks(None, &["b", "c", "a"]).is_empty());
}

#[test]
fn what_checks_said_stays_as_long_as_there_are_checks() {
    let registry = UpstreamRegistry::default();
    let with = |urls: &[&str]| plan(urls, |upstream| upstream.health_check = Some(check_every(5)));
    let live = reload(&registry, &with(&["a", "b"]));
    assert!(live.targets[1].checked(false, &check_every(5)));
    let live = reload(&registry, &with(&["b"]));
    assert!(live.targets[0].is_unhealthy());
    let live = reload(&registry, &plan(&["b"], |_| ()));
    assert!(!live.targets[0].is_unhealthy());
}

/// Checks that found a target unhealthy and then well know better than failures of before. Checks that found it well
/// all the time do not.
#[test]
fn a_target_that_its_checks_bring_back_is_not_left_out() {
    let registry = UpstreamRegistry::default();
    let live = reload(
        &registry,
        &plan(&["a", "b"], |upstream| {
            upstream.outlier = Some(OUTLIER);
            upstream.health_check = Some(check_every(5));
        }),
    );
    let (target, now) = (&live.targets[0], Instant::now());
    let fail = || (0..2).for_each(|_| live.failed(0, now));
    fail();
    target.checked(true, &check_every(5));
    assert!(target.is_ejected(now), "it was never found unhealthy");
    target.checked(false, &check_every(5));
    target.checked(true, &check_every(5));
    assert!(!target.is_ejected(now) && target.state().0);
    fail();
    assert!(target.is_ejected(now), "and it is left out again when it fails again");
}

#[test]
fn failures_follow_their_target() {
    let registry = UpstreamRegistry::default();
    let with = |urls: &[&str]| plan(urls, |upstream| upstream.outlier = Some(OUTLIER));
    let now = Instant::now();
    let old = reload(&registry, &with(&["a", "b", "c"]));
    old.failed(2, now);
    // A request that began before the reload counts after it, where the targets are the same.
    let same = reload(&registry, &with(&["a", "b", "c"]));
    old.failed(2, now);
    assert!(same.targets[2].is_ejected(now));
    same.failed(0, now);
    let other = reload(&registry, &with(&["c", "a", "d"]));
    let ejected = |live: &UpstreamShared| -> Vec<bool> {
        live.targets.iter().map(|target| target.is_ejected(now)).collect()
    };
    assert_eq!(ejected(&other), [true, false, false]);
    other.failed(1, now);
    assert_eq!(ejected(&other), [true, true, false], "one failure before the reload and one after it");
    other.failed(2, now);
    other.failed(2, now);
    assert_eq!(ejected(&other), [true, true, false], "the last one stays");
    let without = reload(&registry, &plan(&["c", "a", "d"], |_| ()));
    assert_eq!(ejected(&without), [false; 3]);
}

#[test]
fn a_circuit_stays_while_its_rules_do() {
    let registry = UpstreamRegistry::default();
    let with = |rules| plan(&["a"], |upstream| upstream.circuit_breaker = Some(rules));
    let now = Instant::now();
    let live = reload(&registry, &with(BREAKER));
    let ticket = live.admit(now).ok().flatten().expect("it is closed");
    live.settle(ticket, Ending::Failure, now);
    assert_eq!(live.circuit(now), Some(Circuit::Open));
    assert_eq!(reload(&registry, &with(BREAKER)).circuit(now), Some(Circuit::Open));
    let other = CircuitBreaker { min_requests: 2, ..BREAKER };
    assert_eq!(reload(&registry, &with(other)).circuit(now), Some(Circuit::Closed));
    assert_eq!(reload(&registry, &plan(&["a"], |_| ())).circuit(now), None);
}
