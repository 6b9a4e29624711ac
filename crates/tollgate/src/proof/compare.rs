//! What was expected, and what came: each difference in words. Credentials may be in them until they go through the veil.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use tollgate_plan::Plan;
use tollgate_plan::proof::{Expect, Proof};
use tollgate_plan::secret::CREDENTIAL_HEADERS;
use tollgate_plan::table::ValueMatch;
use tollgate_plan::upstream::UpstreamId;

use super::lane::Answer;
use super::stub::Seen;

/// Something that is not as it was expected.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The key of `expect`, and the place in it: `status`, `json /id`, `headers x-a`.
    pub(crate) what: String,
    pub(crate) expected: String,
    pub(crate) found: String,
}

impl Fault {
    /// The key of `expect` alone: nothing that came is in it.
    pub(crate) fn key(&self) -> &str {
        self.what.split(' ').next().unwrap_or_default()
    }

    pub(super) fn new(what: &str, expected: &str, found: &str) -> Fault {
        Fault { what: what.to_owned(), expected: expected.to_owned(), found: found.to_owned() }
    }
}

/// What came of a test.
pub(super) struct Found<'a> {
    pub(super) plan: &'a Plan,
    pub(super) answer: &'a Answer,
    /// The access record.
    pub(super) record: Option<&'a Value>,
    /// What services got.
    pub(super) seen: &'a [Seen],
}

impl Found<'_> {
    /// Everything that is not as it was expected.
    pub(super) fn compare(&self, expect: &Expect) -> Vec<Fault> {
        let mut faults = Vec::new();
        if let Some(statuses) = expect.status.as_ref().filter(|set| !set.contains(self.answer.status)) {
            let range = |(from, to): &(u16, u16)| match from == to {
                true => from.to_string(),
                false => format!("{from}-{to}"),
            };
            let wanted: Vec<String> = statuses.0.iter().map(range).collect();
            faults.push(Fault::new("status", &wanted.join(", "), &self.answer.status.to_string()));
        }
        if let Some(reason) = expect.reason.filter(|reason| self.recorded("reason") != Some(reason.code())) {
            let found = self.recorded("reason").unwrap_or("none: the gateway did not refuse");
            faults.push(Fault::new("reason", reason.code(), found));
        }
        if let Some(route) = expect.route.as_deref().filter(|route| self.recorded("route") != Some(route)) {
            faults.push(Fault::new("route", route, self.recorded("route").unwrap_or("none")));
        }
        self.body(expect, &mut faults);
        headers("headers", &expect.headers, &self.answer.headers, &mut faults);
        self.upstream(expect, &mut faults);
        faults
    }

    fn body(&self, expect: &Expect, faults: &mut Vec<Fault>) {
        if let Some(expected) = &expect.json {
            json("json", expected, &self.answer.body, faults);
        }
        let Some(wanted) = &expect.body else { return };
        let body = &self.answer.body;
        let holds = match wanted {
            ValueMatch::Present => !body.is_empty(),
            ValueMatch::Absent => body.is_empty(),
            text => text.accepts(body),
        };
        if !holds {
            let found = if body.is_empty() { "no body".to_owned() } else { text(body) };
            faults.push(Fault::new("body", &wish(wanted), &found));
        }
    }

    /// What an upstream was sent: one of the requests must be all that was expected.
    fn upstream(&self, expect: &Expect, faults: &mut Vec<Fault>) {
        let asked: Vec<&Seen> = match expect.upstream {
            Some(id) => self.seen.iter().filter(|seen| seen.upstream == Some(id)).collect(),
            None => self.seen.iter().collect(),
        };
        let recorded = self.recorded("upstream");
        if let Some(id) = expect.upstream.filter(|id| asked.is_empty() && recorded != Some(self.name(*id))) {
            let mut names: Vec<&str> =
                self.seen.iter().filter_map(|seen| Some(self.name(seen.upstream?))).collect();
            names.extend(recorded);
            names.dedup();
            let found = if names.is_empty() { "none was asked".to_owned() } else { names.join(", ") };
            faults.push(Fault::new("upstream", self.name(id), &found));
        }
        let wants = expect.upstream_path.is_some()
            || expect.upstream_json.is_some()
            || !expect.upstream_headers.is_empty();
        if !wants {
            return;
        }
        let mut each = asked.iter().map(|seen| sent_as(expect, seen));
        let Some(first) = each.next() else {
            let wanted = expect.upstream_path.as_deref().unwrap_or("a request to a service");
            return faults.push(Fault::new("upstream_path", wanted, "no service was sent a request"));
        };
        if first.is_empty() || each.any(|faults| faults.is_empty()) {
            return;
        }
        faults.extend(first);
        if let (Some(fault), [_, _, ..]) =
            (faults.iter_mut().find(|one| one.what == "upstream_path"), &*asked)
        {
            let paths: Vec<&str> = asked.iter().map(|seen| &*seen.path).collect();
            fault.found = paths.join(", ");
        }
    }

    /// The answer in a few lines.
    pub(super) fn shown(&self) -> String {
        let mut shown = self.answer.status.to_string();
        for key in ["reason", "route", "upstream"] {
            if let Some(value) = self.recorded(key) {
                shown.push_str(&format!(", {key} {value}"));
            }
        }
        if !self.answer.body.is_empty() {
            shown.push('\n');
            shown.push_str(&text(&self.answer.body));
        }
        shown
    }

    /// What may explain a surprise.
    pub(super) fn notes(&self, proof: &Proof) -> Vec<String> {
        let stubbed = |id: &UpstreamId| proof.stubs.iter().any(|(stub, _)| stub == id);
        let asked = self.seen.iter().filter(|seen| !seen.upstream.as_ref().is_some_and(stubbed));
        let mut notes: Vec<String> = asked
            .map(|seen| {
                let name = seen.upstream.map(|id| self.name(id)).or_else(|| self.recorded("upstream"));
                let name = name.map_or_else(|| "a service".to_owned(), |name| format!("`{name}`"));
                format!(
                    "{name} has no stub in this test: it answered {} {} with 200 and {{}}",
                    seen.method, seen.path
                )
            })
            .collect();
        if self.record.is_none() {
            notes.push(
                "no access record was left, so that `reason`, `route` and `upstream` are not known"
                    .to_owned(),
            );
        }
        notes
    }

    fn recorded(&self, key: &str) -> Option<&str> {
        self.record?.get(key)?.as_str()
    }

    fn name(&self, UpstreamId(at): UpstreamId) -> &str {
        self.plan.upstreams.get(at as usize).map_or("?", |upstream| &upstream.name)
    }
}

/// The request of a test in a few lines, without its credentials.
pub(super) fn sent(proof: &Proof) -> String {
    let request = &proof.request;
    let mut shown =
        format!("{} {} from {}, host {}", request.method.as_str(), request.path, request.ip, request.host);
    if request.token.is_some() {
        shown.push_str(", with a token");
    }
    if request.key.is_some() {
        shown.push_str(", with a key");
    }
    if proof.repeat > 1 {
        shown.push_str(&format!(", {} times", proof.repeat));
    }
    for (name, value) in &request.headers {
        shown.push_str(&format!("\n{name}: {}", masked(name.as_str(), value)));
    }
    if !request.body.is_empty() {
        shown.push('\n');
        shown.push_str(&text(&request.body));
    }
    shown
}

/// What is wrong with one request to a service.
fn sent_as(expect: &Expect, seen: &Seen) -> Vec<Fault> {
    let mut faults = Vec::new();
    if let Some(path) = expect.upstream_path.as_deref().filter(|path| *path != seen.path) {
        faults.push(Fault::new("upstream_path", path, &seen.path));
    }
    headers("upstream_headers", &expect.upstream_headers, &seen.headers, &mut faults);
    if let Some(expected) = &expect.upstream_json {
        json("upstream_json", expected, &seen.body, &mut faults);
    }
    faults
}

/// One value of several is enough.
fn headers(
    what: &str,
    wanted: &[(impl ToString, ValueMatch)],
    found: &hyper::HeaderMap,
    faults: &mut Vec<Fault>,
) {
    for (name, wish_of) in wanted {
        let name = name.to_string();
        let mut values = found.get_all(&name).iter();
        let holds = match wish_of {
            ValueMatch::Absent => values.next().is_none(),
            value => values.any(|one| value.accepts(one.as_bytes())),
        };
        if !holds {
            let values: Vec<String> =
                found.get_all(&name).iter().map(|one| masked(&name, &text(one.as_bytes()))).collect();
            let found = if values.is_empty() { "absent".to_owned() } else { values.join(", ") };
            faults.push(Fault { what: format!("{what} {name}"), expected: wish(wish_of), found });
        }
    }
}

fn json(what: &str, expected: &str, found: &[u8], faults: &mut Vec<Fault>) {
    let expected: &RawValue = serde_json::from_str(expected).unwrap_or(RawValue::NULL);
    // The first reading bounds the depth of what the second one then has as text.
    let read =
        serde_json::from_slice::<Value>(found).and_then(|_| serde_json::from_slice::<&RawValue>(found));
    let Ok(found) = read else {
        let found = if found.is_empty() { "no body".to_owned() } else { format!("no JSON: {}", text(found)) };
        faults.push(Fault::new(what, &shown(Some(expected)), &found));
        return;
    };
    if let Some((place, expected, found)) = difference(expected, found, String::new()) {
        let what = if place.is_empty() { what.to_owned() } else { format!("{what} {place}") };
        faults.push(Fault { what, expected: shown(expected), found: shown(found) });
    }
}

/// A JSON value, one level deep. A whole number is its digits: as floating point it would be its neighbours, too.
enum Json<'a> {
    Object(BTreeMap<String, &'a RawValue>),
    List(Vec<&'a RawValue>),
    Whole(&'a str),
    Other(Value),
}

impl<'a> Json<'a> {
    fn of(raw: &'a RawValue) -> Json<'a> {
        let text = raw.get();
        let read = match text.as_bytes() {
            [b'{', ..] => serde_json::from_str(text).map(Json::Object),
            [b'[', ..] => serde_json::from_str(text).map(Json::List),
            [b'-', digits @ ..] | digits if digits.iter().all(u8::is_ascii_digit) => Ok(Json::Whole(text)),
            _ => serde_json::from_str(text).map(Json::Other),
        };
        // It was read as a whole before.
        read.unwrap_or(Json::Other(Value::Null))
    }
}

type Difference<'a> = (String, Option<&'a RawValue>, Option<&'a RawValue>);

/// The first place where they differ (RFC 6901), with what stands there. Numbers are equal by value, and members in any
/// order.
fn difference<'a>(expected: &'a RawValue, found: &'a RawValue, place: String) -> Option<Difference<'a>> {
    let same = match (Json::of(expected), Json::of(found)) {
        (Json::Object(wanted), Json::Object(given)) => {
            let below = |key: &str| format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
            let of_wanted = wanted.iter().find_map(|(key, value)| match given.get(key) {
                Some(found) => difference(value, found, below(key)),
                None => Some((below(key), Some(*value), None)),
            });
            let beside = || given.iter().find(|(key, _)| !wanted.contains_key(*key));
            return of_wanted.or_else(|| beside().map(|(key, value)| (below(key), None, Some(*value))));
        }
        (Json::List(wanted), Json::List(given)) => {
            return (0..wanted.len().max(given.len())).find_map(|at| {
                let below = format!("{place}/{at}");
                match (wanted.get(at), given.get(at)) {
                    (Some(wanted), Some(given)) => difference(wanted, given, below),
                    (wanted, given) => Some((below, wanted.copied(), given.copied())),
                }
            });
        }
        (Json::Whole(wanted), Json::Whole(given)) => wanted == given || (is_zero(wanted) && is_zero(given)),
        (wanted, given) => match (wanted.value(), given.value()) {
            (Some(Value::Number(wanted)), Some(Value::Number(given))) => wanted.as_f64() == given.as_f64(),
            (wanted, given) => wanted.is_some() && wanted == given,
        },
    };
    if same { None } else { Some((place, Some(expected), Some(found))) }
}

impl Json<'_> {
    /// A scalar.
    fn value(self) -> Option<Value> {
        match self {
            Json::Object(_) | Json::List(_) => None,
            Json::Whole(text) => serde_json::from_str(text).ok(),
            Json::Other(value) => Some(value),
        }
    }
}

/// JSON knows two zeros.
fn is_zero(whole: &str) -> bool {
    whole.trim_start_matches('-') == "0"
}

fn shown(value: Option<&RawValue>) -> String {
    let Some(value) = value else { return "nothing".to_owned() };
    match Json::of(value) {
        Json::Whole(digits) => digits.to_owned(),
        // In one spelling, which is the one that secrets are known by.
        _ => serde_json::from_str::<Value>(value.get()).unwrap_or_default().to_string(),
    }
}

fn wish(wanted: &ValueMatch) -> String {
    match wanted {
        ValueMatch::Exact(text) => text.to_string(),
        ValueMatch::Regex(regex) => format!("~{}", regex.as_str()),
        ValueMatch::Present => "present".to_owned(),
        ValueMatch::Absent => "absent".to_owned(),
    }
}

fn masked(name: &str, value: &str) -> String {
    if CREDENTIAL_HEADERS.contains(&name) { "***".to_owned() } else { value.to_owned() }
}

/// Bytes for a terminal: nothing in them moves its cursor.
fn text(bytes: &[u8]) -> String {
    let plain = |letter: char| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter };
    String::from_utf8_lossy(bytes).chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        for (expected, found, place) in [
            (json!({ "id": 7 }), json!({ "id": 7.0 }), None),
            (json!({ "a": 1, "b": 2 }), json!({ "b": 2, "a": 1 }), None),
            (json!({ "id": 7 }), json!({ "id": 8 }), Some("/id")),
            (json!({ "id": 7 }), json!({ "id": "7" }), Some("/id")),
            (json!({ "a": [1, { "b": 2 }] }), json!({ "a": [1, { "b": 3 }] }), Some("/a/1/b")),
            (json!([1]), json!([1, 2]), Some("/1")),
            (json!([1, 2]), json!([1]), Some("/1")),
            (json!({}), json!({ "x/y": 1 }), Some("/x~1y")),
            (json!({ "x~y": 1 }), json!({}), Some("/x~0y")),
            (json!({}), json!([]), Some("")),
            (json!(null), json!(false), Some("")),
        ] {
            check(&expected.to_string(), &found.to_string(), place);
        }
    }

    #[track_caller]
    fn check(expected: &str, found: &str, place: Option<&str>) {
        let raw = |text: &str| RawValue::from_string(text.to_owned()).expect("JSON");
        let (expected, found) = (raw(expected), raw(found));
        let seen = difference(&expected, &found, String::new()).map(|(place, ..)| place);
        assert_eq!(seen.as_deref(), place, "{expected} and {found}");
    }

    #[test]
    fn numbers_are_equal_by_value_and_never_by_nearness() {
        for (expected, found, equal) in [
            ("9007199254740993", "9007199254740993", true),
            ("9007199254740992", "9007199254740993", false),
            ("-9007199254740992", "-9007199254740993", false),
            ("12345678901234567890", "12345678901234567891", false),
            ("123456789012345678901234567890", "123456789012345678901234567890", true),
            ("123456789012345678901234567890", "123456789012345678901234567891", false),
            ("7", "7.0", true),
            ("7e0", "7", true),
            ("700", "7E+2", true),
            ("0", "-0", true),
            ("7", "-7", false),
            ("0.1", "0.10", true),
            ("0.1", "0.2", false),
            ("1", "true", false),
            ("0", "null", false),
            ("[]", "{}", false),
            ("{}", "null", false),
        ] {
            check(expected, found, (!equal).then_some(""));
            check(&format!(" [ {expected} ] "), &format!("[{found}]\n"), (!equal).then_some("/0"));
        }
    }

    #[test]
    fn hostile_text_is_made_harmless() {
        assert_eq!(text(b"a\x1b[2Jb\nc"), "a\u{fffd}[2Jb\nc");
    }
}
