//! The text files of the repository, read once, for the rules that look at them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Folders that hold no source: build output, caches, what a fuzzer found.
const SKIPPED: &[&str] = &["target", ".git", ".cache", "node_modules", "corpus", "artifacts"];

/// A larger file is data, not source.
const MAX_FILE_BYTES: u64 = 2 * 1024 * 1024;

/// One text file.
pub struct File {
    /// Relative to the root, with `/`.
    pub path: String,
    /// Its whole text.
    pub text: String,
}

impl File {
    /// The name after the last `/`.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether it is Rust source.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the whole file is test code: below a `tests` folder, or a sibling `tests.rs`.
    pub fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The crate's folder, for a file below `crates/` or in `xtask/`.
    pub fn package(&self) -> Option<&str> {
        match self.path.strip_prefix("crates/") {
            Some(rest) => rest.split_once('/').map(|(name, _)| name),
            None => self.path.starts_with("xtask/").then_some("xtask"),
        }
    }
}

/// All of them, sorted by path.
pub struct Tree {
    /// The repository's folder; empty for a tree made by a test.
    pub root: PathBuf,
    /// Sorted by path.
    pub files: Vec<File>,
}

impl Tree {
    /// Reads the repository below `root`.
    pub fn read(root: &Path) -> Result<Tree> {
        let mut files = Vec::new();
        collect(root, root, &mut files)?;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Tree { root: root.to_owned(), files })
    }

    /// A tree out of pairs of path and text, for tests of rules.
    pub fn of(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() });
        Tree { root: PathBuf::new(), files: files.collect() }
    }

    /// The Rust sources.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// One file by its path.
    pub fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether a file or a folder of that path exists. Pictures are no text, so they are looked for where they lie.
    pub fn exists(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        let known = self.files.iter().any(|file| file.path == path || file.path.starts_with(&folder));
        known
            || (path.ends_with(".png") && !self.root.as_os_str().is_empty() && self.root.join(path).is_file())
    }
}

/// The root of the repository that this binary was built from.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Where cargo builds: `target`, unless the environment moves it.
pub fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(elsewhere) => root().join(elsewhere),
        None => root().join("target"),
    }
}

fn collect(root: &Path, dir: &Path, files: &mut Vec<File>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // Another person's build may remove a temporary file while this walks: what is gone does not count.
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() && !SKIPPED.contains(&name) {
            collect(root, &path, files)?;
        } else if meta.is_file()
            && meta.len() <= MAX_FILE_BYTES
            && let Ok(text) = fs::read_to_string(&path)
        {
            let relative = path.strip_prefix(root)?.to_string_lossy().into_owned();
            files.push(File { path: relative, text });
        }
    }
    Ok(())
}
