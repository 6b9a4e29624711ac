//! Everything a load reads from outside its own text: files, directories, environment, the number of cores.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

/// What a load may ask of the world. Tests give a [`MemorySources`].
pub trait Sources {
    /// The bytes of a file; more than `limit` of them is an error of kind `FileTooLarge`.
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;
    /// The entries of a directory, in any order.
    fn list(&self, directory: &Path) -> io::Result<Vec<Listed>>;
    /// One path for all spellings of a file, so that the same file is recognised; the input when there is none.
    fn identity(&self, path: &Path) -> PathBuf;
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// Whether files and variables are withheld: the configuration comes from somebody who may not see what they hold.
    /// Then only configuration files are read, what `${…}` stands for is unknown, and warnings say what was left out.
    fn withholds(&self) -> bool {
        false
    }
    /// Cores that the process may use, at least 1.
    fn cores(&self) -> usize;
    /// The time, in Unix seconds: certificates have an end.
    fn now(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name without the directory.
    pub name: String,
    /// Whether it is a directory (links followed).
    pub directory: bool,
}

/// The real world: the file system and the environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsSources;

impl Sources for OsSources {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        // A fifo or a device could block for ever or never end; links to regular files are followed.
        let metadata = std::fs::metadata(path)?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        within(bytes, limit)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Listed>> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(directory)? {
            let entry = entry?;
            // A name that is not UTF-8 cannot be written in a YAML pattern, so it cannot be meant.
            if let Ok(name) = entry.file_name().into_string() {
                entries.push(Listed { name, directory: entry.path().is_dir() });
            }
        }
        Ok(entries)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn cores(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

/// Files and variables held in memory, for tests. It has one core.
#[derive(Debug, Clone, Default)]
pub struct MemorySources {
    /// Files by path.
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    /// Environment variables by name.
    pub variables: BTreeMap<String, String>,
}

impl MemorySources {
    /// Adds a file.
    pub fn file(mut self, path: impl Into<PathBuf>, text: impl Into<Vec<u8>>) -> Self {
        self.files.insert(path.into(), text.into());
        self
    }

    /// Adds a variable.
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }
}

impl Sources for MemorySources {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let found = self.files.get(&plain(path)).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        within(found.clone(), limit)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Listed>> {
        let directory = plain(directory);
        let mut entries: BTreeMap<String, bool> = BTreeMap::new();
        for path in self.files.keys() {
            let Ok(rest) = path.strip_prefix(&directory) else { continue };
            let mut components = rest.components();
            if let Some(first) = components.next() {
                entries.insert(first.as_os_str().to_string_lossy().into_owned(), components.next().is_some());
            }
        }
        if entries.is_empty() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(entries.into_iter().map(|(name, directory)| Listed { name, directory }).collect())
    }

    fn identity(&self, path: &Path) -> PathBuf {
        plain(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn cores(&self) -> usize {
        1
    }
}

fn within(bytes: Vec<u8>, limit: u64) -> io::Result<Vec<u8>> {
    if bytes.len() as u64 > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// The path without `.` and with `..` resolved by text: memory has no links.
pub(crate) fn plain(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                out.pop();
            }
            other => out.push(other),
        }
    }
    out
}
