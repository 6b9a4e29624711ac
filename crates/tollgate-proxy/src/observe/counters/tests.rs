use std::collections::BTreeMap;

use tollgate_wire::Method;

use super::registry::{RETIRED_FOR, RETIRED_MAX, RETIRED_PLANS};
use super::*;
use crate::observe::fixture;
use crate::observe::snapshot::{
    LimitLabels, RejectedLabels, RequestLabels, Snapshot, UpstreamConnections, UpstreamLabels,
};

const ROUTES: [&str; 4] = ["a", "b", "c", "d"];
const UPSTREAMS: [(&str, &[&str]); 2] = [("u", &["http://1", "http://2"]), ("v", &["http://1"])];

/// What the counters must say, kept in the most obvious way.
#[derive(Default, PartialEq, Debug)]
struct Model {
    requests: BTreeMap<(String, &'static str, u16), u64>,
    rejected: BTreeMap<(String, &'static str), u64>,
    attempts: BTreeMap<(String, String, String), u64>,
    nanos: BTreeMap<String, (u128, u128)>,
}

impl Model {
    fn of(snapshot: &Snapshot) -> Model {
        let mut model = Model::default();
        for (RequestLabels { route, method, status }, count) in &snapshot.requests {
            model.requests.insert((route.to_string(), method, *status), *count);
        }
        for (RejectedLabels { route, reason }, count) in &snapshot.rejected {
            model.rejected.insert((route.to_string(), reason), *count);
        }
        for (UpstreamLabels { upstream, target, outcome }, count) in &snapshot.upstream_requests {
            model.attempts.insert((upstream.to_string(), target.to_string(), outcome.to_string()), *count);
        }
        for (route, histogram) in snapshot.request_duration.iter().filter(|(_, h)| h.count() > 0) {
            let sums = (histogram.sum_nanos(), snapshot.overhead[route].sum_nanos());
            model.nanos.insert(route.to_string(), sums);
        }
        model
    }
}

/// A fixed sequence of numbers that look random.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn snapshot(workers: &[&Counters]) -> Snapshot {
    let parts: Vec<_> = workers.iter().map(|counters| counters.snapshot(Gauges::default())).collect();
    Snapshot::merge(&parts)
}

#[test]
fn counters_agree_with_a_map_over_workers_and_reloads() {
    let methods = [Method::Get, Method::Post, Method::parse(b"BREW").unwrap()];
    let method_labels = ["GET", "POST", "other"];
    let statuses = [(200, 200), (404, 404), (99, 0), (600, 0), (599, 599), (0, 0), (u16::MAX, 0)];
    let classes = ["2xx", "4xx", "other", "other", "5xx", "other", "other"];
    let mut dice = Dice(7);
    let workers = [Counters::new(), Counters::new()];
    let mut model = Model::default();

    for _ in 0..20 {
        // Each reload brings the routes in another order, so an index means another name every time.
        let mut routes = ROUTES;
        routes.rotate_left(dice.below(4));
        let mut upstreams = UPSTREAMS;
        upstreams.rotate_left(dice.below(2));
        let plan = fixture::plan(&routes, &upstreams);
        let series = [
            workers[0].attach(&Arc::new(plan.clone()), Instant::now()),
            workers[1].attach(&Arc::new(plan.clone()), Instant::now()),
        ];

        for _ in 0..200 {
            let worker = &series[dice.below(2)];
            let (method, status) = (dice.below(3), dice.below(statuses.len()));
            let route = dice.below(5);
            let route_name = routes.get(route).copied().unwrap_or("none");
            let reason = (dice.below(2) == 0).then(|| Reason::ALL[dice.below(Reason::ALL.len())]);
            let nanos = dice.below(3_000_000) as u64;
            let upstream_nanos = dice.below(3_000_000) as u64;
            worker.count(&Record {
                method: Some(&methods[method]),
                status: statuses[status].0,
                route: (route < 4).then_some(RouteId(route as u32)),
                reason,
                duration: Duration::from_nanos(nanos),
                upstream_time: Some(Duration::from_nanos(upstream_nanos)),
                ..fixture::record()
            });
            let request = (route_name.to_owned(), method_labels[method], statuses[status].1);
            *model.requests.entry(request).or_default() += 1;
            if let Some(reason) = reason {
                *model.rejected.entry((route_name.to_owned(), reason.code())).or_default() += 1;
            }
            let sums = model.nanos.entry(route_name.to_owned()).or_default();
            sums.0 += u128::from(nanos);
            sums.1 += u128::from(nanos.saturating_sub(upstream_nanos));

            let upstream = dice.below(2);
            let target = dice.below(upstreams[upstream].1.len());
            let (outcome, label) = match reason {
                Some(reason) => (Outcome::Failed(reason), reason.code()),
                None => (Outcome::Status(statuses[status].0), classes[status]),
            };
            let time = Duration::from_nanos(upstream_nanos);
            worker.count_attempt(UpstreamId(upstream as u32), target, outcome, time);
            let name = upstreams[upstream].0.to_owned();
            let attempt = (name, upstreams[upstream].1[target].to_owned(), label.to_owned());
            *model.attempts.entry(attempt).or_default() += 1;
        }
        assert_eq!(Model::of(&snapshot(&[&workers[0], &workers[1]])), model);
    }
}

#[test]
fn a_request_over_a_reload_counts_where_it_began() {
    let counters = Counters::new();
    let before = counters.attach(&shared(&["old", "both"], &[]), Instant::now());
    let after = counters.attach(&shared(&["both", "new"], &[]), Instant::now());
    let to_first = Record { route: Some(RouteId(0)), ..fixture::record() };
    let to_second = Record { route: Some(RouteId(1)), ..fixture::record() };
    for record in [&to_first, &to_second] {
        before.count(record);
        after.count(record);
    }
    let counted: Vec<(String, u64)> =
        snapshot(&[&counters]).requests.iter().map(|(labels, n)| (labels.route.to_string(), *n)).collect();
    assert_eq!(counted, [("both".to_owned(), 2), ("new".to_owned(), 1), ("old".to_owned(), 1)]);
}

#[test]
fn reloads_with_ever_new_names_do_not_grow_the_memory() {
    let counters = Counters::new();
    for reload in 0..50 {
        let names: Vec<String> = (0..100).map(|n| format!("{reload}-{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let targets: [(&str, &[&str]); 1] = [("u", &names)];
        let series = counters.attach(&shared(&names, &targets), Instant::now());
        for index in 0..100 {
            series.count(&Record { route: Some(RouteId(index)), ..fixture::record() });
            series.count_attempt(UpstreamId(0), index as usize, Outcome::Status(200), Duration::ZERO);
        }
    }
    let snapshot = snapshot(&[&counters]);
    let names = RETIRED_MAX..=RETIRED_MAX + 100;
    assert!(names.contains(&snapshot.requests.len()), "{}", snapshot.requests.len());
    assert!(names.contains(&snapshot.upstream_requests.len()), "{}", snapshot.upstream_requests.len());
    let newest = snapshot.requests.keys().filter(|labels| labels.route.starts_with("49-")).count();
    assert_eq!(newest, 100, "what runs now is never forgotten");
}

/// Where each plan brings one name of its own, those that are kept are few, whatever the time between two plans; and who
/// scrapes now and then still sees what was counted last.
#[test]
fn names_that_are_gone_for_long_leave() {
    let begun = Instant::now();
    let after = |plans: u32, every: Duration| {
        let counters = Counters::new();
        for plan in 0..plans {
            let only = format!("only-{plan}");
            let series = counters.attach(&shared(&["stays", &only], &[]), begun + every * plan);
            for route in 0..2 {
                series.count(&Record { route: Some(RouteId(route)), ..fixture::record() });
            }
        }
        let snapshot = snapshot(&[&counters]);
        let stays = snapshot.requests.iter().find(|(labels, _)| &*labels.route == "stays");
        assert_eq!(stays.map(|(_, count)| *count), Some(u64::from(plans)));
        snapshot.requests.len() as u64
    };
    // Beside those that are gone: the one that stays, and the last plan's.
    for (every, gone) in [
        (Duration::from_secs(3600), RETIRED_PLANS),
        (RETIRED_FOR, RETIRED_PLANS),
        (Duration::from_secs(1), RETIRED_FOR.as_secs()),
        (Duration::ZERO, RETIRED_MAX as u64),
    ] {
        assert_eq!(after(RETIRED_MAX as u32 + 200, every), gone + 2, "a plan every {every:?}");
    }
}

#[test]
fn a_name_that_comes_back_goes_on_from_its_value() {
    let counters = Counters::new();
    let request = fixture::record();
    counters.attach(&shared(&["a"], &[]), Instant::now()).count(&request);
    counters.attach(&shared(&["b"], &[]), Instant::now()).count(&request);
    counters.attach(&shared(&["a"], &[]), Instant::now()).count(&request);
    let counted: Vec<u64> = snapshot(&[&counters]).requests.into_values().collect();
    assert_eq!(counted, [2, 1]);
}

#[test]
fn every_method_has_its_label() {
    let methods = [
        (Some(Method::Get), "GET"),
        (Some(Method::Head), "HEAD"),
        (Some(Method::Post), "POST"),
        (Some(Method::Put), "PUT"),
        (Some(Method::Delete), "DELETE"),
        (Some(Method::Patch), "PATCH"),
        (Some(Method::Options), "OPTIONS"),
        (Some(Method::Connect), "CONNECT"),
        (Some(Method::Trace), "TRACE"),
        (Method::parse(b"PURGE"), "other"),
        (None, "none"),
    ];
    for (method, label) in methods {
        let counters = Counters::new();
        let series = counters.attach(&shared(&["r"], &[]), Instant::now());
        series.count(&Record { method: method.as_ref(), ..fixture::record() });
        let snapshot = snapshot(&[&counters]);
        let (labels, count) = snapshot.requests.first_key_value().unwrap();
        assert_eq!((labels.method, labels.status_label().as_ref(), *count), (label, "200", 1));
    }
}

#[test]
fn an_upstream_that_answers_with_every_status_makes_502_series() {
    let counters = Counters::new();
    let series = counters.attach(&shared(&["r"], &UPSTREAMS), Instant::now());
    for status in (0..=u16::MAX).rev() {
        series.count(&Record { status, ..fixture::record() });
        series.count_attempt(UpstreamId(0), 0, Outcome::Status(status), Duration::ZERO);
    }
    let snapshot = snapshot(&[&counters]);
    let statuses: Vec<u16> = snapshot.requests.keys().map(|labels| labels.status).collect();
    assert_eq!(statuses, [0].into_iter().chain(100..600).collect::<Vec<u16>>());
    assert_eq!(snapshot.requests.values().sum::<u64>(), 65_536);
    assert_eq!(snapshot.request_duration["r"].count(), 65_536);
    assert_eq!(snapshot.overhead["r"].count(), 65_536);
    assert_eq!(snapshot.upstream_requests.len(), 6);
    assert_eq!(snapshot.upstream_requests.values().sum::<u64>(), 65_536);
}

#[test]
fn indexes_of_no_plan_are_ignored() {
    let counters = Counters::new();
    let series = counters.attach(&shared(&["r"], &UPSTREAMS), Instant::now());
    series.count(&Record { route: Some(RouteId(7)), ..fixture::record() });
    series.count_attempt(UpstreamId(7), 0, Outcome::Status(200), Duration::ZERO);
    series.count_attempt(UpstreamId(0), 7, Outcome::Status(200), Duration::ZERO);
    series.count_retry(UpstreamId(7));
    let snapshot = snapshot(&[&counters]);
    assert_eq!(&*snapshot.requests.first_key_value().unwrap().0.route, "none");
    assert!(snapshot.upstream_requests.is_empty());
}

#[test]
fn gauges_and_retries_are_summed() {
    let plan = fixture::plan(&["r"], &UPSTREAMS);
    let part = |n: u64| {
        let counters = Counters::new();
        let series = counters.attach(&Arc::new(plan.clone()), Instant::now());
        for _ in 0..n {
            series.count_retry(UpstreamId(1));
        }
        counters.snapshot(Gauges {
            inflight_requests: n,
            upstream_connections: vec![("v".into(), UpstreamConnections { idle: n, active: 2 * n })],
        })
    };
    let sum = Snapshot::merge(&[part(1), part(2)]);
    assert_eq!(sum.inflight_requests, 3);
    assert_eq!(sum.upstream_connections["v"], UpstreamConnections { idle: 3, active: 6 });
    assert_eq!(sum.retries["v"], 3);
}

#[test]
fn refusals_of_limits_are_counted_by_route_and_limit_over_workers_and_reloads() {
    let workers = [Counters::new(), Counters::new()];
    let label = |text: &str| Arc::<str>::from(text);
    for routes in [["a", "b"], ["b", "a"]] {
        for counters in &workers {
            let series = counters.attach(&shared(&routes, &[]), Instant::now());
            for (at, route) in routes.iter().enumerate() {
                let limit = if *route == "a" { "1/s per ip" } else { "login" };
                series.count_limited(Some(RouteId(at as u32)), &label(limit));
            }
            series.count_limited(Some(RouteId(0)), &label("1/h per all"));
            series.count_limited(None, &label("none"));
        }
    }
    let counted = snapshot(&[&workers[0], &workers[1]]).rate_limited;
    let entry =
        |route: &str, limit: &str, count| (LimitLabels { route: label(route), limit: label(limit) }, count);
    let expect = [
        entry("a", "1/h per all", 2),
        entry("a", "1/s per ip", 4),
        entry("b", "1/h per all", 2),
        entry("b", "login", 4),
    ];
    assert_eq!(counted.into_iter().collect::<Vec<_>>(), expect);
}

fn shared(routes: &[&str], upstreams: &[(&str, &[&str])]) -> Arc<Plan> {
    Arc::new(fixture::plan(routes, upstreams))
}
