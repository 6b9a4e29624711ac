//! Builds the commit twice and compares: other folders, other depths, another home of cargo, one binary.

use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::archive::sha256;
use super::build::{self, Place};
use super::{Library, Target};
use crate::{run, say, tree};

/// Two places that differ in all that a path may tell: names, their lengths, how deep they lie.
const PLACES: [&str; 2] = ["a", "another/and/deeper/place"];

/// Builds in both, from clones of the commit. An error says from which byte on the binaries differ.
pub(super) fn run(target: Target, library: Library) -> Result<()> {
    let folder = tree::target().join("package/twice");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    if !run::output(&mut run::command("git", &["status", "--porcelain"]))?.is_empty() {
        say::line("there are changes that are not committed: what is built twice is the commit");
    }
    let mut binaries = Vec::new();
    for name in PLACES {
        let place = cloned(&folder.join(name))?;
        say::step(format_args!("{} in {}", target.triple(), place.root.display()));
        let binary = build::release(target, library, &place)?;
        say::line(format_args!("{}  {}", sha256(&binary)?, binary.display()));
        binaries.push(binary);
    }
    let [first, second] = &binaries[..] else { bail!("two binaries") };
    match difference(first, second)? {
        None => {
            say::line("the same bytes");
            Ok(())
        }
        Some(at) => bail!(
            "{} and {} differ from byte {at} on: `diffoscope` tells in what",
            first.display(),
            second.display()
        ),
    }
}

/// A clone of the commit, a folder to build in, and a home of cargo with the sources of this one.
fn cloned(folder: &Path) -> Result<Place> {
    let home = folder.join("home-of-cargo");
    fs::create_dir_all(&home).with_context(|| format!("making {}", home.display()))?;
    let root = folder.join("tollgate");
    run::required(run::command("git", &["clone", "--quiet", "--no-hardlinks", "."]).arg(&root))?;
    // What was downloaded once is not downloaded again.
    let own = Place::here()?.cargo_home;
    for name in ["registry", "git", "config.toml"].iter().filter(|name| own.join(name).exists()) {
        symlink(own.join(name), home.join(name)).with_context(|| format!("linking {name}"))?;
    }
    Ok(Place { root, target: folder.join("built"), cargo_home: home })
}

/// The first byte in which two files differ; the end of the shorter one counts.
fn difference(first: &Path, second: &Path) -> Result<Option<u64>> {
    let open = |path: &Path| -> Result<_> {
        let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
        Ok(BufReader::new(file).bytes())
    };
    let (mut first, mut second) = (open(first)?, open(second)?);
    for at in 0.. {
        match (first.next().transpose()?, second.next().transpose()?) {
            (None, None) => break,
            (a, b) if a == b => {}
            _ => return Ok(Some(at)),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn files_differ_from_a_byte_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, content: &[u8]| -> PathBuf {
            let path = folder.path().join(name);
            fs::write(&path, content).expect("a file");
            path
        };
        let whole = file("whole", b"abcdef");
        for (content, expect) in [
            (&b"abcdef"[..], None),
            (b"abXdef", Some(2)),
            (b"abcde", Some(5)),
            (b"abcdefg", Some(6)),
            (b"", Some(0)),
        ] {
            let other = file("other", content);
            assert_eq!(difference(&whole, &other).expect("readable"), expect, "{content:?}");
        }
        assert!(difference(&whole, &folder.path().join("none")).is_err());
    }
}
