//! The standard library of a target: that of the toolchain, or one that is built from Debian's sources of it.
//!
//! rustup gets it where the toolchain has none. Where rustup is not there, or knows nobody to ask, Debian's compiler is unpacked
//! beside everything else (nothing is installed), and cargo builds the library along with the gateway (`-Zbuild-std`), which works
//! with the compiler that the sources belong to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Library, Target};
use crate::{run, say, tree};

/// Debian's packages of a compiler, its library for this machine, and the library's sources: 137 MB, 870 MB unpacked. The version
/// stands in two of the names; Debian takes old ones away when it mends them, so that nothing more exact can be asked for.
const PACKAGES: &[&str] =
    &["rustc-web", "libstd-rust-web-dev", "libstd-rust-web-1.96", "libllvm22", "rust-web-src"];

/// What a build takes the standard library from.
pub(super) enum Standard {
    /// It lies in the toolchain.
    Toolchain,
    /// A folder with Debian's compiler and sources, unpacked.
    Debian(PathBuf),
}

impl Standard {
    /// Gets it where it is not there.
    pub(super) fn get(target: Target, library: Library) -> Result<Standard> {
        match library {
            Library::Rustup if has_std(target)? || added(target)? => Ok(Standard::Toolchain),
            Library::Rustup => bail!(
                "no standard library for {}, and rustup could not add it; `--library debian` builds it",
                target.triple()
            ),
            Library::Debian => debian(),
            Library::Any if has_std(target)? || added(target)? => Ok(Standard::Toolchain),
            Library::Any => {
                say::line("rustup has none: building it from Debian's sources");
                debian()
            }
        }
    }

    /// Tells cargo.
    pub(super) fn instruct(&self, command: &mut Command) {
        if let Standard::Debian(folder) = self {
            command.arg("-Zbuild-std=std,panic_unwind");
            // `-Z` is for nightly toolchains, and for those who take the consequences.
            command.env("RUSTC", folder.join("rustc")).env("RUSTC_BOOTSTRAP", "1");
        }
    }

    /// Where its sources lie, when they are compiled here.
    pub(super) fn folder(&self) -> Option<&Path> {
        match self {
            Standard::Toolchain => None,
            Standard::Debian(folder) => Some(folder),
        }
    }
}

fn has_std(target: Target) -> Result<bool> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let folder =
        run::output(&mut run::command(&rustc, &["--print", "target-libdir", "--target", target.triple()]))?;
    Ok(Path::new(folder.trim()).is_dir())
}

/// Asks rustup. That it is not there is an answer as well.
fn added(target: Target) -> Result<bool> {
    say::line(format_args!("the toolchain lacks {}: asking rustup for it", target.triple()));
    let added = run::succeeds(&mut run::command("rustup", &["target", "add", target.triple()]));
    Ok(added.unwrap_or(false) && has_std(target)?)
}

/// Debian's compiler and sources, unpacked once.
fn debian() -> Result<Standard> {
    let folder = tree::target().join("package/debian-rust");
    let wrapper = folder.join("rustc");
    if wrapper.is_file() {
        return Ok(Standard::Debian(folder));
    }
    if run::output(&mut run::command("apt-get", &["--version"])).is_err() {
        bail!("neither rustup nor Debian's apt-get is here to get a standard library from");
    }
    let archives = folder.join("archives");
    fs::create_dir_all(&archives).with_context(|| format!("making {}", archives.display()))?;
    run::required(run::command("apt-get", &["--quiet", "download"]).args(PACKAGES).current_dir(&archives))
        .context("of other versions: `apt-cache search libstd-rust-web`, then change the list")?;
    for entry in fs::read_dir(&archives)? {
        run::required(run::command("dpkg-deb", &["--extract"]).arg(entry?.path()).arg(folder.join("web")))?;
    }
    fs::remove_dir_all(&archives)?;
    // Its libraries lie beside it and not where the loader looks.
    let script = "#!/bin/sh\nhere=$(dirname \"$0\")/web/usr\n\
        LD_LIBRARY_PATH=\"$here/lib/$(uname -m)-linux-gnu\" exec \"$here/bin/rustc\" \"$@\"\n";
    fs::write(&wrapper, script)?;
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755))?;
    run::output(&mut run::command(&wrapper.to_string_lossy(), &["--version"]))
        .context("starting Debian's rustc")?;
    Ok(Standard::Debian(folder))
}
