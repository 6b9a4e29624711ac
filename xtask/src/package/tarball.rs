//! The archive for everyone: the binary, how to run it, what it is made of.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::stage::{PROGRAM, Stage, TEXT};
use super::{Job, Texts, archive};

/// Where `cargo xtask gen` puts the manual page and the completions.
pub(super) const GENERATED: &[&str] = &["packaging/man", "packaging/completions"];

pub(super) fn write(job: &Job, texts: &Texts) -> Result<PathBuf> {
    let name = job.name();
    let folder = job.stage("tar");
    let stage = Stage::empty(folder.join(&name))?;
    stage.copy(&job.binary, "tollgate", PROGRAM)?;
    for file in ["LICENSE", "README.md", "CHANGELOG.md", "ARCHITECTURE.md"] {
        stage.take(file, file)?;
    }
    stage.write("THIRD-PARTY-NOTICES", &texts.notices, TEXT)?;
    stage.write("tollgate.cdx.json", &texts.sbom, TEXT)?;
    stage.take("packaging/tollgate.yaml", "tollgate.yaml")?;
    // As they stand in the repository, so that the links among them lead somewhere.
    stage.take_all("docs", "docs", is_for_users)?;
    stage.take_all("examples", "examples", |_| true)?;
    for folder in ["systemd", "grafana", "prometheus", "compose", "kubernetes"] {
        let folder = format!("packaging/{folder}");
        stage.take_all(&folder, &folder, |_| true)?;
    }
    for folder in GENERATED {
        let to = Path::new(folder).file_name().unwrap_or_default().to_string_lossy();
        stage.take_all(folder, &to, |_| true)?;
    }
    archive::write_sums(stage.root(), &stage.files()?)?;
    let out = job.out.join(format!("{name}.tar"));
    archive::tar(&folder, &[&name], &out, job.epoch)?;
    archive::gzip(&out)
}

/// Decisions and figures are for those who change it.
pub(super) fn is_for_users(page: &str) -> bool {
    !page.starts_with("decisions/") && !page.starts_with("benchmarks")
}
