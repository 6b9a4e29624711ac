//! Archives and sums that are the same for the same content: sorted, owned by root, of one date, without names of machines.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::run;

/// Ends of the names of what is packed, which `SHA256SUMS` is about.
const PARCELS: &[&str] = &[".tar.gz", ".cdx.json", "-image.tar", ".deb"];

/// Packs `entries` of `folder`, and what is below them, into the new archive `out`.
pub(super) fn tar(folder: &Path, entries: &[&str], out: &Path, epoch: u64) -> Result<()> {
    gnu_tar("--create", folder, entries, out, epoch, 0)
}

/// Adds entries that belong to another user than root.
pub(super) fn tar_more(folder: &Path, entries: &[&str], out: &Path, epoch: u64, user: u32) -> Result<()> {
    gnu_tar("--append", folder, entries, out, epoch, user)
}

fn gnu_tar(how: &str, folder: &Path, entries: &[&str], out: &Path, epoch: u64, user: u32) -> Result<()> {
    let mut command = run::command("tar", &["--sort=name", "--format=ustar", "--numeric-owner", how]);
    command.arg(format!("--owner={user}")).arg(format!("--group={user}")).arg(format!("--mtime=@{epoch}"));
    command.arg("--directory").arg(folder).arg("--file").arg(out).args(entries);
    run::output(&mut command).map(drop)
}

/// Compresses a file to `FILE.gz` and removes it; gives the new path. Neither name nor date stand in it.
pub(super) fn gzip(path: &Path) -> Result<PathBuf> {
    let mut out = path.as_os_str().to_owned();
    out.push(".gz");
    let out = PathBuf::from(out);
    let file = File::create(&out).with_context(|| format!("making {}", out.display()))?;
    let status = run::command("gzip", &["--no-name", "--best", "--stdout"])
        .arg(path)
        .stdout(Stdio::from(file))
        .status()
        .context("starting gzip")?;
    if !status.success() {
        bail!("gzip failed for {}", path.display());
    }
    fs::remove_file(path)?;
    Ok(out)
}

/// The SHA-256 of a file, in hexadecimal.
pub(super) fn sha256(path: &Path) -> Result<String> {
    let printed = run::output(run::command("sha256sum", &["--binary"]).arg(path))?;
    // A name with a backslash makes the line begin with one.
    match printed.trim_start_matches('\\').split_whitespace().next() {
        Some(sum) if sum.len() == 64 => Ok(sum.to_owned()),
        _ => bail!("sha256sum said `{}`", printed.trim()),
    }
}

/// Writes `SHA256SUMS` of the parcels in a folder, as `sha256sum --check` reads it.
pub(super) fn sums(folder: &Path) -> Result<()> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if PARCELS.iter().any(|end| name.ends_with(end)) {
            names.push(name);
        }
    }
    names.sort();
    write_sums(folder, &names)
}

/// The same for files by their paths in the folder.
pub(super) fn write_sums(folder: &Path, names: &[String]) -> Result<()> {
    let mut text = String::new();
    for name in names {
        text.push_str(&format!("{}  {name}\n", sha256(&folder.join(name))?));
    }
    let path = folder.join("SHA256SUMS");
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

/// A time as images and SBOMs write it: `2026-01-31T12:00:00Z`.
pub(super) fn rfc3339(epoch: u64) -> Result<String> {
    let date = format!("@{epoch}");
    let printed = run::output(&mut run::command("date", &["--utc", "--date", &date, "+%Y-%m-%dT%H:%M:%SZ"]))?;
    Ok(printed.trim().to_owned())
}
