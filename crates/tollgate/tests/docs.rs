//! Every YAML snippet of the documents, and every example, is a configuration that `tollgate check` accepts, and
//! every `sh` snippet runs, in order, beside the configuration that stands before it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Documents whose fenced `yaml` blocks are whole configurations.
const DOCUMENTS: &[&str] = &[
    "README.md",
    "docs/operate.md",
    "docs/command-line.md",
    "docs/explain.md",
    "docs/tokens.md",
    "docs/limits.md",
    "docs/upstreams.md",
    "docs/listeners.md",
    "docs/logs.md",
    "docs/tracing.md",
    "docs/access.md",
    "docs/aggregation.md",
    "docs/cache.md",
    "docs/shaping.md",
    "docs/testing.md",
    "docs/from-krakend.md",
];

/// Configurations of the gateway in `bench/peers` that need no certificate.
const BENCH_TEMPLATES: &[&str] = &[
    "tollgate.yaml",
    "tollgate-identity.yaml",
    "tollgate-limit.yaml",
    "tollgate-aggregate.yaml",
    "tollgate-merge.yaml",
    "tollgate-lua.yaml",
    "tollgate-cache.yaml",
    "tollgate-targets.yaml",
];

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

/// A fenced block of a document.
struct Snippet {
    language: String,
    line: usize,
    text: String,
}

/// The fenced blocks of a document that name a language.
fn snippets(text: &str) -> Vec<Snippet> {
    let mut found = Vec::new();
    let mut open: Option<Snippet> = None;
    for (at, line) in text.lines().enumerate() {
        match &mut open {
            None => {
                let language = line.trim().strip_prefix("```").map(str::to_owned);
                open = language.map(|language| Snippet { language, line: at + 2, text: String::new() });
            }
            Some(_) if line.trim() == "```" => found.extend(open.take()),
            Some(block) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
        }
    }
    found.retain(|snippet| !snippet.language.is_empty());
    found
}

fn run(what: &str, script: &str, dir: &Path) {
    let binary = Path::new(env!("CARGO_BIN_EXE_tollgate"));
    let folder = binary.parent().expect("a binary is in a folder").display();
    let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    command.args(["-eu", "-c", script]).current_dir(dir).env("PATH", path).env("NO_COLOR", "1");
    let output = command.stdin(Stdio::null()).output().expect("sh runs");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !err.contains("warning"), "{what} fails:\n{err}");
}

#[test]
fn every_snippet_is_accepted() {
    for document in DOCUMENTS {
        // One folder a document, so that a command finds what stands before it.
        let dir = tempfile::tempdir().expect("a folder");
        let text = fs::read_to_string(root().join(document)).expect("a document");
        let snippets = snippets(&text);
        assert!(!snippets.is_empty(), "{document} has no snippet: take it off the list");
        for Snippet { language, line, text } in snippets {
            let what = format!("the snippet in {document}, line {line},");
            match language.as_str() {
                "yaml" => {
                    let path = dir.path().join("tollgate.yaml");
                    fs::write(&path, text).expect("a file");
                    check(&what, &path);
                }
                "sh" => run(&what, &text, dir.path()),
                other => panic!("{what} is `{other}`, which nobody checks"),
            }
        }
    }
}

#[test]
fn every_example_is_accepted() {
    let mut seen = 0;
    for folder in fs::read_dir(root().join("examples")).expect("examples") {
        for file in fs::read_dir(folder.expect("an entry").path()).expect("an example") {
            let config = file.expect("an entry").path();
            if config.extension().is_some_and(|extension| extension == "yaml") {
                check(&config.display().to_string(), &config);
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "not all examples were found");
}

#[test]
fn the_bench_templates_are_accepted() {
    let dir = tempfile::tempdir().expect("a folder");
    run("a key set", "tollgate token --iss x --key key.json --jwks jwks.json", dir.path());
    for name in BENCH_TEMPLATES {
        let mut text = fs::read_to_string(root().join("bench/peers").join(name)).expect("the template");
        let ports = ["PORT", "ADMIN", "ORIGIN", "REDIS", "PARTS"].into_iter();
        let ports = ports.zip(["20001", "20002", "20003", "20004", "20005"]);
        let others = [
            ("TARGETS", "http://127.0.0.1:20006, http://127.0.0.1:20007"),
            ("RETRY", "{ attempts: 3 }"),
            ("ROUTES", "  - { path: /*, to: origin }"),
            ("STORE", "store: redis, sync: leased"),
            ("JWKS", "jwks.json"),
            ("LOG", "access.log"),
        ];
        for (place, value) in ports.chain(others) {
            text = text.replace(&format!("@{place}@"), value);
        }
        let path = dir.path().join("tollgate.yaml");
        fs::write(&path, text).expect("a file");
        check(name, &path);
    }
}
