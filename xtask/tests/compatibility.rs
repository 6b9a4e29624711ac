//! What docs/compatibility.md promises: no name that a published version had is missing. Names stand in
//! `xtask/tests/compatibility/VERSION.txt`, one a line, and are read from the pages that are made from the code.
//!
//! A release writes its own list: `TOLLGATE_WRITE_NAMES=1 cargo test -p xtask --test compatibility`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;
use xtask::tree;

const FOLDER: &str = "xtask/tests/compatibility";

fn read(path: &str) -> String {
    fs::read_to_string(tree::root().join(path)).expect(path)
}

/// All names of today: `key`, `reason`, `metric`, `field` or `command`, then what it is about.
fn names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let schema: Value = serde_json::from_str(&read("docs/reference/tollgate.schema.json")).expect("JSON");
    keys(&schema, &schema, "", &mut Vec::new(), &mut names);
    for [name, status, blame, ..] in rows(&read("docs/reference/reasons.md")) {
        names.insert(format!("reason {name} {status} {blame}"));
    }
    for [name, kind, labels, ..] in rows(&read("docs/reference/metrics.md")) {
        names.insert(format!("metric {name} {kind} {labels}"));
    }
    let logs = read("docs/logs.md");
    let fields =
        logs.split_once("\n## Fields\n").and_then(|(_, rest)| rest.split('`').nth(1)).expect("fields");
    names.extend(fields.split_whitespace().map(|field| format!("field {field}")));
    commands(&read("docs/reference/cli.md"), &mut names);
    names
}

/// Paths of keys, without the names that the user gives and without places in lists.
fn keys<'a>(
    schema: &'a Value,
    at: &'a Value,
    path: &str,
    inside: &mut Vec<&'a str>,
    names: &mut BTreeSet<String>,
) {
    // `true`, `false`, and what is not there.
    if !at.is_object() {
        return;
    }
    if let Some(block) = at["$ref"].as_str() {
        // A block that holds itself was seen.
        if inside.contains(&block) {
            return;
        }
        inside.push(block);
        keys(schema, schema.pointer(&block[1..]).expect(block), path, inside, names);
        inside.pop();
    }
    for (name, value) in at["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        names.insert(format!("key {path}"));
        keys(schema, value, &path, inside, names);
    }
    for below in [&at["items"], &at["additionalProperties"]] {
        keys(schema, below, path, inside, names);
    }
    for either in ["anyOf", "oneOf", "allOf"] {
        for one in at[either].as_array().into_iter().flatten() {
            keys(schema, one, path, inside, names);
        }
    }
}

/// The first three cells of the rows whose first one is code, and the rest, without backticks.
fn rows(page: &str) -> Vec<[String; 4]> {
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let mut cells = row.splitn(4, '|').map(|cell| cell.replace('`', "").trim().to_owned());
        std::array::from_fn(|_| cells.next().unwrap_or_default())
    })
    .collect()
}

/// `command NAME` and `command NAME --option`.
fn commands(page: &str, names: &mut BTreeSet<String>) {
    let mut command = String::new();
    for line in page.lines() {
        let heading = line.strip_prefix("### tollgate ").or_else(|| line.strip_prefix("## tollgate "));
        if let Some(name) = heading {
            command = name.to_owned();
            names.insert(format!("command {command}"));
        } else if !command.is_empty() && line.trim_start().starts_with('-') && line.starts_with("  ") {
            let option = line.split_whitespace().find(|word| word.starts_with("--"));
            let option = option.and_then(|word| word.split(['[', '=', ',']).next());
            let option = option.filter(|option| *option != "--help");
            names.extend(option.map(|option| format!("command {command} {option}")));
        }
    }
}

#[test]
fn nothing_is_missing_that_a_published_version_had() {
    let names = names();
    let own = tree::root().join(FOLDER).join(format!("{}.txt", env!("CARGO_PKG_VERSION")));
    if std::env::var_os("TOLLGATE_WRITE_NAMES").is_some() {
        let lines: Vec<&str> = names.iter().map(String::as_str).collect();
        fs::write(&own, format!("{}\n", lines.join("\n"))).expect("a list");
    }
    let mut versions = 0;
    for entry in fs::read_dir(tree::root().join(FOLDER)).expect("a folder") {
        let path = entry.expect("an entry").path();
        let list = fs::read_to_string(&path).expect("a list");
        let missing: Vec<&str> = list.lines().filter(|name| !names.contains(*name)).collect();
        assert!(missing.is_empty(), "{} had them: {missing:#?}", path.display());
        assert!(list.lines().count() > 500, "{} is no list of names", path.display());
        versions += 1;
    }
    assert!(versions > 0, "no published version has a list");
}

#[test]
fn names_are_found_where_they_stand() {
    let names = names();
    for name in [
        "key routes.auth.require.scopes",
        "key upstreams.targets.url",
        "key access_log.batch.every",
        "reason rate_limited 429 client",
        "metric tollgate_requests_total counter route method status",
        "metric tollgate_redis_up gauge -",
        "field duration_ms",
        "command run --config",
        "command import kong --report",
        "command version --json",
    ] {
        assert!(names.contains(name), "{name} is none of {} names", names.len());
    }
}
