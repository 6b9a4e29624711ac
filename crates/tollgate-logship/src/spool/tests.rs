use std::sync::mpsc::sync_channel;
use std::time::UNIX_EPOCH;

use super::*;
use crate::store::Options;

const HOUR: Duration = Duration::from_secs(3600);

fn settings(dir: &Path, batch_bytes: u64, spool_bytes: u64) -> Settings {
    Settings {
        url: String::new(),
        options: Options::default(),
        batch_bytes,
        batch_every: Duration::from_secs(60),
        spool_dir: dir.to_owned(),
        spool_bytes,
    }
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_305_600)
}

/// Lines that cannot be compressed much, so that sizes are what they seem.
fn lines(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut line = Vec::new();
    for _ in 0..64 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        line.extend_from_slice(format!("{state:016x}").as_bytes());
    }
    line.push(b'\n');
    line
}

/// Everything that waits, oldest first.
fn drain(shared: &Shared) -> (Vec<u8>, u64) {
    let (mut all, mut records) = (Vec::new(), 0);
    while let Some(segment) = shared.take() {
        let contents = segment::read(&shared.read(&segment).unwrap());
        assert_eq!(contents.records, segment.records);
        all.extend_from_slice(&contents.lines);
        records += contents.records;
        shared.remove(&segment);
    }
    (all, records)
}

#[test]
fn what_comes_in_comes_out_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&settings(dir.path(), 3_000, 1 << 20), Arc::default()).unwrap();
    let all: Vec<Vec<u8>> = (0..20).map(lines).collect();
    for line in &all {
        spool.append(line, 1, now()).unwrap();
    }
    let shared = spool.shared().clone();
    assert!(shared.lock().waiting.len() >= 6, "files are closed when they are large enough");
    drop(spool);
    assert_eq!(drain(&shared), (all.concat(), 20));
    assert!(shared.rest(), "nothing more comes");
    assert_eq!(shared.counts.waiting_bytes(), 0);
    drop(shared);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_file_ends_with_its_hour_and_with_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&settings(dir.path(), 1 << 20, 1 << 20), Arc::default()).unwrap();
    spool.append(&lines(1), 1, now()).unwrap();
    spool.append(&lines(2), 1, now() + HOUR).unwrap();
    let keys = |shared: &Shared| -> Vec<String> {
        shared.lock().waiting.iter().map(|segment| segment.name.key()[..20].to_owned()).collect()
    };
    assert_eq!(keys(spool.shared()), ["dt=2026-11-22/hr=00/"]);
    let due = spool.due().unwrap();
    assert!(due <= Instant::now() + SYNC_EVERY, "the disk comes first");
    spool.tick(due);
    assert!(spool.due().unwrap() > Instant::now() + SYNC_EVERY);
    spool.tick(spool.due().unwrap());
    assert_eq!(keys(spool.shared()), ["dt=2026-11-22/hr=00/", "dt=2026-11-22/hr=01/"]);
    assert_eq!(spool.due(), None);
}

#[test]
fn the_oldest_go_when_it_is_full_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let counts = Arc::<Counts>::default();
    let mut spool = Spool::open(&settings(dir.path(), 2_000, 8_000), counts.clone()).unwrap();
    for seed in 0..100 {
        spool.append(&lines(seed), 1, now()).unwrap();
    }
    let shared = spool.shared().clone();
    assert!(shared.held() <= 8_000 && shared.held() > 4_000, "{}", shared.held());
    assert!(counts.dropped() > 50, "{}", counts.dropped());
    drop(spool);
    let (all, records) = drain(&shared);
    assert_eq!(records + counts.dropped(), 100);
    assert!(all.ends_with(&lines(99)), "the newest are there");
}

#[test]
fn what_is_on_its_way_is_not_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let counts = Arc::<Counts>::default();
    let mut spool = Spool::open(&settings(dir.path(), 1_000, 3_000), counts.clone()).unwrap();
    spool.append(&lines(0), 1, now()).unwrap();
    let shared = spool.shared().clone();
    let first = shared.take().unwrap();
    for seed in 1..10 {
        spool.append(&lines(seed), 1, now()).unwrap();
    }
    assert_eq!(segment::read(&shared.read(&first).unwrap()).lines, lines(0));
    shared.put_back(first);
    drop(spool);
    let (_, records) = drain(&shared);
    assert_eq!(records + counts.dropped(), 10);
}

#[test]
fn a_record_without_room_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let counts = Arc::<Counts>::default();
    let mut spool = Spool::open(&settings(dir.path(), 1 << 20, 100), counts.clone()).unwrap();
    assert!(spool.append(&lines(1), 3, now()).is_err());
    assert_eq!(counts.dropped(), 3);
}

#[test]
fn the_files_of_the_dead_are_taken_over_and_those_of_the_living_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Spool::open(&settings(dir.path(), 1 << 20, 1 << 20), Arc::default()).unwrap();
    let (mut dead, mut living, heir) = (open(), open(), open());
    dead.append(&lines(1), 1, now()).unwrap();
    dead.append(&lines(2), 1, now()).unwrap();
    living.append(&lines(3), 1, now()).unwrap();
    // As a process that is killed: the file is not closed, the lock is gone.
    let torn = dead.current.take().unwrap();
    torn.file.set_len(torn.bytes - 1).unwrap();
    drop((torn, dead));

    let mut held = Vec::new();
    heir.shared().adopt(&mut held);
    assert_eq!(held.len(), 1);
    heir.shared().adopt(&mut held);
    assert_eq!(held.len(), 1, "once is enough");
    assert_eq!(drain(heir.shared()), (lines(1), 1), "what was whole");
    heir.shared().adopt(&mut held);
    assert!(held.is_empty(), "nothing is left of it");
    drop(living);
    heir.shared().adopt(&mut held);
    assert_eq!(drain(heir.shared()), (lines(3), 1));
}

#[test]
fn files_whose_lock_was_removed_are_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let name = SegmentName { began_s: 1, instance: key("a"), sequence: 1 };
    let mut frame = Vec::new();
    segment::write(b"{}\n", 1, &mut frame).unwrap();
    fs::write(dir.path().join(name.file()), frame).unwrap();
    fs::write(dir.path().join("notes.txt"), "not of the spool").unwrap();
    fs::write(dir.path().join("other.claim"), "").unwrap();
    let heir = Spool::open(&settings(dir.path(), 1 << 20, 1 << 20), Arc::default()).unwrap();
    let mut held = Vec::new();
    heir.shared().adopt(&mut held);
    assert_eq!(drain(heir.shared()), (b"{}\n".to_vec(), 1));
    drop((held, heir));
    let mut left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["notes.txt", "other.claim"], "what is not of the spool is left alone");
}

fn key(host: &str) -> String {
    crate::key::instance(host, 7)
}

#[test]
fn a_flush_ends_when_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&settings(dir.path(), 1 << 20, 1 << 20), Arc::default()).unwrap();
    spool.append(&lines(1), 1, now()).unwrap();
    let (done, flushed) = sync_channel(1);
    spool.flush(done);
    let shared = spool.shared().clone();
    assert!(shared.is_pressed() && !shared.rest());
    assert!(flushed.try_recv().is_err());
    drain(&shared);
    assert!(!shared.rest(), "more may come");
    assert_eq!(flushed.try_recv(), Ok(()));
    assert!(!shared.is_pressed());
}

#[test]
fn a_directory_that_cannot_be_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Spool::open(&settings(&file, 1, 1), Arc::default()).err().unwrap();
    assert!(error.to_string().contains("file"), "{error}");
}
