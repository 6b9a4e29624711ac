//! Any text as a configuration, in a world of a few files and variables that are secrets.

use std::time::{Duration, Instant};

use tollgate_config::{
    Diagnostic, MemorySources, Severity, SourceMap, check_posted, difference, load_text, redacted, render,
};

/// Values of variables and of secret files: nothing that is told of a configuration holds them.
const SECRETS: [&str; 2] = ["zq7-of-a-variable", "zq8-of-a-file"];

/// Far more than a text of some kilobytes takes, also where code is instrumented and the machine is busy.
const SOON: Duration = Duration::from_secs(8);

/// Bytes of diagnostics for each byte of text, and for a text of none: an error has a snippet and a note or two.
const TOLD_BYTES_MAX: usize = 64 * 1024;

/// Any bytes as the text of the main file. Whether it is a configuration.
pub(crate) fn config(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    // Whoever writes them into the text shows them.
    if SECRETS.iter().any(|secret| text.contains(&secret[..3])) {
        return false;
    }
    let begun = Instant::now();
    let (accepted, diagnostics, sources, plan) = match load_text("tollgate.yaml", &text, &world()) {
        Ok(loaded) => (true, loaded.warnings, loaded.sources, Some(loaded.plan)),
        Err(failed) => (false, failed.diagnostics, failed.sources, None),
    };
    assert!(begun.elapsed() < SOON, "it took {:?}", begun.elapsed());
    let errors = diagnostics.iter().any(|found| found.severity == Severity::Error);
    assert_eq!(accepted, !errors, "an error refuses, and a refusal has one");
    told(&text, &diagnostics, &sources);
    posted(&text, &sources, accepted);
    let Some(plan) = plan else { return false };

    assert!(!plan.listeners.is_empty() && plan.workers > 0);
    // The same text comes to the same.
    let again = load_text("tollgate.yaml", &text, &world()).expect("it was accepted before");
    let differs = difference((&sources, &plan), (&again.sources, &again.plan), true);
    assert_eq!(format!("{:?}", plan.routes), format!("{:?}", again.plan.routes));
    for list in ["/routes/added", "/routes/removed", "/routes/less_protected", "/upstreams/changed"] {
        assert!(
            differs.pointer(list).and_then(|list| list.as_array()).is_none_or(Vec::is_empty),
            "{differs:#}"
        );
    }
    true
}

/// What is said of a text is bounded, has its place, and holds no secret.
fn told(text: &str, diagnostics: &[Diagnostic], sources: &SourceMap) {
    let rendered = render(diagnostics, sources, false);
    let shown = redacted(sources).to_string();
    assert!(rendered.len() <= TOLD_BYTES_MAX * (1 + text.len() / 64), "{} bytes", rendered.len());
    for found in diagnostics {
        let json = found.to_json();
        assert!(json.is_object() && !found.message.is_empty());
        assert_eq!(found.line == 0, found.span.is_none(), "{found:?}");
        assert!(SECRETS.iter().all(|secret| !json.to_string().contains(secret)), "{json}");
    }
    for secret in SECRETS {
        assert!(!rendered.contains(secret), "{rendered}");
        assert!(!shown.contains(secret), "{shown}");
    }
}

/// Whoever posts a text learns nothing of files and variables: neither does the plan that it would come to hold them.
fn posted(text: &str, running: &SourceMap, accepted: bool) {
    let posted = check_posted(text, running);
    let all = format!("{:?} {}", posted.diagnostics, render(&posted.diagnostics, &posted.sources, false));
    let plan = format!("{:?}", posted.plan);
    for secret in SECRETS {
        assert!(!all.contains(secret), "{all}");
        assert!(!plan.contains(secret), "{plan}");
    }
    // What runs can be posted.
    assert!(posted.ok || !accepted, "{all}");
}

fn world() -> MemorySources {
    MemorySources::default()
        .variable("SECRET", SECRETS[0])
        .variable("COUNT", "3")
        .variable("EMPTY", "")
        .file("secret", format!("{}\n", SECRETS[1]))
        .file("parts/a.yaml", "routes: [{ path: /part, respond: { status: 204 } }]\n")
        .file("parts/b.yaml", "upstreams: { part: { targets: [\"http://127.0.0.1:9\"] } }\n")
        .file("parts/loop.yaml", "include: [parts/loop.yaml, \"parts/*.yaml\"]\n")
        .file("page.html", "<p>{{ name }}</p>")
        .file("body.json", "{\"a\": 1}")
        .file("schema.json", "{\"type\": \"object\", \"required\": [\"a\"]}")
        .file("script.lua", "function request(req) req.headers[\"x-a\"] = config.a end")
        .file(
            "api.yaml",
            "openapi: 3.0.0\ninfo: { title: t, version: '1' }\npaths: { /a: { get: { responses: { '200': { description: d } } } } }\n",
        )
}
