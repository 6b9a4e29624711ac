//! Where the configuration comes from: a file, or a URL.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::remote::Remote;

/// Where the main file of the configuration is.
#[derive(Clone)]
pub(crate) enum Source {
    File(PathBuf),
    Url(Remote),
}

impl Source {
    /// Its path. That of a URL exists nowhere: it is the name in diagnostics, and what it refers to is looked for in the
    /// working directory.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Source::File(path) => path,
            Source::Url(remote) => remote.name(),
        }
    }

    /// The file, where it is one.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        match self {
            Source::File(path) => Some(path.clone()),
            Source::Url(_) => None,
        }
    }

    /// Its text, where it is no file.
    pub(crate) fn text(&self) -> Option<Arc<[u8]>> {
        match self {
            Source::File(_) => None,
            Source::Url(remote) => Some(remote.text()),
        }
    }

    /// What was loaded last is in effect.
    pub(crate) fn applied(&self) {
        if let Source::Url(remote) = self {
            remote.keep();
        }
    }
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::File(path) => path.display().fmt(f),
            Source::Url(remote) => f.write_str(remote.shown()),
        }
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Source {
        Source::File(path)
    }
}
