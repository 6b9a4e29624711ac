//! A test while it is made: what was sent, what a service may have answered, what is expected; and how it reads.

use std::fmt::Write;

use serde_json::{Map, Value, json};
use tollgate_config::import::yaml;
use tollgate_plan::route::{Action, HeaderEdit, Route};
use tollgate_plan::upstream::UpstreamId;
use tollgate_plan::{Plan, Reason};

use super::credentials::{Carried, is_masked_header, masked_parameter};
use super::live::Answer;
use super::wishes::Wish;

/// Bytes of a body that a test may hold: people read it, and it stands there twice.
const BODY_BYTES_MAX: usize = 4096;

/// Letters of a path in the name of a test.
const NAME_LETTERS_MAX: usize = 80;

/// Headers of an answer that are the same each time, and that say something of the gateway.
const EXPECTED: [&str; 14] = [
    "content-type",
    "content-encoding",
    "location",
    "allow",
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "access-control-max-age",
    "ratelimit-policy",
    "strict-transport-security",
    "x-tollgate-completed",
    "x-tollgate-failed",
];

/// Those of which only that they are there is the same each time.
const PRESENT: [&str; 2] = ["www-authenticate", "retry-after"];

/// What a service said that has to do with how its answer is taken.
const OF_SERVICES: [&str; 5] = ["content-type", "location", "cache-control", "etag", "content-language"];

/// One test.
pub(crate) struct Entry {
    name: String,
    notes: Vec<String>,
    request: Map<String, Value>,
    upstreams: Map<String, Value>,
    expect: Map<String, Value>,
    /// The one upstream that the route leads to, where it is one.
    only: Option<UpstreamId>,
    /// Whether the services fail, and answer nothing.
    fails: bool,
    /// Whether a credential stands in the query: then no path holds it.
    in_query: bool,
}

/// What a test that asks for nothing but an answer says: to learn which route gets the request.
pub(super) fn bare(wish: &Wish, host: &str) -> Entry {
    let request = request(wish, host, &wish.target, &wish.headers);
    let expect = Map::from_iter([("status".to_owned(), json!("200-599"))]);
    Entry {
        name: "bare".to_owned(),
        notes: Vec::new(),
        request,
        upstreams: Map::new(),
        expect,
        only: None,
        fails: false,
        in_query: false,
    }
}

/// The test that says what was sent and what came of it.
pub(super) fn of(
    wish: &Wish,
    host: &str,
    answer: &Answer,
    route: Option<&Route>,
    carried: Carried,
    plan: &Plan,
) -> Entry {
    let mut request = request(wish, host, &carried.path, &carried.headers);
    request.extend(carried.token.clone().map(|token| ("token".to_owned(), token)));
    request.extend(carried.key.clone().map(|key| ("key".to_owned(), key.into())));
    let client = answer.record.as_ref().and_then(|record| record["client"].as_str());
    if let Some(client) = client.filter(|client| *client != "127.0.0.1") {
        request.insert("ip".to_owned(), client.into());
    }
    let mut entry = Entry {
        name: name(wish, answer),
        notes: carried.notes.clone(),
        request,
        upstreams: Map::new(),
        expect: Map::new(),
        only: None,
        fails: false,
        in_query: carried.in_query,
    };
    let seen = Seen { answer, carried: &carried, plan };
    entry.body_sent(wish, &seen);
    entry.services(route, &seen);
    entry.expected(wish, route, &seen);
    entry
}

/// An answer, and what of it may be written.
struct Seen<'a> {
    answer: &'a Answer,
    carried: &'a Carried,
    plan: &'a Plan,
}

impl Seen<'_> {
    /// The value of a header, or that there is one where the value is nothing for a test.
    fn header(&self, name: &str) -> Option<Value> {
        let value = self.answer.told.header(name)?;
        Some(if self.may_hold(name, value) && !value.starts_with('~') { value.into() } else { true.into() })
    }

    fn may_hold(&self, name: &str, value: &str) -> bool {
        !self.carried.gives_away(value) && !is_masked_header(self.plan, name, value)
    }

    /// The body as `json` or `body`; an error says why it is not written.
    fn body(&self) -> Result<Option<(&'static str, Value)>, String> {
        let bytes = &self.answer.told.body;
        if bytes.is_empty() {
            return Ok(None);
        }
        if bytes.len() > BODY_BYTES_MAX {
            return Err(format!("the answer's body of {} bytes is left out", bytes.len()));
        }
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Err("the answer's body is no text, and left out".to_owned());
        };
        if self.carried.gives_away(text) {
            return Err("the answer's body repeats a credential, and is left out".to_owned());
        }
        let is_json = self.answer.told.header("content-type").is_some_and(|kind| kind.contains("json"));
        match serde_json::from_str(text) {
            Ok(value) if is_json => Ok(Some(("json", value))),
            // An expression, where it stands under `expect`.
            _ if text.starts_with('~') => Err("the answer's body is left out".to_owned()),
            _ => Ok(Some(("body", text.into()))),
        }
    }
}

impl Entry {
    /// The body that was sent.
    fn body_sent(&mut self, wish: &Wish, seen: &Seen<'_>) {
        let Some(body) = wish.body.as_ref().filter(|body| !body.is_empty()) else { return };
        if seen.carried.gives_away(body) {
            self.notes
                .push("the request's body repeats a credential: see that it is none of value".to_owned());
        }
        self.request.insert("body".to_owned(), body.as_str().into());
    }

    /// What services answered, as far as a client can tell.
    fn services(&mut self, route: Option<&Route>, seen: &Seen<'_>) {
        let asked: Vec<UpstreamId> = match route.map(|route| &route.action) {
            Some(Action::To(id)) => vec![*id],
            Some(Action::Split(all)) => all.iter().map(|one| one.upstream).collect(),
            Some(Action::Aggregate(_)) => {
                let note = "its services answer {} here: what they said, a client does not see. Write it under `upstreams`";
                return self.notes.push(note.to_owned());
            }
            _ => return,
        };
        let stub = match seen.answer.reason() {
            None => self.answered(route, seen),
            Some(Reason::UpstreamTimeout) => json!({ "error": "timeout" }),
            Some(Reason::UpstreamConnect) => json!({ "error": "connect" }),
            Some(_) => return,
        };
        self.fails = seen.answer.reason().is_some();
        for UpstreamId(at) in &asked {
            if let Some(upstream) = seen.plan.upstreams.get(*at as usize) {
                self.upstreams.insert(upstream.name.to_string(), stub.clone());
            }
        }
        self.only = asked.first().copied().filter(|_| asked.len() == 1);
    }

    fn answered(&mut self, route: Option<&Route>, seen: &Seen<'_>) -> Value {
        let told = &seen.answer.told;
        let mut stub = json!({ "status": told.status });
        let mut headers = Map::new();
        for name in OF_SERVICES {
            if let Some(value) = told.header(name).filter(|value| seen.may_hold(name, value)) {
                headers.insert(name.to_owned(), value.into());
            }
        }
        match seen.body() {
            Ok(Some((key, value))) => {
                if key == "json" && headers.get("content-type").is_some_and(|kind| kind == "application/json")
                {
                    headers.shift_remove("content-type");
                }
                stub[key] = if key == "json" { framed(route, value) } else { value };
            }
            Ok(None) => {}
            Err(note) => self.notes.push(note),
        }
        if !headers.is_empty() {
            stub["headers"] = headers.into();
        }
        stub
    }

    fn expected(&mut self, wish: &Wish, route: Option<&Route>, seen: &Seen<'_>) {
        let reason = seen.answer.reason();
        let mut expect = |key: &str, value: Value| drop(self.expect.insert(key.to_owned(), value));
        expect("status", seen.answer.told.status.into());
        if let Some(reason) = reason {
            expect("reason", reason.code().into());
        }
        if let Some(route) = route {
            expect("route", Value::from(&*route.name));
        }
        if reason.is_none() && wish.method != "HEAD" {
            match seen.body() {
                Ok(Some((key, value))) => expect(key, value),
                Ok(None) => {}
                // Where a service gave it, this was told.
                Err(note) => {
                    if !self.notes.contains(&note) {
                        self.notes.push(note);
                    }
                }
            }
        }
        let mut headers = Map::new();
        let set =
            route.and_then(|route| route.response.as_deref()).into_iter().flat_map(|edits| &edits.headers);
        let set = set.filter_map(|edit| match edit {
            HeaderEdit::Set(name, _) | HeaderEdit::Add(name, _) => Some(name.as_str()),
            HeaderEdit::Remove(_) => None,
        });
        for name in EXPECTED.into_iter().chain(set) {
            headers.extend(seen.header(name).map(|value| (name.to_owned(), value)));
        }
        let there = PRESENT.into_iter().filter(|name| seen.answer.told.header(name).is_some());
        headers.extend(there.map(|name| (name.to_owned(), true.into())));
        if !headers.is_empty() {
            self.expect.insert("headers".to_owned(), headers.into());
        }
    }

    /// What the services of the test were asked: path and query of each request.
    pub(super) fn asked(&mut self, paths: &[String], plan: &Plan) {
        // Nobody who refuses connections is seen to be asked.
        if paths.is_empty() && !self.fails {
            self.upstreams.clear();
            return;
        }
        let upstream = self.only.and_then(|UpstreamId(at)| plan.upstreams.get(at as usize));
        let Some(upstream) = upstream else { return };
        let mut expect = Map::new();
        for (key, value) in std::mem::take(&mut self.expect) {
            let behind = key == "route";
            expect.insert(key, value);
            if behind {
                expect.insert("upstream".to_owned(), Value::from(&*upstream.name));
                expect.extend(
                    self.path_of(paths, upstream, plan).map(|path| ("upstream_path".to_owned(), path)),
                );
            }
        }
        self.expect = expect;
    }

    /// The one path that was asked for, where it is the same whichever target is chosen.
    fn path_of(
        &self,
        paths: &[String],
        upstream: &tollgate_plan::upstream::Upstream,
        plan: &Plan,
    ) -> Option<Value> {
        let [path] = paths else { return None };
        let mut prefixes = upstream.targets.iter().map(|target| &target.prefix);
        let first = prefixes.next();
        let query = path.split_once('?').map_or("", |(_, query)| query);
        let fits = prefixes.all(|prefix| Some(prefix) == first)
            && !self.in_query
            && masked_parameter(plan, query).is_none();
        fits.then(|| path.as_str().into())
    }

    /// Takes back what does not hold offline; false where the test says nothing without it. `what` is as a fault names it.
    pub(super) fn take_back(&mut self, what: &str) -> bool {
        let (key, rest) = what.split_once(' ').unwrap_or((what, ""));
        match key {
            "headers" => {
                let Some(Value::Object(headers)) = self.expect.get_mut("headers") else { return false };
                let known = headers.shift_remove(rest).is_some();
                if headers.is_empty() {
                    self.expect.shift_remove("headers");
                }
                if known {
                    self.notes.push(format!("header `{rest}` is another one offline, and left out"));
                }
                known
            }
            "json" | "body" => {
                let note = "the body is another one offline, and left out: what the service said, a client does not see";
                self.notes.push(note.to_owned());
                self.expect.shift_remove(key).is_some()
            }
            "upstream" | "upstream_path" => self.expect.shift_remove(key).is_some(),
            _ => false,
        }
    }

    pub(super) fn route(&self) -> Option<&str> {
        self.expect.get("route").and_then(Value::as_str)
    }

    /// As an item of `tests`.
    pub(super) fn write(&self, out: &mut String) {
        for note in &self.notes {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "  # {}", one_line(note));
        }
        let mut item = Map::from_iter([("name".to_owned(), self.name.as_str().into())]);
        item.insert("request".to_owned(), self.request.clone().into());
        if !self.upstreams.is_empty() {
            item.insert("upstreams".to_owned(), self.upstreams.clone().into());
        }
        item.insert("expect".to_owned(), self.expect.clone().into());
        let text = yaml(&item, 4);
        // The first key stands behind the dash.
        out.push_str("  - ");
        out.push_str(text.trim_start());
    }
}

fn request(wish: &Wish, host: &str, path: &str, headers: &[(String, String)]) -> Map<String, Value> {
    let mut request = Map::new();
    let usual = if wish.body.as_deref().is_some_and(|body| !body.is_empty()) { "POST" } else { "GET" };
    if wish.method != usual {
        request.insert("method".to_owned(), wish.method.as_str().into());
    }
    request.insert("path".to_owned(), path.into());
    if host != "localhost" {
        request.insert("host".to_owned(), host.into());
    }
    let mut lines: Map<String, Value> = Map::new();
    for (name, value) in headers {
        match lines.get_mut(name) {
            None => drop(lines.insert(name.to_ascii_lowercase(), value.as_str().into())),
            Some(Value::Array(values)) => values.push(value.as_str().into()),
            Some(one) => *one = json!([one.clone(), value]),
        }
    }
    if !lines.is_empty() {
        request.insert("headers".to_owned(), lines.into());
    }
    request
}

fn name(wish: &Wish, answer: &Answer) -> String {
    let mut shown: String = wish.shown().chars().take(NAME_LETTERS_MAX).collect();
    if shown.len() < wish.shown().len() {
        shown.push('…');
    }
    let reason = answer.reason().map(|reason| format!(" {}", reason.code())).unwrap_or_default();
    format!("{shown} is {}{reason}", answer.told.status)
}

/// What a service may have answered, of which the route made this: put where the route takes it from.
fn framed(route: Option<&Route>, value: Value) -> Value {
    let rules = route.and_then(|route| route.response.as_deref()?.body.as_deref());
    let Some(rules) = rules.filter(|rules| rules.jq.is_none()) else { return value };
    let (from, wrap) = rules.shape.frame();
    let inner = match wrap {
        Some(name) => value.get(name).cloned().unwrap_or(value),
        None => value,
    };
    from.iter().rev().fold(inner, |value, name| json!({ &**name: value }))
}

pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}
