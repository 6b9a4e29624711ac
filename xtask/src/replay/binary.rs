//! The gateway's binary under measurement.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{run, tree};

/// The one that is named, or else a release build of this tree.
pub(crate) fn gateway(named: Option<&Path>) -> Result<PathBuf> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => {
            run::required(&mut run::cargo(&["build", "--release", "--locked", "--package", "tollgate"]))?;
            tree::target().join("release/tollgate")
        }
    };
    path.canonicalize().with_context(|| format!("no gateway at {}", path.display()))
}

/// What it says of itself; empty where it says nothing.
pub(crate) fn version(binary: &Path) -> String {
    let said = run::output(Command::new(binary).arg("version"));
    said.unwrap_or_default().trim().trim_start_matches("tollgate ").to_owned()
}
