//! `./dev coverage`: which lines the tests of each crate run, by LLVM's counters.
//!
//! Only crates of the workspace are built with counters, so that what they depend on is built as for the other tests. The
//! tools are the toolchain's own (`rustup component add llvm-tools`): they must be of the compiler's version of LLVM.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{run, say, tree};

/// Passes everything on to the compiler, and asks for counters.
const WRAPPER: &str = "#!/bin/sh\nexec \"$@\" -C instrument-coverage\n";

/// Whose tests to run.
#[derive(clap::Args)]
pub struct Args {
    /// Crates, each by its own tests; those that decide and parse when left out
    #[arg(default_values = ["tollgate-policy", "tollgate-plan", "tollgate-wire"])]
    crates: Vec<String>,
}

/// Prints a table; false when a test failed.
pub fn run(args: &Args) -> Result<bool> {
    let folder = tree::target().join("coverage");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let wrapper = folder.join("wrapper.sh");
    fs::write(&wrapper, WRAPPER)?;
    run::required(run::command("chmod", &["+x"]).arg(&wrapper))?;
    let tools = tools()?;
    let mut rows = vec!["| crate | lines | run by its tests | |".to_owned(), "|---|---|---|---|".to_owned()];
    for name in &args.crates {
        say::step(name);
        let Some(lines) = lines_of(name, &folder, &wrapper, &tools)? else { return Ok(false) };
        let (all, seen) = lines.values().fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        rows.push(format!("| `{name}` | {all} | {seen} | {} |", percent(seen, all)));
        let mut least: Vec<_> = lines.iter().filter(|(_, of)| of.1 < of.0).collect();
        least.sort_by_key(|(_, of)| of.1 as i64 - of.0 as i64);
        for (file, (all, seen)) in least.into_iter().take(5) {
            say::line(format_args!("{file}: {} of {all} lines are not run", all - seen));
        }
    }
    rows.iter().for_each(say::line);
    Ok(true)
}

/// The lines of each file of the crate's own code, and how many of them its tests run. `None`: a test failed.
fn lines_of(
    name: &str,
    folder: &Path,
    wrapper: &Path,
    tools: &Path,
) -> Result<Option<BTreeMap<String, (u64, u64)>>> {
    let instrumented = |command: &mut Command| {
        command.env("RUSTC_WORKSPACE_WRAPPER", wrapper);
        command.env("LLVM_PROFILE_FILE", folder.join(format!("{name}-%p-%m.profraw")));
    };
    let mut build = run::cargo(&["test", "--locked", "--no-run", "--message-format=json", "--package", name]);
    instrumented(&mut build);
    let binaries = binaries(&run::output(&mut build)?)?;
    let mut test = run::cargo(&["test", "--quiet", "--locked", "--all-targets", "--package", name]);
    instrumented(&mut test);
    if !run::succeeds(&mut test)? {
        return Ok(None);
    }
    let profile = folder.join(format!("{name}.profdata"));
    let raw = fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path()));
    let raw: Vec<PathBuf> = raw
        .filter(|path| path.extension().is_some_and(|ending| ending == "profraw"))
        .filter(|path| path.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)))
        .collect();
    let mut merge = Command::new(tools.join("llvm-profdata"));
    run::required(merge.args(["merge", "-sparse", "-o"]).arg(&profile).args(&raw))?;
    let mut export = Command::new(tools.join("llvm-cov"));
    export.args(["export", "-summary-only", "-instr-profile"]).arg(&profile);
    for binary in &binaries {
        export.arg("-object").arg(binary);
    }
    let report: Value = serde_json::from_str(&run::output(&mut export)?)?;
    Ok(Some(files(&report, &format!("crates/{name}/src/"))?))
}

/// Where the toolchain keeps llvm-cov and llvm-profdata.
fn tools() -> Result<PathBuf> {
    let sysroot = run::output(&mut run::command("rustc", &["--print", "sysroot"]))?;
    let hosts = Path::new(sysroot.trim()).join("lib/rustlib");
    let found = fs::read_dir(&hosts)?.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    found
        .into_iter()
        .find(|bin| bin.join("llvm-cov").is_file())
        .context("the toolchain has no llvm-cov: rustup component add llvm-tools")
}

/// The test binaries among cargo's messages.
fn binaries(messages: &str) -> Result<Vec<String>> {
    let binaries: Vec<String> = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["profile"]["test"] == Value::Bool(true))
        .filter_map(|message| Some(message["executable"].as_str()?.to_owned()))
        .collect();
    if binaries.is_empty() {
        bail!("cargo built no test");
    }
    Ok(binaries)
}

/// Lines and lines run of the files below a folder, without files that are tests as a whole.
fn files(report: &Value, below: &str) -> Result<BTreeMap<String, (u64, u64)>> {
    let files = report["data"][0]["files"].as_array().context("llvm-cov tells no files")?;
    let mut lines = BTreeMap::new();
    for file in files {
        let path = file["filename"].as_str().unwrap_or_default();
        let Some(at) = path.find(below).filter(|_| !path.ends_with("/tests.rs") && !path.contains("/tests/"))
        else {
            continue;
        };
        let count = |what: &str| file["summary"]["lines"][what].as_u64().context("llvm-cov tells no lines");
        lines.insert(path[at..].to_owned(), (count("count")?, count("covered")?));
    }
    Ok(lines)
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", part as f64 * 100.0 / whole.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_the_crates_own_code_counts() {
        let file = |path: &str, count: u64, covered: u64| json!({ "filename": path, "summary": { "lines": { "count": count, "covered": covered } } });
        let report = json!({ "data": [{ "files": [
            file("/a/crates/tollgate-x/src/lib.rs", 10, 9),
            file("/a/crates/tollgate-x/src/lib/tests.rs", 50, 50),
            file("/a/crates/tollgate-x/tests/all.rs", 50, 50),
            file("/a/crates/tollgate-y/src/lib.rs", 5, 0),
        ] }] });
        let seen = files(&report, "crates/tollgate-x/src/").expect("a report");
        assert_eq!(
            seen.into_iter().collect::<Vec<_>>(),
            [("crates/tollgate-x/src/lib.rs".to_owned(), (10, 9))]
        );
        assert!(files(&json!({}), "crates/").is_err());
        assert_eq!(percent(9, 10), "90.0 %");
    }

    #[test]
    fn test_binaries_are_found_among_messages() {
        let messages = "{\"profile\":{\"test\":true},\"executable\":\"/t/a\"}\nnoise\n\
                        {\"profile\":{\"test\":false},\"executable\":\"/t/b\"}\n";
        assert_eq!(binaries(messages).expect("one"), ["/t/a"]);
        assert!(binaries("").is_err());
    }
}
