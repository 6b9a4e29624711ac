//! Which requests a route of Kong gets.

use serde_json::{Value, json};

use super::{named, order};
use crate::import::document::{at, is, list, members, text, texts};
use crate::import::draft::{Draft, Item};
use crate::import::findings::Findings;

/// One route of ours for each path of theirs.
pub(super) fn items(route: &Value, old: bool, element: &str, findings: &mut Findings) -> Vec<Item> {
    let mut paths = texts(route, "paths");
    let listed = !paths.is_empty();
    if paths.is_empty() {
        paths.push("/".to_owned());
    }
    let strip = at(route, "strip_path") != Some(&Value::Bool(false));
    let mut items = Vec::new();
    for (index, path) in paths.iter().enumerate() {
        let suffix = if index == 0 { String::new() } else { format!("-{}", index + 1) };
        let name = format!("{}{suffix}", named(route));
        let mut item = Item::new(name.clone(), json!({ "name": name }));
        self::path(path, old, strip, element, &mut item, findings);
        conditions(route, element, &mut item, findings);
        let written = listed.then_some(path.as_str());
        item.rank = Some(order::rank(route, written, expression(path, old).is_some()));
        items.push(item);
    }
    items
}

/// Whether it is about connections and not about requests.
pub(super) fn is_stream(route: &Value) -> bool {
    let protocols = texts(route, "protocols");
    let stream = |one: &String| ["tcp", "tls", "udp", "tls_passthrough"].contains(&one.as_str());
    !protocols.is_empty() && protocols.iter().all(stream)
}

/// Kong's /admin is the beginning of /administrator too, which is not below /admin/* here: where a wider route would get
/// such a request, and /admin/* protects, it is refused.
pub(super) fn close_gaps(draft: &mut Draft, findings: &mut Findings) {
    const PROTECTS: &[&str] = &["auth", "allow_ips", "deny_ips", "rate_limit", "guard", "user_agents"];
    let stem = |item: &Item| {
        let path = text(&Value::Object(item.keys.clone()), "path").unwrap_or_default();
        let tail = path.ends_with('*').then(|| path.find(['{', '*']).unwrap_or(path.len()))?;
        Some((path[..tail].to_owned(), path.ends_with("/*") && !path.contains('{')))
    };
    let stems: Vec<Option<(String, bool)>> = draft.routes.iter().map(stem).collect();
    let mut gaps = Vec::new();
    for (route, own) in draft.routes.iter().zip(&stems) {
        let Some((own, true)) = own else { continue };
        let base = own.trim_end_matches('/');
        let protects = route.refuses() || PROTECTS.iter().any(|key| route.keys.contains_key(*key));
        let wider = |(other, _): &(String, bool)| other.len() < own.len() && base.starts_with(other.as_str());
        if base.is_empty() || !protects || !stems.iter().flatten().any(wider) {
            continue;
        }
        let name = format!("{}-beyond", route.name);
        let mut gap = Item::new(name.clone(), json!({ "name": name, "path": format!("{base}{{more}}/*") }));
        for key in ["host", "methods", "headers"] {
            if let Some(value) = route.keys.get(key) {
                gap.set(key, value.clone());
            }
        }
        gap.refuse(&format!(
            "Kong's {base} is also the beginning of what is longer, and a wider route would let it pass"
        ));
        let note = format!(
            "what only begins like {base}, such as {base}x, is refused: a wider route would get it here"
        );
        gaps.push((gap, format!("route {}", route.name), note));
    }
    for (gap, element, note) in gaps {
        findings.guarded(element, note);
        draft.route(gap, findings);
    }
}

fn path(path: &str, old: bool, strip: bool, element: &str, item: &mut Item, findings: &mut Findings) {
    let Some(expression) = expression(path, old) else {
        let base = path.trim_end_matches('/');
        item.set("path", format!("{base}/*").replace('{', "%7B").replace('}', "%7D"));
        if strip && !base.is_empty() {
            item.set_in("request", "strip_prefix", base);
        }
        return;
    };
    item.note(format!("The path in Kong: ~{expression}"));
    match segments(expression) {
        Some(Segments { pattern, guards, whole }) => {
            item.set("path", pattern);
            for (name, regex) in guards {
                let quoted = Value::String(regex);
                item.append("guard", json!({
                    "if": format!("params.{name}.matches({quoted})"), "status": 404, "detail": "no such path",
                }));
            }
            findings.near(
                element,
                "an expression as path became parameters with guards; what does not fit is 404 and tries no other route",
            );
            if strip && whole {
                item.set_in("request", "rewrite", "/");
            } else if strip {
                findings.unsafe_(
                    element,
                    "strip_path with an expression that is not whole: write `request.rewrite`; refused here",
                );
                item.refuse("what an expression matched cannot be taken off the path");
            }
        }
        None => {
            let literal: String = expression
                .trim_start_matches('^')
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || "-_/".contains(*c))
                .collect();
            let base = literal.rfind('/').map_or("", |slash| &literal[..slash]);
            item.set("path", format!("{base}/*"));
            findings.unsafe_(
                element,
                format!(
                    "the expression `{expression}` has no like here; everything below `{base}/` is refused"
                ),
            );
            item.refuse("its path is an expression that has no like here");
        }
    }
}

/// A path that is an expression: before 3.0 any that looks like one.
fn expression(path: &str, old: bool) -> Option<&str> {
    match (path.strip_prefix('~'), old) {
        (Some(rest), false) => Some(rest),
        (_, true) if path.contains(|c: char| !(c.is_ascii_alphanumeric() || "-._~/%".contains(c))) => {
            Some(path)
        }
        _ => None,
    }
}

/// An expression that says something about each segment of a path.
struct Segments {
    pattern: String,
    /// What each parameter must match.
    guards: Vec<(String, String)>,
    /// Whether the path ends there.
    whole: bool,
}

/// Reads an expression; `None` where it reaches over segments.
fn segments(expression: &str) -> Option<Segments> {
    let body = expression.strip_prefix('^').unwrap_or(expression);
    let (body, whole) = match body.strip_suffix('$') {
        Some(body) if !body.ends_with('\\') => (body, true),
        _ => (body, false),
    };
    let (mut pattern, mut guards) = (String::new(), Vec::new());
    let parts = split(body.strip_prefix('/')?)?;
    for (at, part) in parts.iter().enumerate() {
        let last = at + 1 == parts.len();
        if let Some(literal) = literal(part) {
            // Without an end, the last literal is a beginning, as the prefixes of Kong are.
            pattern.push('/');
            pattern.push_str(&literal);
            continue;
        }
        let (name, inner) = group(part, at);
        // What a segment may hold must not reach over its end.
        if inner.contains('/')
            || inner.contains(".*")
            || inner.contains(".+")
            || inner.contains('|') && !inner.starts_with('(')
        {
            return None;
        }
        pattern.push_str(&format!("/{{{name}}}"));
        if inner != "[^/]+" {
            let anchored = if whole || !last { format!("^(?:{inner})$") } else { format!("^(?:{inner})") };
            regex::Regex::new(&anchored).ok()?;
            guards.push((name, anchored));
        }
    }
    if !whole {
        pattern = format!("{}/*", pattern.trim_end_matches('/'));
    }
    Some(Segments { pattern, guards, whole })
}

/// Splits at slashes outside of brackets.
fn split(body: &str) -> Option<Vec<String>> {
    let (mut parts, mut depth, mut class, mut escaped) = (vec![String::new()], 0_i32, false, false);
    for c in body.chars() {
        match c {
            _ if escaped => {}
            '[' => class = true,
            ']' => class = false,
            '(' if !class => depth += 1,
            ')' if !class => depth -= 1,
            '/' if depth == 0 && !class => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        parts.last_mut()?.push(c);
    }
    (depth == 0 && !class && !escaped).then_some(parts)
}

fn literal(part: &str) -> Option<String> {
    let text = part.replace("\\.", "\u{0}").replace("\\-", "-");
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_~%\u{0}".contains(c);
    text.chars().all(plain).then(|| text.replace('\u{0}', "."))
}

/// The name and the inside of `(?<name>…)`, or a name of its own.
fn group(part: &str, at: usize) -> (String, String) {
    let named = part.strip_prefix("(?<").or_else(|| part.strip_prefix("(?P<"));
    if let Some((name, rest)) = named.and_then(|rest| rest.split_once('>')) {
        let fits = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if let Some(inner) = rest.strip_suffix(')').filter(|inner| fits && !inner.contains([')', '('])) {
            return (name.to_owned(), inner.to_owned());
        }
    }
    (format!("p{}", at + 1), part.to_owned())
}

fn conditions(route: &Value, element: &str, item: &mut Item, findings: &mut Findings) {
    let methods: Vec<String> = texts(route, "methods").iter().map(|one| one.to_ascii_uppercase()).collect();
    if !methods.is_empty() {
        item.set("methods", methods);
    }
    hosts(&texts(route, "hosts"), element, item, findings);
    for (name, values) in members(route, "headers") {
        let values = texts(&json!({ "v": values }), "v");
        let name = name.to_ascii_lowercase();
        let escaped: Vec<String> = values.iter().map(|one| regex::escape(one)).collect();
        match values.as_slice() {
            [one] if one.starts_with("~*") => item_header(item, &name, format!("~{}", &one[2..])),
            [one] => item_header(item, &name, one.clone()),
            _ => item_header(item, &name, format!("~^(?:{})$", escaped.join("|"))),
        }
    }
    for key in ["snis", "sources", "destinations"] {
        if !list(route, key).is_empty() {
            findings
                .unsafe_(format!("{element}.{key}"), "there is no such condition here; the route is refused");
            item.refuse(&format!("it had a condition on `{key}`"));
        }
    }
    protocols(route, element, item, findings);
    if text(route, "regex_priority").is_some_and(|priority| priority != "0") {
        findings.near(
            format!("{element}.regex_priority"),
            "the more specific path comes first here, whatever its priority; where another route protects otherwise, it refuses",
        );
    }
    if is(route, "https_redirect_status_code") || text(route, "expression").is_some() {
        findings.unsafe_(element, "the routes of the expressions router are not known here; refused");
        item.refuse("it is an expression of Kong's router");
    }
}

fn item_header(item: &mut Item, name: &str, value: String) {
    let value = if let Some(rest) = value.strip_prefix('~') { format!("~{rest}") } else { value };
    item.set_in("headers", name, value);
}

fn hosts(hosts: &[String], element: &str, item: &mut Item, findings: &mut Findings) {
    if hosts.is_empty() {
        return;
    }
    if let Some(odd) =
        hosts.iter().find(|host| host.ends_with(".*") || host.get(1..).is_some_and(|rest| rest.contains('*')))
    {
        findings.unsafe_(
            format!("{element}.hosts"),
            format!("`{odd}`: only `*.` at the beginning works here; refused"),
        );
        item.set("host", hosts.iter().filter(|host| !host.contains('*')).cloned().collect::<Vec<_>>());
        item.refuse("one of its hosts cannot be written here");
        return;
    }
    let plain: Vec<String> =
        hosts.iter().map(|host| host.split(':').next().unwrap_or_default().to_owned()).collect();
    if plain != hosts {
        findings.near(format!("{element}.hosts"), "ports of hosts are not compared here");
    }
    match plain.as_slice() {
        [one] => item.set("host", one.clone()),
        _ => item.set("host", plain),
    }
}

fn protocols(route: &Value, element: &str, item: &mut Item, findings: &mut Findings) {
    let protocols = texts(route, "protocols");
    let has = |name: &str| protocols.iter().any(|one| one == name);
    let clear = protocols.is_empty() || has("http") || has("grpc") || has("ws");
    if !clear {
        item.append(
            "guard",
            json!({ "if": "request.scheme == \"https\"", "status": 426, "detail": "use https" }),
        );
        if text(route, "https_redirect_status_code").is_some_and(|status| status != "426") {
            findings
                .near(format!("{element}.https_redirect_status_code"), "clear text is 426, not a redirect");
        }
    }
}
