//! Each rule, with the text that breaks it and the text that keeps it.

use super::*;

/// Runs one rule on one file; `expect` is a part of each finding's message, in order.
fn check(rule: fn(&Tree) -> Vec<Finding>, path: &str, text: &str, expect: &[&str]) {
    let found = rule(&Tree::of(&[(path, text)]));
    let seen: Vec<String> = found.iter().map(|finding| finding.to_string()).collect();
    assert_eq!(found.len(), expect.len(), "{path}: {seen:#?}");
    for (finding, part) in found.iter().zip(expect) {
        assert!(finding.message.contains(part), "{part:?} not in {finding}");
    }
}

#[test]
fn a_crate_links_only_what_the_map_draws() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("tollgate-proxy", "[dependencies]\ntollgate-plan.workspace = true\ntokio.workspace = true\n", &[]),
        ("tollgate-proxy", "[dependencies]\ntollgate-config.workspace = true\n", &["may not depend on"]),
        ("tollgate-proxy", "[dependencies]\ntollgate-admin.workspace = true\n", &["may not depend on"]),
        ("tollgate-plan", "[dependencies]\ntokio = \"1\"\n", &["does no I/O"]),
        ("tollgate-proxy", "[dependencies]\ntollgate-testkit.workspace = true\n", &["may not depend on"]),
        ("tollgate-proxy", "[dev-dependencies]\ntollgate-testkit.workspace = true\n", &[]),
        ("tollgate-wire", "[dev-dependencies]\ntollgate-proxy.workspace = true\n", &["tests of"]),
        ("tollgate-new", "[dependencies]\n", &["not in the table"]),
        ("tollgate-wire", "[dependencies", &["not TOML"]),
    ];
    for (name, manifest, expect) in cases {
        let manifest = format!("[lints]\nworkspace = true\n{manifest}");
        check(edges::check, &format!("crates/{name}/Cargo.toml"), &manifest, expect);
    }
    check(edges::check, "crates/tollgate-wire/Cargo.toml", "[dependencies]\n", &["without `[lints]"]);
}

#[test]
fn stages_do_not_import_each_other() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("route/mod.rs", "use crate::exchange::Exchange;\n", &[]),
        ("route/mod.rs", "use crate::upstream::Pool;\n", &["imports stage `upstream`"]),
        ("route/mod.rs", "use crate::{exchange::E, upstream::Pool};\n", &["imports stage `upstream`"]),
        ("respond.rs", "let pool = crate::upstream::pool();\n", &["imports stage `upstream`"]),
        ("route/mod.rs", "// see crate::upstream::Pool\n", &[]),
        ("route/mod.rs", "use crate::upstreams::X; use crate::route::deep::Y;\n", &[]),
        ("pipeline.rs", "use crate::{route, upstream, respond};\n", &[]),
    ];
    for (path, text, expect) in cases {
        check(stages::check, &format!("crates/tollgate-proxy/src/{path}"), text, expect);
    }
}

#[test]
fn pure_code_fetches_no_time_and_tests_do_not_sleep() {
    let wait = format!("std::thread::{}d);\n", "sleep(");
    let cases: &[(&str, &str, &[&str])] = &[
        ("crates/tollgate-plan/src/a.rs", "let now = Instant::now();\n", &["`Instant::now`"]),
        ("crates/tollgate-plan/src/a.rs", "// Instant::now\n", &[]),
        ("crates/tollgate-plan/src/a.rs", "#[cfg(test)]\nmod t { let now = Instant::now(); }\n", &[]),
        ("crates/tollgate-proxy/src/a.rs", "let now = Instant::now();\n", &[]),
        ("crates/tollgate/tests/a.rs", &wait, &["no sleep in tests"]),
        ("crates/tollgate-plan/src/a/tests.rs", &wait, &["no sleep in tests"]),
        ("crates/tollgate-testkit/src/a.rs", &wait, &[]),
        ("crates/tollgate-wire/src/a.rs", "#![allow(unsafe_code)] // fast\n", &["may hold `unsafe`"]),
        (
            "crates/tollgate-wire/src/lib.rs",
            "#![deny(clippy::unwrap_used, clippy::expect_used)]\n",
            &["panic", "indexing"],
        ),
    ];
    for (path, text, expect) in cases {
        check(purity::check, path, text, expect);
    }
}

#[test]
fn files_say_what_they_are_for_and_are_named_after_something() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("crates/tollgate/src/a.rs", "//! Reads.\n", &[]),
        ("crates/tollgate/src/a.rs", "use std::fs;\n", &["opens without"]),
        ("crates/tollgate/src/a/tests.rs", "use super::*;\n", &[]),
        ("crates/tollgate/src/utils.rs", "//! All sorts.\n", &["`utils` names nothing"]),
        ("crates/tollgate/tests/common/mod.rs", "//! All sorts.\n", &["`common` names nothing"]),
        ("crates/tollgate/src/commons.rs", "//! A square.\n", &[]),
    ];
    for (path, text, expect) in cases {
        check(shape::check, path, text, expect);
    }
}

#[test]
fn lengths_only_shrink() {
    let long_file = "//! x\n".repeat(601);
    let long_function = format!("fn long() {{\n{}}}\n", "    step();\n".repeat(69));
    let path = "crates/tollgate/src/a.rs";
    let method = format!("impl S {{ {long_function} }}");
    type Ratchet<'a> = &'a [(&'a str, usize)];
    let cases: &[(&str, Ratchet<'_>, &[&str])] = &[
        ("fn short() {}\n", &[], &[]),
        (&long_file, &[], &["601 lines, more than 600"]),
        (&long_file, &[(path, 601)], &[]),
        (&long_file, &[(path, 600)], &["it may only shrink"]),
        (&long_file, &[(path, 700)], &["lower its number"]),
        ("fn short() {}\n", &[(path, 700)], &["remove it"]),
        (&long_function, &[], &["71 lines, more than 70"]),
        (&method, &[], &["71 lines, more than 70"]),
        ("fn broken( {", &[], &["does not parse"]),
    ];
    for (text, ratchet, expect) in cases {
        let found = size::check_against(&Tree::of(&[(path, text)]), ratchet);
        assert_eq!(found.len(), expect.len(), "{found:?}");
        for (finding, part) in found.iter().zip(*expect) {
            assert!(finding.message.contains(part), "{part:?} not in {finding}");
        }
    }
}

#[test]
fn documents_name_what_exists() {
    let code = ("crates/tollgate-plan/src/plan.rs", "//! x\npub struct Plan;\nimpl Plan { fn name() {} }\n");
    let cases: &[(&str, &str, &[&str])] = &[
        (
            "ARCHITECTURE.md",
            "`crates/tollgate-plan/src/plan.rs` and `tollgate-plan` hold `Plan`, `tollgate_plan::Plan`",
            &[],
        ),
        ("ARCHITECTURE.md", "`crates/tollgate-plan/src/gone.rs`", &["the path"]),
        ("ARCHITECTURE.md", "`tollgate-gone`", &["the crate"]),
        ("ARCHITECTURE.md", "`tollgate_plan::Gone`", &["the symbol"]),
        ("ARCHITECTURE.md", "`Gone`", &["the type"]),
        ("docs/a.md", "`Gone` is a word here; `plan.rs` is not, `gone.rs` neither", &["the file"]),
        ("docs/a.md", "```\n`docs/gone.md`\n```\n", &[]),
        ("docs/decisions/0001-a.md", "`crates/gone`", &[]),
    ];
    for (path, text, expect) in cases {
        let found = docs::check(&Tree::of(&[code, (path, text)]));
        assert_eq!(found.len(), expect.len(), "{found:?}");
        for (finding, part) in found.iter().zip(*expect) {
            assert!(finding.message.contains(part), "{part:?} not in {finding}");
        }
    }
}

#[test]
fn no_machine_and_no_registry_is_named() {
    for word in [["/wo", "rk/main"].concat(), ["crates", ".io"].concat()] {
        check(words::check, "README.md", &format!("see {word}\n"), &["is a"]);
        check(words::check, "Cargo.lock", &format!("see {word}\n"), &[]);
    }
}
