//! `tollgate cost`: figures that were worked out by hand, from prices of the user's own and from a gateway that runs.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::Value;
use tempfile::TempDir;
use tollgate_testkit::{Finished, Origin, Port, binary, gateway, run};

/// One cloud, at prices that can be reckoned with by hand.
const PRICES: &str = r#"{
  "as_of": "a Tuesday", "source": "nobody",
  "clouds": [ {
    "name": "here", "region": "r", "spot_share": 0.5, "disk_gb_month": 0.125,
    "types": [ { "name": "one", "vcpus": 1, "sustained": 1, "memory_gib": 2, "hour": 0.1 } ],
    "storage": {
      "standard": { "name": "s", "gb_month": 0.01, "put_1000": 0, "least_days": 1 },
      "cold": { "name": "c", "gb_month": 0.001, "put_1000": 0, "least_days": 365 }
    },
    "egress_gb": 0.1, "between_zones_gb": 0.02
  } ]
}"#;

#[track_caller]
fn cost(dir: &TempDir, arguments: &[&str], code: i32) -> Finished {
    let ended = run(binary!(), dir.path(), &[&["cost"], arguments].concat(), &[]);
    assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:#?}");
    ended
}

#[track_caller]
fn json(dir: &TempDir, arguments: &[&str], code: i32) -> Value {
    let ended = cost(dir, &[arguments, &["--json"]].concat(), code);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:#?}"))
}

fn directory() -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("prices.json"), PRICES).expect("a file");
    dir
}

/// 2,628 million requests a month are 1,000 a second, 3,000 in the busiest one: at 100 µs 0.3 vCPU. With 60 % of one to use and two
/// zones to carry it, one machine in each of three: 3 × $0.1 × 730 = $219, and 3 × 8 GB × $0.125 = $3 of disks.
#[test]
fn worked_out_by_hand() {
    let dir = directory();
    let base = ["--prices", "prices.json", "--requests", "2628M", "--cpu-us", "100", "--keep-days", "365"];
    let told = json(&dir, &[&base[..], &["--record-bytes", "100"]].concat(), 0);
    assert_eq!(told["requests_per_second"]["busiest"], 3000.0, "{told:#}");
    let offers = told["offers"].as_array().expect("offers");
    let [spot, demand] = &offers[..] else { panic!("two offers: {told:#}") };
    assert_eq!((&spot["spot"], &demand["spot"]), (&true.into(), &false.into()));
    assert_eq!(demand["machines"], 3);
    assert_eq!(demand["dollars_per_month"]["compute"], 219.0);
    assert_eq!(demand["dollars_per_month"]["disks"], 3.0);
    // 262.8 GB a month for twelve months at a cent.
    assert_eq!(demand["dollars_per_month"]["records"], 31.54, "{told:#}");
    assert_eq!(demand["dollars_per_month"]["total"], 253.54);
    // By 2.628.
    assert_eq!(demand["dollars_per_billion"], 96.47);
    assert_eq!(spot["dollars_per_month"]["compute"], 109.5);
    let traffic = &told["not_included"]["traffic"][0];
    // 2,628 million × 1,200 bytes; (700 + 1,200) bytes, two thirds of them to another zone.
    assert_eq!(traffic["egress"]["dollars"], 315.36, "{told:#}");
    assert_eq!(traffic["between_zones"]["gb"], 3328.8);
    // A hundred times the CPU: 30 vCPUs, 15 in each of two zones, 25 machines each.
    let many = json(&dir, &[&base[..4], &["--cpu-us", "10000"]].concat(), 0);
    assert_eq!(many["offers"][0]["machines"], 75, "{many:#}");
    let cold =
        json(&dir, &[&base[..], &["--record-bytes", "100", "--storage", "cold", "--redis"]].concat(), 0);
    assert_eq!(cold["offers"][0]["dollars_per_month"]["records"], 3.15, "{cold:#}");
    assert_eq!(cold["offers"][0]["dollars_per_month"]["redis"], 74.0, "{cold:#}");
}

#[test]
fn for_people_it_says_what_is_not_included() {
    let dir = directory();
    let told = cost(&dir, &[], 0).stdout;
    for part in
        ["1,000,000,000 requests a month: 381 a second", "bench/results/p2.json", "t4g.small", "on demand"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    for part in ["to the internet", "between zones", "load balancers", "List prices as of", "check them"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let shown = cost(&dir, &["--show-prices"], 0).stdout;
    fs::write(dir.path().join("shown.json"), shown).expect("a file");
    assert_eq!(cost(&dir, &["--prices", "shown.json"], 0).stdout, told, "what is shown can be given back");
}

#[test]
fn measurements_of_a_file() {
    let dir = directory();
    let sample = |who: &str, us: f64| format!(r#"{{ "who": "{who}", "work": "w", "us_per_request": {us} }}"#);
    let file = format!(
        r#"{{ "date": "2026-01-31", "machine": {{ "processor": "P" }}, "samples": [{}, {}, {}] }}"#,
        sample("a", 10.0),
        sample("b", 30.0),
        sample("nginx", 1.0)
    );
    fs::write(dir.path().join("m.json"), file).expect("a file");
    let told = json(&dir, &["--measured", "m.json", "--work", "b"], 0);
    assert_eq!(told["cpu"]["us_per_request"], 30.0, "{told:#}");
    let told = json(&dir, &["--measured", "m.json"], 1);
    assert!(told["error"].as_str().is_some_and(|error| error.contains("a: w; b: w")), "{told:#}");
}

/// Answers one request with metrics.
fn told_by(metrics: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        // The whole head: a client that is answered too early could not finish it.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a request");
            head.push(byte[0]);
        }
        write!(stream, "HTTP/1.0 200 OK\r\n\r\n{metrics}").expect("an answer");
    });
    address
}

#[test]
fn from_a_gateway_that_runs() {
    let dir = directory();
    // 4 s by 80,000 requests.
    let address = told_by(
        "tollgate_requests_total{route=\"a\",method=\"GET\",status=\"200\"} 70000\n\
         tollgate_requests_total{route=\"b\",method=\"GET\",status=\"401\"} 10000\nprocess_cpu_seconds_total 4\n"
            .to_owned(),
    );
    let told = json(&dir, &["--from", &address], 0);
    assert_eq!(told["cpu"]["us_per_request"], 50.0, "{told:#}");
    // A real one has both metrics, and has answered too little.
    let origin = Origin::ok();
    let gateway = gateway!("routes: [{ path: /*, to: '@ORIGIN@' }]", ORIGIN = origin.url());
    assert_eq!(gateway.get("/").status, 200);
    let told = json(&dir, &["--from", &gateway.admin_address()], 1);
    assert!(
        told["error"].as_str().is_some_and(|error| error.contains("has answered 1 requests")),
        "{told:#}"
    );
}

#[test]
fn what_is_wrong_is_said() {
    let dir = directory();
    for arguments in [
        &["--requests", "0"][..],
        &["--requests", "1.5G"],
        &["--zones", "0"],
        &["--utilisation", "101"],
        &["--peak", "0.5"],
        &["--cpu-us", "NaN"],
        &["--work", "x"],
        &["--cpu-us", "1", "--from", "127.0.0.1:1"],
        &["--from", "here"],
        &["--json", "--show-prices"],
    ] {
        assert!(!cost(&dir, arguments, 2).stderr.is_empty(), "{arguments:?}");
    }
    fs::write(dir.path().join("bad.json"), PRICES.replace("0.1,", "\"x\",")).expect("a file");
    let nobody = Port::reserve();
    for (arguments, part) in [
        (&["--prices", "bad.json"][..], "`clouds[0].egress_gb`"),
        (&["--prices", "none.json"], "none.json"),
        (&["--measured", "prices.json"], "no samples"),
        (&["--from", &nobody.address()], "no answer"),
    ] {
        let told = json(&dir, arguments, 1);
        assert_eq!(told["ok"], false);
        assert!(told["error"].as_str().is_some_and(|error| error.contains(part)), "{part}: {told:#}");
    }
}
