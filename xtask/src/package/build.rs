//! Builds the static binary of a target: the same bytes from the same commit and toolchain, wherever the sources lie.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use toml::Table;

use super::standard::Standard;
use super::{Library, Target};
use crate::{run, tree};

/// C flags of the repository, which a variable of the same name replaces as a whole.
const C_FLAGS: &str = "AWS_LC_SYS_CFLAGS";

/// Where sources lie and where to build: a binary must not tell.
pub(super) struct Place {
    /// The root of the repository.
    pub(super) root: PathBuf,
    /// Where cargo builds.
    pub(super) target: PathBuf,
    /// Where cargo keeps the sources of others.
    pub(super) cargo_home: PathBuf,
}

impl Place {
    /// That of this task.
    pub(super) fn here() -> Result<Place> {
        Ok(Place { root: tree::root(), target: tree::target(), cargo_home: cargo_home()? })
    }
}

fn cargo_home() -> Result<PathBuf> {
    match (std::env::var_os("CARGO_HOME"), std::env::var_os("HOME")) {
        (Some(home), _) => Ok(PathBuf::from(home)),
        (None, Some(home)) => Ok(Path::new(&home).join(".cargo")),
        (None, None) => bail!("neither CARGO_HOME nor HOME says where cargo keeps sources"),
    }
}

/// Builds it at a place, and gives its path.
pub(super) fn release(target: Target, library: Library, place: &Place) -> Result<PathBuf> {
    let library = Standard::get(target, library)?;
    let mut command = run::cargo(&["build", "--release", "--locked", "--package", "tollgate"]);
    command.args(["--target", target.triple()]).current_dir(&place.root);
    command.env("CARGO_TARGET_DIR", &place.target).env("CARGO_HOME", &place.cargo_home);
    let elsewhere = Elsewhere::of(place, &library);
    command.env("CARGO_ENCODED_RUSTFLAGS", rust_flags(target, &elsewhere).join("\u{1f}"));
    for (name, value) in c_flags(target, &elsewhere)? {
        command.env(name, value);
    }
    command.env("SOURCE_DATE_EPOCH", super::epoch()?.to_string());
    if !target.is_here() {
        cross(&mut command, target)?;
    }
    library.instruct(&mut command);
    run::required(&mut command)?;
    let binary = place.target.join(target.triple()).join("release/tollgate");
    // A C library too old for DT_RELR (glibc before 2.36) shows here, and not at a user's.
    if target.is_here() {
        run::output(&mut run::command(&binary.to_string_lossy(), &["version"]))
            .context("starting what was built")?;
    }
    Ok(binary)
}

/// Folders of this machine, each with what stands for it in the binary.
struct Elsewhere(Vec<(PathBuf, &'static str)>);

impl Elsewhere {
    /// In the order in which they are written: of several that fit the last one counts, and the target folder may lie in the root.
    fn of(place: &Place, library: &Standard) -> Elsewhere {
        let mut folders = vec![
            (place.cargo_home.clone(), "/cargo"),
            (place.root.clone(), "/tollgate"),
            (place.target.clone(), "/target"),
        ];
        folders.extend(library.folder().map(|folder| (folder.to_owned(), "/rust")));
        Elsewhere(folders)
    }

    fn flags(&self, name: &str) -> impl Iterator<Item = String> {
        self.0.iter().map(move |(folder, stands)| format!("{name}={}={stands}", folder.display()))
    }
}

fn rust_flags(target: Target, elsewhere: &Elsewhere) -> Vec<String> {
    let link = match target {
        // The places that move with the program's address as a bit map (DT_RELR): half a megabyte less.
        Target::X86_64 => "-Wl,-z,pack-relative-relocs".to_owned(),
        // Kernels with pages of 16 KiB (Raspberry Pi 5) and 64 KiB map it, too. That is the linker's own default today.
        Target::Aarch64 | Target::Armv7 => format!("-Wl,-z,max-page-size={}", target.alignment_bytes()),
    };
    let mut flags = vec!["-Ctarget-feature=+crt-static".to_owned(), format!("-Clink-arg={link}")];
    flags.extend(elsewhere.flags("--remap-path-prefix"));
    flags
}

/// Variables for the code in C and C++, which writes its files' names into its messages.
fn c_flags(target: Target, elsewhere: &Elsewhere) -> Result<Vec<(String, String)>> {
    let map: Vec<String> = elsewhere.flags("-ffile-prefix-map").collect();
    let map = map.join(" ");
    let underscored = target.triple().replace('-', "_");
    let config = std::fs::read_to_string(tree::root().join(".cargo/config.toml"))?;
    let config: Table = config.parse().context("reading .cargo/config.toml")?;
    let own = config.get("env").and_then(|env| env.get(C_FLAGS)?.as_str()).unwrap_or_default();
    Ok(vec![
        (format!("CFLAGS_{underscored}"), map.clone()),
        (format!("CXXFLAGS_{underscored}"), map.clone()),
        (C_FLAGS.to_owned(), format!("{own} {map}").trim().to_owned()),
    ])
}

/// Names compilers and linker of another machine.
fn cross(command: &mut Command, target: Target) -> Result<()> {
    let prefix = target.compilers();
    for program in ["gcc", "g++"].map(|end| format!("{prefix}-{end}")) {
        if run::output(&mut run::command(&program, &["--version"])).is_err() {
            bail!(
                "no {program}: on Debian, `apt-get install --no-install-recommends gcc-{prefix} g++-{prefix}`"
            );
        }
    }
    let underscored = target.triple().replace('-', "_");
    command.env(format!("CC_{underscored}"), format!("{prefix}-gcc"));
    command.env(format!("CXX_{underscored}"), format!("{prefix}-g++"));
    command.env(format!("AR_{underscored}"), format!("{prefix}-ar"));
    command.env(format!("CARGO_TARGET_{}_LINKER", underscored.to_uppercase()), format!("{prefix}-gcc"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_of_this_machine_is_left_to_the_compilers() {
        let place = Place::here().expect("folders");
        let elsewhere = Elsewhere::of(&place, &Standard::Toolchain);
        for target in [Target::X86_64, Target::Aarch64, Target::Armv7] {
            let flags = rust_flags(target, &elsewhere);
            let root = format!("--remap-path-prefix={}=/tollgate", tree::root().display());
            assert!(flags.contains(&root), "{flags:?}");
            assert_eq!(flags.iter().filter(|flag| flag.starts_with("--remap")).count(), 3);
            let c = c_flags(target, &elsewhere).expect("a configuration of cargo");
            assert!(c.iter().all(|(_, flags)| flags.contains("=/cargo")), "{c:?}");
            assert!(c.iter().any(|(name, flags)| name == C_FLAGS && flags.starts_with("-D")), "{c:?}");
        }
    }

    #[test]
    fn arm_has_pages_of_64_kib() {
        let flags = rust_flags(Target::Aarch64, &Elsewhere(Vec::new()));
        assert!(flags.contains(&"-Clink-arg=-Wl,-z,max-page-size=65536".to_owned()), "{flags:?}");
    }
}
