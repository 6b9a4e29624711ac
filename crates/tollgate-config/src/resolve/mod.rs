//! The only I/O of a load: files, directories and the environment, each asked once.

mod expand;
mod glob;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use expand::expand;
pub(crate) use glob::{Matches, matches};

use crate::sources::{Listed, Sources};

/// Reads through [`Sources`] and remembers what was asked for: that is what a watcher has to watch.
pub(crate) struct Reader<'s> {
    sources: &'s dyn Sources,
    files: Vec<PathBuf>,
    noted: HashSet<PathBuf>,
    directories: Vec<PathBuf>,
    /// A load sees one state of each file, however often it is named.
    read: HashMap<PathBuf, Result<Arc<[u8]>, String>>,
    /// Bytes that expansions have produced so far.
    expanded: usize,
}

impl<'s> Reader<'s> {
    pub(crate) fn new(sources: &'s dyn Sources) -> Self {
        Reader {
            sources,
            files: Vec::new(),
            noted: HashSet::new(),
            directories: Vec::new(),
            read: HashMap::new(),
            expanded: 0,
        }
    }

    /// A file's bytes, or why there are none, in words that complete "the file …".
    pub(crate) fn bytes(&mut self, path: &Path, limit: u64) -> Result<Arc<[u8]>, String> {
        // Also where a configuration file has the same path: errors of other readers quote what they read.
        if self.sources.withholds() {
            return Err("is not looked at here".to_owned());
        }
        self.configuration(path, limit)
    }

    /// The same for a file of the configuration itself.
    pub(crate) fn configuration(&mut self, path: &Path, limit: u64) -> Result<Arc<[u8]>, String> {
        self.note(path);
        if let Some(known) = self.read.get(path) {
            // The first reader's limit may have been wider.
            return known.clone().and_then(|bytes| match bytes.len() as u64 > limit {
                true => Err(too_large(limit)),
                false => Ok(bytes),
            });
        }
        let read = self.sources.read(path, limit).map(Arc::from).map_err(|error| reason(&error, limit));
        // A file over a narrow limit may still be within a wider one.
        if !matches!(&read, Err(reason) if *reason == too_large(limit)) {
            self.read.insert(path.to_path_buf(), read.clone());
        }
        read
    }

    /// Remembers a file as one that the configuration consists of.
    pub(crate) fn note(&mut self, path: &Path) {
        if self.noted.insert(path.to_path_buf()) {
            self.files.push(path.to_path_buf());
        }
    }

    pub(crate) fn identity(&self, path: &Path) -> PathBuf {
        self.sources.identity(path)
    }

    /// Why no file could be made in a folder; nothing where one could, or where it is not looked. It is not watched: what
    /// comes to stand in it changes nothing.
    pub(crate) fn lacks_folder(&self, folder: &Path) -> Option<&'static str> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if self.sources.withholds() {
            return None;
        }
        match self.sources.read(folder, 0) {
            Ok(_) => Some("is a file"),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Some("is a file"),
            // A folder in memory is known by what is in it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.sources.list(folder).is_err().then_some("does not exist")
            }
            Err(_) => None,
        }
    }

    pub(crate) fn cores(&self) -> usize {
        self.sources.cores().max(1)
    }

    /// The time, in Unix seconds.
    pub(crate) fn now(&self) -> i64 {
        self.sources.now()
    }

    /// Every file and every directory that was asked for.
    pub(crate) fn finish(self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        (self.files, self.directories)
    }

    fn list(&mut self, directory: &Path) -> io::Result<Vec<Listed>> {
        if !self.directories.iter().any(|known| known == directory) {
            self.directories.push(directory.to_path_buf());
        }
        self.sources.list(directory)
    }
}

fn reason(error: &io::Error, limit: u64) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::PermissionDenied => "may not be read by this user".to_owned(),
        io::ErrorKind::IsADirectory => "is a directory".to_owned(),
        io::ErrorKind::FileTooLarge => too_large(limit),
        io::ErrorKind::InvalidInput => "is not a regular file".to_owned(),
        _ => format!("cannot be read: {error}"),
    }
}

/// Completes "the file …".
pub(crate) fn too_large(limit: u64) -> String {
    format!("is larger than {}", crate::units::show_size(limit))
}

/// `path` as seen from the directory of the file in which it is written.
pub(crate) fn beside(file: &Path, path: &str) -> PathBuf {
    directory(file).join(path)
}

/// The directory of a file; empty for a bare name, which is one of the working directory.
pub(crate) fn directory(file: &Path) -> &Path {
    file.parent().unwrap_or_else(|| Path::new(""))
}
