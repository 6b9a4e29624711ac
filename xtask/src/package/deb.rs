//! The Debian package, packed by `dpkg-deb` out of a staged tree (deb(5), Debian Policy 4.7).
//!
//! Its scripts are in `packaging/debian/`, the unit is that of `packaging/systemd/` with a user that stays.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use super::stage::{PROGRAM, Stage, TEXT};
use super::tarball::{GENERATED, is_for_users};
use super::{Job, Texts, version};
use crate::{run, tree};

const SCRIPTS: &[&str] = &["postinst", "prerm", "postrm"];
const CONFIGURATION: &str = "etc/tollgate/tollgate.yaml";
const PAGES: &str = "usr/share/doc/tollgate";

/// Writes `tollgate_VERSION_ARCHITECTURE.deb`.
pub(super) fn write(job: &Job, texts: &Texts) -> Result<PathBuf> {
    let stage = Stage::empty(job.stage("deb"))?;
    stage.copy(&job.binary, "usr/bin/tollgate", PROGRAM)?;
    stage.take("packaging/tollgate.yaml", CONFIGURATION)?;
    stage.write("usr/lib/systemd/system/tollgate.service", unit()?, TEXT)?;
    stage.take("packaging/systemd/tollgate.socket", "usr/lib/systemd/system/tollgate.socket")?;
    documents(&stage, texts)?;
    generated(&stage)?;
    let installed_kib = installed_kib(&stage)?;
    stage.write("DEBIAN/md5sums", md5sums(&stage)?, TEXT)?;
    stage.write("DEBIAN/conffiles", format!("/{CONFIGURATION}\n"), TEXT)?;
    stage.write("DEBIAN/control", control(job, installed_kib), TEXT)?;
    for script in SCRIPTS {
        let from = tree::root().join("packaging/debian").join(script);
        stage.copy(&from, &format!("DEBIAN/{script}"), PROGRAM)?;
    }
    let out = job.out.join(format!("tollgate_{}_{}.deb", version(), job.target.debian()));
    // One thread: the parts that xz is split into by several are other bytes.
    let mut pack = run::command("dpkg-deb", &["--root-owner-group", "--threads-max=1", "-Zxz", "--build"]);
    pack.arg(stage.root()).arg(&out).env("SOURCE_DATE_EPOCH", job.epoch.to_string());
    run::output(&mut pack).context("packing the Debian package")?;
    Ok(out)
}

/// A package has the user that its files belong to, also while nothing runs: keys of certificates can be given to it.
fn unit() -> Result<String> {
    const DYNAMIC: &str = "DynamicUser=yes\n";
    const WHY: &str = "# An own user, made when the service starts.";
    let path = tree::root().join("packaging/systemd/tollgate.service");
    let unit = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(unit.contains(DYNAMIC) && unit.contains(WHY), "{} has no {DYNAMIC}", path.display());
    let unit = unit.replace(DYNAMIC, "User=tollgate\nGroup=tollgate\n");
    let unit = unit.replace(WHY, "# An own user, made with the package.");
    // How to install it by hand is in the first lines, and no news here.
    let start = unit.find("[Unit]").context("a unit begins with [Unit]")?;
    Ok(format!("# Tollgate under systemd. See {PAGES}/docs/operate.md below the root.\n\n{}", &unit[start..]))
}

fn documents(stage: &Stage, texts: &Texts) -> Result<()> {
    stage.write(&format!("{PAGES}/copyright"), copyright(), TEXT)?;
    stage.compressed(&format!("{PAGES}/THIRD-PARTY-NOTICES"), &texts.notices)?;
    stage.compressed(&format!("{PAGES}/tollgate.cdx.json"), &texts.sbom)?;
    let changes = fs::read(tree::root().join("CHANGELOG.md")).context("reading CHANGELOG.md")?;
    stage.compressed(&format!("{PAGES}/changelog"), changes)?;
    // As they stand in the repository, so that the links among them lead somewhere.
    for file in ["README.md", "ARCHITECTURE.md"] {
        stage.take(file, &format!("{PAGES}/{file}"))?;
    }
    stage.take_all("docs", &format!("{PAGES}/docs"), is_for_users)?;
    stage.take_all("examples", &format!("{PAGES}/examples"), |_| true)?;
    for folder in ["packaging/grafana", "packaging/prometheus"] {
        stage.take_all(folder, &format!("{PAGES}/{folder}"), |_| true)?;
    }
    Ok(())
}

/// Where shells and `man` look.
fn generated(stage: &Stage) -> Result<()> {
    for folder in GENERATED {
        let folder = tree::root().join(folder);
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".1") {
                stage.compressed(&format!("usr/share/man/man1/{name}"), fs::read(&path)?)?;
            } else if let Some(place) = completion(&name) {
                stage.copy(&path, place, TEXT)?;
            }
        }
    }
    Ok(())
}

fn completion(name: &str) -> Option<&'static str> {
    if name.contains("bash") {
        Some("usr/share/bash-completion/completions/tollgate")
    } else if name.contains("fish") {
        Some("usr/share/fish/vendor_completions.d/tollgate.fish")
    } else if name.contains("zsh") || name == "_tollgate" {
        Some("usr/share/zsh/vendor-completions/_tollgate")
    } else {
        None
    }
}

fn control(job: &Job, installed_kib: u64) -> String {
    format!(
        "Package: tollgate
Version: {}
Architecture: {}
Maintainer: Tollgate's maintainers <maintainers@tollgate.invalid>
Installed-Size: {installed_kib}
Depends: adduser, init-system-helpers (>= 1.54)
Recommends: ca-certificates
Section: httpd
Priority: optional
Description: API gateway in one static binary and one YAML file
 It stands in front of HTTP services: knows who calls and how often they may,
 routes, rewrites, balances, caches and combines requests, and shows what it
 does. The configuration reloads when it is saved, and an upgrade hands the
 sockets to the new version: neither drops a connection.
",
        version(),
        job.target.debian(),
    )
}

fn copyright() -> String {
    "This package holds the binary of Tollgate.

Copyright: Tollgate's authors
License: Apache-2.0; on Debian systems its text is in
/usr/share/common-licenses/Apache-2.0.

The binary is linked with the work of others; who, and under which licences,
is told in THIRD-PARTY-NOTICES.gz in this folder.
"
    .to_owned()
}

/// As dpkg asks for it: a KiB begun for each file.
fn installed_kib(stage: &Stage) -> Result<u64> {
    let mut kib = 0;
    for file in stage.files()? {
        kib += fs::metadata(stage.root().join(file))?.len().div_ceil(1024);
    }
    Ok(kib)
}

/// What `dpkg --verify` compares.
fn md5sums(stage: &Stage) -> Result<String> {
    let mut sums = String::new();
    for file in stage.files()?.iter().filter(|file| *file != CONFIGURATION) {
        let printed = run::output(run::command("md5sum", &[]).arg(stage.root().join(file)))?;
        let sum = printed.split_whitespace().next().unwrap_or_default();
        writeln!(sums, "{sum}  {file}")?;
    }
    Ok(sums)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_has_a_user_that_stays() {
        let unit = unit().expect("the unit of the repository");
        assert!(
            unit.contains("\nUser=tollgate\nGroup=tollgate\n") && !unit.contains("DynamicUser"),
            "{unit}"
        );
        // What `DynamicUser=` brings along has to stand there by itself.
        for setting in [
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "PrivateTmp=yes",
            "RemoveIPC=yes",
            "RestrictSUIDSGID=yes",
        ] {
            assert!(unit.contains(setting), "{setting}");
        }
        assert!(unit.contains("ExecStart=/usr/bin/tollgate run --config /etc/tollgate/tollgate.yaml"));
    }

    #[test]
    fn completions_go_where_shells_look() {
        for (name, part) in
            [("tollgate.bash", "bash-completion"), ("_tollgate", "zsh"), ("tollgate.fish", "fish")]
        {
            assert!(completion(name).is_some_and(|place| place.contains(part)), "{name}");
        }
        assert_eq!(completion("README.md"), None);
    }
}
