//! Tables of routes and requests: each test is a sentence of the matching rules.

use super::fixture::{Request, routes};
use super::*;

pub(super) mod model;
mod patterns;
mod reasons;
mod scale;

/// `expect` is the number of the route and its parameters, `405` with the methods, or `404`.
#[track_caller]
fn check(lines: &[&str], requests: &[(&str, &str)]) {
    let table = RouteTable::build(routes(lines));
    let mut params = Params::default();
    for (line, expect) in requests {
        let request = Request::parse(line);
        let got = match table.find(&request.host, &request.path, &request, &mut params) {
            Found::Route(id) => {
                let values: String = params
                    .iter(&table, &request.path)
                    .map(|(name, value)| format!(" {name}={value}"))
                    .collect();
                format!("{}{values}", id.0)
            }
            Found::MethodNotAllowed(allow) => format!("405 {allow}"),
            Found::NotFound => "404".to_owned(),
        };
        assert_eq!(got, *expect, "{line}");
    }
}

#[test]
fn a_literal_path_matches_exactly() {
    check(
        &["- - /a/b", "- - /c/", "- - /"],
        &[
            ("GET - /a/b", "0"),
            ("GET - /a/b/", "404"),
            ("GET - /a/bc", "404"),
            ("GET - /a", "404"),
            ("GET - /A/b", "404"),
            ("GET - /c/", "1"),
            ("GET - /c", "404"),
            ("GET - /", "2"),
            ("GET - /x", "404"),
        ],
    );
}

#[test]
fn a_parameter_matches_one_segment_that_is_not_empty() {
    check(
        &["- - /orders/{id}", "- - /orders/{id}/items/{item}"],
        &[
            ("GET - /orders/7", "0 id=7"),
            ("GET - /orders/a%2Fb", "0 id=a%2Fb"),
            ("GET - /orders/", "404"),
            ("GET - /orders", "404"),
            ("GET - /orders/7/", "404"),
            ("GET - /orders/7/items", "404"),
            ("GET - /orders/7/items/8", "1 id=7 item=8"),
        ],
    );
}

#[test]
fn a_tail_matches_its_root_and_everything_below() {
    check(
        &["- - /x/*", "- - /y/{rest*}", "- h /*"],
        &[
            ("GET - /x", "0"),
            ("GET - /x/", "0"),
            ("GET - /x/a/b/", "0"),
            ("GET - /xy", "404"),
            ("GET - /y", "1 rest="),
            ("GET - /y/", "1 rest="),
            ("GET - /y/a", "1 rest=a"),
            ("GET - /y/a/b%2Fc/", "1 rest=a/b%2Fc/"),
            ("GET h /", "2"),
            ("GET h /any/thing", "2"),
            ("GET h /x/y", "2"),
        ],
    );
}

#[test]
fn a_parameter_may_share_its_segment_with_text() {
    check(
        &["- - /files/{name}.json", "- - /v{major}.{minor}/x", "- - /{a}-to-{b}-via-{c}"],
        &[
            ("GET - /files/a.json", "0 name=a"),
            ("GET - /files/a.b.json", "0 name=a.b"),
            ("GET - /files/.json.json", "0 name=.json"),
            ("GET - /files/.json", "404"),
            ("GET - /files/a.jso", "404"),
            ("GET - /v1.2/x", "1 major=1 minor=2"),
            ("GET - /v1.2.3/x", "1 major=1 minor=2.3"),
            ("GET - /v..1/x", "1 major=. minor=1"),
            ("GET - /v.1/x", "404"),
            ("GET - /v1./x", "404"),
            ("GET - /a-to-b-via-c", "2 a=a b=b c=c"),
            ("GET - /a-to-to-to-b-via-c-via-d", "2 a=a b=to-to-b c=c-via-d"),
            ("GET - /a-to-via-c", "404"),
        ],
    );
}

#[test]
fn text_in_a_segment_never_matches_inside_a_percent_encoding() {
    check(
        &["- - /a/{x}2{y}", "- - /b/{x}F", "- - /c/{x}22{y}"],
        &[
            ("GET - /a/1%2F3", "404"),
            ("GET - /a/1%2F23", "0 x=1%2F y=3"),
            ("GET - /b/1%2F", "404"),
            ("GET - /b/1%2FF", "1 x=1%2F"),
            ("GET - /c/%22223", "2 x=%22 y=3"),
            ("GET - /c/a%22b", "404"),
        ],
    );
}

#[test]
fn literal_text_is_compared_in_normal_form() {
    check(
        &["- - /caf\u{e9}/%7euser", "- - /a%2fb", "- - //m///n"],
        &[("GET - /caf%C3%A9/~user", "0"), ("GET - /a%2Fb", "1"), ("GET - /m/n", "2")],
    );
}

#[test]
fn an_exact_host_wins_over_a_wildcard_over_any() {
    check(
        &[
            "- - /*",
            "- *.example.com /*",
            "- *.eu.example.com /*",
            "- a.eu.example.com /*",
            "- example.com,x.org /*",
        ],
        &[
            ("GET - /a", "0"),
            ("GET other.com /a", "0"),
            ("GET b.example.com /a", "1"),
            ("GET a.b.example.com /a", "1"),
            ("GET b.eu.example.com /a", "2"),
            ("GET eu.example.com /a", "1"),
            ("GET a.eu.example.com /a", "3"),
            ("GET x.a.eu.example.com /a", "2"),
            ("GET example.com /a", "4"),
            ("GET x.org /a", "4"),
            ("GET badexample.com /a", "0"),
        ],
    );
}

#[test]
fn the_host_decides_before_the_path() {
    check(
        &["- - /a/b", "- *.com /{x}/b", "- h.com /*"],
        &[
            ("GET h.com /a/b", "2"),
            ("GET i.com /a/b", "1 x=a"),
            ("GET i.org /a/b", "0"),
            ("GET i.com /a", "404"),
        ],
    );
    // A host that has no route for the path is no candidate: less specific ones are asked.
    check(
        &["- - /a", "- h.com /b"],
        &[("GET h.com /a", "0"), ("GET h.com /b", "1"), ("GET i.com /b", "404")],
    );
}

#[test]
fn specificity_goes_segment_by_segment() {
    check(
        &["- - /{a}/b/c", "- - /a/{b}/{c}", "- - /a/*", "- - /{a}/{b}/c", "- - /a/b.{b}/*", "- - /*"],
        &[
            ("GET - /a/b/c", "1 b=b c=c"),
            ("GET - /x/b/c", "0 a=x"),
            ("GET - /x/y/c", "3 a=x b=y"),
            ("GET - /a/b.c/d", "4 b=c"),
            ("GET - /a/b/c/d", "2"),
            ("GET - /a", "2"),
            ("GET - /x/y/z", "5"),
        ],
    );
}

#[test]
fn in_a_segment_more_literal_bytes_win() {
    check(
        &[
            "- - /{x}",
            "- - /{x}.json",
            "- - /report-{x}.json",
            "- - /{x}.js{y}",
            "- - /report-1.json",
            "- - /r{x}",
        ],
        &[
            ("GET - /a", "0 x=a"),
            ("GET - /a.json", "1 x=a"),
            ("GET - /report-2.json", "2 x=2"),
            ("GET - /report-1.json", "4"),
            ("GET - /a.jsx", "3 x=a y=x"),
            ("GET - /ra", "5 x=a"),
        ],
    );
}

#[test]
fn an_end_wins_over_a_tail_and_a_slash_over_a_tail() {
    check(
        &["- - /a/*", "- - /a", "- - /a/", "- - /{x}"],
        &[("GET - /a", "1"), ("GET - /a/", "2"), ("GET - /a/b", "0"), ("GET - /b", "3 x=b")],
    );
}

#[test]
fn more_conditions_win_then_methods_then_priority() {
    check(
        &[
            "- - /a",
            "GET - /a",
            "- - /a h:x=1",
            "- - /a h:x=1 q:d=1",
            "GET - /a p:5",
            "- - /a p:9",
            "GET - /a h:x=1 p:-1",
        ],
        &[
            ("GET - /a", "4"),
            ("POST - /a", "5"),
            ("GET - /a x=1", "6"),
            ("POST - /a x=1", "2"),
            ("POST - /a?d=1 x=1", "3"),
            ("GET - /a?d=1 x=1", "3"),
            ("POST - /a?d=1", "5"),
        ],
    );
}

#[test]
fn conditions_are_exact_or_regex_or_about_presence() {
    check(
        &[
            "- - /e h:x-version=2",
            "- - /r h:x-version~^v[0-9]+$",
            "- - /p h:x-version",
            "- - /n h:!x-version",
            "- - /q q:d%20=1 q:!no",
            "- - /q q:z~^a/b$",
        ],
        &[
            ("GET - /e X-Version=2", "0"),
            ("GET - /e x-version=22", "404"),
            ("GET - /e", "404"),
            ("GET - /r x-version=v12", "1"),
            ("GET - /r x-version=12", "404"),
            ("GET - /p x-version=", "2"),
            ("GET - /p", "404"),
            ("GET - /n", "3"),
            ("GET - /n x-version=", "404"),
            ("GET - /q?d%2520=%31", "4"),
            ("GET - /q?d%2520=1&no", "404"),
            ("GET - /q?z=a%2fb", "5"),
            ("GET - /q?z=ab", "404"),
        ],
    );
}

#[test]
fn a_condition_holds_for_every_copy_of_a_value() {
    check(
        &["- - /e h:x=1", "- - /r q:y~^a", "- - /p h:x"],
        &[
            ("GET - /e x=1 x=1", "0"),
            ("GET - /e x=1 x=2", "404"),
            ("GET - /e x=2 x=1", "404"),
            ("GET - /r?y=ab&y=ac", "1"),
            ("GET - /r?y=ab&y=b", "404"),
            ("GET - /p x=1 x=2", "2"),
        ],
    );
}

#[test]
fn a_route_that_does_not_match_is_no_candidate() {
    check(
        &["POST - /a/b", "- - /a/{x} h:v=1", "- - /{y}/b q:d", "GET - /a/*", "PUT h /*"],
        &[
            ("POST - /a/b", "0"),
            ("GET - /a/b v=1", "1 x=b"),
            ("GET - /a/b?d", "3"),
            ("PUT - /a/b?d", "2 y=a"),
            ("PUT h /a/b?d", "4"),
            ("GET h /a/b", "3"),
        ],
    );
}

#[test]
fn another_method_is_405_only_when_no_candidate_is_left() {
    check(
        &["GET - /a", "POST,PUT - /a", "DELETE - /{x}", "GET h /b", "PATCH - /c h:v=1", "PROPFIND - /c"],
        &[
            ("PATCH - /a", "405 GET, HEAD, POST, PUT, DELETE"),
            ("DELETE - /a", "2 x=a"),
            ("GET - /b", "405 DELETE"),
            ("POST h /b", "405 GET, HEAD, DELETE"),
            ("GET h /b", "3"),
            ("GET - /x/y", "404"),
            ("OPTIONS - /a", "405 GET, HEAD, POST, PUT, DELETE"),
            // What the conditions rule out is not offered.
            ("GET - /c", "405 PROPFIND, DELETE"),
            ("GET - /c v=1", "405 PATCH, PROPFIND, DELETE"),
            ("PROPFIND - /c", "5"),
            ("propfind - /c", "405 PROPFIND, DELETE"),
        ],
    );
    check(&["PATCH - /c h:v=1"], &[("GET - /c", "404"), ("GET - /c v=1", "405 PATCH")]);
}

#[test]
fn head_is_served_by_get_unless_a_route_names_it() {
    check(
        &[
            "GET - /a",
            "- - /b",
            "GET - /b p:1",
            "GET - /c p:9",
            "HEAD - /c",
            "- - /d",
            "POST - /d",
            "HEAD,GET - /e",
        ],
        &[
            ("HEAD - /a", "0"),
            ("HEAD - /b", "2"),
            ("HEAD - /c", "4"),
            ("GET - /c", "3"),
            ("HEAD - /d", "5"),
            ("HEAD - /e", "7"),
            ("POST - /e", "405 HEAD, GET"),
        ],
    );
    // Conditions decide before that, and so does a more specific path.
    check(
        &["GET - /a h:v=1", "HEAD - /a", "HEAD - /*", "GET - /b"],
        &[("HEAD - /a v=1", "0"), ("HEAD - /a", "1"), ("HEAD - /b", "3"), ("HEAD - /c", "2")],
    );
}

#[test]
fn parameters_of_a_way_that_failed_are_forgotten() {
    check(
        &["POST - /{a}/{b}/c", "GET - /{x}/*", "GET - /v{n}/{m}/d"],
        &[("GET - /1/2/c", "1 x=1"), ("GET - /v1/2/c", "1 x=v1"), ("GET - /v1/2/d", "2 n=1 m=2")],
    );
}

#[test]
fn parameters_are_found_by_name_and_decoded_for_templates() {
    use crate::template::Var;
    let table = RouteTable::build(routes(&["- - /a/{id}/{rest*}", "- - /b"]));
    let mut params = Params::default();
    let path = "/a/x%2Fy%20z/p%2Fq/r";
    let request = Request::parse(&format!("GET - {path}"));
    assert_eq!(table.find("", path, &request, &mut params), Found::Route(RouteId(0)));
    assert_eq!(params.get(&table, path, "id"), Some("x%2Fy%20z"));
    assert_eq!(params.get(&table, path, "rest"), Some("p%2Fq/r"));
    assert_eq!(params.get(&table, path, "none"), None);
    let append = |var: Var| {
        let mut out = Vec::new();
        params.append(&table, path, &var, &mut out).then(|| String::from_utf8(out).unwrap())
    };
    assert_eq!(append(Var::Param("id".into())).as_deref(), Some("x/y z"));
    assert_eq!(append(Var::Tail("rest".into())).as_deref(), Some("p%2Fq/r"));
    assert_eq!(append(Var::Param("none".into())), None);
    assert_eq!(append(Var::Host), None);
    let request = Request::parse("GET - /nowhere");
    table.find("", "/nowhere", &request, &mut params);
    assert_eq!(params.iter(&table, "/nowhere").count(), 0);
}

#[test]
fn an_empty_table_finds_nothing() {
    check(&[], &[("GET h /", "404")]);
}

#[test]
fn routes_that_tie_are_asked_in_their_order() {
    check(&["- - /{a}", "- - /{b}"], &[("GET - /x", "0 a=x")]);
}

#[test]
fn equally_specific_text_in_a_segment_leaves_the_decision_to_what_follows() {
    let lines = ["- - /{x}a/{y}", "- - /a{x}/*", "POST - /{x}aa/z", "GET - /aa{x}/{z}", "- - /aa{x}/z"];
    check(
        &lines,
        &[
            ("GET - /aba/c", "0 x=ab y=c"),
            ("GET - /aba/c/d", "1 x=ba"),
            ("POST - /aabaa/z", "2 x=aab"),
            ("PUT - /aabaa/z", "4 x=baa"),
            ("GET - /aabaa/y", "3 x=baa z=y"),
        ],
    );
}
