use expect_test::{Expect, expect};

use super::*;

fn view() -> View {
    let route = |name: &str, requests: f64, errors: f64| RouteRow {
        name: name.to_owned(),
        requests,
        errors,
        refused: 0.0,
        latency: if requests > 0.0 { [Some(0.000_8), Some(0.012)] } else { [None; 2] },
    };
    let upstream = |name: &str, is_target: bool, well: bool, state: &str| UpstreamRow {
        name: name.to_owned(),
        is_target,
        well,
        state: state.to_owned(),
        requests: 12.0,
        failures: 0.5,
    };
    View {
        version: "1.2.3".into(),
        state: "ready",
        uptime_s: 3_700,
        generation: 7,
        requests: 1_234.4,
        client_errors: 12.34,
        server_errors: 0.5,
        refused: 3.0,
        in_flight: 42.0,
        connections: 120.0,
        latency: [Some(0.000_8), Some(0.002_4), Some(1.5)],
        overhead: [Some(0.000_04), None, None],
        cpu: 0.12,
        cpu_per_request: Some(0.000_098),
        memory: 25.0 * 1024.0 * 1024.0,
        files: (64.0, 20_000.0),
        routes: vec![
            route("orders", 1_200.0, 0.5),
            route("a-route-whose-name-is-far-longer-than-its-column-may-be", 30.0, 0.0),
            route("quiet\u{1b}[31m", 0.0, 0.0),
        ],
        upstreams: vec![
            upstream("orders", false, false, "degraded"),
            upstream("http://10.0.0.5:3000", true, true, "ok"),
            upstream("http://10.0.0.6:3000", true, false, "out since 12:34Z"),
        ],
        reasons: vec![ReasonRow { reason: "rate_limited".into(), rate: 3.0, total: 120.0 }],
        ..View::default()
    }
}

fn text(width: usize, height: Option<usize>) -> Vec<String> {
    let situation = Situation { address: "127.0.0.1:9900", sort: Sort::Rate, paused: false, fault: None };
    let lines = frame(&view(), &situation, Room { width, height });
    lines.iter().map(|line| line.iter().map(|(_, text)| text.as_str()).collect()).collect()
}

fn check(width: usize, height: Option<usize>, expect: Expect) {
    let lines = text(width, height);
    let ended: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    expect.assert_eq(&(ended.join("\n") + "\n"));
}

#[test]
fn a_wide_screen() {
    check(
        80,
        Some(24),
        expect![[r#"
        tollgate 1.2.3  ready  up 1h 1m  configuration 7  127.0.0.1:9900
        requests  1234/s  4xx 12.3/s  5xx 0.50/s  refused 3.0/s  in flight 42
        latency   p50 800µs  p95 2.40ms  p99 1.50s
        gateway   p50 40µs  p95 -  p99 -
        process   cpu 12%, 98µs a request  memory 25.0 MiB  connections 120  files 64

        ROUTE                                    REQ/S     P50     P99   5XX/S REFUSED/S
        orders                                    1200   800µs 12.00ms    0.50         0
        a-route-whose-name-is-far-longer-tha…     30.0   800µs 12.00ms       0         0
        quiet?[31m                                   0       -       -       0         0

        UPSTREAM                                        REQ/S FAILED/S             STATE
        orders                                           12.0     0.50          degraded
          http://10.0.0.5:3000                           12.0     0.50                ok
          http://10.0.0.6:3000                           12.0     0.50  out since 12:34Z

        REFUSED BECAUSE                                                  REQ/S    IN ALL
        rate_limited                                                       3.0       120
        q quit  p pause  space look now  sort by r rate  l latency  e errors  n name
    "#]],
    );
}

#[test]
fn a_narrow_and_low_screen() {
    check(
        40,
        Some(14),
        expect![[r#"
        tollgate 1.2.3  ready  up 1h 1m  config…
        requests  1234/s  4xx 12.3/s  5xx 0.50/s
        latency   p50 800µs  p95 2.40ms  p99 1.…
        gateway   p50 40µs  p95 -  p99 -
        process   cpu 12%, 98µs a request  memo…

        ROUTE                      REQ/S     P99
        orders                      1200 12.00ms
        and 2 more

        UPSTREAM               FAILED/S    STATE
        orders                     0.50 degraded
        and 2 more
        q quit  p pause  space look now  sort b…
    "#]],
    );
}

#[test]
fn no_size_breaks_it_and_no_line_is_too_long() {
    for width in 0..100 {
        for height in 0..30 {
            let lines = text(width, Some(height));
            assert!(lines.len() <= height.max(1), "{width}x{height}: {} lines", lines.len());
            for line in lines {
                assert!(line.chars().count() <= width.max(1), "{width}x{height}: {line:?}");
                assert!(!line.contains('\u{1b}'), "{line:?}");
            }
        }
    }
}

#[test]
fn tables_share_the_room() {
    for (rows, tables, room, expect) in [
        ([10, 10, 10], 3, 9, [3, 3, 3]),
        ([1, 10, 10], 3, 9, [1, 4, 4]),
        ([2, 2, 2], 3, 100, [2, 2, 2]),
        ([5, 0, 0], 3, 3, [3, 0, 0]),
        ([5, 5, 5], 3, 0, [0, 0, 0]),
        ([5, 5, 5], 1, 4, [4, 0, 0]),
    ] {
        assert_eq!(share(rows, tables, room), expect, "{rows:?}, {tables} tables in {room}");
    }
}

#[test]
fn numbers_fit_their_columns() {
    for (value, expect) in
        [(0.0, "0"), (0.25, "0.25"), (12.34, "12.3"), (99.96, "100"), (123_456.7, "123457")]
    {
        assert_eq!(rate(value), expect);
    }
    for (seconds, expect) in [(0.000_075, "75µs"), (0.001_25, "1.25ms"), (0.25, "250ms"), (2.5, "2.50s")] {
        assert_eq!(time(Some(seconds)), expect);
    }
}
