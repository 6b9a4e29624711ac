//! A description of an interface becomes a route for each of its paths, with the requests checked by it.

use serde_json::{Value, json};

use super::document::{Unreadable, at, list, members, text};
use super::draft::{Draft, Item};
use super::findings::Findings;

const METHODS: &[&str] = &["get", "put", "post", "delete", "options", "head", "patch", "trace"];

pub(super) fn carry(
    document: &Value,
    file: &str,
    draft: &mut Draft,
    findings: &mut Findings,
) -> Result<(), Unreadable> {
    let version = text(document, "openapi").unwrap_or_default();
    if !version.starts_with("3.") {
        return Err(Unreadable::new("`openapi` is not 3.x: only OpenAPI 3.0 and 3.1 are known"));
    }
    let title = text(document, "info/title").unwrap_or_else(|| "an interface".to_owned());
    draft.head = vec![
        format!("Made by `tollgate import openapi` from {file}: {title}."),
        "Requests are checked by the description; a change of it is loaded by itself.".to_owned(),
    ];
    let base = server(document, draft, findings);
    for (path, shape) in members(document, "paths") {
        if at(shape, "$ref").is_some() {
            findings.lost(format!("paths {path}"), "a path behind a `$ref`: write the route by hand");
            continue;
        }
        for mut item in routes(document, path, shape, &base, findings) {
            item.set("to", "service");
            item.set("validate", json!({ "openapi": file }));
            draft.route(finish(item), findings);
        }
    }
    if at(document, "webhooks").is_some() {
        findings.lost("webhooks", "requests to others do not pass the gateway");
    }
    Ok(())
}

/// A route that refuses forgets its action: what it would have done stays as a comment.
fn finish(mut item: Item) -> Item {
    if let Some(why) = item.keys.shift_remove("refuse") {
        item.refuse(why.as_str().unwrap_or_default());
    }
    item
}

/// The upstream, and the path in front of all paths.
fn server(document: &Value, draft: &mut Draft, findings: &mut Findings) -> String {
    let servers = list(document, "servers");
    let mut url = servers.first().and_then(|first| text(first, "url")).unwrap_or_default();
    if let Some(first) = servers.first() {
        for (name, variable) in members(first, "variables") {
            url = url.replace(&format!("{{{name}}}"), &text(variable, "default").unwrap_or_default());
        }
    }
    if servers.len() > 1 {
        findings.near(
            "servers",
            "the first one is the upstream; add the others as targets, or as upstreams of their own",
        );
    }
    let (origin, path) = match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
            (Some(format!("{scheme}://{host}")), path.to_owned())
        }
        None => (None, url),
    };
    let mut item = Item::new("service", json!({}));
    match origin {
        Some(origin) => {
            item.set("targets", json!([origin]));
            findings.exact("servers");
        }
        None => {
            item.note("The description names no host: put the address of the service here.");
            item.set("targets", json!(["http://127.0.0.1:3000"]));
            findings
                .lost("servers", "no host is named; put the address of the service into `upstreams.service`");
        }
    }
    draft.upstreams.push(item);
    path.trim_end_matches('/').to_owned()
}

/// One route for all methods of a path that are protected alike.
fn routes(document: &Value, path: &str, shape: &Value, base: &str, findings: &mut Findings) -> Vec<Item> {
    let mut made: Vec<(Value, Item)> = Vec::new();
    for method in METHODS {
        let Some(operation) = at(shape, method) else { continue };
        let upper = method.to_ascii_uppercase();
        let element = format!("{upper} {path}");
        let mut item = Item::new(element.clone(), json!({ "path": format!("{base}{}", parameters(path)) }));
        let mut refused = None;
        match credentials(document, operation) {
            Ok(Some(auth)) => item.set("auth", auth),
            Ok(None) => {}
            Err(why) => {
                findings.unsafe_(element.clone(), format!("{why}; refused"));
                refused = Some(why);
            }
        }
        if at(operation, "servers").is_some() || at(shape, "servers").is_some() {
            findings.lost(
                format!("{element}.servers"),
                "a server of its own: give the route its upstream, and its path",
            );
        }
        if at(operation, "callbacks").is_some() {
            findings.lost(format!("{element}.callbacks"), "requests to others do not pass the gateway");
        }
        findings.exact(element.clone());
        if let Some(why) = refused {
            item.set("refuse", why);
        }
        let kind = Value::Object(item.keys.clone());
        match made.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, known)) => known.append("methods", upper),
            None => {
                item.append("methods", upper);
                if let Some(summary) = text(operation, "summary") {
                    item.note(summary);
                }
                made.push((kind, item));
            }
        }
    }
    made.into_iter().map(|(_, item)| item).collect()
}

/// Names of parameters are letters, digits and underscores here; the description has its own.
fn parameters(path: &str) -> String {
    let mut inside = false;
    let clean = |c: char| {
        match c {
            '{' => inside = true,
            '}' => inside = false,
            c if inside && !c.is_ascii_alphanumeric() => return '_',
            _ => {}
        }
        c
    };
    path.chars().map(clean).collect()
}

/// How callers say who they are: any one of the alternatives.
fn credentials(document: &Value, operation: &Value) -> Result<Option<Value>, String> {
    let Some(alternatives) = operation.get("security").or_else(|| document.get("security")) else {
        return Ok(None);
    };
    // Whoever writes it otherwise meant to protect something.
    let Some(alternatives) = alternatives.as_array() else {
        return Err("`security` is no list of alternatives".to_owned());
    };
    if alternatives.is_empty() {
        return Ok(None);
    }
    let mut auth = json!({});
    let mut optional = false;
    for alternative in alternatives {
        let Some(schemes) = alternative.as_object() else {
            return Err("an alternative of `security` is no map of schemes".to_owned());
        };
        let schemes: Vec<&String> = schemes.keys().collect();
        match schemes.as_slice() {
            [] => optional = true,
            [one] => scheme(document, one, &mut auth)?,
            _ => return Err("several credentials at once: here any one of them would do".to_owned()),
        }
    }
    if optional {
        if auth.as_object().is_none_or(serde_json::Map::is_empty) {
            return Ok(None);
        }
        auth["optional"] = true.into();
    }
    Ok(Some(auth))
}

fn scheme(document: &Value, name: &str, auth: &mut Value) -> Result<(), String> {
    let shape =
        document.get("components").and_then(|all| all.get("securitySchemes")).and_then(|all| all.get(name));
    let Some(shape) = shape else {
        return Err(format!("the security scheme `{name}` is not in the description"));
    };
    let said = |key: &str| text(shape, key).unwrap_or_default().to_ascii_lowercase();
    match (said("type").as_str(), said("scheme").as_str(), said("in").as_str()) {
        ("apikey", _, place @ ("header" | "query")) if auth.get("api_key").is_none() => {
            let key = text(shape, "name").unwrap_or_default();
            let key = if place == "header" { key.to_ascii_lowercase() } else { key };
            auth["api_key"] = json!({ place: key });
            Ok(())
        }
        ("http", "basic", _) => {
            auth["basic"] = true.into();
            Ok(())
        }
        ("http", "bearer", _) | ("oauth2" | "openidconnect", ..) => Err(format!(
            "`{name}` says that a token is needed, and not whose: write the issuer under `issuers` and `auth: {{ jwt: … }}`"
        )),
        _ => Err(format!("the security scheme `{name}` has no like here")),
    }
}
