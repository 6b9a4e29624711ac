//! A small plan and a plain record for the tests of this stage.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tollgate_plan::Plan;
use tollgate_plan::consumer::Consumers;
use tollgate_plan::limit::RateLimitHeaders;
use tollgate_plan::limits::Limits;
use tollgate_plan::object_log::Sample;
use tollgate_plan::plan::{AccessLog, Admin, LogSink, OnFull, Shutdown};
use tollgate_plan::resilience::StatusSet;
use tollgate_plan::route::{Action, Route, RouteId};
use tollgate_plan::table::RouteTable;
use tollgate_plan::upstream::{Address, Balance, HostMode, Pool, Target, Upstream, UpstreamId};
use tollgate_wire::{Method, Version};

use super::record::Record;

/// Upstreams are written `name` with the URLs of their targets.
pub(crate) fn plan(routes: &[&str], upstreams: &[(&str, &[&str])]) -> Plan {
    Plan {
        listeners: Vec::new(),
        trusted_proxies: Default::default(),
        subject_headers: Vec::new(),
        name_servers: Vec::new(),
        limits: Limits::default(),
        workers: 1,
        shutdown: Shutdown { delay: Duration::ZERO, grace: Duration::ZERO },
        notice: None,
        reload_every: Duration::from_secs(30),
        admin: Admin { address: ([127, 0, 0, 1], 0).into(), token: None, allow_write: false },
        access_log: AccessLog {
            sink: LogSink::Stdout,
            on_full: OnFull::Drop,
            headers: Vec::new(),
            log_query: false,
            sample: Sample::ALL,
            masked_query: Vec::new(),
            masked_headers: Vec::new(),
        },
        traces: None,
        issuers: Vec::new(),
        consumers: Consumers::default(),
        rate_limits: Vec::new(),
        rate_limit_headers: RateLimitHeaders::default(),
        redis: None,
        upstreams: upstreams.iter().map(|(name, urls)| upstream(name, urls)).collect(),
        routes: routes.iter().map(|name| route(name)).collect(),
        table: RouteTable::default(),
    }
}

fn route(name: &str) -> Route {
    Route {
        name: name.into(),
        pattern: "/*".into(),
        cors: None,
        addresses: None,
        user_agents: None,
        checks: None,
        scripts: None,
        auth: None,
        limits: None,
        concurrency: None,
        max_body: 0,
        timeout: None,
        deadline: None,
        request: None,
        response: None,
        mirror: None,
        tunnel_idle_ms: 0,
        cache: None,
        action: Action::Health(Box::default()),
    }
}

fn upstream(name: &str, urls: &[&str]) -> Upstream {
    let target = |url: &&str| Target {
        url: Arc::from(*url),
        address: Address::Unix("/".into()),
        authority: "localhost".into(),
        prefix: "".into(),
        weight: 1,
        tls: None,
        http2: false,
    };
    Upstream {
        name: name.into(),
        named: true,
        targets: urls.iter().map(target).collect(),
        balance: Balance::LeastRequests,
        host: HostMode::Upstream,
        connect_timeout: Duration::ZERO,
        timeout: Duration::ZERO,
        idle_timeout: Duration::ZERO,
        pool: Pool::default(),
        tls: Default::default(),
        retry: None,
        health_check: None,
        outlier: None,
        circuit_breaker: None,
        failure_status: StatusSet::default(),
        credentials: None,
        follow_redirects: 0,
    }
}

/// A GET on the first route that the first target of the first upstream answered.
pub(super) fn record() -> Record<'static> {
    Record {
        started: UNIX_EPOCH + Duration::from_millis(1_780_000_000_123),
        id: "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        client: Some([192, 0, 2, 7].into()),
        method: Some(&Method::Get),
        host: "api.example.com",
        path: "/orders/7",
        query: Some(b"page=2&token=s3cret"),
        route: Some(RouteId(0)),
        status: 200,
        reason: None,
        consumer: None,
        bytes_in: 0,
        bytes_out: 1024,
        duration: Duration::from_nanos(1_234_567),
        upstream: Some(UpstreamId(0)),
        target: Some("http://10.0.0.5:3000"),
        upstream_time: Some(Duration::from_micros(1_100)),
        attempts: 1,
        parts_failed: &[],
        cache: None,
        version: Version::Http11,
        headers: None,
        generation: 3,
        tls: None,
        trace: None,
    }
}
