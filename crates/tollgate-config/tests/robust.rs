//! Whatever the bytes: an answer, never a panic, and never more work than the bounds allow.

mod world;

use std::fmt::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tollgate_config::{Failed, Loaded, MemorySources, load, load_text, render};
use world::World;

/// Far more than any case needs, and far less than quadratic work on megabytes takes.
const DEADLINE: Duration = Duration::from_secs(120);

/// Loads a text and looks at all that comes out of it.
fn answer(text: &str) -> Result<Loaded, Failed> {
    let result = load_text("good/test.yaml", text, &World);
    let (diagnostics, sources) = match &result {
        Ok(loaded) => (&loaded.warnings, &loaded.sources),
        Err(failed) => (&failed.diagnostics, &failed.sources),
    };
    assert_eq!(render(diagnostics, sources, true).is_empty(), diagnostics.is_empty());
    for found in diagnostics {
        assert!(found.to_json().is_object());
        assert_eq!(found.line == 0, found.span.is_none(), "{found:?}");
    }
    assert!(result.is_ok() || !diagnostics.is_empty(), "a refusal has a reason");
    result
}

#[test]
fn a_configuration_cut_at_any_byte_is_answered() {
    for case in world::cases("good") {
        let text = std::fs::read(world::root().join(&case)).expect("the case");
        for end in 0..text.len() {
            let cut = String::from_utf8_lossy(&text[..end]);
            let _ = answer(&cut);
        }
    }
}

#[test]
fn a_bad_configuration_without_one_of_its_lines_is_answered() {
    for case in world::cases("bad") {
        let text = String::from_utf8_lossy(&std::fs::read(world::root().join(&case)).expect("the case"))
            .into_owned();
        let lines: Vec<&str> = text.lines().collect();
        for left_out in 0..lines.len() {
            let mut rest = lines.clone();
            rest.remove(left_out);
            let _ = answer(&rest.join("\n"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        let _ = answer(&text);
    }

    #[test]
    fn text_of_yaml_pieces_is_answered(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..60)
    ) {
        let _ = answer(&pieces.concat());
    }

    #[test]
    fn mutated_configurations_are_answered(
        case in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(PIECES)), 1..6),
    ) {
        let cases = world::cases("good");
        let case = case.get(&cases);
        let mut text: Vec<char> = std::fs::read_to_string(world::root().join(case)).expect("the case").chars().collect();
        for (at, piece) in changes {
            let at = at.index(text.len());
            text.splice(at..(at + piece.len() / 2).min(text.len()), piece.chars());
        }
        let _ = answer(&text.into_iter().collect::<String>());
    }
}

/// What YAML and configurations are made of.
const PIECES: &[&str] = &[
    "routes:",
    "\n",
    "  ",
    "- ",
    "path: ",
    "/a/{id}",
    "/x/*",
    "to: ",
    "http://127.0.0.1:1",
    "upstreams:",
    "targets:",
    "[",
    "]",
    "{",
    "}",
    ", ",
    ": ",
    "\"",
    "'",
    "&a ",
    "*a",
    "<<: *a",
    "!!str ",
    "---\n",
    "...\n",
    "# c\n",
    "|\n",
    ">-\n",
    "? ",
    "${COUNT}",
    "${UNSET}",
    "${",
    "$$",
    "~",
    "null",
    "true",
    "5s",
    "64KiB",
    "é",
    "\u{feff}",
    "\t",
    "\r\n",
    "\0",
    "request:",
    "set_headers:",
    "{request_id}",
    "respond:",
    "json:",
    "defaults:",
    "include:",
    "parts/*.yaml",
    "token: ",
    "%YAML 1.2\n",
    "@",
    "`",
    "\\",
    "1e400",
    "0x",
    ".inf",
    "headers:",
    "~(a",
    "methods:",
    "GET",
];

#[test]
fn hostile_texts_cost_little() {
    let mib = 1 << 20;
    let begun = Instant::now();
    let bomb = |width: usize, levels: usize| {
        let mut text = String::from("a0: &a0 [x]\n");
        for level in 1..levels {
            let previous = format!("*a{}, ", level - 1).repeat(width);
            writeln!(text, "a{level}: &a{level} [{previous}]").expect("writing to text");
        }
        text
    };
    for (name, text) in [
        ("aliases", bomb(10, 30)),
        ("wide aliases", bomb(1000, 4)),
        ("an alias to a long text", format!("a: &a {}\nb: [{}]\n", "x".repeat(mib), "*a, ".repeat(1000))),
        ("open brackets", "[".repeat(4 * mib)),
        ("open braces", "{".repeat(4 * mib)),
        ("dashes", "- ".repeat(2 * mib)),
        ("question marks", "? ".repeat(2 * mib)),
        ("anchors", "&a ".repeat(mib)),
        ("one key", "x".repeat(4 * mib)),
        ("many keys", (0..50_000).map(|n| format!("k{n}: 1\n")).collect()),
        ("many equal keys", "k: 1\n".repeat(20_000)),
        ("many values", format!("routes: [{}]", "1,".repeat(mib))),
        ("many routes without anything", format!("routes: [{}]", "{},".repeat(mib / 8))),
        ("quotes", "\"".repeat(4 * mib)),
        ("dollars", format!("routes: \"{}\"", "$".repeat(3 * mib))),
        ("expansions", format!("routes: \"{}\"", "${COUNT}".repeat(mib / 16))),
        ("unclosed expansions", format!("routes: [{}]", "\"${\",".repeat(mib / 16))),
        ("includes", format!("include: [{}]", "parts/full-a.yaml,".repeat(100_000))),
        ("braces", format!("routes: [{{ path: \"{}\" }}]", "{".repeat(3 * mib))),
        ("too long", "#".repeat(4 * mib + 1)),
        (
            "conditions",
            format!(
                "routes: [{{ headers: {{ {} }} }}]",
                (0..10_000).map(|n| format!("h{n}: \"~(\", ")).collect::<String>()
            ),
        ),
    ] {
        let result = load_text("good/test.yaml", &text, &World);
        let failed = result.err().unwrap_or_else(|| panic!("{name} is accepted"));
        assert!(render(&failed.diagnostics, &failed.sources, false).len() < 64 * mib, "{name}");
        assert!(begun.elapsed() < DEADLINE, "{name} took until {:?}", begun.elapsed());
    }
}

#[test]
fn ten_thousand_routes_are_a_small_matter() {
    let mut text = String::from("upstreams:\n");
    for upstream in 0..100 {
        writeln!(text, "  u{upstream}: {{ targets: [\"http://10.0.0.{upstream}:3000\"] }}")
            .expect("writing to text");
    }
    text.push_str("routes:\n");
    for route in 0..10_000 {
        let upstream = route % 100;
        writeln!(text, "  - path: /service{route}/items/{{id}}\n    methods: [GET, POST]\n    host: h{upstream}.example.com").expect("writing");
        writeln!(
            text,
            "    request: {{ set_headers: {{ x-route: \"{{route}}-{{id}}\" }} }}\n    to: u{upstream}"
        )
        .expect("writing");
    }
    let begun = Instant::now();
    let loaded = load_text("good/test.yaml", &text, &World).expect("a good configuration");
    assert_eq!(loaded.plan.routes.len(), 10_000);
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

#[test]
fn ten_thousand_protected_routes_are_a_small_matter() {
    let mut text = String::from(
        "issuers: { main: { issuer: \"https://id.example.com\", audience: any, algorithms: [RS256] } }\n\
         defaults:\n  auth: { jwt: main, require: { scopes: [a] } }\n  rate_limit: [{ rate: 100/s, per: ip }]\n\
         \x20 cors: { origins: [\"https://app.example.com\"] }\nroutes:\n",
    );
    for route in 0..10_000 {
        writeln!(text, "  - {{ path: /service{route}, to: \"http://10.0.0.1:3000\" }}").expect("writing");
    }
    let begun = Instant::now();
    let loaded = load_text("good/test.yaml", &text, &World).expect("a good configuration");
    assert_eq!(loaded.plan.rate_limits.len(), 10_000);
    assert!(loaded.plan.routes.iter().all(|route| route.auth.is_some() && route.cors.is_some()));
    assert!(begun.elapsed() < DEADLINE, "{:?}", begun.elapsed());
}

#[test]
fn files_that_are_no_text_are_refused() {
    let sources =
        MemorySources::default().file("binary.yaml", [b'a', b'\n', 0xff, 0xfe]).file("nul.yaml", "a: \0");
    for (path, code) in
        [("binary.yaml", "unreadable"), ("nul.yaml", "yaml_syntax"), ("missing.yaml", "unreadable")]
    {
        let failed = load(path.as_ref(), &sources).expect_err(path);
        assert_eq!(failed.diagnostics.len(), 1, "{path}");
        assert_eq!(failed.diagnostics[0].code, code, "{path}");
        assert_eq!(failed.files, [std::path::PathBuf::from(path)], "a watcher waits for it");
    }
}
