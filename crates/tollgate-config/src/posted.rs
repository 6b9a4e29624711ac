//! Checks a configuration that somebody sent: its text is all that it may use, and the files of the configuration that
//! runs. It reads nothing from disk and nothing from the environment, so that no message can tell of them.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use tollgate_plan::Plan;

use crate::diagnostic::{Diagnostic, Severity};
use crate::load;
use crate::source_map::SourceMap;
use crate::sources::{Listed, Sources, plain};

/// What became of a configuration that somebody sent.
#[derive(Debug)]
pub struct Posted {
    /// Whether it has no error. What could not be looked at is told by warnings.
    pub ok: bool,
    /// Errors and warnings, ordered by file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// What it comes to where that can be known; never to be run.
    pub plan: Option<Plan>,
    /// Its texts.
    pub sources: SourceMap,
}

/// Checks `text` in the place of the main file of `running`.
pub fn check_posted(text: &str, running: &SourceMap) -> Posted {
    let main = running.configurations().next().map(|(_, file)| file.path.display().to_string());
    let name = main.unwrap_or_else(|| "tollgate.yaml".to_owned());
    match load::from_text(&name, text, &Withholding { running }) {
        Ok(loaded) => Posted {
            ok: true,
            diagnostics: loaded.warnings,
            plan: Some(loaded.plan),
            sources: loaded.sources,
        },
        Err(failed) => Posted {
            ok: !failed.diagnostics.iter().any(|one| one.severity == Severity::Error),
            diagnostics: failed.diagnostics,
            plan: None,
            sources: failed.sources,
        },
    }
}

/// The configuration files that were read before, and nothing else.
struct Withholding<'a> {
    running: &'a SourceMap,
}

impl Sources for Withholding<'_> {
    fn read(&self, path: &Path, _: u64) -> io::Result<Vec<u8>> {
        let found = self.running.configurations().find(|(_, file)| plain(&file.path) == plain(path));
        found.map(|(_, file)| file.text.as_bytes().to_vec()).ok_or_else(|| {
            io::Error::other("only files that the running configuration includes are known here")
        })
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Listed>> {
        let directory = plain(directory);
        let mut entries: BTreeMap<String, bool> = BTreeMap::new();
        for (_, file) in self.running.configurations() {
            let path = plain(&file.path);
            let Ok(rest) = path.strip_prefix(&directory) else { continue };
            let mut components = rest.components();
            if let Some(first) = components.next() {
                entries.insert(first.as_os_str().to_string_lossy().into_owned(), components.next().is_some());
            }
        }
        Ok(entries.into_iter().map(|(name, directory)| Listed { name, directory }).collect())
    }

    fn identity(&self, path: &Path) -> PathBuf {
        plain(path)
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }

    fn withholds(&self) -> bool {
        true
    }

    fn cores(&self) -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemorySources, load_text};

    const RUNNING: &str = "include: routes/*.yaml\nadmin: { token: \"${TOKEN}\" }\n";

    fn running() -> SourceMap {
        let sources = MemorySources::default()
            .variable("TOKEN", "s3cret")
            .file("/etc/tollgate/routes/a.yaml", "routes:\n  - { path: /a, respond: { body: a } }\nconsumers: [{ name: b, basic: { user: b, password: not-a-phc-s3cret } }]\n")
            .file("/etc/tollgate/key.pem", "s3cret");
        load_text("/etc/tollgate/tollgate.yaml", RUNNING, &sources)
            .map_or_else(|failed| failed.sources, |loaded| loaded.sources)
    }

    /// Codes of what is found, errors with an exclamation mark.
    fn check(text: &str) -> (bool, Vec<String>) {
        let posted = check_posted(text, &running());
        let shown = format!("{:?}", posted.diagnostics);
        assert!(!shown.contains("s3cret"), "{shown}");
        let codes = posted
            .diagnostics
            .iter()
            .map(|one| format!("{}{}", one.code, if one.severity == Severity::Error { "!" } else { "" }));
        (posted.ok, codes.collect())
    }

    const ROUTE: &str = "routes: [{ path: /, respond: { body: hi } }]";

    #[test]
    fn a_text_by_itself_is_checked_as_ever() {
        for (text, ok, codes) in [
            (ROUTE, true, vec![]),
            ("routes: [{ path: /, respnd: { body: hi } }]", false, vec!["unknown_key!", "missing_key!"]),
            ("", false, vec!["empty!"]),
            ("a: [", false, vec!["yaml_syntax!"]),
        ] {
            let (got_ok, got) = check(text);
            assert_eq!(got_ok, ok, "{text}");
            assert_eq!(got.len(), codes.len(), "{text}: {got:?}");
            assert!(codes.iter().all(|code| got.iter().any(|one| one == code)), "{text}: {got:?}");
        }
    }

    #[test]
    fn what_expansions_stand_for_is_unknown_and_no_error() {
        for text in [
            "admin: { token: \"${TOKEN}\" }",
            "admin: { token: \"${file:/etc/tollgate/key.pem}\" }",
            "admin: { token: \"${NOBODY_SET_THIS}\" }",
            "limits: { header_count: \"${TOKEN}\" }",
            "limits: { header_count: \"${TOKEN:-100}\" }",
        ] {
            assert_eq!(
                check(&format!("{text}\n{ROUTE}")),
                (true, vec!["not_looked_at".to_owned()]),
                "{text}"
            );
        }
        assert_eq!(check(&format!("admin: {{ token: \"${{1}}\" }}\n{ROUTE}")).1, ["bad_expansion!"]);
    }

    #[test]
    fn files_are_not_read_whatever_reads_them() {
        for text in [
            "routes: [{ path: /, respond: { file: /etc/passwd } }]",
            "routes: [{ path: /, respond: { file: /etc/tollgate/routes/a.yaml } }]",
            "routes: [{ path: /, to: http://127.0.0.1:1, lua: /etc/tollgate/routes/a.yaml }]",
            "routes: [{ path: /, to: http://127.0.0.1:1, validate: { body: /etc/tollgate/routes/a.yaml } }]",
        ] {
            let (ok, codes) = check(text);
            assert!(ok && codes == ["not_looked_at"], "{text}: {codes:?}");
        }
    }

    #[test]
    fn what_rests_on_something_unknown_is_no_fault() {
        let text = "issuers: { main: { issuer: \"${ISSUER:-http://127.0.0.1:1}\", audience: [a], algorithms: [ES256] } }\n\
            upstreams: { orders: { targets: [\"http://127.0.0.1:8${BUS:-1}01\"] } }\n\
            routes: [{ name: all, path: /, to: orders, timeout: 1s, response: { encode: json, body: { pick: [a] } } }]\n\
            tests:\n  - name: one\n    request: { path: /, token: {} }\n    upstreams: { orders: { json: {} } }\n    \
            expect: { status: 200, upstream: orders }\n";
        assert_eq!(check(text), (true, vec!["not_looked_at".to_owned(); 2]));
        let (ok, codes) = check(&text.replace("upstream: orders", "upstream: order"));
        assert!(!ok && codes.iter().any(|code| code == "unknown_name!"), "{codes:?}");
    }

    #[test]
    fn only_files_that_run_can_be_included() {
        let (_, codes) = check(&format!("include: [routes/*.yaml]\n{ROUTE}"));
        assert!(!codes.iter().any(|code| code.contains("include")), "{codes:?}");
        assert_eq!(
            check(&format!("include: /etc/passwd\n{ROUTE}")),
            (false, vec!["bad_include!".to_owned()])
        );
        assert_eq!(check(&format!("include: /etc/*.conf\n{ROUTE}")), (true, vec!["bad_include".to_owned()]));
    }
}
