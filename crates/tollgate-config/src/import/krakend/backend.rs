//! Backends: one that passes through, or several that are merged.

use serde_json::{Map, Value, json};

use super::{World, allowed, duration, name_of};
use crate::import::document::{at, is, list, members, number, text, texts};
use crate::import::draft::Item;
use crate::import::secrets::Secrets;

/// An endpoint with no-op: nothing is read into memory.
pub(super) fn pass(
    world: &mut World<'_>,
    endpoint: &Value,
    backend: &Value,
    method: &str,
    element: &str,
    item: &mut Item,
) {
    let timeout = text(endpoint, "timeout").or_else(|| text(world.document, "timeout"));
    if let Some(timeout) = timeout.as_deref().and_then(duration) {
        item.set("timeout", timeout);
    }
    let pattern = text(backend, "url_pattern").unwrap_or_else(|| "/".to_owned());
    let (path, query) = pattern.split_once('?').unwrap_or((&pattern, ""));
    if text(endpoint, "endpoint").as_deref() != Some(path) {
        item.set_in("request", "rewrite", placeholders(path, &[]));
    }
    if let Some(headers) = allowed(endpoint, "input_headers") {
        let headers: Vec<String> = headers.iter().map(|name| name.to_ascii_lowercase()).collect();
        item.set_in("request", "only_headers", headers);
    }
    if let Some(query) = allowed(endpoint, "input_query_strings") {
        item.set_in("request", "only_query", query);
    }
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        item.put("request", "set_query", name, placeholders(value, &[]));
    }
    if text(backend, "method").is_some_and(|own| !own.eq_ignore_ascii_case(method)) {
        world
            .findings
            .lost(format!("{element}.backend.method"), "a route keeps the client's method; it answers 503");
        item.refuse("its backend has another method");
    }
    match upstream(world, backend, element, item) {
        Some(upstream) => item.set("to", upstream),
        None => item.refuse("its backend cannot be reached from here"),
    }
}

/// Everything else is an aggregate, also of one part: what KrakenD promises of answers it does too.
pub(super) fn merge(
    world: &mut World<'_>,
    endpoint: &Value,
    backends: &[Value],
    method: &str,
    output: &str,
    element: &str,
    item: &mut Item,
) {
    let timeout = text(endpoint, "timeout").or_else(|| text(world.document, "timeout"));
    let timeout = timeout.as_deref().and_then(duration).unwrap_or_else(|| "2s".to_owned());
    item.set_in("aggregate", "timeout", timeout);
    let mut groups: Vec<String> = backends.iter().filter_map(|one| text(one, "group")).collect();
    let distinct = {
        let mut sorted = groups.clone();
        sorted.sort();
        sorted.dedup();
        sorted.len()
    };
    if distinct < groups.len() {
        item.set_in("aggregate", "merge", "deep");
    }
    groups.clear();
    let names: Vec<String> = (0..backends.len()).map(|index| format!("backend{index}")).collect();
    for (index, backend) in backends.iter().enumerate() {
        let element = format!("{element}.backend[{index}]");
        let listed = output == "json-collection" && backends.len() == 1;
        if let Some(part) = part(world, backend, &names[index], &names, method, listed, &element, item) {
            item.append_in("aggregate", "parts", part);
        }
    }
    fixed(world, endpoint, element, item);
    for (theirs, ours) in [("input_headers", "headers"), ("input_query_strings", "query")] {
        match allowed(endpoint, theirs) {
            Some(names) if names.is_empty() => {}
            Some(names) if ours == "headers" => {
                let names: Vec<String> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
                item.set_in("aggregate", ours, names);
            }
            Some(names) => item.set_in("aggregate", ours, names),
            None => world.findings.near(
                format!("{element}.{theirs}"),
                "`*`: parts see only what is named; name them one by one",
            ),
        }
    }
    match output {
        "xml" => item.set_in("response", "encode", "xml"),
        "negotiate" => item.set_in("response", "encode", "negotiate"),
        _ => {}
    }
    if is(endpoint, "extra_config/proxy/sequential") {
        world
            .findings
            .near(format!("{element}.proxy.sequential"), "a part waits only for those whose values it uses");
    }
    for key in ["flatmap_filter", "combiner"] {
        if at(endpoint, &format!("extra_config/proxy/{key}")).is_some() {
            world.findings.unsafe_(
                format!("{element}.proxy.{key}"),
                "write it as `jq`; refused until then, since it may take fields away",
            );
            item.refuse(&format!("`proxy.{key}` is not carried over"));
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "a part is made of all of these")]
fn part(
    world: &mut World<'_>,
    backend: &Value,
    name: &str,
    names: &[String],
    method: &str,
    listed: bool,
    element: &str,
    item: &mut Item,
) -> Option<Value> {
    let Some(upstream) = upstream(world, backend, element, item) else {
        item.refuse("a backend cannot be reached from here");
        return None;
    };
    let pattern = text(backend, "url_pattern").unwrap_or_else(|| "/".to_owned());
    let mut part = json!({ "name": name, "to": upstream, "path": placeholders(&pattern, names) });
    let method = text(backend, "method").unwrap_or_else(|| method.to_owned()).to_ascii_uppercase();
    if method != "GET" {
        part["method"] = method.clone().into();
    }
    if ["POST", "PUT", "PATCH"].contains(&method.as_str()) {
        part["body"] = "request".into();
    }
    shape(world, backend, listed, element, &mut part);
    let http = backend.get("extra_config").and_then(|extra| extra.get("backend/http"));
    if http.is_some_and(|http| is(http, "return_error_code") || at(http, "return_error_details").is_some()) {
        part["required"] = true.into();
        world.findings.near(
            format!("{element}.backend/http"),
            "the part is required: its own 4xx passes with its body",
        );
    }
    world.findings.exact(element);
    Some(part)
}

/// What becomes of the answer: `from`, `pick`, `drop`, `rename`, `wrap`.
fn shape(world: &mut World<'_>, backend: &Value, listed: bool, element: &str, part: &mut Value) {
    let encoding = text(backend, "encoding").unwrap_or_default();
    match encoding.as_str() {
        "xml" | "rss" => part["decode"] = "xml".into(),
        "yaml" => part["decode"] = "yaml".into(),
        "string" => part["decode"] = "text".into(),
        _ => {}
    }
    if let Some(target) = text(backend, "target").filter(|target| !target.is_empty()) {
        part["from"] = target.into();
    }
    for (theirs, ours) in [("allow", "pick"), ("deny", "drop")] {
        let names = texts(backend, theirs);
        if !names.is_empty() {
            part[ours] = json!(names);
        }
    }
    let collection = is(backend, "is_collection") || encoding == "json-collection";
    let mut mapping: Map<String, Value> =
        members(backend, "mapping").map(|(from, to)| (from.clone(), to.clone())).collect();
    let renamed = mapping.shift_remove("collection").filter(|_| collection);
    if encoding == "string" {
        mapping.entry("text").or_insert_with(|| "content".into());
    }
    if !mapping.is_empty() {
        part["rename"] = mapping.into();
    }
    let group = text(backend, "group").filter(|group| !group.is_empty());
    match (group, collection && !listed) {
        (Some(group), list) => {
            if list {
                let note = "the list stands under the group itself, without `collection` between";
                world.findings.near(format!("{element}.group"), note);
            }
            part["wrap"] = group.into();
        }
        (None, true) => part["wrap"] = renamed.unwrap_or_else(|| "collection".into()),
        (None, false) => {}
    }
}

/// Constant data of an endpoint.
fn fixed(world: &mut World<'_>, endpoint: &Value, element: &str, item: &mut Item) {
    let Some(constant) = at(endpoint, "extra_config/proxy/static") else { return };
    let element = format!("{element}.proxy.static");
    let data = escaped(constant.get("data").unwrap_or(&Value::Null));
    match text(constant, "strategy").as_deref() {
        Some("always") => {
            item.append_in("aggregate", "parts", json!({ "name": "always", "json": data }));
            world.findings.exact(element);
        }
        Some(other) => {
            let note = format!(
                "`{other}`: see `fallback` of a part; `X-Tollgate-Completed` tells whether all is there"
            );
            world.findings.lost(element, note);
        }
        None => {}
    }
}

/// Strings of constant data hold no placeholders.
fn escaped(value: &Value) -> Value {
    match value {
        Value::String(text) => text.replace('{', "{{").replace('}', "}}").into(),
        Value::Array(items) => items.iter().map(escaped).collect(),
        Value::Object(map) => {
            map.iter().map(|(key, value)| (key.clone(), escaped(value))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

/// `{resp0_id}` refers to a part, `{JWT.sub}` to a claim; anything else is a parameter of the path.
fn placeholders(pattern: &str, names: &[String]) -> String {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((inside, behind)) = after.split_once('}') else {
            rest = after;
            break;
        };
        let referred = inside.strip_prefix("resp").and_then(|rest| rest.split_once('_'));
        let referred =
            referred.and_then(|(index, path)| Some((names.get(index.parse::<usize>().ok()?)?, path)));
        let inside = match (referred, inside.split_once('.')) {
            (Some((part, path)), _) => format!("{part}.{path}"),
            (None, Some(("JWT", claim))) => format!("claim:{claim}"),
            (None, Some(("input_headers", name))) => format!("header:{}", name.to_ascii_lowercase()),
            (None, Some(("input_query_strings", name))) => format!("query:{name}"),
            _ => inside.to_owned(),
        };
        out.push_str(&format!("{{{inside}}}"));
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// The upstream of a backend, shared with those that are the same.
fn upstream(world: &mut World<'_>, backend: &Value, element: &str, item: &mut Item) -> Option<String> {
    let hosts = match list(backend, "host") {
        [] => texts(world.document, "host"),
        _ => texts(backend, "host"),
    };
    let dns = text(backend, "sd").as_deref() == Some("dns");
    let targets: Vec<String> = hosts.iter().map(|host| target(host, dns)).collect();
    if targets.is_empty() {
        world.findings.lost(element, "it has no host");
        return None;
    }
    let mut keys = json!({ "targets": targets });
    for (space, config) in members(backend, "extra_config") {
        let element = format!("{element}.{space}");
        match space.as_str() {
            "qos/circuit-breaker" => {
                keys["circuit_breaker"] = breaker(config);
                world
                    .findings
                    .near(element, "a share of failures in a window opens it, not a number in a row");
            }
            "qos/ratelimit/proxy" => {
                super::access::limits(world, config, &element, item);
                world.findings.guarded(element, "the whole request is refused, not the one backend");
            }
            "auth/client-credentials" => match credentials(config, &element, &mut world.draft.secrets) {
                Some(auth) => {
                    keys["auth"] = auth;
                    world.findings.exact(element);
                }
                None => {
                    world.findings.unsafe_(element, "its `endpoint_params` have no like here; refused");
                    item.refuse("credentials toward the backend are not carried over");
                }
            },
            "qos/http-cache" => {
                item.set("cache", json!({ "ttl": "0s" }));
                world.findings.near(element, "the answer of the route is kept, as long as the services say");
            }
            "backend/http" => {}
            "proxy" if at(config, "shadow").is_some() || at(config, "flatmap_filter").is_some() => {
                world.findings.unsafe_(element, "write it as `mirror` or as `jq`; refused until then");
                item.refuse("a backend with `shadow` or `flatmap_filter` is not carried over");
            }
            name => world.unknown(name, &element, item),
        }
    }
    if let Some((_, name)) = world.upstreams.iter().find(|(known, _)| *known == keys) {
        return Some(name.clone());
    }
    let name = name_of(hosts.first().map_or("", String::as_str), &world.upstreams);
    world.draft.upstreams.push(Item::new(name.clone(), keys.clone()));
    world.upstreams.push((keys, name.clone()));
    Some(name)
}

fn target(host: &str, dns: bool) -> String {
    let bare = host.split("://").last().unwrap_or_default().trim_end_matches('/');
    match (dns, host.contains("://")) {
        (true, _) => format!("dns+srv://{bare}"),
        (false, true) => host.trim_end_matches('/').to_owned(),
        (false, false) => format!("http://{bare}"),
    }
}

fn breaker(config: &Value) -> Value {
    let whole = |key: &str, or: f64| number(config, key).unwrap_or(or).max(1.0) as u64;
    json!({
        "min_requests": whole("max_errors", 1.0),
        "window": format!("{}s", whole("interval", 60.0)),
        "open": format!("{}s", whole("timeout", 10.0)),
        "half_open_requests": 1,
    })
}

fn credentials(config: &Value, element: &str, secrets: &mut Secrets) -> Option<Value> {
    let (client, secret) = (text(config, "client_id")?, text(config, "client_secret")?);
    let mut oauth = json!({
        "token_url": text(config, "token_url")?,
        "client_id": client,
        "client_secret": secrets.refer(&format!("client_secret_{client}"), element, &secret),
    });
    let scopes: Vec<String> = text(config, "scopes")
        .unwrap_or_default()
        .split([',', ' '])
        .filter(|one| !one.is_empty())
        .map(str::to_owned)
        .collect();
    if !scopes.is_empty() {
        oauth["scopes"] = json!(scopes);
    }
    for (name, values) in members(config, "endpoint_params") {
        match (name.as_str(), texts(&json!({ "v": values }), "v").as_slice()) {
            ("audience", [one]) => oauth["audience"] = one.clone().into(),
            _ => return None,
        }
    }
    Some(json!({ "oauth2": oauth }))
}
