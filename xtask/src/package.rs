//! Builds the static binary and packs it with its licence.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{run, say, tree};

const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Static, and with the places that move with the program's address written as a bit map (DT_RELR): half a megabyte less.
const FLAGS: &str = "-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs";

/// What to pack.
#[derive(clap::Args)]
pub struct Args {
    /// Name of the folder inside the archive; made from version and target when left out
    #[arg(long)]
    name: Option<String>,
}

/// Writes `package/NAME.tar.gz` below the target folder.
pub fn run(args: &Args) -> Result<()> {
    let root = tree::root();
    run::required(
        run::cargo(&["build", "--release", "--locked", "--package", "tollgate", "--target", TARGET])
            .env("RUSTFLAGS", FLAGS),
    )?;
    let binary = tree::target().join(TARGET).join("release/tollgate");
    check_static(&binary.to_string_lossy())?;
    // A C library too old for DT_RELR (glibc before 2.36) shows here, and not at a user's.
    run::output(&mut run::command(&binary.to_string_lossy(), &["version"]))
        .context("starting what was built")?;

    let name =
        args.name.clone().unwrap_or_else(|| format!("tollgate-{}-{TARGET}", env!("CARGO_PKG_VERSION")));
    let packages = tree::target().join("package");
    let folder = packages.join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    fs::copy(&binary, folder.join("tollgate")).context("copying the binary")?;
    for file in ["LICENSE", "README.md", "CHANGELOG.md"] {
        fs::copy(root.join(file), folder.join(file)).with_context(|| format!("copying {file}"))?;
    }
    let archive = packages.join(format!("{name}.tar.gz"));
    let archive_name = archive.to_string_lossy().into_owned();
    let folder_name = packages.to_string_lossy().into_owned();
    // Owner and order fixed, so that the same binary gives the same archive.
    run::required(&mut run::command(
        "tar",
        &[
            "--sort=name",
            "--owner=0",
            "--group=0",
            "--numeric-owner",
            "-C",
            &folder_name,
            "-czf",
            &archive_name,
            &name,
        ],
    ))?;
    let size = |path: &std::path::Path| {
        fs::metadata(path).map(|meta| meta.len() as f64 / 1048576.0).unwrap_or_default()
    };
    say::line(format_args!(
        "{} ({:.1} MiB; the binary alone {:.1} MiB)",
        archive.display(),
        size(&archive),
        size(&binary)
    ));
    Ok(())
}

/// A binary that names an interpreter needs the libraries of the machine it runs on.
fn check_static(binary: &str) -> Result<()> {
    let headers = run::output(&mut run::command("readelf", &["--program-headers", binary]))?;
    if headers.contains("INTERP") {
        bail!("{binary} is not static");
    }
    Ok(())
}
