//! Every fenced block of the README and of `docs/` runs or is checked, in the order of its page, or has its reason in
//! `shown.rs`. Examples and the configurations of the benches are checked, too.
//!
//! The words behind a fence say what a block is:
//!
//! | words | what happens |
//! |---|---|
//! | `yaml`, `yaml NAME.yaml` | a configuration, or a part that `given.rs` completes: saved as `tollgate.yaml`, or under its name, and `tollgate check` accepts it without a warning |
//! | `sh` | runs, in the folder of the page; `sh fails`: and ends with another code than 0 |
//! | `sh served` | runs while a gateway serves what stands in `tollgate.yaml` |
//! | `sh background` | a program that stays until the page ends |
//! | `output` | what the block before it printed; `…` stands for anything |
//! | `lua`, `cel`, `nginx` | is accepted by the gateway, or by `nginx -t` |
//! | `json` | is JSON |
//! | `html NAME` | is a file that a later block names |

mod given;
mod session;
mod shown;
mod snippet;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use session::Session;
use shown::SHOWN;
use snippet::{Snippet, snippets};

/// Documents that are not looked at: they are made from the code, and the gate makes them anew.
const MADE: &str = "docs/reference/";

/// Sessions at the same time.
const SESSIONS: usize = 4;

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
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).expect("the repository")
}

/// The documents, from the root.
fn documents() -> Vec<String> {
    let mut found = vec!["README.md".to_owned()];
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder of documents") {
            let path = folder.join(entry.expect("an entry").file_name());
            if root().join(&path).is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path.display().to_string());
            }
        }
    }
    found.retain(|path| !path.starts_with(MADE));
    found.sort();
    found
}

fn read(document: &str) -> Vec<Snippet> {
    snippets(&fs::read_to_string(root().join(document)).expect("a document"))
}

#[test]
fn every_block_is_run_or_checked_or_has_a_reason() {
    let mut unused: Vec<_> = SHOWN.iter().collect();
    for document in documents() {
        for Snippet { language, line, text, .. } in read(&document) {
            match language.as_str() {
                "" => {
                    let entry =
                        SHOWN.iter().find(|(own, begin, _)| *own == document && text.starts_with(begin));
                    let entry = entry.unwrap_or_else(|| {
                        panic!("{document}:{line}: nothing runs or checks this block: say behind its fence what it is (`main.rs`), or why not in `shown.rs`")
                    });
                    unused.retain(|own| *own != entry);
                }
                "json" => {
                    let parsed = serde_json::from_str::<serde_json::Value>(&text);
                    parsed.unwrap_or_else(|error| panic!("{document}:{line}: {error}"));
                }
                "yaml" | "sh" | "output" | "lua" | "cel" | "nginx" | "html" => {}
                other => panic!("{document}:{line}: `{other}` is checked by nobody"),
            }
        }
    }
    assert!(unused.is_empty(), "on the list, and on no page: {unused:?}");
}

#[test]
fn every_page_does_what_it_says() {
    let wanted = std::env::var("TOLLGATE_DOCS_ONLY").unwrap_or_default();
    let mut documents = documents();
    documents.retain(|document| document.contains(&wanted));
    let alone = session::networks();
    let (waiting, failed) = (Mutex::new(documents), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..if alone { SESSIONS } else { 1 } {
            scope.spawn(|| {
                loop {
                    let Some(document) = waiting.lock().expect("the list").pop() else { break };
                    let dir = tempfile::tempdir().expect("a folder");
                    let session =
                        Session { document: &document, snippets: &read(&document), dir: dir.path() };
                    if let Err(why) = session.run(alone) {
                        failed.lock().expect("the list").push(why);
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("the list");
    assert!(failed.is_empty(), "{} pages fail:\n{}", failed.len(), failed.join("\n\n"));
}

fn check(what: &str, config: &Path) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    let output =
        command.args(["check", "-c"]).arg(config).env("NO_COLOR", "1").output().expect("tollgate runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{what} is refused:\n{out}\n{err}");
    assert!(!err.contains("warning"), "{what} is warned about:\n{err}");
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
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command.args(["token", "--iss", "x", "--key", "key.json", "--jwks", "jwks.json"]).current_dir(dir.path());
    assert!(command.output().expect("tollgate runs").status.success(), "no key set");
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
