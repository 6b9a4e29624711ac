//! `tollgate version`: which build this is, for people and for programs, the same on the command line and in the help.

use std::process::Command;

use serde_json::Value;
use tollgate_testkit::{binary, run};

fn tollgate(arguments: &[&str]) -> String {
    let ended = run(binary!(), &std::env::temp_dir(), arguments, &[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    ended.stdout
}

#[test]
fn version_commit_and_target_are_those_of_the_build() {
    let told: Value = serde_json::from_str(&tollgate(&["version", "--json"])).expect("JSON");
    let [version, commit, target] = ["version", "commit", "target"].map(|key| told[key].as_str().expect(key));
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert_eq!(tollgate(&["version"]), format!("tollgate {version} ({commit}, {target})\n"));
    assert_eq!(tollgate(&["--version"]), format!("tollgate {version}\n"));
    assert!(target.starts_with(std::env::consts::ARCH) && target.contains("linux"), "{target}");
    // Whoever builds outside of a repository may say the commit; where there is one, it is one of its commits.
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let git = Command::new("git").args(["-C", root, "cat-file", "-t", commit]).output();
    let known = git.is_ok_and(|output| output.stdout == b"commit\n");
    let inside = std::path::Path::new(root).join(".git").exists();
    assert!(known || !inside, "{commit} is no commit of the repository");
}
