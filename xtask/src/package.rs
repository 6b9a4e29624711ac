//! Packs the gateway for where it has to run: an archive, an image and a Debian package of one static binary, and the list of
//! what is in it. The same binary and commit give the same bytes
//! ([decision 0030](../../docs/decisions/0030-packages-without-an-engine.md)).
//!
//! Each part takes a binary that is there already (`--binary`), so that none of them needs a build of its own.

mod target;

mod build;
mod elf;
mod standard;
mod twice;

mod linked;
mod notices;
mod sbom;

mod archive;
mod deb;
mod image;
mod stage;
mod tarball;

mod check;
mod smoke;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

pub use image::{Image, verify as verify_image};
pub use target::Target;

use crate::{run, say, tree};

/// What to pack.
#[derive(clap::Args)]
pub struct Args {
    /// The machine it is for; that of --binary where one is given, else x86_64
    #[arg(long, value_enum)]
    target: Option<Target>,
    /// Pack this binary instead of building one
    #[arg(long, value_name = "PATH")]
    binary: Option<PathBuf>,
    /// Make only these
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// Where to; target/package when left out
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Where the standard library of the target comes from
    #[arg(long, value_enum, default_value = "any")]
    library: Library,
    /// Pack nothing: build the commit in two folders, and fail where the binaries differ
    #[arg(long, conflicts_with_all = ["binary", "only", "check"])]
    twice: bool,
    /// Then try what was made: requests through the binary, the image's root, the package in a clean root (as root)
    #[arg(long)]
    check: bool,
}

/// Where the standard library of a target comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Library {
    /// The toolchain, rustup, Debian: the first that has it
    Any,
    /// The toolchain or rustup
    Rustup,
    /// Built from Debian's sources by Debian's compiler, which are unpacked below target/package
    Debian,
}

/// Something that is made of a binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// The archive for everyone, as .tar.gz
    Tar,
    /// What is linked into the binary, as CycloneDX 1.5
    Sbom,
    /// The image, as an OCI archive
    Image,
    /// The Debian package
    Deb,
}

const ALL: [Part; 4] = [Part::Tar, Part::Sbom, Part::Image, Part::Deb];

/// One binary on its way into parcels.
pub struct Job {
    /// The machine that the binary is for.
    pub target: Target,
    /// The binary.
    pub binary: PathBuf,
    /// Where parcels go.
    pub out: PathBuf,
    /// The time that everything packed bears, in seconds since 1970.
    pub epoch: u64,
}

/// Packs, and tries what it packed.
pub fn run(args: &Args) -> Result<()> {
    if args.twice {
        return twice::run(args.target.unwrap_or(Target::X86_64), args.library);
    }
    let job = Job::new(args)?;
    let parts = if args.only.is_empty() { &ALL[..] } else { &args.only };
    let made = pack(&job, parts)?;
    let bytes = |path: &Path| fs::metadata(path).map(|meta| meta.len()).unwrap_or_default();
    say::line(format_args!("binary: {} ({:.1} MiB)", job.binary.display(), mib(bytes(&job.binary))));
    for path in &made {
        say::line(format_args!("{} ({:.1} MiB)", path.display(), mib(bytes(path))));
    }
    if args.check { check::run(&job, &made) } else { Ok(()) }
}

impl Job {
    fn new(args: &Args) -> Result<Job> {
        let out = args.out.clone().unwrap_or_else(|| tree::target().join("package"));
        fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
        let binary = match &args.binary {
            Some(binary) => binary.canonicalize().with_context(|| format!("finding {}", binary.display()))?,
            None => {
                let target = args.target.unwrap_or(Target::X86_64);
                build::release(target, args.library, &build::Place::here()?)?
            }
        };
        let elf = elf::Elf::read(&binary)?;
        let target = Target::of_machine(elf.machine)?;
        if args.target.is_some_and(|wanted| wanted != target) {
            bail!("{} is for {}", binary.display(), target.triple());
        }
        elf.check(&binary, target)?;
        let out = out.canonicalize()?;
        Ok(Job { target, binary, out, epoch: epoch()? })
    }

    /// Where a parcel's content is laid out before it is packed.
    fn stage(&self, name: &str) -> PathBuf {
        self.out.join("stage").join(name)
    }

    /// `tollgate-0.1.0-TRIPLE`, which names of parcels begin with.
    pub fn name(&self) -> String {
        format!("tollgate-{}-{}", version(), self.target.triple())
    }
}

/// Makes the parts, and `SHA256SUMS` of all parcels in the folder. Gives the paths of what it made.
pub fn pack(job: &Job, parts: &[Part]) -> Result<Vec<PathBuf>> {
    let linked = linked::read(job.target)?;
    let texts = Texts { sbom: sbom::write(job, &linked)?, notices: notices::write(&linked)? };
    let mut made = Vec::new();
    for part in parts {
        made.push(match part {
            Part::Tar => tarball::write(job, &texts)?,
            Part::Sbom => {
                let path = job.out.join(format!("{}.cdx.json", job.name()));
                fs::write(&path, &texts.sbom).with_context(|| format!("writing {}", path.display()))?;
                path
            }
            Part::Image => image::write(job, &texts)?,
            Part::Deb => deb::write(job, &texts)?,
        });
    }
    let stages = job.stage("");
    if stages.exists() {
        fs::remove_dir_all(&stages).with_context(|| format!("removing {}", stages.display()))?;
    }
    archive::sums(&job.out)?;
    Ok(made)
}

/// What goes along with the binary, made for its target.
struct Texts {
    sbom: String,
    notices: String,
}

/// The version of the workspace, which stands in one place.
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// `SOURCE_DATE_EPOCH`, or when the commit was made.
fn epoch() -> Result<u64> {
    let text = match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text,
        Err(_) => run::output(&mut run::command("git", &["log", "-1", "--format=%ct"]))
            .context("outside of a repository SOURCE_DATE_EPOCH has to say the time")?,
    };
    text.trim().parse().with_context(|| format!("`{}` is no number of seconds", text.trim()))
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1_048_576.0
}
