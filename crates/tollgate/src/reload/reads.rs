//! What a load has read, remembered well enough to tell later whether anything of it changed.
//!
//! Contents are kept as hashes: they may be secrets.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tollgate_config::{Listed, OsSources, Sources};

use crate::source::Source;

/// A file whose time stamps are younger than this may change again without their changing: stamps tick slowly.
const STAMP_TICK: Duration = Duration::from_secs(2);

/// The real world, taking notes. The main file may be none: then its text is given, and who gave it knows when it
/// changes.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    given: Option<(PathBuf, Arc<[u8]>)>,
    reads: RefCell<Reads>,
}

impl Recording {
    /// For one load of a configuration.
    pub(crate) fn of(source: &Source) -> Recording {
        let given = source.text().map(|text| (source.path().to_owned(), text));
        Recording { given, reads: RefCell::default() }
    }

    /// What was read.
    pub(crate) fn into_reads(self) -> Reads {
        self.reads.into_inner()
    }
}

impl Sources for Recording {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        if let Some((_, text)) = self.given.as_ref().filter(|(main, _)| main == path) {
            let fits = text.len() as u64 <= limit;
            return if fits { Ok(text.to_vec()) } else { Err(io::ErrorKind::FileTooLarge.into()) };
        }
        // The stamp is taken first: a change in between makes it differ later, never the other way round.
        let stamp = Stamp::of(path);
        let result = OsSources.read(path, limit);
        let seen = File { limit, stamp, content: Content::of(&result) };
        let mut reads = self.reads.borrow_mut();
        reads.files.insert(path.to_owned(), seen);
        reads.last = Some(Instant::now());
        result
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Listed>> {
        let result = OsSources.list(directory);
        let mut reads = self.reads.borrow_mut();
        reads.directories.insert(directory.to_owned(), listing(&result));
        reads.last = Some(Instant::now());
        result
    }

    fn identity(&self, path: &Path) -> PathBuf {
        OsSources.identity(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        OsSources.variable(name)
    }

    fn cores(&self) -> usize {
        OsSources.cores()
    }
}

/// Files and directories as they were when they were read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reads {
    files: BTreeMap<PathBuf, File>,
    directories: BTreeMap<PathBuf, u64>,
    /// When the last of them was read.
    last: Option<Instant>,
}

/// How the files look now, compared to how they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    /// Something differs.
    pub(super) changed: bool,
    /// A file that had content has none now, or is gone.
    pub(super) lost: bool,
    /// Equal for equal contents: two equal looks in a row mean that nothing moves.
    pub(super) fingerprint: u64,
}

#[derive(Debug, Clone)]
struct File {
    limit: u64,
    stamp: Option<Stamp>,
    content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Content {
    Bytes(u64),
    Empty,
    Gone,
    Unreadable,
}

/// What changes when a file is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Reads {
    /// The files that were asked for, also those that do not exist.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// The directories that were listed.
    pub(super) fn directories(&self) -> impl Iterator<Item = &Path> {
        self.directories.keys().map(PathBuf::as_path)
    }

    /// How long ago everything had been read.
    pub(super) fn age(&self) -> Duration {
        self.last.map(|last| last.elapsed()).unwrap_or_default()
    }

    /// Whether the same files had the same contents, whatever else stands in their directories.
    pub(super) fn same_contents(&self, other: &Reads) -> bool {
        let contents = |reads: &Reads| {
            reads.files.iter().map(|(path, file)| (path.clone(), file.content)).collect::<Vec<_>>()
        };
        contents(self) == contents(other)
    }

    /// Compares with what is there now. Reads only files whose stamps differ or are too young to be believed.
    pub(super) fn look(&mut self) -> Look {
        let mut hasher = DefaultHasher::new();
        let mut look = Look { changed: false, lost: false, fingerprint: 0 };
        for (path, file) in &mut self.files {
            let content = file.content_now(path);
            look.changed |= content != file.content;
            look.lost |= content != file.content && matches!(content, Content::Empty | Content::Gone);
            content.hash(&mut hasher);
        }
        for (path, listed) in &self.directories {
            let now = listing(&OsSources.list(path));
            look.changed |= now != *listed;
            now.hash(&mut hasher);
        }
        look.fingerprint = hasher.finish();
        look
    }
}

impl File {
    fn content_now(&mut self, path: &Path) -> Content {
        let stamp = Stamp::of(path);
        let same_stamp = stamp == self.stamp;
        if same_stamp && stamp.is_none_or(Stamp::is_settled) {
            return self.content;
        }
        let content = Content::of(&OsSources.read(path, self.limit));
        if content == self.content {
            // Touched or rewritten with the same text: the next look need not read it again.
            self.stamp = stamp;
        }
        content
    }
}

impl Content {
    fn of(read: &io::Result<Vec<u8>>) -> Content {
        match read {
            Ok(bytes) if bytes.is_empty() => Content::Empty,
            Ok(bytes) => Content::Bytes(hash(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Content::Gone,
            Err(_) => Content::Unreadable,
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    fn is_settled(self) -> bool {
        let seconds = u64::try_from(self.changed.0.max(self.modified.0)).unwrap_or(0);
        let age = SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_secs(seconds));
        age.is_ok_and(|age| age > STAMP_TICK)
    }
}

fn listing(listed: &io::Result<Vec<Listed>>) -> u64 {
    let Ok(entries) = listed else { return 0 };
    let mut names: Vec<(&str, bool)> =
        entries.iter().map(|entry| (entry.name.as_str(), entry.directory)).collect();
    names.sort_unstable();
    hash(&names)
}

fn hash<T: Hash + ?Sized>(value: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
