//! Real files in every way in which they change. Time only decides when a look is taken, never what is right.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use tempfile::TempDir;

use super::*;

/// No test waits this long unless something is broken.
const DEADLINE: Duration = Duration::from_secs(20);
/// Long enough for several looks.
const A_WHILE: Duration = Duration::from_millis(120);

/// Looks are taken only when an event comes.
const BY_EVENTS: Pace = Pace {
    poll: Duration::from_secs(3600),
    replaced: Duration::from_millis(10),
    written: Duration::from_millis(20),
    lost: Duration::from_millis(60),
    unannounced: Duration::from_secs(3600),
    settle: Duration::from_millis(10),
    glance: Duration::from_millis(5),
    asked: Duration::from_millis(50),
};
/// Looks are taken only because time passes.
const BY_POLLING: Pace =
    Pace { poll: Duration::from_millis(20), unannounced: Duration::from_millis(60), ..BY_EVENTS };

struct Bench {
    directory: TempDir,
    follower: Follower,
    requests: mpsc::Sender<Request>,
    waiting: mpsc::Receiver<Request>,
}

impl Bench {
    fn new(pace: Pace, lay_out: impl FnOnce(&Path)) -> Bench {
        let directory = tempfile::tempdir().unwrap();
        lay_out(directory.path());
        let path = directory.path().join("tollgate.yaml");
        let sources = Recording::default();
        tollgate_config::load(&path, &sources).expect("the first configuration is good");
        let mut follower = Follower::new(path, sources.into_reads(), pace);
        if pace.poll < DEADLINE {
            follower.watch = Watch::polling();
        }
        let (requests, waiting) = mpsc::channel(4);
        Bench { directory, follower, requests, waiting }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn next(&mut self) -> Attempt {
        tokio::time::timeout(DEADLINE, self.follower.next(&mut self.waiting)).await.expect("an attempt")
    }

    /// The next attempt loads this many routes, and is applied.
    async fn expect_routes(&mut self, routes: usize) {
        match self.next().await.outcome {
            Outcome::Loaded(loaded) => assert_eq!(loaded.plan.routes.len(), routes),
            other => panic!("{}", name(&other)),
        }
        self.follower.applied();
    }

    /// The next attempt fails with this code.
    async fn expect_fault(&mut self, code: &str) {
        match self.next().await.outcome {
            Outcome::Failed(failed) => assert_eq!(failed.diagnostics[0].code, code),
            other => panic!("{}", name(&other)),
        }
        self.follower.refused();
    }

    async fn expect_nothing(&mut self) {
        let attempt = tokio::time::timeout(A_WHILE, self.follower.next(&mut self.waiting)).await;
        assert!(attempt.is_err(), "{}", name(&attempt.unwrap().outcome));
    }
}

fn name(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Loaded(loaded) => format!("loaded {} routes", loaded.plan.routes.len()),
        Outcome::Failed(failed) => format!("failed: {:?}", failed.diagnostics),
        Outcome::BeingWritten(path) => format!("being written: {}", path.display()),
    }
}

/// A configuration whose every line break is the end of another good configuration with fewer routes.
fn config(routes: usize) -> String {
    let mut text = String::from("routes:\n");
    for route in 0..routes {
        text.push_str(&format!("  - {{ path: /r{route}, respond: {{ status: 200 }} }}\n"));
    }
    text
}

fn one_file(directory: &Path) {
    fs::write(directory.join("tollgate.yaml"), config(1)).unwrap();
}

#[tokio::test]
async fn a_file_renamed_over_it_is_loaded() {
    for pace in [BY_EVENTS, BY_POLLING] {
        let mut bench = Bench::new(pace, one_file);
        fs::write(bench.path("new"), config(2)).unwrap();
        fs::rename(bench.path("new"), bench.path("tollgate.yaml")).unwrap();
        bench.expect_routes(2).await;
        bench.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_file_written_in_place_is_loaded() {
    for pace in [BY_EVENTS, BY_POLLING] {
        let mut bench = Bench::new(pace, one_file);
        fs::write(bench.path("tollgate.yaml"), config(3)).unwrap();
        bench.expect_routes(3).await;
    }
}

#[tokio::test]
async fn truncation_at_any_offset_loads_nothing_until_the_rest_is_written() {
    let mut bench = Bench::new(BY_EVENTS, one_file);
    let path = bench.path("tollgate.yaml");
    for (round, offset) in (0..=config(3).len()).step_by(4).enumerate() {
        // Another number of routes each time, so that each is news.
        let routes = 2 + round % 2;
        let text = config(routes);
        let offset = offset.min(text.len());
        let mut file = File::create(&path).unwrap();
        file.write_all(&text.as_bytes()[..offset]).unwrap();
        let pause = Duration::from_millis(25);
        let early = tokio::time::timeout(pause, bench.follower.next(&mut bench.waiting)).await;
        assert!(early.is_err(), "at {offset}: {}", name(&early.unwrap().outcome));
        file.write_all(&text.as_bytes()[offset..]).unwrap();
        drop(file);
        bench.expect_routes(routes).await;
    }
}

#[tokio::test]
async fn a_file_that_is_renamed_before_its_writer_is_done_is_half_written() {
    let mut bench = Bench::new(BY_EVENTS, one_file);
    let text = config(4);
    let (half, rest) = text.split_at(config(2).len());
    let mut file = File::create(bench.path("new")).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    fs::rename(bench.path("new"), bench.path("tollgate.yaml")).unwrap();
    bench.expect_nothing().await;
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    bench.expect_routes(4).await;
}

#[tokio::test]
async fn a_file_that_is_written_through_another_directory_is_watched_itself() {
    // As when a container mounts one file: the directory that it is written in is not the one that is read.
    let outside = tempfile::tempdir().unwrap();
    let other = outside.path().join("other.yaml");
    let mut bench = Bench::new(BY_EVENTS, |directory| {
        one_file(directory);
        fs::hard_link(directory.join("tollgate.yaml"), &other).unwrap();
    });
    for routes in [4, 5] {
        let text = config(routes);
        let (half, rest) = text.split_at(config(2).len());
        let mut file = File::create(&other).unwrap();
        file.write_all(half.as_bytes()).unwrap();
        bench.expect_nothing().await;
        file.write_all(rest.as_bytes()).unwrap();
        drop(file);
        bench.expect_routes(routes).await;
    }
}

#[tokio::test]
async fn asking_does_not_load_a_half_written_file_either() {
    let mut bench = Bench::new(BY_EVENTS, one_file);
    let text = config(4);
    let (half, rest) = text.split_at(config(2).len());
    let mut file = File::create(bench.path("tollgate.yaml")).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    bench.expect_nothing().await;
    bench.requests.try_send(None).unwrap();
    let attempt = bench.next().await;
    assert!(matches!(attempt.outcome, Outcome::BeingWritten(_)), "{}", name(&attempt.outcome));
    assert_eq!(attempt.asked.len(), 1);
    bench.follower.refused();
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    bench.expect_routes(4).await;
}

/// Who was told that it is written waits for it, also where nothing is new in the end.
#[tokio::test]
async fn what_was_being_written_is_loaded_when_its_writer_closes_it() {
    let mut bench = Bench::new(BY_EVENTS, one_file);
    let text = fs::read_to_string(bench.path("tollgate.yaml")).unwrap();
    let (half, rest) = text.split_at(text.len() / 2);
    let mut file = File::create(bench.path("tollgate.yaml")).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    bench.expect_nothing().await;
    bench.requests.try_send(None).unwrap();
    let attempt = bench.next().await;
    assert!(matches!(attempt.outcome, Outcome::BeingWritten(_)), "{}", name(&attempt.outcome));
    bench.follower.refused();
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    bench.expect_routes(1).await;
    bench.expect_nothing().await;
}

#[tokio::test]
async fn a_file_that_grows_between_two_looks_is_not_believed() {
    let mut bench = Bench::new(BY_POLLING, one_file);
    let text = config(6);
    let mut file = File::create(bench.path("tollgate.yaml")).unwrap();
    for line in text.split_inclusive('\n') {
        file.write_all(line.as_bytes()).unwrap();
        let pause = Duration::from_millis(10);
        let early = tokio::time::timeout(pause, bench.follower.next(&mut bench.waiting)).await;
        assert!(early.is_err(), "{}", name(&early.unwrap().outcome));
    }
    drop(file);
    bench.expect_routes(6).await;
}

#[tokio::test]
async fn a_kubernetes_volume_swaps_a_link() {
    for pace in [BY_EVENTS, BY_POLLING] {
        let mut bench = Bench::new(pace, |directory| {
            fs::create_dir(directory.join("..1")).unwrap();
            fs::write(directory.join("..1/tollgate.yaml"), config(1)).unwrap();
            symlink("..1", directory.join("..data")).unwrap();
            symlink("..data/tollgate.yaml", directory.join("tollgate.yaml")).unwrap();
        });
        for version in 2..5 {
            let new = bench.path(&format!("..{version}"));
            fs::create_dir(&new).unwrap();
            fs::write(new.join("tollgate.yaml"), config(version)).unwrap();
            symlink(&new, bench.path("..data_tmp")).unwrap();
            fs::rename(bench.path("..data_tmp"), bench.path("..data")).unwrap();
            fs::remove_dir_all(bench.path(&format!("..{}", version - 1))).unwrap();
            bench.expect_routes(version).await;
        }
    }
}

#[tokio::test]
async fn an_editor_that_removes_the_file_first_causes_no_fault() {
    let mut bench = Bench::new(Pace { lost: DEADLINE, ..BY_EVENTS }, one_file);
    fs::rename(bench.path("tollgate.yaml"), bench.path("tollgate.yaml~")).unwrap();
    bench.expect_nothing().await;
    fs::write(bench.path("tollgate.yaml"), config(2)).unwrap();
    bench.expect_routes(2).await;
}

#[tokio::test]
async fn a_file_that_is_empty_or_gone_is_a_fault_once() {
    for pace in [BY_EVENTS, BY_POLLING] {
        let mut bench = Bench::new(pace, one_file);
        fs::write(bench.path("tollgate.yaml"), "").unwrap();
        bench.expect_fault("empty").await;
        fs::remove_file(bench.path("tollgate.yaml")).unwrap();
        bench.expect_fault("unreadable").await;
        bench.expect_nothing().await;
    }
}

#[tokio::test]
async fn the_old_content_after_a_fault_is_news() {
    let mut bench = Bench::new(BY_EVENTS, one_file);
    fs::write(bench.path("tollgate.yaml"), "rutes: []\n").unwrap();
    bench.expect_fault("unknown_key").await;
    fs::write(bench.path("tollgate.yaml"), config(1)).unwrap();
    bench.expect_routes(1).await;
}

#[tokio::test]
async fn the_same_content_is_nothing() {
    for pace in [BY_EVENTS, BY_POLLING] {
        let mut bench = Bench::new(pace, one_file);
        fs::write(bench.path("tollgate.yaml"), config(1)).unwrap();
        fs::write(bench.path("new"), config(1)).unwrap();
        fs::rename(bench.path("new"), bench.path("tollgate.yaml")).unwrap();
        bench.expect_nothing().await;
    }
}

#[tokio::test]
async fn who_asks_gets_a_load_of_the_same_content_too() {
    let mut bench = Bench::new(BY_EVENTS, one_file);
    bench.requests.try_send(None).unwrap();
    bench.requests.try_send(None).unwrap();
    let attempt = bench.next().await;
    assert!(matches!(attempt.outcome, Outcome::Loaded(_)), "{}", name(&attempt.outcome));
    assert!(!attempt.asked.is_empty());
}

#[tokio::test]
async fn included_files_come_and_go_and_their_neighbours_do_not_matter() {
    for pace in [BY_EVENTS, BY_POLLING] {
        let mut bench = Bench::new(pace, |directory| {
            let main = format!("include: [routes/*.yaml]\n{}", config(1));
            fs::write(directory.join("tollgate.yaml"), main).unwrap();
            fs::create_dir(directory.join("routes")).unwrap();
        });
        let more = "routes:\n  - { path: /more, respond: { status: 200 } }\n";
        fs::write(bench.path("routes/more.yaml"), more).unwrap();
        bench.expect_routes(2).await;
        fs::write(bench.path("routes/.more.yaml.swp"), "x").unwrap();
        fs::write(bench.path("other.yaml"), "x").unwrap();
        bench.expect_nothing().await;
        fs::remove_file(bench.path("routes/more.yaml")).unwrap();
        bench.expect_routes(1).await;
    }
}
