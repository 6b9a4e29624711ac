//! Which files somebody is writing right now, as the kernel's file events tell it.
//!
//! A file that was written to and not yet closed is half-written, however long its writer pauses; a prefix of a
//! configuration can be a valid configuration with fewer rules.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, ModifyKind, RenameMode};
use notify::{Event, EventKind};
use tokio::time::Instant;

/// Files tracked at once. A directory full of busy log files must not grow this.
const OPEN_MAX: usize = 1024;

/// Whether this system reports that a writer closed its file. Without that, only quiet tells.
const CLOSE_IS_REPORTED: bool = cfg!(any(target_os = "linux", target_os = "android"));

/// How a change came about: it decides how long to wait until it may be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// Renamed, linked, removed: whole at once.
    Replaced,
    /// Written in place and closed; the writer may open it again at once.
    Written,
}

/// Files with a writer, by path without links.
#[derive(Debug, Default)]
pub(super) struct Writers {
    open: HashMap<PathBuf, Instant>,
    /// The file that was just renamed away, if it had a writer: the writer keeps it under the new name.
    moving: Option<(usize, Option<Instant>)>,
}

impl Writers {
    /// Takes one event in. `None`: it says nothing about contents.
    pub(super) fn take(&mut self, event: &Event, now: Instant) -> Option<How> {
        let path = event.paths.first()?;
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => {
                self.open.remove(path);
                Some(How::Written)
            }
            EventKind::Modify(ModifyKind::Data(_) | ModifyKind::Any) => {
                self.begin(path, now);
                Some(How::Written)
            }
            EventKind::Create(_) => {
                // A new file without content was just opened and will be written; a link is born whole.
                if path.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0) {
                    self.begin(path, now);
                }
                Some(How::Replaced)
            }
            EventKind::Modify(ModifyKind::Name(mode)) => {
                self.renamed(path, mode, event.tracker());
                Some(How::Replaced)
            }
            EventKind::Remove(_) => {
                // The end of a file that another one has replaced says nothing about the other one.
                if path.symlink_metadata().is_err() {
                    self.open.remove(path);
                }
                Some(How::Replaced)
            }
            _ => None,
        }
    }

    /// The file among `names` that has a writer, and since when.
    pub(super) fn open_among<'a>(
        &self,
        names: impl IntoIterator<Item = &'a PathBuf>,
    ) -> Option<(&'a Path, Instant)> {
        names.into_iter().find_map(|name| self.open.get(name).map(|since| (name.as_path(), *since)))
    }

    /// The directory is not watched any more: no event will say that a file of it was closed.
    pub(super) fn forget_in(&mut self, directory: &Path) {
        self.open.retain(|path, _| path.parent() != Some(directory));
    }

    /// Events were lost: nothing is known any more.
    pub(super) fn forget(&mut self) {
        self.open.clear();
        self.moving = None;
    }

    fn begin(&mut self, path: &Path, now: Instant) {
        if CLOSE_IS_REPORTED && (self.open.len() < OPEN_MAX || self.open.contains_key(path)) {
            self.open.entry(path.to_owned()).or_insert(now);
        }
    }

    fn renamed(&mut self, path: &Path, mode: RenameMode, tracker: Option<usize>) {
        match mode {
            RenameMode::From => {
                let since = self.open.remove(path);
                self.moving = tracker.map(|tracker| (tracker, since));
            }
            RenameMode::To => {
                self.open.remove(path);
                if let Some((from, Some(since))) = self.moving.take()
                    && tracker == Some(from)
                {
                    self.open.insert(path.to_owned(), since);
                }
            }
            // Follows From and To, which have said everything.
            RenameMode::Both | RenameMode::Any | RenameMode::Other => {}
        }
    }
}
