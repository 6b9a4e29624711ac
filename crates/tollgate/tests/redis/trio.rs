//! Three gateways on one Redis, one for each way to go on without it.

use std::time::Duration;

use tollgate_testkit::{Gateway, Redis, assert_problem, wait_some};

use crate::{SLACK, ask, is_up, start, storm, wait_down};

/// `redis.timeout` in these tests: long enough for a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(300);

/// Redis is used again within this time after it can be.
pub(crate) const RECOVERY: Duration = Duration::from_secs(5);

pub(crate) const ROUTES: &str = r#"
  - { path: /exact, rate_limit: { rate: 1/h, burst: 10, per: "header:x-k", store: redis, sync: exact }, respond: { body: ok } }
  - { path: /leased, rate_limit: { rate: 1/h, burst: 10, per: "header:x-k", store: redis }, respond: { body: ok } }
  - { path: /free, respond: { body: ok } }
"#;

pub(crate) struct Trio([(&'static str, Gateway); 3]);

impl Trio {
    #[track_caller]
    pub(crate) fn start(url: &str) -> Trio {
        Trio(["local", "allow", "deny"].map(|on_failure| (on_failure, alone(url, on_failure))))
    }

    #[track_caller]
    pub(crate) fn start_up(redis: &Redis) -> Trio {
        let trio = Trio::start(&redis.url());
        trio.wait_up();
        trio
    }

    pub(crate) fn gateways(&self) -> impl Iterator<Item = &Gateway> {
        self.0.iter().map(|(_, gateway)| gateway)
    }

    #[track_caller]
    pub(crate) fn wait_up(&self) {
        wait_some("Redis to be up again", RECOVERY, || self.gateways().all(is_up).then_some(()));
    }

    /// Redis can be used: limits are shared by all three.
    #[track_caller]
    pub(crate) fn check_with(&self, key: &str) {
        self.wait_up();
        let mut clients: Vec<_> = self.gateways().map(Gateway::client).collect();
        for (path, least) in [("/exact", 10), ("/leased", 8)] {
            let passed = (0..30).filter(|at| ask(&mut clients[at % 3], path, key).0.status == 200).count();
            assert!((least..=10).contains(&passed), "{path}: {passed}");
        }
    }

    /// Redis cannot be used: each goes on in its own way, and none waits for longer than the timeout.
    #[track_caller]
    pub(crate) fn check_without(&self, key: &str) {
        for (on_failure, gateway) in &self.0 {
            for path in ["/exact", "/leased"] {
                check_without(gateway, on_failure, path, key, 10);
            }
            assert_eq!(gateway.get("/free").status, 200, "other routes know nothing of it");
        }
        self.gateways().for_each(wait_down);
    }
}

#[track_caller]
fn alone(url: &str, on_failure: &str) -> Gateway {
    start(url, &format!("timeout: {}ms, on_failure: {on_failure}", TIMEOUT.as_millis()), ROUTES)
}

/// Fifteen requests for one key on two connections; `share` of them pass when this gateway counts alone.
#[track_caller]
pub(crate) fn check_without(gateway: &Gateway, on_failure: &str, path: &str, key: &str, share: usize) {
    let mut clients = [gateway.client(), gateway.client()];
    for at in 0..15 {
        let (answer, took) = ask(&mut clients[at % 2], path, key);
        let what = format!("{on_failure} {path}, request {at}: {} {}", answer.status, answer.text());
        assert!(took < TIMEOUT + SLACK, "{what} after {took:?}");
        match on_failure {
            "local" if at < share => {
                assert_eq!(answer.status, 200, "{what}");
                assert!(answer.header("ratelimit").is_some(), "{what}");
            }
            "local" => assert_problem(&answer, "rate_limited"),
            "allow" => {
                assert_eq!(answer.status, 200, "{what}");
                assert!(answer.header("ratelimit").is_none(), "nobody counted");
            }
            _ => {
                assert_problem(&answer, "limit_store_unavailable");
                assert!(answer.header("retry-after").is_some(), "{what}");
            }
        }
    }
}

/// What all of them pass together at once, by the exact limit.
#[track_caller]
pub(crate) fn storm_exact(gateways: &[Gateway], key: &str) -> usize {
    storm(gateways, "/exact", key, 6, 5)
}
