//! The explanation as JSON: the request, every step of the way, and what it comes to.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tollgate_plan::Plan;
use tollgate_plan::route::{Action, Route, RouteId};
use tollgate_plan::table::Facts;
use tollgate_wire::{BodyLength, Method, Name, RequestHead, name};

use super::preflight;
use super::shown::Shown;
use super::steps::{all_steps, object, stage_of, step};
use crate::exchange::{Exchange, Reject, Reply};
use crate::respond;
use crate::trail::{Sent, Stage, Step, Trail, Verdict};

/// An explanation on its way from the worker.
pub(crate) struct Told {
    request: Value,
    steps: Vec<Value>,
    outcome: Value,
    /// None where the request was refused before any route was looked at.
    looked: Option<Looked>,
}

/// What routes are looked for by.
struct Looked {
    plan: Arc<Plan>,
    host: String,
    path: String,
    method: Method,
    head: RequestHead,
    /// See [`preflight::words`].
    words: Vec<RouteId>,
}

impl Told {
    /// What was refused before it was a request.
    pub(super) fn not_a_head(reject: &Reject) -> Told {
        let refused = step(Stage::Parse, Verdict::of(reject), &reject.detail);
        let steps = all_steps(vec![refused], Some(Stage::Parse));
        let headers = Shown::own(&respond::problem(reject, "").headers);
        let outcome = json!({
            "verdict": "refused", "status": reject.status, "reason": reject.reason.code(), "detail": reject.detail,
            "route": null, "upstream": null, "target": null, "consumer": null, "headers": headers, "sent": null,
        });
        Told { request: Value::Null, steps, outcome, looked: None }
    }

    /// See [`super::Explained::to_json`].
    pub(super) fn to_json(&self) -> Value {
        let routes = self.looked.as_ref().map_or_else(|| json!([]), Looked::routes);
        json!({ "request": self.request, "routes": routes, "steps": self.steps, "outcome": self.outcome })
    }
}

/// What the stages said about an exchange, with the answer that a client would get.
pub(crate) fn told(exchange: &Exchange<'_>, reject: Option<Reject>, reply: Option<Reply<'_>>) -> Told {
    let active = &exchange.active;
    let route = exchange.matched();
    let empty = Trail::new(false);
    let trail = exchange.trail.as_deref().unwrap_or(&empty);
    let shown = Shown::new(&active.plan.access_log, route, trail.take_plain());
    let sent = trail.take_sent();
    let mut notes = trail.take_steps();
    first(exchange, &mut notes, reject.as_ref());
    if let Some(reject) = reject.as_ref().filter(|_| !trail.is_undecided()) {
        refusal(&mut notes, reject);
    }
    // It stands for an answer that did not come.
    let answer = reply.as_ref().filter(|reply| reply.status != 0);
    let ended = ended(exchange, &notes, reject.as_ref());
    if ended.is_none() {
        last(exchange, route, &shown, &mut notes, sent.as_ref(), reply.as_ref());
    }
    let steps = all_steps(notes, ended);
    let head = &exchange.kit.head;
    Told {
        request: request(exchange, &shown),
        steps,
        outcome: outcome(exchange, trail, &shown, (reject.as_ref(), answer), sent.as_ref()),
        looked: was_routed(exchange, reject.as_ref()).then(|| Looked {
            plan: active.plan.clone(),
            host: exchange.kit.host.clone(),
            path: exchange.path().to_owned(),
            method: asked_about(exchange),
            head: head.clone(),
            words: preflight::words(exchange),
        }),
    }
}

/// The method that the route was found by: of a preflight, the one it asks about.
fn asked_about(exchange: &Exchange<'_>) -> Method {
    let head = &exchange.kit.head;
    let asked = head.headers.get(&name::ACCESS_CONTROL_REQUEST_METHOD).and_then(Method::parse);
    asked.filter(|_| exchange.preflight).unwrap_or_else(|| head.method.clone())
}

/// Whether routes were looked at, or the request was refused before.
fn was_routed(exchange: &Exchange<'_>, reject: Option<&Reject>) -> bool {
    exchange.matched().is_some() || reject.is_some_and(|reject| stage_of(reject.reason) == Stage::Route)
}

/// The steps in front of those that leave notes.
fn first(exchange: &Exchange<'_>, notes: &mut Vec<Step>, reject: Option<&Reject>) {
    let facts = &exchange.facts;
    let route = exchange.matched();
    if was_routed(exchange, reject) {
        let ip = facts.client_ip.map_or_else(|| "none".to_owned(), |ip| ip.to_string());
        let trusted = if facts.trusted { ", told by a trusted proxy" } else { "" };
        let detail = format!("path {}, client {ip}{trusted}", exchange.path());
        let mut one = step(Stage::Parse, Verdict::Ok, &detail);
        one.more = object(json!({
            "host": exchange.kit.host, "path": exchange.path(), "client_ip": ip, "scheme": facts.scheme,
            "trusted_proxy": facts.trusted, "websocket": exchange.websocket,
        }));
        notes.push(one);
    }
    if let Some(route) = route {
        let params = exchange.kit.params.iter(&exchange.active.plan.table, exchange.path());
        let params: Map<String, Value> =
            params.map(|(name, value)| (name.to_owned(), value.to_owned().into())).collect();
        let mut one =
            step(Stage::Route, Verdict::Ok, &format!("route {}, path {}", route.name, route.pattern));
        one.more = object(json!({ "route": &*route.name, "pattern": &*route.pattern, "params": params }));
        notes.push(one);
    }
}

/// Where no stage said that it refuses: the one whose reason it is.
fn refusal(notes: &mut Vec<Step>, reject: &Reject) {
    if !notes.iter().any(|note| matches!(note.verdict, Verdict::Refused { .. })) {
        notes.push(step(stage_of(reject.reason), Verdict::of(reject), &reject.detail));
    }
}

/// Behind which stage nothing more happened but the way back; none where the route did what it does.
fn ended(exchange: &Exchange<'_>, notes: &[Step], reject: Option<&Reject>) -> Option<Stage> {
    if reject.is_some() {
        let stops = |note: &&Step| matches!(note.verdict, Verdict::Refused { .. });
        let last = notes.iter().rev().find(stops).or(notes.last());
        return Some(last.map_or(Stage::Parse, |note| note.stage));
    }
    if exchange.preflight {
        return Some(Stage::Cors);
    }
    let acts = matches!(
        exchange.active.action(exchange.route),
        Some(Action::To(_) | Action::Split(_) | Action::Aggregate(_))
    );
    let given = notes.iter().any(|note| note.stage == Stage::Cache && note.more.contains_key("age_s"));
    if given {
        return Some(Stage::Cache);
    }
    let acted = notes.iter().any(|note| note.stage == Stage::Act);
    (acts && !acted).then_some(Stage::Script)
}

/// What the route does, and the way back.
fn last(
    exchange: &Exchange<'_>,
    route: Option<&Route>,
    shown: &Shown<'_>,
    notes: &mut Vec<Step>,
    sent: Option<&Sent>,
    reply: Option<&Reply<'_>>,
) {
    let Some(route) = route else { return };
    let status = reply.map_or(0, |reply| reply.status);
    let acts = match &route.action {
        Action::Respond(_) => Some(format!("answers {status} from the configuration")),
        Action::Redirect(_) => Some(format!("answers {status} with a redirect")),
        Action::Health(_) => Some(format!("answers {status} with the health of upstreams")),
        Action::To(_) | Action::Split(_) | Action::Aggregate(_) => None,
    };
    if let Some(detail) = acts {
        notes.push(step(Stage::Act, Verdict::Ok, &detail));
    }
    if let Some(sent) = sent {
        notes.push(edits(exchange, shown, sent));
    }
    if let Some(edits) = route.response.as_deref() {
        let headers = reply.map(|reply| shown.headers(&reply.headers));
        let body = if edits.body.is_some() { ", makes the body anew" } else { "" };
        let compress = if edits.compress { ", compresses what gains by it" } else { "" };
        let count = edits.headers.len();
        let plural = if count == 1 { "" } else { "s" };
        let detail = format!("{count} edit{plural} of headers{body}{compress}");
        let mut one = step(Stage::Response, Verdict::Ok, &detail);
        one.more = object(json!({
            "compress": edits.compress, "body": edits.body.is_some(), "headers": headers,
        }));
        notes.push(one);
    }
}

/// The request before and after its edits.
fn edits(exchange: &Exchange<'_>, shown: &Shown<'_>, sent: &Sent) -> Step {
    let head = &exchange.kit.head;
    let (before, after) = (shown.headers(&head.headers), shown.sent_headers(&sent.head));
    let names = |lines: &Value| -> Vec<String> {
        let names = lines.as_array().into_iter().flatten();
        names.filter_map(|line| line.get("name")?.as_str().map(str::to_owned)).collect()
    };
    let (had, has) = (names(&before), names(&after));
    let added: Vec<&str> = has.iter().filter(|name| !had.contains(name)).map(String::as_str).collect();
    let removed: Vec<&str> = had.iter().filter(|name| !has.contains(name)).map(String::as_str).collect();
    let mut detail = format!("{} {}", exchange.sent_method().as_str(), url(shown, sent));
    for (what, list) in [("adds", &added), ("takes off", &removed)] {
        if !list.is_empty() {
            detail.push_str(&format!("; {what} {}", list.join(", ")));
        }
    }
    let mut one = step(Stage::Request, Verdict::Ok, &detail);
    one.more = object(json!({
        "before": { "target": client_target(exchange, shown), "headers": before },
        "after": { "target": shown.sent_target(target_of(&sent.head)), "headers": after },
        "added": added, "removed": removed,
    }));
    one
}

fn request(exchange: &Exchange<'_>, shown: &Shown<'_>) -> Value {
    let head = &exchange.kit.head;
    let host = head.authority().map(String::from_utf8_lossy).unwrap_or_default();
    let target = client_target(exchange, shown);
    let body_bytes = if let BodyLength::Length(length) = head.body { length } else { 0 };
    json!({
        "method": head.method.as_str(),
        "url": format!("{}://{host}{target}", exchange.facts.scheme),
        "headers": shown.headers(&head.headers),
        "body_bytes": body_bytes,
        "ip": exchange.client.peer.map(|ip| ip.to_string()),
    })
}

/// Path and query as they came.
fn client_target(exchange: &Exchange<'_>, shown: &Shown<'_>) -> String {
    let head = &exchange.kit.head;
    let mut target = head.path().to_vec();
    if let Some(query) = head.query() {
        target.push(b'?');
        target.extend_from_slice(query);
    }
    shown.target(&target)
}

fn outcome(
    exchange: &Exchange<'_>,
    trail: &Trail,
    shown: &Shown<'_>,
    (reject, answer): (Option<&Reject>, Option<&Reply<'_>>),
    sent: Option<&Sent>,
) -> Value {
    let undecided = trail.is_undecided();
    let verdict = match (reject, answer) {
        _ if undecided => "unknown",
        (Some(_), _) => "refused",
        (None, Some(_)) => "answered",
        (None, None) => "sent",
    };
    let answer = answer.filter(|_| !undecided);
    let reject = reject.filter(|_| !undecided);
    let headers = answer.map(|reply| match reject {
        Some(_) => Shown::own(&reply.headers),
        None => shown.headers(&reply.headers),
    });
    let upstream = exchange.seen.upstream.get();
    let name = upstream.and_then(|(id, _)| exchange.active.plan.upstreams.get(id.0 as usize));
    let sent = sent.filter(|_| !undecided);
    json!({
        "verdict": verdict,
        "status": answer.map(|reply| reply.status),
        "reason": reject.map(|reject| reject.reason.code()),
        "detail": reject.map(|reject| &*reject.detail),
        "route": exchange.matched().map(|route| &*route.name),
        "upstream": sent.map(|sent| &*sent.upstream).or(name.map(|upstream| &*upstream.name)),
        "target": sent.and_then(|sent| sent.target.as_deref()),
        "consumer": exchange.consumer(),
        "headers": headers.unwrap_or_else(|| json!([])),
        "sent": sent.map(|sent| json!({
            "method": exchange.sent_method().as_str(), "url": url(shown, sent), "headers": shown.sent_headers(&sent.head),
        })),
    })
}

fn url(shown: &Shown<'_>, sent: &Sent) -> String {
    format!("{}{}", sent.origin, shown.sent_target(target_of(&sent.head)))
}

/// The target in the request line of a head.
fn target_of(head: &[u8]) -> &[u8] {
    head.split(|byte| *byte == b' ').nth(1).unwrap_or_default()
}

impl Looked {
    fn routes(&self) -> Value {
        let pattern = |id: RouteId| self.plan.routes.get(id.0 as usize).map_or("", |route| &*route.pattern);
        let all = self.plan.table.consider(&self.host, &self.path, self, pattern);
        let told = all.iter().map(|one| {
            if let Some(told) = preflight::told(&self.plan, &self.words, one) {
                return told;
            }
            let name = self.plan.routes.get(one.route.0 as usize).map(|route| &*route.name);
            let code = one.why.code();
            let verdict = if code == "taken" { "taken" } else { "lost" };
            json!({ "name": name, "verdict": verdict, "by": code, "why": one.why.to_string() })
        });
        told.collect()
    }
}

impl Facts for Looked {
    fn method(&self) -> &Method {
        &self.method
    }

    fn header<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a [u8]> {
        self.head.headers.get_all(name)
    }

    fn query(&self) -> Option<&[u8]> {
        self.head.query()
    }
}
