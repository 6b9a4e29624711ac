//! Services and upstreams of Kong become upstreams.

use serde_json::{Value, json};

use super::{World, named, reference};
use crate::import::document::{at, list, number, text, texts};
use crate::import::draft::Item;

/// The name of the upstream of a service; `None` where it does not speak HTTP.
pub(super) fn upstream(world: &mut World<'_>, name: &str, service: &Value, preserve: bool) -> Option<String> {
    let key = (name.to_owned(), preserve);
    if let Some(known) = world.made.get(&key) {
        return Some(known.clone());
    }
    let element = format!("services.{name}");
    let Some(url) = Url::of(service) else {
        world.findings.unsafe_(element, "this gateway speaks HTTP alone; its routes are refused");
        return None;
    };
    let called = if preserve { format!("{name}-preserve-host") } else { name.to_owned() };
    let mut item = Item::new(called.clone(), json!({}));
    let balanced = list(world.document, "upstreams").iter().find(|one| named(one) == url.host);
    match balanced {
        Some(balanced) => targets(world, balanced, &url, &mut item),
        None => item.set("targets", json!([url.of_host(&format!("{}:{}", url.host, url.port))])),
    }
    if preserve {
        item.set("host", "preserve");
    } else if let Some(balanced) = balanced {
        item.set("host", text(balanced, "host_header").unwrap_or_else(|| url.host.clone()));
    }
    for (theirs, ours) in [("connect_timeout", "connect_timeout"), ("read_timeout", "timeout")] {
        if let Some(ms) = number(service, theirs) {
            item.set(ours, milliseconds(ms));
        }
    }
    if let Some(ms) = number(service, "read_timeout") {
        item.set("idle_timeout", milliseconds(ms));
    }
    retries(world, service, &element, &mut item);
    if url.scheme == "https" && at(service, "tls_verify") != Some(&Value::Bool(true)) {
        world.findings.guarded(
            format!("{element}.tls_verify"),
            "certificates of https services are always verified here; give `tls.ca` for one of your own",
        );
    }
    for key in ["client_certificate", "ca_certificates", "tls_verify_depth"] {
        if at(service, key).is_some() {
            world.findings.unsafe_(format!("{element}.{key}"), "write `tls` of the upstream with files; until then the service refuses the gateway, or its certificate is checked by the system's authorities");
        }
    }
    world.draft.upstreams.push(item);
    world.findings.exact(element);
    world.made.insert(key, called.clone());
    Some(called)
}

struct Url {
    scheme: &'static str,
    host: String,
    port: u64,
    path: String,
}

impl Url {
    fn of(service: &Value) -> Option<Url> {
        let (mut protocol, mut host, mut port, mut path) = (
            text(service, "protocol").unwrap_or_else(|| "http".to_owned()),
            text(service, "host").unwrap_or_default(),
            number(service, "port").map(|port| port as u64),
            text(service, "path").unwrap_or_default(),
        );
        if let Some(url) = text(service, "url") {
            let (scheme, rest) = url.split_once("://")?;
            let (authority, tail) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
            let (name, number) = match authority.rsplit_once(':') {
                Some((name, number)) if !number.ends_with(']') => (name, number.parse().ok()),
                _ => (authority, None),
            };
            (protocol, host, port) = (scheme.to_owned(), name.to_owned(), number);
            // A URL without a path leaves that to a default.
            path = if tail.is_empty() { path } else { tail.to_owned() };
            // Kong's default for a URL without a port is that of the scheme.
            port = port.or(Some(if matches!(protocol.as_str(), "https" | "grpcs") { 443 } else { 80 }));
        }
        let scheme = match protocol.as_str() {
            "http" | "ws" => "http",
            "https" | "wss" | "grpcs" => "https",
            "grpc" => "h2c",
            _ => return None,
        };
        let path = path.trim_end_matches('/').to_owned();
        (!host.is_empty()).then_some(Url { scheme, host, port: port.unwrap_or(80), path })
    }

    fn of_host(&self, authority: &str) -> String {
        format!("{}://{authority}{}", self.scheme, self.path)
    }
}

fn targets(world: &mut World<'_>, balanced: &Value, url: &Url, item: &mut Item) {
    let name = named(balanced);
    let element = format!("upstreams.{name}");
    let beside = list(world.document, "targets").iter();
    let beside = beside.filter(|one| reference(one, "upstream").as_ref() == Some(&name));
    let mut made = Vec::new();
    for target in list(balanced, "targets").iter().chain(beside) {
        let Some(address) = text(target, "target") else { continue };
        let address = if address.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            address
        } else {
            format!("{address}:8000")
        };
        match number(target, "weight").unwrap_or(100.0) as u64 {
            0 => world.findings.lost(format!("{element}.targets.{address}"), "its weight is 0; left out"),
            100 => made.push(json!(url.of_host(&address))),
            weight => made.push(json!({ "url": url.of_host(&address), "weight": weight })),
        }
    }
    // Weights count against each other: with one that differs, the usual 100 has to be said.
    if made.iter().any(Value::is_object) {
        for one in made.iter_mut().filter(|one| one.is_string()) {
            *one = json!({ "url": one, "weight": 100 });
        }
    }
    item.set("targets", made);
    balance(world, balanced, &element, item);
    health(world, balanced, &element, item);
    world.findings.exact(element);
}

fn balance(world: &mut World<'_>, balanced: &Value, element: &str, item: &mut Item) {
    let on = text(balanced, "hash_on").unwrap_or_else(|| "none".to_owned());
    let algorithm = text(balanced, "algorithm").unwrap_or_else(|| "round-robin".to_owned());
    let hash = match on.as_str() {
        "ip" | "path" => Some(on.clone()),
        "header" => {
            text(balanced, "hash_on_header").map(|name| format!("header:{}", name.to_ascii_lowercase()))
        }
        "cookie" => text(balanced, "hash_on_cookie").map(|name| format!("cookie:{name}")),
        _ => None,
    };
    match (hash, algorithm.as_str()) {
        (Some(hash), _) => item.set("balance", json!({ "hash": hash })),
        (None, _) if on != "none" => {
            item.set("balance", "round_robin");
            world
                .findings
                .near(format!("{element}.hash_on"), format!("`{on}` cannot be hashed here: round robin"));
        }
        (None, "least-connections" | "latency") => item.set("balance", "least_requests"),
        (None, _) => item.set("balance", "round_robin"),
    }
}

fn health(world: &mut World<'_>, balanced: &Value, element: &str, item: &mut Item) {
    let active = "healthchecks/active";
    let every = number(balanced, &format!("{active}/healthy/interval"))
        .into_iter()
        .chain(number(balanced, &format!("{active}/unhealthy/interval")))
        .filter(|every| *every > 0.0)
        .fold(f64::INFINITY, f64::min);
    if every.is_finite() {
        let mut check = json!({});
        let Value::Object(keys) = &mut check else { return };
        match text(balanced, &format!("{active}/type")).as_deref() {
            Some("tcp") => keys.insert("tcp".into(), true.into()),
            _ => keys.insert(
                "path".into(),
                text(balanced, &format!("{active}/http_path")).unwrap_or_else(|| "/".to_owned()).into(),
            ),
        };
        keys.insert("every".into(), milliseconds(every * 1000.0).into());
        if let Some(timeout) = number(balanced, &format!("{active}/timeout")) {
            keys.insert("timeout".into(), milliseconds(timeout * 1000.0).into());
        }
        for (theirs, ours) in
            [("healthy/successes", "healthy_after"), ("unhealthy/http_failures", "unhealthy_after")]
        {
            if let Some(count) = number(balanced, &format!("{active}/{theirs}")).filter(|count| *count >= 1.0)
            {
                keys.insert(ours.into(), (count as u64).into());
            }
        }
        let statuses = texts(balanced, &format!("{active}/healthy/http_statuses"));
        if !statuses.is_empty() && !keys.contains_key("tcp") {
            let statuses: Vec<u64> = statuses.iter().filter_map(|one| one.parse().ok()).collect();
            keys.insert("status".into(), json!(statuses));
        }
        item.set("health_check", check);
        world.findings.near(
            format!("{element}.healthchecks.active"),
            "one interval and one count for each direction here",
        );
    }
    let passive = "healthchecks/passive/unhealthy";
    let failures = ["http_failures", "tcp_failures", "timeouts"].into_iter();
    let failures = failures
        .filter_map(|key| number(balanced, &format!("{passive}/{key}")))
        .filter(|count| *count >= 1.0);
    let least = failures.fold(f64::INFINITY, f64::min);
    if least.is_finite() {
        item.set("outlier", json!({ "consecutive_failures": least as u64 }));
        world.findings.near(
            format!("{element}.healthchecks.passive"),
            "failures of all kinds count together, and a target comes back by itself after 30s",
        );
    }
}

fn retries(world: &mut World<'_>, service: &Value, element: &str, item: &mut Item) {
    let Some(retries) = number(service, "retries").filter(|count| *count >= 1.0) else { return };
    item.set("retry", json!({ "attempts": (retries as u64).min(10), "on": ["connect", "reset", "timeout"] }));
    world.findings.near(
        format!("{element}.retries"),
        "within a budget of 20% of the requests, and only what is safe to repeat",
    );
}

/// A number of milliseconds, in the unit that it is whole in.
pub(super) fn milliseconds(ms: f64) -> String {
    crate::import::write::duration(ms.max(1.0) as u64)
}
