use std::fs::File;
use std::io::{PipeReader, Read as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::thread;

use tollgate_plan::Plan;
use tollgate_plan::object_log::{ObjectLog, Sample};
use tollgate_plan::plan::OnFull;

use super::worker::{BATCHES_MAX, BUFFER_BYTES, SPARES_MAX};
use super::*;
use crate::observe::fixture;
use crate::observe::record::Record;

const SOON: Duration = Duration::from_secs(10);

fn log(sink: LogSink) -> AccessLog {
    AccessLog {
        sink,
        on_full: OnFull::Drop,
        headers: Vec::new(),
        log_query: false,
        sample: Sample::ALL,
        masked_query: Vec::new(),
        masked_headers: Vec::new(),
    }
}

fn file(path: &Path) -> AccessLog {
    log(LogSink::File(path.to_owned()))
}

fn start(log: &AccessLog) -> io::Result<LogWriter> {
    LogWriter::start(log, crate::live::dial::dialer())
}

/// A log whose "standard output" is a pipe.
fn piped() -> (LogWriter, PipeReader) {
    let writer = start(&log(LogSink::Off)).unwrap();
    let (reader, pipe) = std::io::pipe().unwrap();
    let output = Output::stream(File::from(OwnedFd::from(pipe)));
    let handle = writer.spawn(Place::Output(output), SinkKind::Stdout).unwrap();
    writer.commit(Prepared { sink: LogSink::Stdout, change: Change::Replace(Some(handle), None) });
    (writer, reader)
}

fn plan(on_full: OnFull) -> Plan {
    let mut plan = fixture::plan(&["orders"], &[]);
    plan.access_log.on_full = on_full;
    plan
}

fn record_many(sink: &mut WorkerSink, count: u64, plan: &Plan) {
    for generation in 0..count {
        sink.record(&Record { generation, ..fixture::record() }, plan);
    }
}

fn counts(writer: &LogWriter, label: &str) -> LogCounts {
    writer.counts().find(|(sink, _)| *sink == label).map(|(_, counts)| counts).unwrap()
}

fn lines(text: &str) -> u64 {
    assert!(text.is_empty() || text.ends_with("}\n"), "no line is torn");
    for line in text.lines() {
        assert!(line.starts_with("{\"time\":") && line.ends_with('}'), "{line}");
    }
    text.lines().count() as u64
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn everything_recorded_is_written_before_flush_returns() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let writer = start(&file(&path)).unwrap();
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let mut sink = writer.worker_sink(1);
            thread::spawn(move || record_many(&mut sink, 2_500, &plan(OnFull::Block)))
        })
        .collect();
    for worker in workers {
        worker.join().unwrap();
    }
    assert!(writer.flush(SOON));
    assert_eq!(lines(&std::fs::read_to_string(&path).unwrap()), 10_000);
    assert_eq!(counts(&writer, "file"), LogCounts { records: 10_000, dropped: 0 });
    assert_eq!(writer.counts().count(), 1, "a sink that was never used is not reported");
}

#[test]
fn a_tick_hands_over_a_half_full_buffer() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let writer = start(&file(&path)).unwrap();
    let mut sink = writer.worker_sink(1);
    sink.tick();
    record_many(&mut sink, 1, &plan(OnFull::Drop));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    sink.tick();
    wait_until("the record is in the file", || lines(&std::fs::read_to_string(&path).unwrap()) == 1);
}

#[test]
fn a_pipe_that_nobody_reads_loses_records_and_not_time() {
    let (writer, mut reader) = piped();
    let mut sink = writer.worker_sink(1);
    // Some 12 MB: far more than pipe, queue and buffer take. That this ends at all is the point.
    record_many(&mut sink, 30_000, &plan(OnFull::Drop));
    let dropped = counts(&writer, "stdout").dropped;
    assert!(dropped > 20_000, "{dropped}");
    assert!(!writer.flush(Duration::from_millis(20)), "the pipe is still full");

    let reading = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    drop(sink);
    assert!(writer.flush(SOON));
    let LogCounts { records, dropped } = counts(&writer, "stdout");
    drop(writer);
    assert_eq!(lines(&reading.join().unwrap()), records, "what is counted as written is there");
    assert_eq!(records + dropped, 30_000, "every record is counted once");
}

#[test]
fn what_waits_in_memory_is_bounded() {
    let (writer, _reader) = piped();
    let mut sink = writer.worker_sink(1);
    record_many(&mut sink, 30_000, &plan(OnFull::Drop));
    let lane = sink.lane.as_ref().unwrap();
    assert_eq!(lane.out, BATCHES_MAX);
    assert!(sink.buffer.len() < 2 * BUFFER_BYTES, "{}", sink.buffer.len());
    assert!(sink.spares.len() <= SPARES_MAX);
}

#[test]
fn small_batches_of_a_quiet_worker_do_not_use_up_its_room() {
    let (writer, mut reader) = piped();
    let mut sink = writer.worker_sink(1);
    let mut recorded = 1_000;
    // The first fill the pipe; then one record per tick, as a quiet worker makes them.
    record_many(&mut sink, recorded, &plan(OnFull::Drop));
    let mut tick = || {
        record_many(&mut sink, 1, &plan(OnFull::Drop));
        recorded += 1;
        sink.tick()
    };
    // However late the writer begins: the pipe takes some batches, and then no more.
    wait_until("there is no room, so the caller must come again", || !tick());
    (0..2 * BATCHES_MAX).for_each(|_| {
        tick();
    });
    assert_eq!(counts(&writer, "stdout").dropped, 0, "they come together in the buffer instead");
    let reading = thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    drop(sink);
    assert!(writer.flush(SOON));
    drop(writer);
    assert_eq!(lines(&reading.join().unwrap()), recorded, "none of them is lost");
}

#[test]
fn block_waits_for_the_reader_and_loses_nothing() {
    let (writer, mut reader) = piped();
    let mut sink = writer.worker_sink(1);
    let worker = thread::spawn(move || record_many(&mut sink, 30_000, &plan(OnFull::Block)));
    let mut text = String::new();
    let mut first = [0; 1];
    reader.read_exact(&mut first).unwrap();
    assert!(!worker.is_finished(), "a pipe and the queue cannot hold them all");
    text.push(first[0].into());
    let reading = thread::spawn(move || {
        reader.read_to_string(&mut text).unwrap();
        text
    });
    worker.join().unwrap();
    assert!(writer.flush(SOON));
    assert_eq!(counts(&writer, "stdout"), LogCounts { records: 30_000, dropped: 0 });
    drop(writer);
    assert_eq!(lines(&reading.join().unwrap()), 30_000);
}

#[test]
fn nobody_blocks_once_the_gateway_ends() {
    let (writer, _reader) = piped();
    let mut sink = writer.worker_sink(1);
    record_many(&mut sink, 30_000, &plan(OnFull::Drop));
    let dropped = counts(&writer, "stdout").dropped;
    let worker = thread::spawn(move || record_many(&mut sink, 30_000, &plan(OnFull::Block)));
    writer.end_waiting();
    wait_until("the worker gives up waiting", || worker.is_finished());
    assert!(counts(&writer, "stdout").dropped > dropped + 20_000);
}

/// What a writer that is stuck holds at the end is told as lost, with what was dropped before.
#[test]
fn nothing_that_was_recorded_is_lost_untold() {
    let (writer, _nobody_reads) = piped();
    let plan = plan(OnFull::Drop);
    for records in [1_000, 50_000] {
        let before = counts(&writer, "stdout").records + told(&writer);
        let mut sink = writer.worker_sink(1);
        record_many(&mut sink, records, &plan);
        drop(sink);
        assert!(!writer.flush(Duration::from_millis(50)));
        wait_until("all are accounted for", || {
            counts(&writer, "stdout").records + told(&writer) == before + records
        });
    }
    assert!(told(&writer) > counts(&writer, "stdout").dropped);
}

fn told(writer: &LogWriter) -> u64 {
    writer.lost().map(|(_, records)| records).sum()
}

#[test]
fn a_reader_that_left_loses_records_and_they_are_counted() {
    for on_full in [OnFull::Drop, OnFull::Block] {
        let (writer, reader) = piped();
        drop(reader);
        let mut sink = writer.worker_sink(1);
        record_many(&mut sink, 5_000, &plan(on_full));
        drop(sink);
        assert!(writer.flush(SOON));
        assert_eq!(counts(&writer, "stdout"), LogCounts { records: 0, dropped: 5_000 });
    }
}

#[test]
fn a_rotated_file_is_followed_with_the_next_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (path, old) = (dir.path().join("access.log"), dir.path().join("access.log.1"));
    let writer = start(&file(&path)).unwrap();
    let mut sink = writer.worker_sink(1);
    let plan = plan(OnFull::Drop);
    record_many(&mut sink, 3, &plan);
    sink.tick();
    wait_until("the first records are written", || counts(&writer, "file").records == 3);
    std::fs::rename(&path, &old).unwrap();
    record_many(&mut sink, 5, &plan);
    sink.tick();
    wait_until("the others are written", || counts(&writer, "file").records == 8);
    assert_eq!(lines(&std::fs::read_to_string(&old).unwrap()), 3);
    assert_eq!(lines(&std::fs::read_to_string(&path).unwrap()), 5);
}

#[test]
fn a_reload_reopens_the_file_also_without_traffic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let writer = start(&file(&path)).unwrap();
    std::fs::remove_file(&path).unwrap();
    writer.reconfigure(&file(&path)).unwrap();
    wait_until("the file is there again", || path.exists());
}

#[test]
fn a_reload_moves_to_another_sink_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    let writer = start(&file(&one)).unwrap();
    let mut sink = writer.worker_sink(1);
    let plan = plan(OnFull::Drop);
    record_many(&mut sink, 500, &plan);
    sink.tick();
    record_many(&mut sink, 7, &plan);
    writer.reconfigure(&file(&two)).unwrap();
    record_many(&mut sink, 500, &plan);
    drop(sink);
    assert!(writer.flush(SOON));
    let written = [&one, &two].map(|path| lines(&std::fs::read_to_string(path).unwrap()));
    assert_eq!(written.iter().sum::<u64>(), 1_007);
    assert!(written[0] >= 500, "{written:?}: what was handed over stays with the old sink");
    assert!(written[1] >= 500, "{written:?}");
    assert_eq!(counts(&writer, "file"), LogCounts { records: 1_007, dropped: 0 });
}

#[test]
fn a_reload_frees_a_worker_from_a_sink_that_stalled() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let (writer, _reader) = piped();
    let mut sink = writer.worker_sink(1);
    let plan = plan(OnFull::Drop);
    record_many(&mut sink, 30_000, &plan);
    writer.reconfigure(&file(&path)).unwrap();
    sink.tick();
    record_many(&mut sink, 100, &plan);
    sink.tick();
    wait_until("the new sink is written to", || counts(&writer, "file").records > 100);
    assert_eq!(counts(&writer, "file").dropped, 0);
}

#[test]
fn a_log_can_be_turned_off_and_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("access.log");
    let writer = start(&log(LogSink::Off)).unwrap();
    let mut sink = writer.worker_sink(1);
    let mut off = plan(OnFull::Drop);
    off.access_log.sink = LogSink::Off;
    record_many(&mut sink, 1_000, &off);
    assert!(sink.buffer.is_empty());

    let on = plan(OnFull::Drop);
    writer.reconfigure(&file(&path)).unwrap();
    record_many(&mut sink, 10, &on);
    sink.tick();
    wait_until("records are written", || counts(&writer, "file").records == 10);
    writer.reconfigure(&log(LogSink::Off)).unwrap();
    // Requests that began while there was a log.
    record_many(&mut sink, 1_000, &on);
    drop(sink);
    assert!(writer.flush(SOON));
    assert_eq!(counts(&writer, "file"), LogCounts { records: 10, dropped: 0 });
}

#[test]
fn a_sink_that_cannot_be_opened_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (path, bad) = (dir.path().join("access.log"), dir.path().join("missing/access.log"));
    assert!(start(&file(&bad)).is_err());
    let writer = start(&file(&path)).unwrap();
    let error = writer.reconfigure(&file(&bad)).unwrap_err();
    assert!(error.to_string().contains("missing/access.log"), "{error}");
    drop(writer.prepare(&file(&dir.path().join("unused"))).unwrap());
    let mut sink = writer.worker_sink(1);
    record_many(&mut sink, 10, &plan(OnFull::Drop));
    drop(sink);
    assert!(writer.flush(SOON));
    assert_eq!(lines(&std::fs::read_to_string(&path).unwrap()), 10);
}

#[test]
fn buffers_are_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let writer = start(&file(&dir.path().join("access.log"))).unwrap();
    let mut sink = writer.worker_sink(1);
    let plan = plan(OnFull::Drop);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..200 {
        record_many(&mut sink, 60, &plan);
        seen.insert(sink.buffer.as_ptr());
        let before = counts(&writer, "file").records;
        sink.tick();
        wait_until("the batch is written", || counts(&writer, "file").records > before);
    }
    assert!(seen.len() <= 8, "{} buffers for one batch at a time", seen.len());
}

#[test]
fn a_share_of_records_is_written_and_none_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let writer = start(&file(&dir.path().join("access.log"))).unwrap();
    let mut sink = writer.worker_sink(1);
    let mut plan = plan(OnFull::Block);
    plan.access_log.sample = Sample([100, 10, 0, 100, 100]);
    for status in [200, 301, 404] {
        for _ in 0..2_000 {
            sink.record(&Record { status, ..fixture::record() }, &plan);
        }
    }
    drop(sink);
    assert!(writer.flush(SOON));
    let text = std::fs::read_to_string(dir.path().join("access.log")).unwrap();
    let of = |status: &str| text.matches(&format!("\"status\":{status}")).count();
    assert_eq!((of("301"), of("404")), (0, 2_000));
    assert!((100..400).contains(&of("200")), "{}", of("200"));
    assert_eq!(counts(&writer, "file").dropped, 0);
}

#[test]
fn an_object_store_gets_every_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = |name: &str| {
        log(LogSink::ObjectStore(Box::new(ObjectLog {
            url: format!("file://{}/{name}", dir.path().display()).into(),
            access: Default::default(),
            batch_bytes: 64 << 10,
            batch_every: Duration::from_secs(60),
            spool_dir: dir.path().join("spool"),
            spool_bytes: 16 << 20,
        })))
    };
    let writer = start(&store("one")).unwrap();
    let mut sink = writer.worker_sink(1);
    let plan = plan(OnFull::Block);
    record_many(&mut sink, 3_000, &plan);
    // The spool goes with the gateway to another place.
    writer.reconfigure(&store("two")).unwrap();
    record_many(&mut sink, 3_000, &plan);
    drop(sink);
    assert!(writer.flush(SOON));
    wait_until("the first writer is done too", || counts(&writer, "object_store").records == 6_000);
    assert_eq!(counts(&writer, "object_store").dropped, 0);
    assert!(writer.shipped().unwrap().batches >= 10);
    // A file of the spool is removed after its records are counted.
    wait_until("the spool is empty", || writer.shipped().unwrap().waiting_bytes == 0);
}
