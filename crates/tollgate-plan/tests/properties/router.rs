//! The table of routes against a list of them: every route is asked, and the most specific wins.

use arbitrary::Unstructured;
use tollgate_plan::host::HostPattern;
use tollgate_plan::route::RouteId;
use tollgate_plan::table::{
    Facts, Found, HeaderCondition, Params, PathPattern, QueryCondition, RouteSpec, RouteTable, ValueMatch,
    Why,
};
use tollgate_wire::{Method, Name};

const HOSTS: &[&str] = &["h.x", "*.x", "*.h.x", "y", "*"];
const ASKED_HOSTS: &[&str] = &["", "h.x", "z.x", "z.h.x", "x", "y", "h.xx"];
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT"];
const SEGMENTS: &[&str] =
    &["a", "b", "{P}", "a{P}", "{P}a", "{P}.a", "a{P}b", "{P}a{P}", "", "ab", "A", "%C3%A9"];
const ENDS: &[&str] = &["", "", "", "/*", "/{P*}", "/"];
const ASKED_SEGMENTS: &[&str] = &["a", "b", "ab", "aab", "ba", "", "aa", "x.a", "A", "%C3%A9", "%2F", "aXb"];
const VALUES: &[&str] = &["=1", "=2", "~^[12]$", "+", "!"];

/// Routes and requests. Whether a request found a route.
pub(crate) fn router(bytes: &[u8]) -> bool {
    let mut input = Unstructured::new(bytes);
    let specs = routes(&mut input).unwrap_or_default();
    if specs.is_empty() {
        return false;
    }
    let table = RouteTable::build(specs.clone());
    let patterns: Vec<String> = specs.iter().map(|spec| spec.path.to_string()).collect();
    let mut any = false;
    for _ in 0..8 {
        let Ok(request) = request(&mut input) else { break };
        any |= compare(&specs, &patterns, &table, &request);
    }
    any
}

struct Request {
    method: Method,
    host: &'static str,
    path: String,
    query: Option<String>,
    headers: Vec<&'static str>,
}

impl Facts for Request {
    fn method(&self) -> &Method {
        &self.method
    }

    fn header<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(|_| name.as_str() == "v").map(|value| value.as_bytes())
    }

    fn query(&self) -> Option<&[u8]> {
        self.query.as_deref().map(str::as_bytes)
    }
}

fn compare(specs: &[RouteSpec], patterns: &[String], table: &RouteTable, request: &Request) -> bool {
    let mut params = Params::default();
    let found = table.find(request.host, &request.path, request, &mut params);
    let shown = || {
        format!(
            "{} {:?} {:?} {:?} {:?} of {specs:#?} {patterns:?}",
            request.method, request.host, request.path, request.query, request.headers
        )
    };
    let scores: Vec<Result<Score, bool>> = specs.iter().map(|spec| score(spec, request)).collect();
    let best = scores.iter().filter_map(|score| score.as_ref().ok()).max();
    match (&found, best) {
        (Found::Route(id), Some(best)) => {
            assert_eq!(scores[id.0 as usize].as_ref(), Ok(best), "{}", shown());
            // The parameters put into the pattern make the path again.
            let mut path = patterns[id.0 as usize].clone();
            for (name, value) in params.iter(table, &request.path) {
                let tail = format!("/{{{name}*}}");
                let place = if path.contains(&tail) { tail } else { format!("{{{name}}}") };
                let value = if place.ends_with("*}") && !value.is_empty() {
                    format!("/{value}")
                } else {
                    value.to_owned()
                };
                path = path.replacen(&place, &value, 1);
            }
            let same = match path.strip_suffix("/*") {
                Some(head) => request.path.starts_with(head),
                // `/x/{rest*}` takes `/x` and `/x/` alike.
                None => path.trim_end_matches('/') == request.path.trim_end_matches('/'),
            };
            assert!(same, "{path}: {}", shown());
        }
        (Found::MethodNotAllowed(allow), None) => {
            assert!(scores.contains(&Err(true)), "{}", shown());
            for method in allow.methods() {
                let other = Request {
                    method: method.clone(),
                    path: request.path.clone(),
                    query: request.query.clone(),
                    headers: request.headers.clone(),
                    ..*request
                };
                assert!(specs.iter().any(|spec| score(spec, &other).is_ok()), "{method}: {}", shown());
            }
        }
        (Found::NotFound, None) => assert!(!scores.contains(&Err(true)), "{}", shown()),
        _ => panic!("{found:?}: {}", shown()),
    }
    let told = table.consider(request.host, &request.path, request, |id| &patterns[id.0 as usize]);
    let taken = told.iter().find(|one| one.why == Why::Taken).map(|one| Found::Route(one.route));
    assert_eq!(taken.is_some(), best.is_some(), "{}", shown());
    assert!(taken.is_none_or(|taken| taken == found), "{}", shown());
    best.is_some()
}

/// Host, path, conditions, method, priority; the greatest wins. An error says whether the method alone was wrong.
type Score = (usize, Vec<(u8, usize)>, usize, u8, i64);

fn score(spec: &RouteSpec, request: &Request) -> Result<Score, bool> {
    let any = [HostPattern::Any];
    let hosts = if spec.hosts.is_empty() { &any[..] } else { &spec.hosts };
    let host = hosts.iter().filter_map(|host| match host {
        HostPattern::Exact(name) => (**name == *request.host).then_some(usize::MAX),
        HostPattern::Suffix(end) => {
            request.host.strip_suffix(&**end).filter(|label| !label.is_empty()).map(|_| end.len())
        }
        HostPattern::Any => Some(0),
    });
    let host = host.max().ok_or(false)?;
    let path = path(&spec.path.to_string(), &request.path).ok_or(false)?;
    let headers = spec.headers.iter().all(|one| holds(&one.value, &request.headers));
    let query: Vec<&str> = request
        .query
        .iter()
        .flat_map(|query| query.split('&'))
        .filter_map(|pair| pair.strip_prefix("d="))
        .collect();
    if !headers || !spec.query.iter().all(|one| holds(&one.value, &query)) {
        return Err(false);
    }
    let named = |name: &str| spec.methods.iter().any(|method| method.as_str() == name);
    let method = match request.method.as_str() {
        _ if spec.methods.is_empty() => 0,
        method if named(method) => 2,
        "HEAD" if named("GET") => 1,
        _ => return Err(true),
    };
    Ok((host, path, spec.headers.len() + spec.query.len(), method, spec.priority))
}

fn holds(wanted: &ValueMatch, values: &[&str]) -> bool {
    match wanted {
        ValueMatch::Absent => values.is_empty(),
        ValueMatch::Present => !values.is_empty(),
        ValueMatch::Exact(text) => !values.is_empty() && values.iter().all(|value| *value == &**text),
        ValueMatch::Regex(_) => !values.is_empty() && values.iter().all(|value| matches!(*value, "1" | "2")),
    }
}

/// How specific the match of a path is, segment by segment: 4 literal, 3 text with parameters and the bytes of the
/// text, 2 a parameter, 1 the end, 0 a tail.
fn path(pattern: &str, path: &str) -> Option<Vec<(u8, usize)>> {
    let mut score = Vec::new();
    let mut rest = Some(&path[1..]);
    for wanted in pattern[1..].split('/') {
        if wanted == "*" || wanted.ends_with("*}") {
            score.push((0, 0));
            return Some(score);
        }
        let segment = rest?;
        let (segment, behind) = match segment.split_once('/') {
            Some((segment, behind)) => (segment, Some(behind)),
            None => (segment, None),
        };
        let texts: Vec<&str> = wanted
            .split('{')
            .enumerate()
            .map(|(at, part)| if at == 0 { part } else { part.split_once('}').unwrap_or_default().1 })
            .collect();
        if !fits(&texts, segment) {
            return None;
        }
        score.push(match texts.as_slice() {
            [_] => (4, 0),
            ["", ""] => (2, 0),
            texts => (3, texts.concat().len()),
        });
        rest = behind;
    }
    score.push((1, 0));
    rest.is_none().then_some(score)
}

/// Whether the texts stand in the segment with at least one letter between them.
fn fits(texts: &[&str], segment: &str) -> bool {
    match texts {
        [] => false,
        [only] => *only == segment,
        [first, others @ ..] => segment.strip_prefix(first).is_some_and(|rest| {
            let letters = rest.char_indices().map(|(at, letter)| at + letter.len_utf8());
            letters.into_iter().any(|from| fits(others, &rest[from..]))
        }),
    }
}

fn routes(input: &mut Unstructured<'_>) -> arbitrary::Result<Vec<RouteSpec>> {
    let count = input.int_in_range(1..=8)?;
    let mut specs = Vec::new();
    for _ in 0..count {
        let Ok(path) = PathPattern::parse(&pattern(input)?) else { continue };
        let id = RouteId(specs.len() as u32);
        let some =
            |input: &mut Unstructured<'_>, all: &[&'static str]| -> arbitrary::Result<Vec<&'static str>> {
                let count = input.int_in_range(0..=2)?;
                (0..count).map(|_| input.choose(all).copied()).collect()
            };
        let hosts = some(input, HOSTS)?.into_iter().map(|host| host.parse().expect("a host")).collect();
        let methods = some(input, METHODS)?.into_iter().map(method).collect();
        let headers = some(input, VALUES)?.into_iter();
        let headers =
            headers.map(|text| HeaderCondition { name: Name::new("v").expect("a name"), value: value(text) });
        let query = some(input, VALUES)?
            .into_iter()
            .map(|text| QueryCondition { name: "d".into(), value: value(text) });
        let (headers, query) = (headers.collect(), query.collect());
        let priority = input.int_in_range(-1..=1)?;
        specs.push(RouteSpec { id, hosts, path, methods, headers, query, priority });
    }
    Ok(specs)
}

fn pattern(input: &mut Unstructured<'_>) -> arbitrary::Result<String> {
    let count = input.int_in_range(0..=3)?;
    let mut path = String::new();
    for _ in 0..count {
        path.push('/');
        path.push_str(input.choose(SEGMENTS)?);
    }
    path.push_str(input.choose(ENDS)?);
    for number in 0.. {
        let Some(at) = path.find('P') else { break };
        path.replace_range(at..=at, &format!("p{number}"));
    }
    Ok(if path.is_empty() { "/".to_owned() } else { path })
}

fn request(input: &mut Unstructured<'_>) -> arbitrary::Result<Request> {
    let count = input.int_in_range(0..=4)?;
    let mut path = String::new();
    for _ in 0..count {
        let segment = input.choose(ASKED_SEGMENTS)?;
        // As the normal form has them: an empty segment stands at the end alone.
        if !path.ends_with('/') {
            path.push('/');
        }
        path.push_str(segment);
    }
    if path.is_empty() {
        path.push('/');
    }
    let headers: &[&[&str]] = &[&[], &["1"], &["2"], &["1", "2"], &["9"], &["1", "9"], &[""]];
    let query: &[Option<&str>] = &[None, Some("d=1"), Some("d=2&d=1"), Some("d=9"), Some(""), Some("x=1")];
    Ok(Request {
        method: method(input.choose(METHODS)?),
        host: input.choose(ASKED_HOSTS)?,
        path,
        query: input.choose(query)?.map(str::to_owned),
        headers: input.choose(headers)?.to_vec(),
    })
}

fn method(name: &str) -> Method {
    Method::parse(name.as_bytes()).expect("a method")
}

fn value(text: &str) -> ValueMatch {
    match text {
        "+" => ValueMatch::Present,
        "!" => ValueMatch::Absent,
        text => ValueMatch::parse(text.trim_start_matches('=')).expect("a condition"),
    }
}
