//! Every YAML snippet of the documents, and every example, is a configuration that `tollgate check` accepts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Documents whose fenced `yaml` blocks are whole configurations.
const DOCUMENTS: &[&str] = &["README.md", "docs/operate.md"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn check(what: &str, config: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["check", "-c"])
        .arg(config)
        .env("NO_COLOR", "1")
        .output()
        .expect("tollgate runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what} is refused:\n{out}\n{err}");
    assert!(!err.contains("warning"), "{what} is warned about:\n{err}");
}

/// The fenced `yaml` blocks of a document, each with the line it begins on.
fn snippets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (at, line) in text.lines().enumerate() {
        match &mut open {
            None if line.trim() == "```yaml" => open = Some((at + 2, String::new())),
            None => {}
            Some(_) if line.trim() == "```" => found.extend(open.take()),
            Some((_, block)) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    found
}

#[test]
fn every_snippet_is_accepted() {
    let dir = tempfile::tempdir().expect("a folder");
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).expect("a document");
        let snippets = snippets(&text);
        assert!(!snippets.is_empty(), "{document} has no snippet: take it off the list");
        for (line, snippet) in snippets {
            let path = dir.path().join("tollgate.yaml");
            fs::write(&path, snippet).expect("a file");
            check(&format!("the snippet in {document}, line {line},"), &path);
        }
    }
}

#[test]
fn every_example_is_accepted() {
    let mut seen = 0;
    for folder in fs::read_dir(root().join("examples")).expect("examples") {
        let config = folder.expect("an entry").path().join("tollgate.yaml");
        if config.exists() {
            check(&config.display().to_string(), &config);
            seen += 1;
        }
    }
    assert!(seen > 0, "no example was found");
}

#[test]
fn the_bench_template_is_accepted() {
    let template = fs::read_to_string(root().join("bench/peers/tollgate.yaml")).expect("the template");
    let text = template.replace("@ROUTES@", "  - { path: /*, to: origin }");
    // What is left are ports.
    let filled: Vec<String> = text
        .split('@')
        .enumerate()
        .map(|(at, part)| match at % 2 {
            0 => part.to_owned(),
            _ => (20000 + at).to_string(),
        })
        .collect();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("tollgate.yaml");
    fs::write(&path, filled.concat()).expect("a file");
    check("bench/peers/tollgate.yaml", &path);
}
