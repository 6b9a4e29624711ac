//! Records back out of objects and files: a range of time, a filter, and lines as they were written.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::filter::Filter;
use crate::key::{self, OBJECT_END};
use crate::store::{Store, StoreError};

/// What a record may have; a longer line is none.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Objects of one day, or of a store that is read from its beginning.
const OBJECTS_MAX: usize = 200_000;

/// An object is held while it is read.
const OBJECT_BYTES_MAX: u64 = 512 << 20;

/// A file with this beginning is compressed (RFC 8878 section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();

/// A request may last so long behind the end of a range, and its record is written at its end.
const LONGEST_REQUEST: Duration = Duration::from_secs(24 * 3600);

/// Moments between which a request began. A record says when that was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Range {
    /// Not before.
    pub since: Option<SystemTime>,
    /// Not at or behind.
    pub until: Option<SystemTime>,
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    /// Records that were looked at.
    pub records: u64,
    /// Of them those that were wanted.
    pub wanted: u64,
    /// Lines that are no records.
    pub unreadable: u64,
}

/// Takes the lines that are wanted, line feed included; an error ends the reading.
pub type Take<'a> = &'a mut dyn FnMut(&[u8]) -> io::Result<()>;

/// Reads records out of lines.
pub fn read_lines(
    mut lines: impl BufRead,
    range: Range,
    filter: &Filter,
    found: &mut Found,
    take: Take<'_>,
) -> io::Result<()> {
    let [since, until] = [range.since, range.until].map(|at| at.map(key::rfc3339));
    let mut line = Vec::new();
    loop {
        line.clear();
        if lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let record: Option<Value> = serde_json::from_slice(&line).ok().filter(Value::is_object);
        let Some(record) = record else {
            found.unreadable += u64::from(!line.trim_ascii().is_empty());
            continue;
        };
        found.records += 1;
        // Moments of records are texts of one length, which sort as they do.
        let time = record.get("time").and_then(Value::as_str).unwrap_or_default();
        let within = since.as_deref().is_none_or(|since| time >= since)
            && until.as_deref().is_none_or(|until| time < until);
        if within && filter.holds(&record) {
            found.wanted += 1;
            if line.last() != Some(&b'\n') {
                line.push(b'\n');
            }
            take(&line)?;
        }
    }
}

/// Reads a file of records, compressed or not.
pub fn read_file(
    path: &Path,
    range: Range,
    filter: &Filter,
    found: &mut Found,
    take: Take<'_>,
) -> io::Result<()> {
    let mut file = BufReader::new(File::open(path)?);
    if file.fill_buf()?.starts_with(&ZSTD_MAGIC) {
        let lines = BufReader::new(zstd::Decoder::with_buffer(file)?);
        return read_lines(lines, range, filter, found, take);
    }
    read_lines(file, range, filter, found, take)
}

/// Reads the objects of a store, hour by hour; `now` ends a range that has no end.
pub async fn read_store(
    store: &Store,
    range: Range,
    filter: &Filter,
    now: SystemTime,
    found: &mut Found,
    take: Take<'_>,
) -> Result<(), StoreError> {
    let fault = |key: &str, error: io::Error| StoreError::saying(&format!("{key}: {error}"));
    for folder in folders(range, now) {
        let objects = store.list(&folder, OBJECTS_MAX + 1).await?;
        if objects.len() > OBJECTS_MAX {
            let place = if folder.is_empty() { "the store" } else { &folder };
            return Err(StoreError::saying(&format!("{place} holds more than {OBJECTS_MAX} objects")));
        }
        for object in objects.iter().filter(|object| is_wanted(&object.key, range)) {
            if object.bytes > OBJECT_BYTES_MAX {
                return Err(StoreError::saying(&format!(
                    "{}: {} bytes are too many",
                    object.key, object.bytes
                )));
            }
            let bytes = store.get(&object.key).await?;
            let lines = zstd::Decoder::with_buffer(&*bytes).map_err(|error| fault(&object.key, error))?;
            read_lines(BufReader::new(lines), range, filter, found, take)
                .map_err(|error| fault(&object.key, error))?;
        }
    }
    Ok(())
}

/// The days that may hold records of a range; everything, where it has no beginning.
fn folders(range: Range, now: SystemTime) -> Vec<String> {
    let Some(since) = range.since else { return vec![String::new()] };
    // Clocks differ a little: what began in the future may be there.
    let until = range.until.map_or(now, |until| until + LONGEST_REQUEST).min(now).max(since);
    let hour = |at| key::since_1970(at).as_secs() / 3600;
    let days = hour(since) / 24..=hour(until) / 24;
    days.map(|day| key::day(day * 24)).collect()
}

/// Whether an object may hold records of a range. A record stands in the hour when its request ended, never in one before
/// it began.
fn is_wanted(key: &str, range: Range) -> bool {
    let since = range.since.map(|since| key::partition(key::since_1970(since).as_secs() / 3600));
    key.ends_with(OBJECT_END) && since.is_none_or(|since| key >= since.as_str())
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const LINES: &str = "{\"time\":\"2026-11-22T13:59:59.999Z\",\"status\":200}\n\
        {\"time\":\"2026-11-22T14:00:00.000Z\",\"status\":500}\n\nno record\n[1]\n\
        {\"time\":\"2026-11-22T14:30:00.000Z\",\"status\":200}\n\
        {\"time\":\"2026-11-22T15:00:00.000Z\",\"status\":503}";

    fn at(hour: u64) -> SystemTime {
        // 2026-11-22T00:00:00Z
        UNIX_EPOCH + Duration::from_secs(1_795_305_600 + hour * 3600)
    }

    fn check(range: Range, filter: &str, expect: &[&str]) {
        let filter = if filter.is_empty() { Filter::default() } else { Filter::parse(filter).unwrap() };
        let (mut found, mut out) = (Found::default(), Vec::new());
        let mut take = |line: &[u8]| {
            out.extend_from_slice(line);
            Ok(())
        };
        read_lines(LINES.as_bytes(), range, &filter, &mut found, &mut take).unwrap();
        let times: Vec<String> = String::from_utf8(out)
            .unwrap()
            .lines()
            .map(|line| {
                serde_json::from_str::<Value>(line).unwrap()["time"].as_str().unwrap()[11..16].to_owned()
            })
            .collect();
        assert_eq!(times, expect);
        assert_eq!(found, Found { records: 4, wanted: expect.len() as u64, unreadable: 2 });
    }

    #[test]
    fn records_of_a_range_that_fit() {
        check(Range::default(), "", &["13:59", "14:00", "14:30", "15:00"]);
        check(Range { since: Some(at(14)), until: None }, "", &["14:00", "14:30", "15:00"]);
        check(Range { since: Some(at(14)), until: Some(at(15)) }, "", &["14:00", "14:30"]);
        check(Range { since: Some(at(14)), until: None }, "status>=500", &["14:00", "15:00"]);
    }

    #[test]
    fn a_reader_that_leaves_ends_it() {
        let mut gone = |_: &[u8]| Err(io::ErrorKind::BrokenPipe.into());
        let read = read_lines(
            LINES.as_bytes(),
            Range::default(),
            &Filter::default(),
            &mut Found::default(),
            &mut gone,
        );
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn days_of_a_range() {
        let check = |range, now, expect: &[&str]| assert_eq!(folders(range, now), expect);
        check(Range::default(), at(5), &[""]);
        let since = Some(at(14));
        check(Range { since, until: None }, at(15), &["dt=2026-11-22"]);
        check(Range { since, until: None }, at(25), &["dt=2026-11-22", "dt=2026-11-23"]);
        // The record of a long request may stand in the day after.
        check(Range { since, until: Some(at(15)) }, at(90), &["dt=2026-11-22", "dt=2026-11-23"]);
        check(Range { since: Some(at(48)), until: None }, at(25), &["dt=2026-11-24"]);
    }

    #[test]
    fn hours_of_a_range() {
        let range = Range { since: Some(at(14) + Duration::from_secs(1800)), until: None };
        for (key, expect) in [
            ("dt=2026-11-22/hr=13/a-00000001.ndjson.zst", false),
            ("dt=2026-11-22/hr=14/a-00000001.ndjson.zst", true),
            ("dt=2026-11-23/hr=00/a-00000001.ndjson.zst", true),
            ("dt=2026-11-22/hr=15/readme.txt", false),
        ] {
            assert_eq!(is_wanted(key, range), expect, "{key}");
        }
    }

    #[test]
    fn files_are_read_compressed_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let (plain, packed) = (dir.path().join("a.log"), dir.path().join("a.ndjson.zst"));
        std::fs::write(&plain, LINES).unwrap();
        // Two frames in one file, as `cat` makes them.
        let frame = zstd::bulk::compress(LINES.as_bytes(), 3).unwrap();
        let newline = zstd::bulk::compress(b"\n", 3).unwrap();
        std::fs::write(&packed, [frame.clone(), newline, frame].concat()).unwrap();
        for (path, records) in [(plain, 4), (packed, 8)] {
            let mut found = Found::default();
            read_file(&path, Range::default(), &Filter::default(), &mut found, &mut |_| Ok(())).unwrap();
            assert_eq!(found.records, records);
        }
    }
}
