//! Plugins of Kong that edit requests and answers.

use serde_json::{Value, json};

use super::World;
use crate::import::document::{at, is, members, text, texts};
use crate::import::draft::Item;

pub(super) fn correlation(world: &mut World<'_>, element: String, config: &Value, item: &mut Item) {
    let header =
        text(config, "header_name").unwrap_or_else(|| "Kong-Request-ID".to_owned()).to_ascii_lowercase();
    item.put("request", "set_headers", &header, "{request_id}");
    if is(config, "echo_downstream") {
        item.put("response", "set_headers", &header, "{request_id}");
    }
    world.findings.near(element, "the id is the gateway's, a UUIDv7, also where the client sends one");
}

pub(super) fn request(world: &mut World<'_>, element: String, config: &Value, item: &mut Item) {
    let mut inexact = Vec::new();
    for name in texts(config, "remove/headers") {
        item.append_in("request", "remove_headers", name.to_ascii_lowercase());
    }
    for name in texts(config, "remove/querystring") {
        item.append_in("request", "remove_query", name);
    }
    for step in ["replace", "add", "append"] {
        for (name, value) in pairs(config, &format!("{step}/headers")) {
            let Some(value) = template(&value) else {
                inexact.push(format!("{step}.headers {name}: its expression has no like here"));
                continue;
            };
            let list = if step == "append" { "add_headers" } else { "set_headers" };
            item.put("request", list, &name.to_ascii_lowercase(), value);
            if step != "append" {
                inexact.push(format!("{step}.headers {name}: set whether the client sends it or not"));
            }
        }
        for (name, value) in pairs(config, &format!("{step}/querystring")) {
            match template(&value).filter(|_| step != "append") {
                Some(value) => {
                    item.put("request", "set_query", &name, value);
                    inexact
                        .push(format!("{step}.querystring {name}: set whether the client sends it or not"));
                }
                None => inexact.push(format!("{step}.querystring {name}: left out")),
            }
        }
    }
    if let Some(uri) = text(config, "replace/uri") {
        match template(&uri) {
            Some(path) => {
                if let Some(Value::Object(request)) = item.keys.get_mut("request") {
                    request.shift_remove("strip_prefix");
                }
                item.set_in("request", "rewrite", path);
            }
            None => inexact.push("replace.uri: its expression has no like here; left out".to_owned()),
        }
    }
    if let Some(method) = text(config, "http_method") {
        inexact.push(format!("http_method {method}: left out; a script in Lua can set `req.method`"));
    }
    left_out(
        config,
        &[
            "remove/body",
            "rename/headers",
            "rename/querystring",
            "rename/body",
            "replace/body",
            "add/body",
            "append/body",
        ],
        &mut inexact,
    );
    tell(world, element, inexact);
}

pub(super) fn response(world: &mut World<'_>, element: String, config: &Value, item: &mut Item) {
    let mut inexact = Vec::new();
    for name in texts(config, "remove/headers") {
        // `name:value` removes only that value.
        match name.split_once(':') {
            None => item.append_in("response", "remove_headers", name.to_ascii_lowercase()),
            Some((name, _)) => inexact
                .push(format!("remove.headers {name}: one value of several cannot be removed; left out")),
        }
    }
    for step in ["replace", "add"] {
        for (name, value) in pairs(config, &format!("{step}/headers")) {
            item.put("response", "set_headers", &name.to_ascii_lowercase(), braces(&value));
            inexact.push(format!("{step}.headers {name}: set whether the service sends it or not"));
        }
    }
    let hidden = texts(config, "remove/json");
    if !hidden.is_empty() {
        item.set_in("response", "body", json!({ "drop": hidden }));
        inexact.push(
            "remove.json: an answer that is not JSON becomes an error, so that nothing passes with it"
                .to_owned(),
        );
    }
    left_out(
        config,
        &["rename/headers", "append/headers", "replace/json", "add/json", "append/json", "rename/json"],
        &mut inexact,
    );
    tell(world, element, inexact);
}

fn tell(world: &mut World<'_>, element: String, inexact: Vec<String>) {
    match inexact.is_empty() {
        true => world.findings.exact(element),
        false => world.findings.near(element, inexact.join("; ")),
    }
}

fn left_out(config: &Value, keys: &[&str], inexact: &mut Vec<String>) {
    for key in
        keys.iter().filter(|key| !texts(config, key).is_empty() || members(config, key).next().is_some())
    {
        inexact.push(format!("{}: left out; see `lua` and `response.body`", key.replace('/', ".")));
    }
}

/// `name:value` of each element.
fn pairs(config: &Value, path: &str) -> Vec<(String, String)> {
    let listed = texts(config, path).into_iter().filter(|_| at(config, path).is_some());
    listed
        .filter_map(|one| {
            one.split_once(':').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// Kong's `$(headers.x)` as placeholders; `None` where one has no like here.
fn template(value: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("$(") {
        out.push_str(&braces(before));
        let (inside, behind) = after.split_once(')')?;
        let inside = inside.replace("['", ".").replace("[\"", ".").replace("']", "").replace("\"]", "");
        let (kind, name) = inside.trim().split_once('.')?;
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if name.is_empty() || !name.chars().all(fits) {
            return None;
        }
        match kind {
            "headers" => out.push_str(&format!("{{header:{}}}", name.to_ascii_lowercase())),
            "query_params" => out.push_str(&format!("{{query:{name}}}")),
            "uri_captures" => out.push_str(&format!("{{{name}}}")),
            _ => return None,
        }
        rest = behind;
    }
    out.push_str(&braces(rest));
    Some(out)
}

/// Braces that stay text in a template.
pub(super) fn braces(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}
