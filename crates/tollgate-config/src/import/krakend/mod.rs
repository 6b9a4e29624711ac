//! KrakenD's configuration, version 3.

mod access;
mod backend;
mod service;

use serde_json::{Value, json};

use super::document::{Unreadable, at, list, members, number, text, texts};
use super::draft::{Draft, Item};
use super::findings::Findings;

/// Extra configuration that protects nothing: without it a route lets through as much as before.
const HARMLESS: &[&str] = &[
    "telemetry/",
    "documentation/",
    "github_com/letgoapp/krakend-influx",
    "router",
    "server/",
    "async/",
    "grpc",
    "proxy",
    "backend/http",
    "backend/http/client",
    "modifier/response-headers",
];

/// What endpoints are made of.
struct World<'v> {
    document: &'v Value,
    draft: &'v mut Draft,
    findings: &'v mut Findings,
    /// Names of issuers by what they are made of.
    issuers: Vec<(Value, String)>,
    /// Names of upstreams by what they are made of.
    upstreams: Vec<(Value, String)>,
    /// Why every endpoint has to refuse.
    all_refuse: Vec<String>,
}

pub(super) fn carry(document: &Value, draft: &mut Draft, findings: &mut Findings) -> Result<(), Unreadable> {
    match number(document, "version") {
        Some(3.0) => {}
        _ => {
            return Err(Unreadable::new(
                "`version` is not 3: only version 3 of KrakenD's configuration is known",
            ));
        }
    }
    draft.head = vec![
        "Made by `tollgate import krakend` from a configuration of version 3. Its report says what differs."
            .to_owned(),
        "Headers and query parameters of clients go on only where they are named, as in KrakenD.".to_owned(),
    ];
    let (issuers, upstreams, all_refuse) = (Vec::new(), Vec::new(), Vec::new());
    let mut world = World { document, draft, findings, issuers, upstreams, all_refuse };
    service::carry(&mut world);
    for endpoint in list(document, "endpoints") {
        world.endpoint(endpoint);
    }
    Ok(())
}

impl World<'_> {
    fn endpoint(&mut self, endpoint: &Value) {
        let path = text(endpoint, "endpoint").unwrap_or_else(|| "/".to_owned());
        let method = text(endpoint, "method").unwrap_or_else(|| "GET".to_owned()).to_ascii_uppercase();
        let element = format!("endpoints {method} {path}");
        let mut item = Item::new(element.clone(), json!({ "path": ours(&path), "methods": [method] }));
        let backends = list(endpoint, "backend");
        let output = text(endpoint, "output_encoding").or_else(|| text(self.document, "output_encoding"));
        let output = output.unwrap_or_else(|| "json".to_owned());
        let plain =
            output == "no-op" || backends.iter().any(|one| text(one, "encoding").as_deref() == Some("no-op"));
        match backends {
            [] => {
                self.findings.lost(element.clone(), "it has no backend; it answers 503");
                item.refuse("it has no backend");
            }
            [one] if plain => backend::pass(self, endpoint, one, &method, &element, &mut item),
            _ if plain => {
                self.findings.lost(element.clone(), "no-op with several backends");
                item.refuse("no-op has one backend");
            }
            many => backend::merge(self, endpoint, many, &method, &output, &element, &mut item),
        }
        if let Some(seconds) = text(endpoint, "cache_ttl")
            .or_else(|| text(self.document, "cache_ttl"))
            .as_deref()
            .and_then(seconds)
            && seconds > 0.0
        {
            item.put(
                "response",
                "set_headers",
                "cache-control",
                format!("public, max-age={}", seconds as u64),
            );
            self.findings.near(
                format!("{element}.cache_ttl"),
                "`cache-control` of every answer of the route, where KrakenD says it of complete ones alone; an answer that lacks a part must not be kept",
            );
        }
        if number(endpoint, "concurrent_calls").is_some_and(|calls| calls > 1.0) {
            self.findings.near(
                format!("{element}.concurrent_calls"),
                "see `retry` of the upstream: it asks again only when it has to",
            );
        }
        self.extra(endpoint, &element, &mut item);
        service::on_route(self, &mut item);
        for why in self.all_refuse.clone() {
            item.refuse(&why);
        }
        if !item.refuses() {
            self.findings.exact(element);
        }
        self.draft.route(item, self.findings);
    }

    /// The extra configuration of an endpoint.
    fn extra(&mut self, endpoint: &Value, element: &str, item: &mut Item) {
        if at(endpoint, "extra_config").is_some_and(|extra| !extra.is_object()) {
            self.findings
                .unsafe_(format!("{element}.extra_config"), "it is no map; refused, since it may protect");
            item.refuse("its `extra_config` is no map");
        }
        for (space, config) in members(endpoint, "extra_config") {
            let element = format!("{element}.{space}");
            match space.as_str() {
                "auth/validator" => access::validator(self, config, &element, item),
                "qos/ratelimit/router" => access::limits(self, config, &element, item),
                "security/bot-detector" => access::robots(self, config, &element, item),
                "validation/json-schema" => {
                    item.set_in("validate", "body", config.clone());
                    self.findings.exact(element);
                }
                "security/cors" => self.findings.near(element, "see the one of the service"),
                "proxy" => {}
                name => self.unknown(name, &element, item),
            }
        }
    }

    /// What is not known protects perhaps; then the route refuses.
    fn unknown(&mut self, space: &str, element: &str, item: &mut Item) {
        if HARMLESS.iter().any(|known| space.starts_with(known)) {
            return self.findings.lost(element, "there is no such thing here");
        }
        let note = if space.starts_with("modifier/lua") {
            "Lua of KrakenD runs on other functions: write it anew for `lua`; refused until then, since it may protect"
        } else {
            "there is no such thing here; refused, since it may protect"
        };
        self.findings.unsafe_(element, note);
        item.refuse(&format!("`{space}` is not carried over"));
    }
}

/// A path of KrakenD: the same, but for the one that takes the rest.
fn ours(path: &str) -> String {
    if path == "/__catchall" { "/*".to_owned() } else { path.to_owned() }
}

/// A duration of Go in seconds.
fn seconds(text: &str) -> Option<f64> {
    let (mut total, mut rest) = (0.0, text.trim());
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        total += number
            * match &rest[digits..unit_end] {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    Some(total)
}

/// A duration of Go as ours.
fn duration(text: &str) -> Option<String> {
    Some(super::write::duration((seconds(text)? * 1000.0).round().max(1.0) as u64))
}

/// What of the client goes on: `None` for all of it.
fn allowed(endpoint: &Value, key: &str) -> Option<Vec<String>> {
    let names = texts(endpoint, key);
    if names.iter().any(|name| name == "*") { None } else { Some(names) }
}

/// A name out of a URL or an address, for issuers and upstreams.
fn name_of(url: &str, taken: &[(Value, String)]) -> String {
    let host = url.split("://").last().unwrap_or_default();
    let host: String = host.chars().take_while(|c| c.is_ascii_alphanumeric() || "-._".contains(*c)).collect();
    let host = if host.is_empty() { "service".to_owned() } else { host };
    let free = |name: &String| taken.iter().all(|(_, known)| known != name);
    let numbered = (2..).map(|number| format!("{host}-{number}"));
    std::iter::once(host.clone()).chain(numbered).find(free).unwrap_or(host)
}

fn has(value: &Value, path: &str) -> bool {
    at(value, path).is_some()
}
