//! Sets of routes and what is wrong with them.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::table::fixture::{Request, route, routes};
use crate::table::tests::model::{Model, best};

/// A finding is `a=b example` or `route<by,by`.
#[track_caller]
fn check(lines: &[&str], expect: &[&str]) {
    let got: Vec<String> = analyse(&routes(lines))
        .into_iter()
        .map(|finding| match finding {
            Finding::Tie { a, b, example } => format!("{}={} {example}", a.0, b.0),
            Finding::Shadowed { route, by } => {
                let by: Vec<String> = by.iter().map(|id| id.0.to_string()).collect();
                format!("{}<{}", route.0, by.join(","))
            }
        })
        .collect();
    assert_eq!(got, expect, "{lines:#?}");
}

#[test]
fn routes_that_nothing_decides_between_tie() {
    check(&["- - /a", "- - /a"], &["0=1 GET /a"]);
    check(&["- - /a/{x}", "- - /a/{y}"], &["0=1 GET /a/x"]);
    check(&["- - /a/*", "- - /a/{rest*}"], &["0=1 GET /a/x"]);
    check(&["POST,GET h.com /a", "PUT,POST h.com,i.com /a"], &["0=1 POST h.com/a"]);
    check(&["- *.com /a", "- *.com /a"], &["0=1 GET x.com/a"]);
    check(&["- - /%7Ea", "- - /~a"], &["0=1 GET /~a"]);
    check(&["- - /a p:1", "- - /a p:1", "- - /a p:1"], &["0=1 GET /a", "0=2 GET /a"]);
    check(&["- - /a h:x=1", "- - /a h:y=1"], &["0=1 GET /a"]);
    check(&["- - /a h:x=1", "- - /a q:x=1"], &["0=1 GET /a"]);
    check(&["- - /a h:x", "- - /a h:x=1"], &["0=1 GET /a"]);
    check(&["- - /a h:x=12", "- - /a h:x~^1"], &["0=1 GET /a"]);
    check(&["- - /a h:x~^2", "- - /a h:x~^1"], &["0=1 GET /a"]);
    check(&["- - /{a}x", "- - /x{a}"], &["0=1 GET /xxx"]);
    check(&["- - /a{x}b{y}c", "- - /a{x}d{y}c"], &["0=1 GET /axbxdxc"]);
    check(&["- - /v{x}/*", "- - /v{y}/*"], &["0=1 GET /vx/x"]);
}

#[test]
fn routes_that_exclude_each_other_or_are_decided_do_not_tie() {
    for lines in [
        ["- - /a", "- - /b"],
        ["- - /a", "- - /a/"],
        ["- - /{x}", "- - /a"],
        ["- - /{x}/b", "- - /a/{y}"],
        ["- - /{x}", "- - /*"],
        ["- - /{x}.json", "- - /{x}.yaml"],
        ["- - /a{x}", "- - /b{x}"],
        ["- - /{x}2F", "- - /{x}%2F"],
        ["- h.com /a", "- i.com /a"],
        ["- h.com /a", "- *.com /a"],
        ["- *.h.com /a", "- *.com /a"],
        ["- h.com /a", "- - /a"],
        ["GET - /a", "POST - /a"],
        ["GET - /a", "HEAD - /a"],
        ["GET - /a", "- - /a"],
        ["- - /a p:1", "- - /a/* p:1"],
        ["- - /a h:x=1", "- - /a h:x=2"],
        ["- - /a h:x=1", "- - /a"],
        ["- - /a h:x", "- - /a h:!x"],
        ["- - /a h:x=1", "- - /a h:x~^2"],
        ["- - /a q:x=1 h:z", "- - /a q:x=2 h:y"],
    ] {
        check(&lines, &[]);
    }
}

#[test]
fn a_route_that_always_loses_is_shadowed() {
    check(&["- - /a", "- - /a p:1"], &["0<1"]);
    check(&["- - /a/{x} p:-1", "- - /a/{y}"], &["0<1"]);
    check(&["- - /f/{x}.json", "- - /f/{y}.json p:1", "- - /f/{y}.yaml p:2"], &["0<1"]);
    check(&["GET - /a", "GET,POST - /a p:1"], &["0<1"]);
    check(&["GET,POST - /a", "GET - /a p:1", "POST - /a p:2"], &["0<1,2"]);
    check(&["- h.com,i.com /a", "- h.com /a p:1", "- i.com,j.com /a p:1"], &["0<1,2"]);
    check(&["- - /a h:x=1", "- - /a h:x h:x~^1"], &["0<1"]);
    check(&["- - /a h:x=1 h:y", "- - /a h:x~^1 h:y p:1"], &["0<1"]);
    check(&["- - /a", "- - /a h:x", "- - /a h:!x"], &["0<1,2"]);
    check(&["- - /a", "- - /a h:x q:y", "- - /a h:!x", "- - /a q:!y"], &["0<1,2,3", "2=3 GET /a"]);
    check(&["GET - /a", "- - /a h:x", "GET - /a h:!x"], &["0<1,2"]);
    check(&["HEAD - /a", "GET - /a h:x", "GET - /a h:!x"], &["0<1,2"]);
}

#[test]
fn a_route_that_can_win_is_not_shadowed() {
    for lines in [
        &["GET,POST - /a", "GET - /a p:1"][..],
        &["- - /a", "GET - /a p:1"],
        &["- - /a", "GET,HEAD,POST,PUT,DELETE,PATCH,OPTIONS - /a p:1"],
        &["GET,HEAD - /a", "GET - /a p:1"],
        &["- - /a", "- h.com /a"],
        &["- h.com,i.com /a", "- h.com /a p:1"],
        &["- *.com /a", "- h.com /a p:1"],
        &["- - /a/*", "- - /a/{x}", "- - /a", "- - /a/"],
        &["- - /a", "- - /a h:x", "- - /a h:!y"],
        &["- - /a", "- - /a h:x=1", "- - /a h:!x"],
        &["- - /a h:x", "- - /a h:x=1 p:1"],
        &["- - /a h:x=1", "- - /a h:x=2 p:1"],
        &["- - /{x}", "- - /{x}.json p:1"],
    ] {
        let shadowed =
            analyse(&routes(lines)).into_iter().any(|finding| matches!(finding, Finding::Shadowed { .. }));
        assert!(!shadowed, "{lines:#?}");
    }
}

#[test]
fn nothing_is_wrong_with_no_routes() {
    check(&[], &[]);
}

/// Ten thousand routes, alike in all but one respect, with one that ties among them.
#[test]
fn many_routes_are_analysed_quickly_and_a_tie_among_them_is_found() {
    const ROUTES: u32 = 10_000;
    for shape in [
        "GET - /service-N/orders/{id}",
        "- hN.example.com /*",
        "- - /a h:x-tenant=tN",
        "- - /a q:tenant=tN h:v=1",
        "- - /files/{x}.tNNN/y",
        "- - /files/{x}-N{y}/{z}.tNNN/y",
        "- - /a p:N",
    ] {
        let mut specs: Vec<RouteSpec> =
            (10_000..10_000 + ROUTES).map(|n| route(n, &shape.replace('N', &n.to_string()))).collect();
        let began = std::time::Instant::now();
        let shadowed = analyse(&specs).len();
        let took = began.elapsed();
        // By priority, one wins over all others; in the other shapes nothing is wrong.
        assert_eq!(shadowed, if shape.contains("p:") { ROUTES as usize - 1 } else { 0 }, "{shape}");
        // Not optimised and on a busy machine; pairwise it would take minutes.
        assert!(took < std::time::Duration::from_secs(5), "{shape}: {took:?}");
        specs.push(route(1, &shape.replace('N', "12345")));
        let ties: Vec<Finding> =
            analyse(&specs).into_iter().filter(|finding| matches!(finding, Finding::Tie { .. })).collect();
        assert!(
            matches!(&*ties, [Finding::Tie { a: RouteId(12_345), b: RouteId(1), .. }]),
            "{shape}: {ties:?}"
        );
    }
}

fn any_route() -> impl Strategy<Value = String> {
    let methods = select(&["-", "-", "GET", "GET", "HEAD", "POST", "GET,POST", "GET,HEAD"]);
    let hosts = select(&["-", "-", "-", "h.x", "*.x", "h.x,*.x"]);
    let path = select(&["/a", "/a", "/a", "/{p}", "/{p}/*", "/a/*", "/{p}b", "/b{p}"]);
    let header = select(&["", "", "h:v=1", "h:v=2", "h:v", "h:!v", "h:v~^[0-9]$"]);
    let query = select(&["", "", "", "q:d", "q:!d", "q:d=1"]);
    let priority = select(&["0", "0", "1"]);
    (methods, hosts, path, header, query, priority).prop_map(
        |(methods, hosts, path, header, query, priority)| {
            format!("{methods} {hosts} {path} {header} {query} p:{priority}")
        },
    )
}

/// Requests that tell apart whatever [`any_route`] can; `z`, `c`, `PUT` and `9` occur in no route.
fn all_requests() -> Vec<Request> {
    let mut requests = Vec::new();
    for path in ["/a", "/c", "/cb", "/bc", "/bb", "/bcb", "/a/c", "/c/c", "/cb/c", "/bc/c"] {
        for host in ["-", "h.x", "z.x"] {
            for method in ["GET", "HEAD", "POST", "PUT"] {
                for header in ["", "v=1", "v=2", "v=9", "v=c"] {
                    for query in ["", "?d=1", "?d=9"] {
                        requests.push(Request::parse(&format!("{method} {host} {path}{query} {header}")));
                    }
                }
            }
        }
    }
    requests
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Against the model, request by request: a route that is best together with an earlier one must be reported as
    /// tied, and one that is never best, and only such a one, as shadowed.
    #[test]
    fn what_is_found_is_what_requests_show(lines in proptest::collection::vec(any_route(), 2..6)) {
        let specs: Vec<RouteSpec> = lines.iter().zip(0..).map(|(line, id)| route(id, line)).collect();
        let models: Vec<Model> = specs.iter().map(Model::new).collect();
        let (mut serving, mut tied) = (BTreeSet::new(), BTreeSet::new());
        for request in all_requests() {
            let best = best(&models, &request).unwrap_or_default();
            serving.extend(best.iter().copied());
            tied.extend(best.iter().skip(1).copied());
        }
        let (mut found_tied, mut found_shadowed) = (BTreeSet::new(), BTreeSet::new());
        for finding in analyse(&specs) {
            match finding {
                Finding::Tie { a, b, .. } => {
                    let pair = [Model::new(&specs[a.0 as usize]), Model::new(&specs[b.0 as usize])];
                    let meet = all_requests().iter().any(|request| best(&pair, request).is_ok_and(|best| best.len() == 2));
                    prop_assert!(meet && a < b, "{:?} and {:?} do not tie: {:#?}", a, b, lines);
                    found_tied.insert(b.0);
                }
                Finding::Shadowed { route, by } => {
                    prop_assert!(!by.is_empty() && !by.contains(&route));
                    found_shadowed.insert(route.0);
                }
            }
        }
        prop_assert!(tied.is_subset(&found_tied), "{:?} tie, found {:?}: {:#?}", tied, found_tied, lines);
        let never: BTreeSet<u32> = (0..lines.len() as u32).filter(|id| !serving.contains(id)).collect();
        prop_assert_eq!(found_shadowed, never, "{:#?}", lines);
    }
}
