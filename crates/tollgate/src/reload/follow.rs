//! Decides when a changed configuration may be loaded, and loads it.
//!
//! The rule: nobody has a file of it open for writing, nothing of it moved for a while, and what was read is
//! still what is there some time later. Whatever fails that is loaded again, never acted on.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tollgate_admin::Reloaded;
use tollgate_config::{Failed, Loaded};

use super::reads::{Look, Reads, Recording};
use super::watch::Watch;
use super::writers::How;
use crate::source::Source;

/// How long to wait for what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Between two looks at the files, in case no event comes: network file systems send none.
    pub(super) poll: Duration,
    /// Quiet after a replacement, which is whole at once; several files may be replaced one after the other.
    pub(super) replaced: Duration,
    /// Quiet after writing in place: a writer may close a file and open it again.
    pub(super) written: Duration,
    /// Quiet while a file is empty or gone: editors remove a file before they write it anew.
    pub(super) lost: Duration,
    /// Quiet after a change that no event announced, so that nothing is known about writers.
    pub(super) unannounced: Duration,
    /// What was read must still be there after this time.
    pub(super) settle: Duration,
    /// The same when somebody asks and a working watch has announced no writer: its events take no longer.
    pub(super) glance: Duration,
    /// How long an explicit request waits for a writer.
    pub(super) asked: Duration,
}

/// The gateway's own.
pub(super) const PACE: Pace = Pace {
    poll: Duration::from_secs(2),
    replaced: Duration::from_millis(100),
    written: Duration::from_millis(300),
    lost: Duration::from_secs(1),
    unannounced: Duration::from_secs(2),
    settle: Duration::from_millis(100),
    glance: Duration::from_millis(10),
    asked: Duration::from_secs(3),
};

/// After this time a file that is still being written is worth a warning.
const LONG_WRITE: Duration = Duration::from_secs(10);

/// Somebody asks for a reload; who waits for the result says so.
pub(crate) type Request = Option<oneshot::Sender<Reloaded>>;

/// A load that may be acted on.
pub(super) struct Attempt {
    /// Who asked for it; empty when the files changed by themselves.
    pub(super) asked: Vec<Request>,
    pub(super) outcome: Outcome,
}

/// What came of it.
pub(super) enum Outcome {
    Loaded(Box<Loaded>),
    Failed(Box<Failed>),
    /// Asked for, but somebody is writing this file.
    BeingWritten(PathBuf),
}

/// Follows the files of one configuration.
pub(super) struct Follower {
    source: Source,
    pace: Pace,
    watch: Watch,
    /// Of the last load, whether it was applied or not.
    reads: Reads,
    /// Of the last load that was applied, while nothing was refused since.
    applied: Option<Reads>,
    /// The last look, and when it began to look like that.
    seen: (u64, Instant),
    warned: bool,
    /// Somebody was told that it is loaded when its writer closes it, whatever it then holds.
    promised: bool,
}

enum Verdict {
    Wait(Duration),
    Load,
    Refuse(PathBuf),
}

impl Follower {
    /// Follows the configuration of `source`, whose first load was applied and has read `reads`.
    pub(super) fn new(source: impl Into<Source>, reads: Reads, pace: Pace) -> Follower {
        let mut watch = Watch::new();
        watch.follow(&reads);
        let applied = Some(reads.clone());
        Follower {
            source: source.into(),
            pace,
            watch,
            reads,
            applied,
            seen: (0, Instant::now()),
            warned: false,
            promised: false,
        }
    }

    /// The next load: asked for, or because a file changed.
    pub(super) async fn next(&mut self, requests: &mut mpsc::Receiver<Request>) -> Attempt {
        let mut asked = Vec::new();
        let mut asked_at = None;
        loop {
            self.watch.absorb();
            let wait = match self.verdict(asked_at) {
                Verdict::Wait(time) => time,
                Verdict::Refuse(path) => return self.promise(asked, path),
                Verdict::Load => match self.load(asked.is_empty()).await {
                    Some(outcome) => return Attempt { asked, outcome },
                    None if asked_at.is_some_and(|at: Instant| at.elapsed() >= self.pace.asked) => {
                        let path = self.source.path().to_owned();
                        return self.promise(asked, path);
                    }
                    None => Duration::ZERO,
                },
            };
            tokio::select! {
                Some(request) = requests.recv() => {
                    asked.push(request);
                    asked_at.get_or_insert_with(Instant::now);
                }
                () = self.watch.stirred() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn promise(&mut self, asked: Vec<Request>, path: PathBuf) -> Attempt {
        self.promised = true;
        Attempt { asked, outcome: Outcome::BeingWritten(path) }
    }

    /// The last attempt was applied.
    pub(super) fn applied(&mut self) {
        self.applied = Some(self.reads.clone());
    }

    /// The last attempt was refused: the same files again would be news.
    pub(super) fn refused(&mut self) {
        self.applied = None;
    }

    fn verdict(&mut self, asked_at: Option<Instant>) -> Verdict {
        let now = Instant::now();
        let writer = self.watch.being_written();
        if let Some(asked_at) = asked_at {
            return match writer {
                None => Verdict::Load,
                Some((path, _)) if now - asked_at >= self.pace.asked => Verdict::Refuse(path),
                // The close is an event; this is only the end of the patience.
                Some(_) => Verdict::Wait(self.pace.asked - (now - asked_at)),
            };
        }
        if let Some((path, since)) = writer {
            if now - since >= LONG_WRITE && !std::mem::replace(&mut self.warned, true) {
                tracing::warn!(file = %path.display(), "its writer has not closed it: it is read when that happens");
            }
            return Verdict::Wait(self.pace.poll);
        }
        self.warned = false;
        let look = self.reads.look();
        if look.fingerprint != self.seen.0 {
            self.seen = (look.fingerprint, now);
        }
        if !look.changed && !self.promised {
            self.rest();
            return Verdict::Wait(self.pace.poll);
        }
        let (quiet, since) = self.quiet(&look);
        match quiet.checked_sub(now - since) {
            Some(rest) if !rest.is_zero() => Verdict::Wait(rest),
            _ => Verdict::Load,
        }
    }

    /// How long it must be quiet before this change is believed, and since when it is.
    fn quiet(&self, look: &Look) -> (Duration, Instant) {
        let moved = self.seen.1;
        let (quiet, since) = match self.watch.last() {
            Some((at, How::Replaced)) => (self.pace.replaced, at),
            Some((at, How::Written)) => (self.pace.written, at),
            None => (self.pace.unannounced, moved),
        };
        (if look.lost { quiet.max(self.pace.lost) } else { quiet }, since.max(moved))
    }

    /// Loads, and gives the result only when it is of what is really there.
    async fn load(&mut self, because_changed: bool) -> Option<Outcome> {
        let (source, settle) = (self.source.clone(), self.settle(because_changed));
        let loading = tokio::task::spawn_blocking(move || {
            let sources = Recording::of(&source);
            let result = tollgate_config::load(source.path(), &sources);
            (result, sources.into_reads())
        });
        let (result, mut reads) = match loading.await {
            Ok(loaded) => loaded,
            Err(error) => {
                // A panic of the loader is a fault of the program; the gateway goes on with what it has.
                tracing::error!(%error, "loading the configuration failed");
                tokio::time::sleep(self.pace.unannounced).await;
                return None;
            }
        };
        // Before the second look, so that a writer who comes now is seen.
        self.watch.follow(&reads);
        // Compiling many routes took its time already.
        tokio::time::sleep(settle.saturating_sub(reads.age())).await;
        self.watch.absorb();
        if self.watch.being_written().is_some() || reads.look().changed {
            return None;
        }
        self.reads = reads;
        self.promised = false;
        self.rest();
        let known = self.applied.as_ref().is_some_and(|applied| applied.same_contents(&self.reads));
        match result {
            // Another file appeared or went beside those that count.
            Ok(_) if because_changed && known => None,
            Ok(loaded) => Some(Outcome::Loaded(Box::new(loaded))),
            Err(failed) => Some(Outcome::Failed(Box::new(failed))),
        }
    }

    /// How long what was read must stay as it is.
    fn settle(&self, because_changed: bool) -> Duration {
        let rewritten = matches!(self.watch.last(), Some((_, How::Written)));
        let glance = !because_changed && !rewritten && self.watch.is_whole();
        if glance { self.pace.glance } else { self.pace.settle }
    }

    fn rest(&mut self) {
        self.watch.rest();
        // A watch that went with its directory is put back.
        self.watch.follow(&self.reads);
    }
}

#[cfg(test)]
mod tests;
