use std::time::Duration;

use tollgate_plan::limit::{Per, Store};

use super::*;
use crate::observe::fixture;

fn limit(policy: &str, rate: u64, burst: u64) -> RateLimit {
    RateLimit {
        identity: format!("route/{policy}/{rate}/{burst}").into(),
        label: policy.into(),
        policy: policy.into(),
        rate,
        period: Duration::from_secs(1),
        burst,
        per: Per::All,
        store: Store::Local,
    }
}

/// A plan with a route for each list of limits, and these places on each.
fn plan(limits: Vec<RateLimit>, routes: &[(&str, &[u32], Option<usize>)]) -> Plan {
    let names: Vec<&str> = routes.iter().map(|(name, ..)| *name).collect();
    let mut plan = fixture::plan(&names, &[]);
    plan.rate_limits = limits;
    for (route, (_, ids, max)) in plan.routes.iter_mut().zip(routes) {
        let ids: Vec<RateLimitId> = ids.iter().map(|id| RateLimitId(*id)).collect();
        let of = RouteLimits { by_address: ids, by_identity: Vec::new() };
        route.limits = Some(of).filter(|of| !of.is_empty()).map(Box::new);
        route.concurrency = max.map(|max| Box::new(Concurrency { max, queue: 0 }));
    }
    plan
}

#[test]
fn policies() {
    let limits = vec![
        limit("ip", 100, 200),
        limit("ip", 1, 5),
        limit("a \"b\" \\ ü", 3, 1),
        limit("header x-tenant", 1000, 1),
    ];
    let plan = plan(
        limits,
        &[("none", &[], None), ("one", &[0], None), ("both", &[0, 1], None), ("odd", &[2, 3], None)],
    );
    let live = LimitsLive::new(&plan, None).ok().unwrap();
    for (at, expect) in [
        (0, ""),
        (1, r#""ip";q=200;w=2"#),
        (2, r#""ip";q=200;w=2, "ip-2";q=5;w=5"#),
        (3, r#""a \"b\" \\ ?";q=1;w=1, "header x-tenant";q=1;w=1"#),
    ] {
        let route = live.route(Some(RouteId(at))).unwrap();
        assert_eq!(String::from_utf8_lossy(&route.policy), expect);
    }
    let both = live.route(Some(RouteId(2))).unwrap();
    assert_eq!(both.name(RateLimitId(1)), Some("\"ip-2\""));
    assert_eq!(both.name(RateLimitId(2)), None);
    assert!(live.route(None).is_none());
}

#[test]
fn identities_stay_with_what_makes_a_limit_the_same() {
    let identity = |limit: RateLimit| {
        let live = LimitsLive::new(&plan(vec![limit], &[]), None).ok().unwrap();
        let live = live.limit(RateLimitId(0)).unwrap();
        (live.identity, live.share.0)
    };
    let (same, share) = identity(limit("ip", 1, 1));
    assert_eq!((same, share), identity(RateLimit { label: "renamed".into(), ..limit("ip", 1, 1) }));
    assert_ne!(same, identity(limit("ip", 1, 2)).0);
    assert_ne!(same, share, "a share has buckets of its own");
}

#[test]
fn what_cannot_be_kept_is_refused() {
    for (rate, burst) in [(0, 1), (1, 0), (u64::MAX, 1), (1, u64::MAX)] {
        let refused = LimitsLive::new(&plan(vec![limit("ip", rate, burst)], &[]), None);
        assert_eq!(refused.err().map(|bad| bad.label.to_string()), Some("ip".into()), "{rate}, {burst}");
    }
}

#[test]
fn places_survive_a_reload_while_name_and_max_stay() {
    let first = plan(Vec::new(), &[("a", &[], Some(1)), ("b", &[], Some(1)), ("c", &[], None)]);
    let before = LimitsLive::new(&first, None).ok().unwrap();
    let held: Vec<_> = [0, 1].iter().map(|at| gate(&before, *at).unwrap().enter().unwrap()).collect();
    let second = plan(Vec::new(), &[("c", &[], Some(1)), ("b", &[], Some(2)), ("a", &[], Some(1))]);
    let after = LimitsLive::new(&second, Some((&first, &before))).ok().unwrap();
    let free: Vec<bool> = [0, 1, 2].iter().map(|at| gate(&after, *at).unwrap().enter().is_some()).collect();
    assert_eq!(free, [true, true, false], "c is new, b grew, a is still taken");
    drop(held);
    assert!(gate(&after, 2).unwrap().enter().is_some());
}

fn gate(live: &LimitsLive, at: u32) -> Option<&Arc<Gate>> {
    live.route(Some(RouteId(at))).and_then(|route| route.gate.as_ref())
}
