//! Access records in an object store: every one of them, whatever happens to the store or to the process.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tollgate_testkit::{
    Client, Gateway, ObjectStore, Signal, assert_holds, binary, gateway, limit_descriptors, run, wait_for,
    wait_some,
};

const ROUTES: &str = "
workers: 1
routes:
  - { name: own, path: /own/*, respond: { body: hello } }
";

/// A configuration with small batches.
fn config(store: &ObjectStore, batch: &str, spool: &str) -> String {
    format!(
        "{ROUTES}access_log:\n  sink: object_store\n  url: s3://bucket/logs\n  store: {}\n  batch: {batch}\n  \
         spool: {{ dir: \"@DIR@/spool\", size: {spool} }}\n",
        store.access()
    )
}

fn quick(store: &ObjectStore) -> String {
    config(store, "{ size: 64KiB, every: 200ms }", "16MiB")
}

/// Makes requests for `/own/<from>` and so on, each answered.
fn requests(gateway: &Gateway, numbers: std::ops::Range<usize>) {
    let mut client = gateway.client();
    for number in numbers {
        assert_eq!(client.get(&format!("/own/{number}")).text(), "hello");
    }
}

/// The records of all objects, each checked to be where it belongs.
fn stored(store: &ObjectStore) -> Vec<Value> {
    let mut records = Vec::new();
    for (key, object) in store.objects() {
        let parts: Vec<&str> = key.split('/').collect();
        let [bucket, prefix, day, hour, name] = parts.as_slice() else { panic!("{key}") };
        assert_eq!((*bucket, *prefix), ("bucket", "logs"));
        assert!(name.ends_with(".ndjson.zst"), "{key}");
        let text = zstd::decode_all(&*object).expect("the object is whole");
        for line in String::from_utf8(text).expect("records are UTF-8").lines() {
            let record: Value = serde_json::from_str(line).expect("a line is a record");
            let time = record["time"].as_str().expect("a record has a time");
            // A request of the tests ends in the hour when it began, or at the very beginning of the next.
            let place = format!("dt={}/hr={}", &time[..10], &time[11..13]);
            let next = format!("{day}/{hour}");
            assert!(place == next || time[14..].starts_with("59:59"), "{place} in {key}");
            records.push(record);
        }
    }
    records
}

/// The numbers of the requests whose records are stored.
fn numbers(store: &ObjectStore) -> BTreeSet<usize> {
    let path =
        |record: &Value| record["path"].as_str().and_then(|path| path.strip_prefix("/own/")?.parse().ok());
    stored(store).iter().filter_map(path).collect()
}

#[track_caller]
fn wait_stored(store: &ObjectStore, count: usize) {
    wait_for("all records in the store", || numbers(store).len() >= count);
    assert_eq!(numbers(store), (0..count).collect(), "each of them");
}

fn counter(gateway: &Gateway, name: &str, result: Option<&str>) -> f64 {
    let result = result.map(|result| format!(",result=\"{result}\"")).unwrap_or_default();
    gateway.metrics().get(&format!("{name}{{sink=\"object_store\"{result}}}"))
}

fn waiting(gateway: &Gateway) -> f64 {
    gateway.metrics().get("tollgate_log_spool_bytes")
}

#[test]
fn records_arrive_in_batches_under_partitioned_keys() {
    let store = ObjectStore::start();
    let gateway = gateway!(&quick(&store));
    requests(&gateway, 0..300);
    wait_stored(&store, 300);
    assert_eq!(stored(&store).len(), 300, "each of them once");
    assert_eq!(store.refused(), 0, "every signature was right");
    wait_for("the counters", || counter(&gateway, "tollgate_log_records_total", None) == 300.0);
    assert_eq!(counter(&gateway, "tollgate_log_dropped_total", None), 0.0);
    assert_eq!(counter(&gateway, "tollgate_log_batches_total", Some("ok")), store.puts() as f64);
    assert_eq!(waiting(&gateway), 0.0);
    assert!(gateway.stdout().text().is_empty(), "nothing goes elsewhere");
}

#[test]
fn a_batch_is_closed_by_its_size() {
    let store = ObjectStore::start();
    let gateway = gateway!(&config(&store, "{ size: 16KiB, every: 1h }", "16MiB"));
    requests(&gateway, 0..400);
    // A line has some 350 bytes, and they are handed over some dozens at a time.
    wait_for("several batches", || store.puts() >= 4);
    assert!(store.puts() <= 12, "{} batches of 140 kB in all", store.puts());
}

#[test]
fn a_drain_sends_what_is_left() {
    let store = ObjectStore::start();
    let mut gateway = gateway!(&config(&store, "{ size: 64MiB, every: 1h }", "64MiB"));
    requests(&gateway, 0..50);
    gateway.signal(Signal::TERM);
    assert!(gateway.wait_exit().success());
    assert_eq!(numbers(&store), (0..50).collect());
    let left = spooled(gateway.dir());
    assert!(left.is_empty(), "{left:?}");
}

/// Names of files in the spool, without those of locks.
fn spooled(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir.join("spool")).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(".seg"))
        .collect()
}

#[test]
fn a_store_that_is_down_for_a_while_loses_nothing() {
    let store = ObjectStore::down_at_first();
    let gateway = gateway!(&quick(&store));
    requests(&gateway, 0..100);
    wait_for("a try", || counter(&gateway, "tollgate_log_batches_total", Some("failed")) > 0.0);
    assert!(waiting(&gateway) > 0.0);
    store.up();
    wait_stored(&store, 100);
    for status in [500, 503, 403] {
        store.refuse(Some(status));
        let next = numbers(&store).len();
        requests(&gateway, next..next + 50);
        let failed = counter(&gateway, "tollgate_log_batches_total", Some("failed"));
        wait_for("a refused try", || {
            counter(&gateway, "tollgate_log_batches_total", Some("failed")) > failed
        });
        store.refuse(None);
        wait_stored(&store, next + 50);
    }
    assert_eq!(counter(&gateway, "tollgate_log_dropped_total", None), 0.0);
    assert!(gateway.stderr().text().contains("the object store does not take them"));
    assert!(!gateway.stderr().text().contains(tollgate_testkit::SECRET_KEY));
}

/// Without a descriptor a file of the spool cannot be opened: that is no reason to give its records up.
#[test]
fn a_lack_of_descriptors_loses_nothing_that_waits() {
    let store = ObjectStore::down_at_first();
    let gateway = gateway!(&quick(&store));
    requests(&gateway, 0..100);
    gateway.stderr().wait_line("access records wait in the spool");
    // Fewer than it has: none is left for the next tries, which come after 0.25 s, 0.5 s and 1 s.
    let before = limit_descriptors(gateway.pid(), Some(3));
    store.up();
    let is_whole = || !gateway.stderr().text().contains("are lost");
    assert_holds("nothing is given up", Duration::from_secs(2), is_whole);
    limit_descriptors(gateway.pid(), before);
    wait_stored(&store, 100);
    assert_eq!(counter(&gateway, "tollgate_log_dropped_total", None), 0.0);
}

#[test]
fn a_slow_store_slows_nobody() {
    let store = ObjectStore::start();
    store.delay(Duration::from_secs(2));
    let gateway = gateway!(&config(&store, "{ size: 16KiB, every: 100ms }", "16MiB"));
    let began = std::time::Instant::now();
    requests(&gateway, 0..1_000);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?} for a thousand requests", began.elapsed());
    store.delay(Duration::ZERO);
    wait_stored(&store, 1_000);
}

#[test]
fn a_full_spool_drops_the_oldest_and_says_so() {
    let store = ObjectStore::down_at_first();
    // With `block` nothing is lost on the way to the spool, however slow the disk is.
    let text = config(&store, "{ size: 16KiB, every: 100ms }", "64KiB") + "  on_full: block\n";
    let mut gateway = gateway!(&text);
    let mut made = 0;
    wait_for("the spool to be full", || {
        requests(&gateway, made..made + 200);
        made += 200;
        counter(&gateway, "tollgate_log_dropped_total", None) > 500.0
    });
    assert!(waiting(&gateway) <= 64.0 * 1024.0);
    store.up();
    let (records, dropped) = ("tollgate_log_records_total", "tollgate_log_dropped_total");
    wait_for("the counts to agree", || {
        counter(&gateway, records, None) + counter(&gateway, dropped, None) == made as f64
    });
    let there = numbers(&store);
    assert_eq!(there.len() as f64, counter(&gateway, records, None), "what is counted as written is there");
    assert!(there.contains(&(made - 1)), "the newest are there");
    gateway.signal(Signal::TERM);
    assert!(gateway.wait_exit().success());
}

/// What stood in the spool when the process was killed is sent by the next one; nothing is sent as two objects.
#[test]
fn a_process_that_is_killed_leaves_its_records_to_the_next() {
    let store = ObjectStore::down_at_first();
    let text = config(&store, "{ size: 32KiB, every: 1s }", "16MiB");
    let dir = tempfile::tempdir().expect("a directory");
    let spool = dir.path().display().to_string();
    let text = text.replace("@DIR@/spool", &format!("{spool}/spool"));
    let mut made = 0;
    for round in 1..=3 {
        let mut gateway = gateway!(&text);
        requests(&gateway, made..made + 500);
        made += 500;
        // All of them are appended, the last batch is not complete.
        let mut last = waiting(&gateway);
        wait_some("everything to be in the spool", Duration::from_secs(10), || {
            tollgate_testkit::pause(Duration::from_millis(300));
            let (before, now) = (last, waiting(&gateway));
            last = now;
            (before == now && now > 0.0).then_some(())
        });
        gateway.signal(Signal::KILL);
        gateway.wait_exit();
        assert!(!spooled(dir.path()).is_empty(), "round {round}");
    }
    store.up();
    let mut gateway = gateway!(&text);
    wait_stored(&store, made);
    assert_eq!(stored(&store).len(), made, "each of them once: a batch has one key");
    assert_eq!(counter(&gateway, "tollgate_log_records_total", None), made as f64);
    wait_for("the spool to be empty", || spooled(dir.path()).is_empty());
    gateway.signal(Signal::TERM);
    assert!(gateway.wait_exit().success());
    let left: Vec<_> = std::fs::read_dir(dir.path().join("spool")).expect("the spool").flatten().collect();
    assert!(left.is_empty(), "nothing is left behind: {left:?}");
}

#[test]
fn a_kill_in_the_middle_of_sending_loses_nothing() {
    let store = ObjectStore::start();
    store.delay(Duration::from_millis(20));
    let dir = tempfile::tempdir().expect("a directory");
    let text = config(&store, "{ size: 16KiB, every: 100ms }", "16MiB")
        .replace("@DIR@/spool", &format!("{}/spool", dir.path().display()));
    let mut made = 0;
    for _ in 0..4 {
        let mut gateway = gateway!(&text);
        requests(&gateway, made..made + 300);
        made += 300;
        // A record is in the spool 100 ms after its request at the latest; a share of them is in the store by now.
        wait_for("everything to be handed over", || {
            gateway.metrics().sum("tollgate_requests_total", &["route=\"own\""]) == 300.0
        });
        tollgate_testkit::pause(Duration::from_millis(300));
        gateway.signal(Signal::KILL);
        gateway.wait_exit();
    }
    let _gateway = gateway!(&text);
    wait_stored(&store, made);
}

#[test]
fn two_gateways_share_a_spool_and_neither_takes_the_others_files() {
    let store = ObjectStore::down_at_first();
    let dir = tempfile::tempdir().expect("a directory");
    let text = quick(&store).replace("@DIR@/spool", &format!("{}/spool", dir.path().display()));
    let (one, mut two) = (gateway!(&text), gateway!(&text));
    requests(&one, 0..50);
    requests(&two, 50..100);
    wait_for("files of both", || spooled(dir.path()).len() >= 2);
    // What the second one leaves is sent by the first.
    two.signal(Signal::KILL);
    two.wait_exit();
    store.up();
    wait_stored(&store, 100);
    assert_eq!(stored(&store).len(), 100);
}

#[test]
fn a_reload_with_better_credentials_sends_what_waits() {
    let store = ObjectStore::start();
    let right = quick(&store);
    let wrong = right.replace(tollgate_testkit::SECRET_KEY, "wrong");
    let gateway = gateway!(&wrong);
    requests(&gateway, 0..50);
    wait_for("refused signatures", || store.refused() > 0);
    assert!(store.objects().is_empty());
    gateway.replace_file(&gateway.complete(&right, &[]));
    gateway.wait_generation(2);
    requests(&gateway, 50..80);
    wait_stored(&store, 80);
    // And back to standard output.
    gateway.replace_file(&gateway.complete(ROUTES, &[]));
    gateway.wait_generation(3);
    requests(&gateway, 80..81);
    assert_eq!(gateway.record_of("/own/80")["status"], 200);
    assert_eq!(numbers(&store).len(), 80);
}

#[test]
fn a_spool_that_cannot_be_stops_the_start_and_not_a_running_gateway() {
    let store = ObjectStore::start();
    let gateway = gateway!(ROUTES);
    let blocked = gateway.dir().join("file");
    std::fs::write(&blocked, "").expect("a file");
    let text = quick(&store).replace("@DIR@/spool", "@DIR@/file");
    gateway.replace_file(&gateway.complete(&text, &[]));
    wait_for("the refusal", || gateway.readyz()["last_reload"]["ok"] == false);
    assert_eq!(gateway.generation(), 1);
    requests(&gateway, 0..1);
    gateway.record_of("/own/0");
}

#[test]
fn records_are_read_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let logs = dir.path().join("logs");
    let text = format!(
        "{ROUTES}  - {{ name: gone, path: /gone, respond: {{ status: 503, body: gone }} }}\naccess_log:\n  \
         sink: object_store\n  url: \"file://{}\"\n  spool: {{ dir: \"@DIR@/spool\" }}\n",
        logs.display()
    );
    let mut gateway = gateway!(&text);
    requests(&gateway, 0..30);
    gateway.get("/gone");
    let config = gateway.file().display().to_string();
    gateway.signal(Signal::TERM);
    assert!(gateway.wait_exit().success());

    let read = |arguments: &[&str]| {
        let finished = run(binary!(), dir.path(), &[&["logs"], arguments].concat(), &[]);
        assert_eq!(finished.code, Some(0), "{}", finished.stderr);
        finished
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).expect("a record"))
            .collect::<Vec<Value>>()
    };
    let folder = logs.display().to_string();
    let url = format!("file://{folder}");
    assert_eq!(read(&[&folder]).len(), 31);
    assert_eq!(read(&[&url, "--last", "1h"]).len(), 31);
    assert_eq!(read(&["-c", &config, "--last", "1h"]).len(), 31);
    let failed = read(&[&url, "--last", "1h", "--where", "status>=500"]);
    assert_eq!((failed.len(), &failed[0]["path"]), (1, &"/gone".into()));
    assert_eq!(read(&[&url, "--where", "route==own && path~/own/2"]).len(), 11);

    // Every field of a record can be asked for.
    for (field, _) in read(&[&folder, "--last", "1h"])[0].as_object().expect("an object") {
        read(&[&folder, "--where", &format!("{field}!=null && headers.x-any==null")]);
    }
    let slip = run(binary!(), dir.path(), &["logs", "--where", "statu>=500", &folder], &[]);
    assert_eq!((slip.code, &*slip.stdout), (Some(2), ""), "{}", slip.stderr);
    assert!(slip.stderr.contains("did you mean `status`?"), "{}", slip.stderr);

    let old = dir.path().join("old.log");
    let line = |time: &str| format!("{{\"time\":\"{time}\",\"status\":200}}\n");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(now > 0);
    std::fs::write(&old, line("2020-01-01T00:00:00.000Z") + &line("2999-01-01T00:00:00.000Z"))
        .expect("a file");
    let old = old.display().to_string();
    assert_eq!(read(&[&old]).len(), 2);
    assert_eq!(read(&[&old, "--last", "1h"]).len(), 1);

    std::fs::write(dir.path().join("half.log"), line("2020-01-01T00:00:00.000Z") + "no record\n")
        .expect("a file");
    let half = run(binary!(), dir.path(), &["logs", "half.log"], &[]);
    assert_eq!((half.code, half.stdout.lines().count()), (Some(1), 1), "{}", half.stderr);
    assert!(half.stderr.contains("1 line is no record"), "{}", half.stderr);
}

#[test]
fn what_cannot_be_read_is_said() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("old.log"), "{\"status\":200}\n").expect("a file");
    let old = "old.log";
    for (arguments, code) in [
        (&["logs", "nowhere.log"][..], 1),
        (&["logs", "--where", "colour==red", old], 2),
        (&["logs", "--where", "status", old], 2),
        (&["logs", "--where", "status!=200||route==a", old], 2),
        (&["logs", "--where", "route==a|b", old], 2),
        (&["logs", "--where", "status>=x", old], 2),
        (&["logs", "--where", "status=='200'", old], 2),
        (&["logs", "--where", "duration_ms~5", old], 2),
        (&["logs", "--where", "upstream_ms==null && path~a=b", old], 0),
        (&["logs", "--last", "soon", old], 2),
        (&["logs", "ftp://x/y"], 1),
    ] {
        let finished = run(binary!(), dir.path(), arguments, &[]);
        assert_eq!(finished.code, Some(code), "{arguments:?}: {}", finished.stderr);
        assert_eq!(finished.stderr.is_empty(), code == 0, "{arguments:?}: {}", finished.stderr);
    }
    for url in ["s3://", "s3:///logs", "gs://", "az:///x"] {
        let finished = run(binary!(), dir.path(), &["logs", url], &[]);
        assert_eq!(finished.code, Some(1), "{url}: {}", finished.stderr);
        assert!(finished.stderr.contains("the bucket is missing"), "{url}: {}", finished.stderr);
    }
}

#[test]
fn records_are_read_back_from_a_bucket() {
    let store = ObjectStore::start();
    let gateway = gateway!(&quick(&store));
    requests(&gateway, 0..40);
    wait_stored(&store, 40);
    let variables = [
        ("AWS_ACCESS_KEY_ID", tollgate_testkit::ACCESS_KEY),
        ("AWS_SECRET_ACCESS_KEY", tollgate_testkit::SECRET_KEY),
        ("AWS_REGION", tollgate_testkit::REGION),
        ("AWS_ENDPOINT_URL", &store.url()),
    ];
    let finished = run(binary!(), gateway.dir(), &["logs", "s3://bucket/logs", "--last", "1h"], &variables);
    assert_eq!((finished.code, finished.stdout.lines().count()), (Some(0), 40), "{}", finished.stderr);
    let finished = run(binary!(), gateway.dir(), &["logs", "-c", "tollgate.yaml"], &[]);
    assert_eq!((finished.code, finished.stdout.lines().count()), (Some(0), 40), "{}", finished.stderr);
    let wrong = [variables[0], ("AWS_SECRET_ACCESS_KEY", "wrong"), variables[2], variables[3]];
    let finished = run(binary!(), gateway.dir(), &["logs", "s3://bucket/logs"], &wrong);
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.contains("SignatureDoesNotMatch"), "{}", finished.stderr);
}

#[test]
fn a_share_of_records_is_kept() {
    let gateway = gateway!(&format!("{ROUTES}access_log: {{ sample: {{ 2xx: 0%, 4xx: 100% }} }}\n"));
    requests(&gateway, 0..20);
    Client::connect(&gateway.address()).get("/nowhere");
    gateway.record_of("/nowhere");
    assert_holds("no record of a success", Duration::from_millis(300), || {
        gateway.stdout().records().iter().all(|record| record["status"] == 404)
    });
    assert_eq!(
        gateway.metrics().get("tollgate_log_dropped_total{sink=\"stdout\"}"),
        0.0,
        "what is not wanted is not lost"
    );
}
