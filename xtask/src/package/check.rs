//! Tries what was packed as somebody would who has nothing else: requests through the binary, the image's root in a chroot, the
//! package in a clean root. The last two need root.

use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::smoke::{self, Running};
use super::{Job, image};
use crate::{run, say, tree};

/// A folder with a clean root file system, made by debootstrap; made anew where there is none.
const ROOT_VARIABLE: &str = "TOLLGATE_CLEAN_ROOT";
const SUITE: &str = "bookworm";

/// Becomes a program in a root that it cannot write: root, user, then the program and its arguments.
const READ_ONLY: &str = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" \
    && exec chroot --userspec=\"$1\" \"$0\" \"${@:2}\"";

/// Tries each of the parcels.
pub(super) fn run(job: &Job, made: &[PathBuf]) -> Result<()> {
    say::step("requests through the binary");
    smoke::run(job)?;
    for path in made {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with("-image.tar") {
            say::step(format_args!("the root of {name}"));
            image_root(job, path)?;
        } else if name.ends_with(".deb") {
            say::step(format_args!("a clean root, and {name}"));
            package(job, path)?;
        }
    }
    Ok(())
}

/// Starts what the image starts, as its user, with its root read-only.
fn image_root(job: &Job, path: &Path) -> Result<()> {
    need_root()?;
    let folder = tempfile::tempdir()?;
    let image = image::verify(path, folder.path())?;
    say::line(image::size(&image));
    let settings = &image.config["config"];
    let mut program = strings(&settings["Entrypoint"]);
    if !job.target.is_here() {
        let emulator = job.target.emulator();
        let found = run::output(&mut run::command("which", &[emulator]))?;
        fs::copy(found.trim(), image.root.join("emulator"))
            .with_context(|| format!("taking {emulator} along"))?;
        program.insert(0, "/emulator".to_owned());
    }
    let user = settings["User"].as_str().unwrap_or_default();
    let root = image.root.to_string_lossy().into_owned();
    let inside = |program: &[String]| {
        let mut words: Vec<String> =
            ["unshare", "--mount", "bash", "-c", READ_ONLY, &root, user].map(str::to_owned).to_vec();
        words.extend(program.iter().cloned());
        words
    };
    let ports = smoke::ports(2)?;
    let [port, admin] = ports[..] else { bail!("two ports") };
    let mut variables: Vec<(&str, String)> = Vec::new();
    let set = strings(&settings["Env"]);
    variables.extend(
        set.iter().filter_map(|set| set.split_once('=')).map(|(name, value)| (name, value.to_owned())),
    );
    variables.push(("TOLLGATE_LISTEN", format!("127.0.0.1:{port}")));
    variables.push(("TOLLGATE_ADMIN", format!("127.0.0.1:{admin}")));
    // The mount needs the machine's own programs; the image's PATH is for what is inside.
    variables.retain(|(name, _)| *name != "PATH");
    let arguments = strings(&settings["Cmd"]);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let gateway = Running::start(&inside(&program), &arguments, folder.path(), "image", &variables)?;
    smoke::ready(admin)?;
    let answer = run::output(&mut run::command("curl", &["-sS", &format!("http://127.0.0.1:{port}/")]))?;
    ensure!(answer.starts_with("Tollgate runs."), "it answered `{answer}`");
    let mut test = strings(&settings["Healthcheck"]["Test"]);
    ensure!(test.first().is_some_and(|how| how == "CMD"), "the health check is {test:?}");
    // In place of CMD, and of the binary's own path behind the emulator.
    test.splice(..2, program);
    let words = inside(&test);
    let mut status = run::command(&words[0], &[]);
    status.args(&words[1..]).envs(variables.iter().map(|(name, value)| (name, value)));
    say::line(run::output(&mut status).context("the image's health check")?.trim_end());
    let end = gateway.end()?;
    ensure!(end == Some(0), "it ended with {end:?}");
    say::line(format_args!("as user {user}, with a read-only root: served, healthy, drained"));
    Ok(())
}

/// Install, upgrade with an edited configuration, remove, purge: `packaging/debian/try`, in a root of its own.
fn package(job: &Job, path: &Path) -> Result<()> {
    need_root()?;
    if !job.target.is_here() {
        let listed = run::output(run::command("dpkg-deb", &["--contents"]).arg(path))?;
        ensure!(listed.contains("./etc/tollgate/tollgate.yaml"), "{listed}");
        say::line("for another machine: listed, not installed");
        return Ok(());
    }
    let root = clean_root()?;
    let began = Instant::now();
    let script = tree::root().join("packaging/debian/try");
    run::required(run::command("unshare", &["--mount"]).arg(&script).arg(&root).arg(path))?;
    say::line(format_args!("the package's life took {:.0?}", began.elapsed()));
    Ok(())
}

/// Debian with nothing but its own, from the variable or made once and kept.
fn clean_root() -> Result<PathBuf> {
    if let Some(root) = env::var_os(ROOT_VARIABLE) {
        return Ok(PathBuf::from(root));
    }
    let root = tree::target().join("package").join(format!("clean-{SUITE}"));
    if root.join("etc/debian_version").is_file() {
        return Ok(root);
    }
    if run::output(&mut run::command("debootstrap", &["--version"])).is_err() {
        bail!("no debootstrap: `apt-get install debootstrap`, or a clean root in {ROOT_VARIABLE}");
    }
    let half = root.with_extension("new");
    if half.exists() {
        fs::remove_dir_all(&half)?;
    }
    run::required(
        run::command("debootstrap", &["--variant=minbase", SUITE])
            .arg(&half)
            .stdout(std::process::Stdio::null()),
    )?;
    fs::rename(&half, &root)?;
    Ok(root)
}

fn need_root() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("another root file system is for root only: run this as root");
    }
    Ok(())
}

fn strings(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}
