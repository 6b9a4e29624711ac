//! Why routes lose: one case for each thing that can speak against one.

use crate::table::fixture::{Request, routes};
use crate::table::{RouteTable, Why};

#[track_caller]
fn check(lines: &[&str], request: &str, expect: &[&str]) {
    let specs = routes(lines);
    let patterns: Vec<String> = specs.iter().map(|spec| spec.path.to_string()).collect();
    let (table, asked) = (RouteTable::build(specs), Request::parse(request));
    let all = table.consider(&asked.host, &asked.path, &asked, |id| &patterns[id.0 as usize]);
    let said: Vec<String> = all.iter().map(|one| format!("{}: {}", one.why.code(), one.why)).collect();
    assert_eq!(said, expect, "{request}");
    assert!(all.iter().filter(|one| one.why == Why::Taken).count() <= 1);
}

const TAKEN: &str = "taken: the most specific one that matches";

#[test]
fn what_does_not_match() {
    check(
        &[
            "- a.example /x",
            "- - /y",
            "POST - /x",
            "- - /x h:v=1",
            "- - /x q:d",
            "- - /x h:v=s3cret",
            "- - /{p}",
        ],
        "GET b.example /x v=2",
        &[
            "host: another host",
            "path: another path",
            "method: another method",
            "header: its condition on the header v does not hold",
            "query: its condition on the query parameter d does not hold",
            "header: its condition on the header v does not hold",
            TAKEN,
        ],
    );
}

#[test]
fn what_matches_less_well() {
    check(
        &[
            "- h.x /a/b",
            "- *.x /a/b",
            "- - /a/b",
            "- h.x /a/{p}",
            "- h.x /a/*",
            "- h.x /{p}/b",
            "GET h.x /a/b",
            "GET h.x /a/b p:1",
            "GET h.x /a/b p:1",
            "- h.x /a/b h:v",
        ],
        "GET h.x /a/b v=1",
        &[
            "specificity: matches, with fewer conditions",
            "specificity: matches, with a less specific host",
            "specificity: matches, with a less specific host",
            "specificity: matches, with a less specific path (segment 2)",
            "specificity: matches, with a less specific path (segment 2)",
            "specificity: matches, with a less specific path (segment 1)",
            "specificity: matches, with fewer conditions",
            "specificity: matches, with fewer conditions",
            "specificity: matches, with fewer conditions",
            TAKEN,
        ],
    );
    check(
        &["GET - /a", "GET - /a p:1", "GET - /a p:1", "- - /a"],
        "GET - /a",
        &[
            "priority: matches, with a lower priority",
            TAKEN,
            "order: matches, but stands later",
            "specificity: matches, but does not name the method",
        ],
    );
}

#[test]
fn what_has_no_path_has_no_route() {
    check(&["- - /*"], "OPTIONS - *", &["path: another path"]);
}
