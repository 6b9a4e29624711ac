//! Notices that something happened to the files of a configuration.
//!
//! It watches directories, since a file that is replaced by rename is another file with the same name. It also
//! watches the files themselves: one that is mounted into a container is written in a directory outside.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::links::Trail;
use super::reads::Reads;
use super::writers::{How, Writers};

/// Events that may wait. More are dropped, and then nothing is believed until it is quiet.
const EVENTS_MAX: usize = 4096;

/// A watch on the directories that decide what a configuration is.
pub(super) struct Watch {
    /// `None`: the system has no watches to give, and polling must do.
    watcher: Option<RecommendedWatcher>,
    events: mpsc::Receiver<Event>,
    lost: Arc<AtomicBool>,
    writers: Writers,
    trail: Trail,
    /// Directories whose every name matters.
    listed: BTreeSet<PathBuf>,
    watched: BTreeSet<PathBuf>,
    /// Watched files, with device and inode: another file of the same name needs another watch.
    files: BTreeMap<PathBuf, (u64, u64)>,
    last: Option<(Instant, How)>,
}

impl Watch {
    pub(super) fn new() -> Watch {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let lost = Arc::new(AtomicBool::new(false));
        let overflow = lost.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| match event {
            Ok(event) if event.need_rescan() => overflow.store(true, Ordering::Relaxed),
            // Reading makes events too, the gateway's own first of all.
            Ok(event) if is_reading(&event.kind) => {}
            Ok(event) => {
                if sender.try_send(event).is_err() {
                    overflow.store(true, Ordering::Relaxed);
                }
            }
            Err(error) => tracing::warn!(%error, "watching the configuration failed"),
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "the configuration is polled: it cannot be watched"))
            .ok();
        Watch::on(watcher, events, lost)
    }

    /// A watch that sees nothing, as on a network file system.
    #[cfg(test)]
    pub(super) fn polling() -> Watch {
        Watch::on(None, mpsc::channel(1).1, Arc::default())
    }

    fn on(
        watcher: Option<RecommendedWatcher>,
        events: mpsc::Receiver<Event>,
        lost: Arc<AtomicBool>,
    ) -> Watch {
        Watch {
            watcher,
            events,
            lost,
            writers: Writers::default(),
            trail: Trail::default(),
            listed: BTreeSet::new(),
            watched: BTreeSet::new(),
            files: BTreeMap::new(),
            last: None,
        }
    }

    /// Follows the files of another load. Also puts watches back that went with their directory.
    pub(super) fn follow(&mut self, reads: &Reads) {
        self.trail = Trail::default();
        self.listed.clear();
        for file in reads.files() {
            self.trail.follow(file);
        }
        for directory in reads.directories() {
            self.trail.follow(directory);
            self.listed.extend(directory.canonicalize());
        }
        let wanted: BTreeSet<PathBuf> = self.trail.directories.union(&self.listed).cloned().collect();
        self.watch_files(reads);
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.watched.difference(&wanted) {
            // It may have gone by itself, with its directory.
            let _ = watcher.unwatch(gone);
            self.writers.forget_in(gone);
        }
        self.watched.retain(|directory| wanted.contains(directory));
        for new in wanted {
            if self.watched.contains(&new) {
                continue;
            }
            match watcher.watch(&new, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(new);
                }
                // Once per change of files, not once per poll, would need memory; a directory that cannot be
                // watched is rare and polled, so it is said quietly.
                Err(error) => {
                    tracing::debug!(directory = %new.display(), %error, "polled: it cannot be watched")
                }
            }
        }
    }

    fn watch_files(&mut self, reads: &Reads) {
        let Some(watcher) = &mut self.watcher else { return };
        let mut wanted = BTreeMap::new();
        for file in reads.files() {
            if let Ok(file) = file.canonicalize()
                && let Ok(metadata) = file.metadata()
            {
                wanted.insert(file, (metadata.dev(), metadata.ino()));
            }
        }
        for (gone, _) in self.files.iter().filter(|(file, inode)| wanted.get(*file) != Some(inode)) {
            // It may have gone by itself, with its file.
            let _ = watcher.unwatch(gone);
        }
        self.files.retain(|file, inode| wanted.get(file) == Some(inode));
        for (file, inode) in wanted {
            // One that cannot be watched is seen through its directory or polled.
            if !self.files.contains_key(&file) && watcher.watch(&file, RecursiveMode::NonRecursive).is_ok() {
                self.files.insert(file, inode);
            }
        }
    }

    /// Waits for an event that may matter, and takes it in.
    pub(super) async fn stirred(&mut self) {
        loop {
            match self.events.recv().await {
                Some(event) => {
                    if self.take(&event) {
                        return;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Takes in what has already happened.
    pub(super) fn absorb(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.take(&event);
        }
        if self.lost.swap(false, Ordering::Relaxed) {
            self.writers.forget();
            self.last = None;
        }
    }

    /// The file of the configuration that somebody is writing, and since when.
    pub(super) fn being_written(&self) -> Option<(PathBuf, Instant)> {
        self.writers.open_among(&self.trail.names).map(|(path, since)| (path.to_owned(), since))
    }

    /// Whether every directory is watched, so that a writer cannot come unseen.
    pub(super) fn is_whole(&self) -> bool {
        self.trail.directories.union(&self.listed).all(|directory| self.watched.contains(directory))
    }

    /// The last event that mattered since [`Watch::rest`]; `None` when a change was not announced by any.
    pub(super) fn last(&self) -> Option<(Instant, How)> {
        self.last
    }

    /// What happened until now is dealt with.
    pub(super) fn rest(&mut self) {
        self.last = None;
    }

    fn take(&mut self, event: &Event) -> bool {
        let now = Instant::now();
        // All names are tracked, since a file may be renamed while it is written.
        let how = self.writers.take(event, now);
        for path in &event.paths {
            let renamed_away = matches!(
                event.kind,
                EventKind::Remove(_) | EventKind::Modify(notify::event::ModifyKind::Name(_))
            );
            if renamed_away && self.watched.remove(path) {
                // The watch went with the directory; a new one of the same name gets its own.
                if let Some(watcher) = &mut self.watcher {
                    let _ = watcher.unwatch(path);
                }
                self.writers.forget_in(path);
            }
        }
        let matters = event.paths.iter().any(|path| self.matters(path));
        if let (Some(how), true) = (how, matters) {
            self.last = Some((now, how));
        }
        matters
    }

    fn matters(&self, path: &Path) -> bool {
        self.trail.names.contains(path)
            || path.parent().is_some_and(|directory| self.listed.contains(directory))
            || self.trail.directories.contains(path)
    }
}

fn is_reading(kind: &EventKind) -> bool {
    matches!(kind, EventKind::Access(access) if !matches!(access, AccessKind::Close(AccessMode::Write)))
}
