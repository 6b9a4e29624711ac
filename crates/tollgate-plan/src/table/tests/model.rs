//! The table against a model that scores every route of a set by itself.

use proptest::prelude::*;
use proptest::sample::select;

use crate::host::HostPattern;
use crate::table::fixture::{Request, route};
use crate::table::{Considered, Found, Params, RouteSpec, RouteTable, ValueMatch, Why};

/// How specific a match is; the greatest wins. Written down anew from the rules, without the table's code.
type Score = (usize, Vec<(u8, usize)>, usize, u8, i64);

/// One route as the model sees it.
pub(crate) struct Model {
    spec: RouteSpec,
    path: regex::Regex,
    /// Segment by segment: 4 literal, 3 mixed with its literal bytes, 2 parameter, 1 the end, 0 tail.
    path_score: Vec<(u8, usize)>,
}

impl Model {
    pub(crate) fn new(spec: &RouteSpec) -> Model {
        let pattern = spec.path.to_string();
        let (mut path, mut path_score) = ("^".to_owned(), Vec::new());
        for segment in pattern[1..].split('/') {
            let texts: Vec<&str> =
                segment.split('{').map(|part| part.split_once('}').map_or(part, |p| p.1)).collect();
            if segment == "*" || segment.ends_with("*}") {
                path.push_str("(/.*)?");
                path_score.push((0, 0));
                continue;
            }
            let literals: Vec<String> = texts.iter().map(|text| regex::escape(text)).collect();
            path.push('/');
            path.push_str(&literals.join("[^/]+"));
            path_score.push(match texts.as_slice() {
                [_] => (4, 0),
                ["", ""] => (2, 0),
                texts => (3, texts.concat().len()),
            });
        }
        if path_score.last() != Some(&(0, 0)) {
            path_score.push((1, 0));
        }
        Model { spec: spec.clone(), path: regex::Regex::new(&format!("{path}$")).unwrap(), path_score }
    }

    /// The score for a request, or whether it fails by the method alone.
    fn score(&self, request: &Request) -> Result<Score, bool> {
        let spec = &self.spec;
        let any = [HostPattern::Any];
        let hosts = if spec.hosts.is_empty() { &any[..] } else { &spec.hosts };
        let host = hosts.iter().filter(|host| host.matches(&request.host)).map(|host| match host {
            HostPattern::Exact(_) => usize::MAX,
            HostPattern::Suffix(suffix) => suffix.len(),
            HostPattern::Any => 0,
        });
        let host = host.max().ok_or(false)?;
        if !self.path.is_match(&request.path) || !self.conditions_hold(request) {
            return Err(false);
        }
        let named = |name: &str| spec.methods.iter().any(|method| method.as_str() == name);
        let method = match request.method.as_str() {
            _ if spec.methods.is_empty() => 0,
            method if named(method) => 2,
            "HEAD" if named("GET") => 1,
            _ => return Err(true),
        };
        Ok((host, self.path_score.clone(), spec.headers.len() + spec.query.len(), method, spec.priority))
    }

    fn conditions_hold(&self, request: &Request) -> bool {
        let query = request.query.as_deref().unwrap_or_default();
        let pairs = query.split('&').filter(|p| !p.is_empty()).map(|p| p.split_once('=').unwrap_or((p, "")));
        let pairs: Vec<(&str, &str)> = pairs.collect();
        let headers = self.spec.headers.iter().map(|c| {
            let values = request.headers.iter().filter(|(name, _)| *name == c.name);
            (&c.value, values.map(|(_, value)| value.as_str()).collect::<Vec<_>>())
        });
        let in_query = self.spec.query.iter().map(|c| {
            let values = pairs.iter().filter(|(name, _)| **name == *c.name);
            (&c.value, values.map(|(_, value)| *value).collect::<Vec<_>>())
        });
        headers.chain(in_query).all(|(wanted, values)| match wanted {
            ValueMatch::Absent => values.is_empty(),
            ValueMatch::Present => !values.is_empty(),
            ValueMatch::Exact(text) => !values.is_empty() && values.iter().all(|value| *value == &**text),
            ValueMatch::Regex(regex) => {
                !values.is_empty() && values.iter().all(|value| regex.is_match(value.as_bytes()))
            }
        })
    }
}

/// What the model finds: the routes with the best score, or whether only a method was wrong.
pub(crate) fn best(models: &[Model], request: &Request) -> Result<Vec<u32>, bool> {
    let scores: Vec<(Result<Score, bool>, u32)> =
        models.iter().map(|model| (model.score(request), model.spec.id.0)).collect();
    let best = scores.iter().filter_map(|(score, _)| score.as_ref().ok()).max();
    match best {
        None => Err(scores.iter().any(|(score, _)| *score == Err(true))),
        Some(best) => {
            Ok(scores.iter().filter(|(score, _)| score.as_ref() == Ok(best)).map(|(_, id)| *id).collect())
        }
    }
}

pub(crate) fn any_route() -> impl Strategy<Value = String> {
    // Written twice or more where it should be met more often.
    let methods = select(&["-", "-", "-", "-", "GET", "GET", "HEAD", "POST", "GET,POST", "GET,HEAD"]);
    let hosts = select(&["-", "-", "-", "-", "-", "-", "h.x", "*.x", "*.h.x", "h.x,*.x", "y,*"]);
    let segment =
        select(&["a", "a", "a", "a", "b", "b", "{P}", "{P}", "{P}", "a{P}", "{P}a", "{P}b", "{P}a{P}"]);
    let end = select(&["", "", "", "", "", "/*", "/*", "/{P*}", "/"]);
    let condition = select(&["h:v=1", "h:v=2", "h:v", "h:!v", "h:v~^[12]$"]);
    let in_query = select(&["q:d=1", "q:d", "q:!d"]);
    let priority = select(&["0", "0", "0", "0", "0", "0", "1"]);
    let path = (proptest::collection::vec(segment, 0..3), end).prop_map(|(segments, end)| {
        let mut path: String = segments.iter().map(|segment| format!("/{segment}")).collect::<String>() + end;
        let mut number = 0;
        while let Some(at) = path.find('P') {
            path.replace_range(at..=at, &format!("p{number}"));
            number += 1;
        }
        if path.is_empty() { "/".to_owned() } else { path }
    });
    (
        methods,
        hosts,
        path,
        proptest::option::weighted(0.3, condition),
        proptest::option::weighted(0.15, in_query),
        priority,
    )
        .prop_map(|(methods, hosts, path, header, query, priority)| {
            let conditions = [header, query].map(Option::unwrap_or_default).join(" ");
            format!("{methods} {hosts} {path} {conditions} p:{priority}")
        })
}

/// Requests that cover every way in which routes of [`any_route`] can be told apart; `c`, `PUT`, `z` and `9` occur
/// in no route.
pub(crate) fn all_requests() -> Vec<Request> {
    let segments = ["a", "b", "c", "aa", "ab", "ac", "ca", "cb", "cac", "caa", "aac", "aab", "cab", "aaa"];
    let mut paths = vec!["/".to_owned(), "/a/b/c".to_owned(), "/a/a/".to_owned(), "/c/c/c/".to_owned()];
    for first in segments {
        paths.extend([format!("/{first}"), format!("/{first}/")]);
        paths.extend(["a", "b", "c", "aa", "ab", "ca", "cac"].map(|second| format!("/{first}/{second}")));
    }
    let mut requests = Vec::new();
    for path in &paths {
        for host in ["-", "h.x", "z.x", "z.h.x", "y"] {
            for method in ["GET", "HEAD", "POST", "PUT"] {
                for header in ["", "v=1", "v=2", "v=9"] {
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
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_table_finds_what_the_model_finds(
        lines in proptest::collection::vec(any_route(), 1..12),
        requests in proptest::sample::subsequence(all_requests(), 100)
    ) {
        let specs: Vec<RouteSpec> = lines.iter().zip(0..).map(|(line, id)| route(id, line)).collect();
        let models: Vec<Model> = specs.iter().map(Model::new).collect();
        let table = RouteTable::build(specs);
        let mut params = Params::default();
        for request in requests {
            let found = table.find(&request.host, &request.path, &request, &mut params);
            let best_ones = best(&models, &request);
            let agrees = match (&found, &best_ones) {
                (Found::Route(id), Ok(best)) => best.contains(&id.0),
                (Found::MethodNotAllowed(_), Err(true)) | (Found::NotFound, Err(false)) => true,
                _ => false,
            };
            prop_assert!(agrees, "{:?}: {:?}, not {:?} of {:#?}", request, found, best_ones, lines);
            if let Found::MethodNotAllowed(allow) = found {
                for method in allow.methods() {
                    let other = Request { method: method.clone(), ..request.clone() };
                    prop_assert!(best(&models, &other).is_ok(), "Allow names {method}");
                }
            }
        }
    }

    /// Who asks why is told of the route that serves, and of a method that is wrong where nothing else is.
    #[test]
    fn what_is_said_of_every_route_is_what_the_table_finds(
        lines in proptest::collection::vec(any_route(), 1..12),
        requests in proptest::sample::subsequence(all_requests(), 100)
    ) {
        let specs: Vec<RouteSpec> = lines.iter().zip(0..).map(|(line, id)| route(id, line)).collect();
        let patterns: Vec<String> = specs.iter().map(|spec| spec.path.to_string()).collect();
        let table = RouteTable::build(specs);
        let mut params = Params::default();
        for request in requests {
            let found = table.find(&request.host, &request.path, &request, &mut params);
            let all = table.consider(&request.host, &request.path, &request, |id| &patterns[id.0 as usize]);
            prop_assert_eq!(all.len(), lines.len());
            let taken: Vec<_> =
                all.iter().filter(|Considered { why, .. }| *why == Why::Taken).map(|one| one.route).collect();
            let methods = all.iter().any(|one| one.why == Why::Method);
            let agrees = match &found {
                Found::Route(id) => taken == [*id],
                Found::MethodNotAllowed(_) => taken.is_empty() && methods,
                Found::NotFound => taken.is_empty() && !methods,
            };
            prop_assert!(agrees, "{:?}: {:?}, not {:?} of {:#?}", request, found, all, lines);
        }
    }
}
