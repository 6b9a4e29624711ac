//! The names of things: files of the spool, objects, and the partitions that objects stand in.
//!
//! An object's key follows from the name of its file alone, so that a batch that is sent twice is one object. Partitions
//! are Hive's: `dt=2026-11-22/hr=14/`, in UTC, by the time when the records were written, which is when their requests ended.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tollgate_wire::civil_from_days;

/// What an object's name ends with.
pub(crate) const OBJECT_END: &str = ".ndjson.zst";

/// What a file of the spool ends with.
const FILE_END: &str = ".seg";

/// Characters of an instance's name. A host name has at most 63 in each part; nine more tell processes apart.
const INSTANCE_CHARS_MAX: usize = 100;

/// One file of the spool, and the object that it becomes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SegmentName {
    /// When its first record was written, in seconds since 1970.
    pub(crate) began_s: u64,
    /// Who wrote it: one process.
    pub(crate) instance: String,
    /// Counts the files of that process, from 1.
    pub(crate) sequence: u64,
}

impl SegmentName {
    /// `1795012345.web-1-0f3a91c2-00000007.seg`
    pub(crate) fn file(&self) -> String {
        format!("{}.{}-{:08}{FILE_END}", self.began_s, self.instance, self.sequence)
    }

    /// The name that a file of the spool has; none of any other file.
    pub(crate) fn of_file(name: &str) -> Option<SegmentName> {
        let (began, rest) = name.strip_suffix(FILE_END)?.split_once('.')?;
        let (instance, sequence) = rest.rsplit_once('-')?;
        let named = is_instance(instance);
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        Some(SegmentName {
            began_s: number(began)?,
            instance: instance.to_owned(),
            sequence: number(sequence)?,
        })
        .filter(|_| named)
    }

    /// `dt=2026-11-18/hr=14/web-1-0f3a91c2-00000007.ndjson.zst`
    pub(crate) fn key(&self) -> String {
        format!("{}/{}-{:08}{OBJECT_END}", partition(self.began_s / 3600), self.instance, self.sequence)
    }
}

/// The partition of an hour, counted from 1970.
pub(crate) fn partition(hour: u64) -> String {
    let (year, month, day) = civil_from_days(hour / 24);
    format!("dt={year:04}-{month:02}-{day:02}/hr={:02}", hour % 24)
}

/// The day of an hour, as its partitions begin.
pub(crate) fn day(hour: u64) -> String {
    partition(hour).split('/').next().unwrap_or_default().to_owned()
}

/// A moment as records have it: `2026-11-22T14:05:09.123Z`. Such texts sort as their moments do.
pub(crate) fn rfc3339(at: SystemTime) -> String {
    let since = since_1970(at);
    let second = since.as_secs();
    let (year, month, day) = civil_from_days(second / 86_400);
    let (hour, minute) = (second / 3600 % 24, second / 60 % 60);
    format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{:03}Z",
        second % 60,
        since.subsec_millis()
    )
}

/// Times before 1970 are 1970.
pub(crate) fn since_1970(at: SystemTime) -> Duration {
    at.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// A name for this process: its host's, and something that no other process has.
pub(crate) fn instance(host: &str, random: u32) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let host: String = host.chars().map(plain).take(INSTANCE_CHARS_MAX).collect();
    let host = host.trim_matches('-');
    format!("{}-{random:08x}", if host.is_empty() { "tollgate" } else { host })
}

/// Whether a name is one that [`instance`] makes.
pub(crate) fn is_instance(name: &str) -> bool {
    let random = name.rsplit_once('-').map(|(_, random)| random);
    let hex = |random: &str| random.len() == 8 && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    name.bytes().all(is_plain) && random.is_some_and(hex)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_becomes_one_object() {
        let name = SegmentName { began_s: 1_795_012_345, instance: "web-1-0f3a91c2".to_owned(), sequence: 7 };
        assert_eq!(name.file(), "1795012345.web-1-0f3a91c2-00000007.seg");
        assert_eq!(name.key(), "dt=2026-11-18/hr=14/web-1-0f3a91c2-00000007.ndjson.zst");
        assert_eq!(SegmentName::of_file(&name.file()), Some(name));
    }

    #[test]
    fn other_files_are_no_segments() {
        for name in [
            "",
            "x",
            "1.lock",
            ".seg",
            "1.seg",
            "1.a.seg",
            "1.a-.seg",
            "1.-1.seg",
            "x.a-1.seg",
            "1.a-0000000a-x.seg",
            "+1.a-0000000a-1.seg",
            "1.a-0000000a-+1.seg",
            "1./../a-0000000a-1.seg",
            "1.a b-0000000a-1.seg",
            "1.a-1.seg",
            "99999999999999999999.a-0000000a-1.seg",
        ] {
            assert_eq!(SegmentName::of_file(name), None, "{name}");
        }
    }

    #[test]
    fn hours_have_partitions() {
        for (second, expect) in [
            (0, "dt=1970-01-01/hr=00"),
            (951_782_400 + 3600 * 23, "dt=2000-02-29/hr=23"),
            (1_798_761_599, "dt=2026-12-31/hr=23"),
            (1_798_761_600, "dt=2027-01-01/hr=00"),
        ] {
            assert_eq!(partition(second / 3600), expect);
        }
        assert_eq!(day(951_782_400 / 3600), "dt=2000-02-29");
    }

    #[test]
    fn moments_are_written_as_in_records() {
        let at = UNIX_EPOCH + Duration::from_millis(784_111_777_005);
        assert_eq!(rfc3339(at), "1994-11-06T08:49:37.005Z");
        assert_eq!(rfc3339(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_host_of_any_name_has_an_instance() {
        for (host, expect) in [
            ("Web-1.example.com", "web-1-example-com-000000ff"),
            ("", "tollgate-000000ff"),
            ("..", "tollgate-000000ff"),
            ("büro", "b-ro-000000ff"),
        ] {
            assert_eq!(instance(host, 255), expect);
            assert!(is_instance(expect), "{expect}");
            let name = SegmentName { began_s: 1, instance: instance(host, 255), sequence: 1 };
            assert_eq!(SegmentName::of_file(&name.file()), Some(name));
        }
    }
}
