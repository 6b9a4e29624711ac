//! A folder that becomes the content of a package, with modes that do not depend on who packs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::archive;
use crate::{run, tree};

/// A program.
pub(super) const PROGRAM: u32 = 0o755;
/// What everybody may read.
pub(super) const TEXT: u32 = 0o644;

pub(super) struct Stage {
    root: PathBuf,
}

impl Stage {
    /// An empty one at `root`; what was there is gone.
    pub(super) fn empty(root: PathBuf) -> Result<Stage> {
        if root.exists() {
            fs::remove_dir_all(&root).with_context(|| format!("emptying {}", root.display()))?;
        }
        fs::create_dir_all(&root).with_context(|| format!("making {}", root.display()))?;
        fs::set_permissions(&root, fs::Permissions::from_mode(PROGRAM))?;
        Ok(Stage { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// A folder, and those above it.
    pub(super) fn folder(&self, path: &str) -> Result<()> {
        let mut whole = self.root.clone();
        for part in path.split('/') {
            whole.push(part);
            if !whole.is_dir() {
                fs::create_dir(&whole).with_context(|| format!("making {}", whole.display()))?;
            }
            fs::set_permissions(&whole, fs::Permissions::from_mode(PROGRAM))?;
        }
        Ok(())
    }

    /// A file with that content.
    pub(super) fn write(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Result<()> {
        if let Some((folder, _)) = path.rsplit_once('/') {
            self.folder(folder)?;
        }
        let whole = self.root.join(path);
        fs::write(&whole, content).with_context(|| format!("writing {}", whole.display()))?;
        fs::set_permissions(&whole, fs::Permissions::from_mode(mode))?;
        Ok(())
    }

    /// A copy of a file.
    pub(super) fn copy(&self, from: &Path, path: &str, mode: u32) -> Result<()> {
        let content = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
        self.write(path, content, mode)
    }

    /// A copy of a file of the repository.
    pub(super) fn take(&self, from: &str, path: &str) -> Result<()> {
        self.copy(&tree::root().join(from), path, TEXT)
    }

    /// A file that readers expect compressed, as `PATH.gz`.
    pub(super) fn compressed(&self, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
        self.write(path, content, TEXT)?;
        let out = archive::gzip(&self.root.join(path))?;
        fs::set_permissions(&out, fs::Permissions::from_mode(TEXT))?;
        Ok(())
    }

    /// Copies what the repository tracks below `from` to `to`, where `wanted` says so.
    pub(super) fn take_all(&self, from: &str, to: &str, wanted: impl Fn(&str) -> bool) -> Result<()> {
        for path in tracked(from)? {
            let below = path.strip_prefix(from).unwrap_or(&path).trim_start_matches('/');
            if wanted(below) {
                let source = tree::root().join(&path);
                let mode =
                    fs::metadata(&source).with_context(|| format!("finding {path}"))?.permissions().mode();
                let mode = if mode & 0o100 == 0 { TEXT } else { PROGRAM };
                self.copy(&source, &format!("{to}/{below}"), mode)?;
            }
        }
        Ok(())
    }

    /// Paths of all files, sorted.
    pub(super) fn files(&self) -> Result<Vec<String>> {
        let mut files = Vec::new();
        collect(&self.root, &self.root, &mut files)?;
        files.sort();
        Ok(files)
    }
}

/// What the repository tracks below a folder: never a file that merely lies there.
fn tracked(folder: &str) -> Result<Vec<String>> {
    let listed = run::output(&mut run::command("git", &["ls-files", "--", folder]))?;
    let root = tree::root();
    // A file that somebody has removed and not committed yet is listed.
    let files = listed.lines().filter(|path| root.join(path).is_file());
    Ok(files.map(str::to_owned).collect())
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            files.push(path.strip_prefix(root)?.to_string_lossy().into_owned());
        }
    }
    Ok(())
}
