//! Which parts of a text are literal secrets, so that no snippet shows them.

use std::collections::HashMap;
use std::ops::Range;

use crate::yaml::{NodeRef, Tree};

/// Keys whose values are secrets, wherever they stand. Header edits may carry credentials too.
const SECRET: &[&str] = &[
    "token",
    "client_secret",
    "secret_access_key",
    "session_token",
    "account_key",
    "secret",
    "password",
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "cookie",
];

/// Keys whose values are lists of secrets.
const SECRETS: &[&str] = &["keys"];

/// The secrets of a parsed file: values of known keys, and userinfo in URLs.
pub(crate) fn by_keys(tree: &Tree, text: &str) -> Vec<Range<usize>> {
    let mut masks = Vec::new();
    // The same few keys come again and again.
    let mut known: HashMap<&str, bool> = HashMap::new();
    for entry in tree.entries() {
        let key = entry.key;
        let secret = *known.entry(key).or_insert_with(|| is_secret(key) || SECRETS.contains(&key));
        // The `token` of a test describes one; its parts are no secrets.
        let description = key == "token" && entry.value.entries().is_some();
        if secret && !description {
            mask(entry.value, text, &mut masks);
        }
    }
    for consumer in consumers(tree) {
        mask_consumer(consumer, text, &mut masks);
    }
    for header in collector_headers(tree) {
        mask(header, text, &mut masks);
    }
    for node in tree.nodes().filter(|node| node.scalar().is_some_and(|scalar| scalar.text.contains('@'))) {
        let span = node.span();
        let bytes = span.start as usize..span.end as usize;
        masks.extend(
            text.get(bytes.clone())
                .and_then(userinfo)
                .map(|part| bytes.start + part.start..bytes.start + part.end),
        );
    }
    masks
}

/// The entries of `consumers`.
fn consumers<'t>(tree: &'t Tree<'_>) -> impl Iterator<Item = NodeRef<'t>> {
    let lists = tree.root().entries().into_iter().flatten().filter(|entry| entry.key == "consumers");
    lists.flat_map(|entry| entry.value.items().into_iter().flatten())
}

/// What is sent to a collector of traces, under whatever name: mostly its key.
fn collector_headers<'t>(tree: &'t Tree<'_>) -> impl Iterator<Item = NodeRef<'t>> {
    let traces = tree.root().entries().into_iter().flatten().filter(|entry| entry.key == "traces");
    let parts = traces.flat_map(|entry| entry.value.entries().into_iter().flatten());
    let headers = parts.filter(|entry| entry.key == "headers");
    headers.flat_map(|entry| entry.value.entries().into_iter().flatten()).map(|entry| entry.value)
}

/// Whatever a consumer's key is called by mistake, its value is not shown.
fn mask_consumer(consumer: NodeRef<'_>, text: &str, masks: &mut Vec<Range<usize>>) {
    for entry in consumer.entries().into_iter().flatten() {
        match entry.key {
            "name" | "groups" => {}
            "basic" if entry.value.entries().is_some() => {
                let parts = entry.value.entries().into_iter().flatten();
                parts.filter(|part| part.key != "user").for_each(|part| mask(part.value, text, masks));
            }
            _ => mask(entry.value, text, masks),
        }
    }
}

/// The secrets of a text that is no YAML: found line by line, rather too many than too few.
pub(crate) fn by_lines(text: &str) -> Vec<Range<usize>> {
    let mut masks = Vec::new();
    let mut start = 0;
    // The indentation of a secret key whose value may go on in deeper lines.
    let mut open: Option<usize> = None;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end();
        let indent = body.len() - body.trim_start().len();
        if !body.is_empty() && open.is_some_and(|outer| indent > outer) {
            masks.push(start + indent..start + body.len());
        } else if !body.is_empty() {
            open = None;
            if let Some(colon) = secret_colon(body) {
                let value = body[colon + 1..].trim_start();
                masks.push(start + body.len() - value.len()..start + body.len());
                open = Some(indent);
            } else if let Some(part) = userinfo(body) {
                masks.push(start + part.start..start + part.end);
            }
        }
        start += line.len();
    }
    masks.retain(|mask| !mask.is_empty());
    masks
}

/// The first colon of a line that a secret key stands before.
fn secret_colon(line: &str) -> Option<usize> {
    line.match_indices(':').map(|(at, _)| at).find(|at| {
        let before = line[..*at].trim_end_matches(['"', '\'', ' ']);
        let key = before.rsplit(['{', ',', ' ', '"', '\'', '\t']).next().unwrap_or_default();
        is_secret(key) || SECRETS.contains(&key)
    })
}

/// A secret key, or what looks like a misspelt one: its error would show the value.
fn is_secret(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    SECRET
        .iter()
        .any(|secret| secret.len().abs_diff(lower.len()) <= 1 && strsim::osa_distance(secret, &lower) <= 1)
}

/// Masks every scalar of a value.
fn mask(node: NodeRef<'_>, text: &str, masks: &mut Vec<Range<usize>>) {
    let Some(scalar) = node.scalar() else {
        node.items().into_iter().flatten().for_each(|item| mask(item, text, masks));
        node.entries().into_iter().flatten().for_each(|entry| mask(entry.value, text, masks));
        return;
    };
    let span = node.span().start as usize..node.span().end as usize;
    let written = text.get(span.clone()).unwrap_or_default().trim_end();
    // A reference to a secret is none, and helps to find the place.
    let reference =
        scalar.text.starts_with("${") && scalar.text.ends_with('}') && !scalar.text.contains(":-");
    if !reference && !written.is_empty() && !node.is_null() {
        masks.push(span.start..span.start + written.len());
    }
}

/// The part between `://` and `@` of a URL's authority. A password with a slash in it is a mistake, and a secret all
/// the same.
pub(crate) fn userinfo(text: &str) -> Option<Range<usize>> {
    let scheme = text.find("://")?;
    let start = scheme + 3;
    let rest = &text[start..];
    let authority = rest.split(['/', '?', '#', ' ', '"', '\'']).next()?;
    let redis = text[..scheme].ends_with("redis") || text[..scheme].ends_with("rediss");
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let odd = port.is_some_and(|port| !port.contains(']') && !port.bytes().all(|byte| byte.is_ascii_digit()));
    let end = if redis || odd { rest.rfind('@')? } else { authority.rfind('@')? };
    (end > 0).then_some(start..start + end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source_map::FileId;
    use crate::yaml;

    fn hidden(text: &str, masks: Vec<Range<usize>>) -> Vec<&str> {
        masks.into_iter().map(|mask| &text[mask]).collect()
    }

    #[test]
    fn secrets_are_found_by_key() {
        for (text, expect) in [
            ("token: abc", vec!["abc"]),
            ("a: { password: \"x y\", user: u }", vec!["\"x y\""]),
            ("tokn: abc", vec!["abc"]),
            ("broken: abc", vec![]),
            ("token: ${TOKEN}", vec![]),
            ("token: ${TOKEN:-abc}", vec!["${TOKEN:-abc}"]),
            ("token:", vec![]),
            ("token: [a, [b]]", vec!["a", "b"]),
            ("secret: { a: b }", vec!["b"]),
            ("token: { issuer: main }", vec![]),
            ("keys: [a, \"sha256:b\"]", vec!["a", "\"sha256:b\""]),
            ("url: redis://me:pw@host/0", vec!["me:pw"]),
            ("url: rediss://:p/w?@host/0", vec![":p/w?"]),
            ("url: \"redis://:p w@host/0\"", vec![":p w"]),
            ("url: https://me:p/w@host", vec!["me:p/w"]),
            ("url: http://host:80/x/@me", vec![]),
            ("url: http://[::1]/x/@me", vec![]),
            (
                "consumers: [{ name: a, api_kye: x, groups: [b], basic: { user: c, pass: d } }]",
                vec!["x", "d"],
            ),
            ("consumers: [{ basic: \"u:p\" }]", vec!["\"u:p\""]),
            ("set_headers: { Authorization: Basic eDp5 }", vec!["Basic eDp5"]),
            ("user: me@example.com", vec![]),
            ("path: /x/@me", vec![]),
        ] {
            let tree = yaml::parse(FileId(0), text).ok().flatten().unwrap();
            assert_eq!(hidden(text, by_keys(&tree, text)), expect, "{text}");
        }
    }

    #[test]
    fn secrets_are_found_in_text_that_is_no_yaml() {
        for (text, expect) in [
            ("admin:\n  token: \"abc\n", vec!["\"abc"]),
            ("admin: { token: abc, x: [\n", vec!["abc, x: ["]),
            ("secret: |\n  one\n  two\nnext: x", vec!["|", "one", "two"]),
            ("password:\n- a\n", vec![]),
            ("keys:\n  - abc\nx: [", vec!["- abc"]),
            ("to: http://me:pw@x\n", vec!["me:pw"]),
            ("path: /token/x", vec![]),
        ] {
            assert_eq!(hidden(text, by_lines(text)), expect, "{text:?}");
        }
    }
}
