//! Whose files are whose: a lock on a name, which the kernel gives back when the process ends, however it ends.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::Segment;
use crate::key::{self, SegmentName};
use crate::segment;

/// What the name of a lock's file ends with.
const LOCK_END: &str = ".claim";

/// Tries to find a name that nobody has.
const TRIES_MAX: u32 = 16;

/// Files that are taken over at once: a directory with more is read in several rounds.
const FILES_MAX: usize = 100_000;

/// The right to the files of one name. Given back when dropped, or when the process ends.
pub(crate) struct Claim {
    dir: PathBuf,
    instance: String,
    _lock: File,
}

impl Claim {
    /// A name that nobody had before.
    pub(super) fn fresh(dir: &Path) -> io::Result<Claim> {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let mut last = io::Error::other("no name is free");
        for _ in 0..TRIES_MAX {
            let random = RandomState::new().hash_one(std::process::id()) as u32;
            let instance = key::instance(host.trim(), random);
            // It gets its name when it is locked: nobody may find it free.
            let (early, path) = (dir.join(format!("{instance}.new")), lock_path(dir, &instance));
            let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&early);
            match made {
                Ok(lock) => {
                    let claimed = lock.lock().and_then(|()| fs::rename(&early, path));
                    claimed.inspect_err(|_| drop(fs::remove_file(&early)))?;
                    return Ok(Claim { dir: dir.to_owned(), instance, _lock: lock });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    /// The name of somebody who is gone; none while they are not.
    fn of_gone(dir: &Path, instance: &str) -> Option<Claim> {
        let path = lock_path(dir, instance);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).ok()?;
        lock.try_lock().ok()?;
        Some(Claim { dir: dir.to_owned(), instance: instance.to_owned(), _lock: lock })
    }

    pub(super) fn instance(&self) -> &str {
        &self.instance
    }

    /// Whether files of this name are left.
    pub(super) fn is_used(&self) -> bool {
        names(&self.dir).any(|name| name.instance == self.instance)
    }

    /// The files of this name, oldest first.
    pub(super) fn segments(&self) -> Vec<Segment> {
        let mut names: Vec<SegmentName> =
            names(&self.dir).filter(|name| name.instance == self.instance).take(FILES_MAX).collect();
        names.sort();
        let measured = names.into_iter().filter_map(|name| {
            let file = fs::read(self.dir.join(name.file())).ok()?;
            Some(Segment { name, bytes: file.len() as u64, records: segment::count(&file) })
        });
        measured.collect()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // While the lock is held: nobody else can be about to use the name.
        if !self.is_used() {
            let _ = fs::remove_file(lock_path(&self.dir, &self.instance));
        }
    }
}

/// Claims on the names of processes that are gone.
pub(super) fn orphans(dir: &Path, known: &[&str]) -> Vec<Claim> {
    let locks = entries(dir).filter_map(|name| Some(name.strip_suffix(LOCK_END)?.to_owned()));
    let locks = locks.filter(|instance| key::is_instance(instance));
    // Somebody may have removed the lock and not the files.
    let instances: BTreeSet<String> = names(dir).map(|name| name.instance).chain(locks).collect();
    let gone = instances.iter().filter(|instance| !known.contains(&instance.as_str()));
    gone.filter_map(|instance| Claim::of_gone(dir, instance)).collect()
}

fn lock_path(dir: &Path, instance: &str) -> PathBuf {
    dir.join(format!("{instance}{LOCK_END}"))
}

fn names(dir: &Path) -> impl Iterator<Item = SegmentName> + use<> {
    entries(dir).filter_map(|name| SegmentName::of_file(&name))
}

fn entries(dir: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}
