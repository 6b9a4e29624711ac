//! What the service says for all endpoints.

use serde_json::{Value, json};

use super::{World, access, duration};
use crate::import::document::{at, is, members, number, text, texts};
use crate::import::draft::Item;

/// Keys of the service that are read; anything else is told.
const KNOWN: &[&str] = &[
    "$schema",
    "version",
    "name",
    "port",
    "host",
    "timeout",
    "cache_ttl",
    "output_encoding",
    "tls",
    "extra_config",
    "endpoints",
    "@comment",
    "listen_ip",
];

/// Headers of answers by the option of `security/http` that asks for them.
const HEADERS: &[(&str, &str, &str)] = &[
    ("content_type_nosniff", "x-content-type-options", "nosniff"),
    ("frame_deny", "x-frame-options", "DENY"),
    ("browser_xss_filter", "x-xss-protection", "1; mode=block"),
];

/// Headers of answers whose value the option gives.
const VALUES: &[(&str, &str)] = &[
    ("custom_frame_options_value", "x-frame-options"),
    ("content_security_policy", "content-security-policy"),
    ("referrer_policy", "referrer-policy"),
];

pub(super) fn carry(world: &mut World<'_>) {
    let document = world.document;
    let port = number(document, "port").unwrap_or(8080.0) as u64;
    let listener = match at(document, "tls") {
        None => format!("0.0.0.0:{port}"),
        Some(_) => {
            world.findings.unsafe_(
                "tls",
                "write `tls.certificates` of the listener; until then it serves this machine alone",
            );
            format!("127.0.0.1:{port}")
        }
    };
    world.draft.root.insert("listeners".into(), json!([{ "address": listener }]));
    for (key, _) in document.as_object().into_iter().flatten() {
        match key.as_str() {
            "plugin" => world.findings.near("plugin", "plugins are not loaded here"),
            key if KNOWN.contains(&key) || key.starts_with('_') => {}
            key => world.findings.lost(key, "there is no such thing here; see the defaults in the reference"),
        }
    }
    if at(document, "extra_config").is_some_and(|extra| !extra.is_object()) {
        world.findings.unsafe_("extra_config", "it is no map; all routes refuse, since it may protect");
        world.all_refuse.push("`extra_config` is no map".to_owned());
    }
    for (space, config) in members(document, "extra_config") {
        let element = format!("extra_config.{space}");
        match space.as_str() {
            "security/cors" => cors(world, config, &element),
            // On each route: so it cannot be forgotten on one.
            "security/http" | "security/bot-detector" | "qos/ratelimit/router" => {}
            name => {
                let mut item = Item::new("", json!({}));
                world.unknown(name, &element, &mut item);
                if item.refuses() {
                    world.all_refuse.push(format!("`{element}` is not carried over"));
                }
            }
        }
    }
}

/// What each route has of the service.
pub(super) fn on_route(world: &mut World<'_>, item: &mut Item) {
    let document = world.document;
    for (space, config) in members(document, "extra_config") {
        let element = format!("extra_config.{space}");
        match space.as_str() {
            "security/http" => http(world, config, &element, item),
            "security/bot-detector" if item.keys.get("user_agents").is_none() => {
                access::robots(world, config, &element, item);
            }
            "qos/ratelimit/router" => {
                let from = item.keys.get("rate_limit").and_then(Value::as_array).map_or(0, Vec::len);
                access::limits(world, config, &element, item);
                let limits = item.keys.get_mut("rate_limit").and_then(Value::as_array_mut);
                for (index, limit) in limits.into_iter().flatten().skip(from).enumerate() {
                    // One for the whole service.
                    limit["name"] = format!("service-{}", index + 1).into();
                }
            }
            _ => {}
        }
    }
}

fn cors(world: &mut World<'_>, config: &Value, element: &str) {
    let origins = texts(config, "allow_origins");
    let any = origins.is_empty() || origins.iter().any(|origin| origin == "*");
    let credentials = is(config, "allow_credentials");
    if any && credentials {
        let note = "every origin with credentials: any site could act for its visitors; no origin is allowed until some are named";
        return world.findings.unsafe_(element, note);
    }
    let mut cors = json!({ "origins": if any { vec!["*".to_owned()] } else { origins } });
    for (theirs, ours) in
        [("allow_methods", "methods"), ("allow_headers", "headers"), ("expose_headers", "expose")]
    {
        let names = texts(config, theirs);
        if !names.is_empty() {
            cors[ours] = json!(names);
        }
    }
    if cors.get("headers").is_none() {
        cors["headers"] = json!([]);
    }
    if credentials {
        cors["credentials"] = true.into();
    }
    if let Some(age) = text(config, "max_age").as_deref().and_then(duration) {
        cors["max_age"] = age.into();
    }
    world.draft.root.insert("defaults".into(), json!({ "cors": cors }));
    world.findings.exact(element);
}

fn http(world: &mut World<'_>, config: &Value, element: &str, item: &mut Item) {
    for (option, value) in config.as_object().into_iter().flatten() {
        let element = format!("{element}.{option}");
        if *value == Value::Bool(false) || value.is_null() || *value == json!("") || *value == json!([]) {
            continue;
        }
        if let Some((_, header, text)) = HEADERS.iter().find(|(known, ..)| known == option) {
            item.put("response", "set_headers", header, *text);
            world.findings.exact(element);
            continue;
        }
        if let Some((_, header)) = VALUES.iter().find(|(known, _)| known == option) {
            let value = text(config, option).unwrap_or_default().replace('{', "{{").replace('}', "}}");
            item.put("response", "set_headers", header, value);
            world.findings.exact(element);
            continue;
        }
        match option.as_str() {
            "sts_seconds" => {
                let seconds = number(config, "sts_seconds").unwrap_or(0.0).max(0.0) as u64;
                let all = if is(config, "sts_include_subdomains") { "; includeSubDomains" } else { "" };
                item.put(
                    "response",
                    "set_headers",
                    "strict-transport-security",
                    format!("max-age={seconds}{all}"),
                );
                world.findings.exact(element);
            }
            "allowed_hosts" => {
                item.set("host", texts(config, "allowed_hosts"));
                world.findings.near(element, "another host is 404");
            }
            "ssl_redirect" => {
                item.append(
                    "guard",
                    json!({ "if": "request.scheme == \"https\"", "status": 426, "detail": "use https" }),
                );
                world.findings.near(element, "clear text is 426, not a redirect");
            }
            "sts_include_subdomains"
            | "ssl_host"
            | "ssl_proxy_headers"
            | "host_proxy_headers"
            | "is_development"
            | "ssl_certificate"
            | "ssl_private_key"
            | "hpkp_public_key"
            | "force_sts_header" => {
                world.findings.near(element, "goes with the others, or has no meaning here");
            }
            _ => {
                world
                    .findings
                    .unsafe_(element.clone(), "there is no such thing here; refused, since it may protect");
                item.refuse(&format!("`{element}` is not carried over"));
            }
        }
    }
}
