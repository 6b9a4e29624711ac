//! The last access records of a worker, for those who look at the admin side: kept as lines, within bounds, and told
//! live to who follows.
//!
//! A line that the access log formats is copied once more, which is all that it costs. Where there is no access log
//! lines are made for this alone, and only so many a second.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc::{self, error::TrySendError};
use tollgate_plan::Plan;

use super::date::LogTime;
use super::line::write_line;
use super::record::Record;

/// Bytes of records that the process keeps, shared by its workers: some thousands of them.
const PROCESS_BYTES: usize = 2 * 1024 * 1024;

/// What one worker keeps at least and at most, whatever their number.
const WORKER_BYTES: (usize, usize) = (64 * 1024, 512 * 1024);

/// Bytes of records that wait to be told. A follower is told every 100 ms; what a worker records beyond this in that
/// time is counted, and the follower knows that it was not told.
const UNTOLD_BYTES_MAX: usize = 256 * 1024;

/// Lines that are made in a second for this alone.
const OWN_LINES_MAX: u32 = 200;

/// What a follower is told at once.
#[derive(Debug, Clone)]
pub struct News {
    /// Access records as lines of JSON, the eldest first.
    pub lines: Arc<[u8]>,
    /// Records that the follower was not told before these: there were too many, or it did not listen.
    pub missed: u64,
}

/// One worker's last records.
pub(crate) struct Recent {
    /// Lines, the eldest first. When the young half is full it becomes the old one, which is forgotten.
    old: Vec<u8>,
    young: Vec<u8>,
    half_bytes: usize,
    followers: Vec<Follower>,
    /// What followers were not told yet, and how many records more.
    untold: Vec<u8>,
    left_out: u64,
    /// Where there is no access log: the second, and lines made in it.
    own: (u64, u32),
    scratch: Vec<u8>,
}

struct Follower {
    sender: mpsc::Sender<News>,
    missed: u64,
}

impl Recent {
    /// For one of `workers` workers.
    pub(crate) fn new(workers: usize) -> Recent {
        let bytes = (PROCESS_BYTES / workers.max(1)).clamp(WORKER_BYTES.0, WORKER_BYTES.1);
        Recent {
            old: Vec::new(),
            young: Vec::new(),
            half_bytes: bytes / 2,
            followers: Vec::new(),
            untold: Vec::new(),
            left_out: 0,
            own: (0, 0),
            scratch: Vec::new(),
        }
    }

    /// Keeps a line that the access log has.
    pub(super) fn keep(&mut self, line: &[u8]) {
        if line.len() > self.half_bytes {
            return;
        }
        if self.young.len() + line.len() > self.half_bytes {
            std::mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
        }
        self.young.extend_from_slice(line);
        if self.followers.is_empty() {
            return;
        }
        if self.untold.len() + line.len() <= UNTOLD_BYTES_MAX {
            self.untold.extend_from_slice(line);
        } else {
            self.left_out += 1;
        }
    }

    /// Keeps a record that the access log does not have.
    pub(super) fn record(&mut self, record: &Record<'_>, plan: &Plan, time: &mut LogTime) {
        if !self.admits(record.started) {
            self.left_out += u64::from(!self.followers.is_empty());
            return;
        }
        let mut line = std::mem::take(&mut self.scratch);
        line.clear();
        write_line(record, plan, time, &mut line);
        self.keep(&line);
        self.scratch = line;
    }

    /// Tells followers what is new, and forgets those who left.
    pub(super) fn tell(&mut self) {
        if self.untold.is_empty() && self.left_out == 0 {
            return;
        }
        let lines: Arc<[u8]> = self.untold.as_slice().into();
        let records = memchr::memchr_iter(b'\n', &lines).count() as u64;
        let left_out = std::mem::take(&mut self.left_out);
        self.untold.clear();
        self.followers.retain_mut(|follower| {
            follower.missed += left_out;
            match follower.sender.try_send(News { lines: lines.clone(), missed: follower.missed }) {
                Ok(()) => follower.missed = 0,
                Err(TrySendError::Full(_)) => follower.missed += records,
                Err(TrySendError::Closed(_)) => return false,
            }
            true
        });
        if self.followers.is_empty() {
            self.untold = Vec::new();
        }
    }

    /// Somebody wants to be told from now on. How many there may be is decided by who lets them in.
    pub(crate) fn follow(&mut self, sender: mpsc::Sender<News>) {
        // Without traffic nobody else notices who left.
        self.followers.retain(|follower| !follower.sender.is_closed());
        self.followers.push(Follower { sender, missed: 0 });
    }

    /// All lines that are kept, the eldest first.
    pub(crate) fn lines(&self) -> Vec<u8> {
        [self.old.as_slice(), self.young.as_slice()].concat()
    }

    /// Whether one more line may be made in this second.
    fn admits(&mut self, now: SystemTime) -> bool {
        let second = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if self.own.0 != second {
            self.own = (second, 0);
        }
        self.own.1 = self.own.1.saturating_add(1);
        self.own.1 <= OWN_LINES_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observe::fixture;

    fn text(recent: &Recent) -> String {
        String::from_utf8(recent.lines()).unwrap()
    }

    #[test]
    fn the_last_lines_are_kept_whole_in_order_and_within_bounds() {
        let mut recent = Recent::new(1);
        for number in 0..100_000 {
            recent.keep(format!("{{\"n\":{number}}}\n").as_bytes());
        }
        let text = text(&recent);
        assert!((WORKER_BYTES.1 / 2 - 16..=WORKER_BYTES.1).contains(&text.len()), "{}", text.len());
        let first: u32 = text.lines().next().unwrap()[5..].trim_end_matches('}').parse().unwrap();
        let lines: Vec<String> = (first..100_000).map(|number| format!("{{\"n\":{number}}}")).collect();
        assert!(text.lines().eq(lines.iter().map(String::as_str)));
    }

    #[test]
    fn a_line_that_would_be_alone_is_not_kept() {
        let mut recent = Recent::new(1_000);
        recent.keep(b"one\n");
        recent.keep(&[b'x'; WORKER_BYTES.0 / 2 + 1]);
        assert_eq!(text(&recent), "one\n");
    }

    #[test]
    fn without_a_log_so_many_lines_a_second_are_made() {
        let (mut recent, mut time) = (Recent::new(1), LogTime::new());
        let plan = fixture::plan(&["orders"], &[("orders", &["http://10.0.0.5:3000"])]);
        for second in 0..3 {
            for _ in 0..OWN_LINES_MAX * 2 {
                let started = UNIX_EPOCH + Duration::from_secs(1_780_000_000 + second);
                recent.record(&Record { started, ..fixture::record() }, &plan, &mut time);
            }
        }
        assert_eq!(text(&recent).lines().count(), 3 * OWN_LINES_MAX as usize);
    }

    #[test]
    fn followers_are_told_what_is_new_and_what_they_missed() {
        let mut recent = Recent::new(1);
        recent.keep(b"before\n");
        let (quick, mut quick_news) = mpsc::channel(8);
        let (slow, mut slow_news) = mpsc::channel(1);
        recent.follow(quick);
        recent.follow(slow);
        for round in ["a\nb\n", "c\n", "d\n"] {
            round.split_inclusive('\n').for_each(|line| recent.keep(line.as_bytes()));
            recent.tell();
        }
        let told = |news: &mut mpsc::Receiver<News>| -> Vec<(String, u64)> {
            let text = |news: News| (String::from_utf8_lossy(&news.lines).into_owned(), news.missed);
            std::iter::from_fn(|| news.try_recv().ok().map(text)).collect()
        };
        let all = [("a\nb\n", 0), ("c\n", 0), ("d\n", 0)].map(|(lines, missed)| (lines.to_owned(), missed));
        assert_eq!(told(&mut quick_news), all);
        assert_eq!(told(&mut slow_news), [("a\nb\n".to_owned(), 0)]);
        recent.keep(b"e\n");
        recent.tell();
        assert_eq!(told(&mut slow_news), [("e\n".to_owned(), 2)], "two records were missed");
        drop((quick_news, slow_news));
        recent.keep(b"f\n");
        recent.tell();
        assert!(recent.followers.is_empty() && recent.untold.capacity() == 0);
    }

    #[test]
    fn who_left_is_forgotten_without_traffic_too() {
        let mut recent = Recent::new(1);
        for _ in 0..100 {
            recent.follow(mpsc::channel(1).0);
        }
        assert_eq!(recent.followers.len(), 1);
    }

    #[test]
    fn more_than_can_be_told_at_once_is_counted() {
        let mut recent = Recent::new(1);
        let (sender, mut news) = mpsc::channel(8);
        recent.follow(sender);
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        (0..300).for_each(|_| recent.keep(&line));
        recent.tell();
        let told = news.try_recv().unwrap();
        assert_eq!((told.lines.len(), told.missed), (UNTOLD_BYTES_MAX, 300 - 256));
    }
}
