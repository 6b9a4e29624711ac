//! Which parts of a text are literal secrets, so that no snippet shows them.

use std::collections::HashMap;
use std::ops::Range;

use crate::yaml::{Entry, NodeRef, Tree};

pub(crate) mod cel;
pub(crate) mod lua;
mod query;

pub(crate) use query::of_placeholders;

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

/// Keys of maps that go to services or say what clients send: what looks like a credential in them is one.
const SENT: &[&str] = &["set_query", "query", "set_headers", "add_headers", "headers"];

/// How the first line of a private key in PEM ends. It is a secret wherever it stands, also where a path should.
const PRIVATE_KEY: &str = "PRIVATE KEY-----";

/// Words in the name of a parameter, a header or a member that holds a credential.
const CREDENTIALS: &[&str] = &[
    "key",
    "apikey",
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "sig",
    "signature",
    "code",
    "auth",
    "authorization",
    "credential",
    "credentials",
    "session",
    "sid",
    "cookie",
    "jwt",
];

/// Keys that are secret with all that is below them where a text is no YAML.
const BLOCKS: &[&str] = &["with", "lua", "inline", "if", "guard", "set_query", "set_headers", "add_headers"];

/// What a key says of its value.
#[derive(Clone, Copy)]
enum Says {
    Nothing,
    Secret,
    /// What stands under a name that looks like a credential is one.
    Sent,
    /// The parts of an aggregate.
    Parts,
    /// What a script is handed.
    With,
    /// A script, or where it is.
    Script,
    /// An expression, or what holds some.
    Expression,
}

/// The secrets of a parsed file: values of known keys, and userinfo and queries in URLs.
pub(crate) fn by_keys(tree: &Tree, text: &str) -> Vec<Range<usize>> {
    let mut masks = Vec::new();
    // The same few keys come again and again.
    let mut known: HashMap<&str, Says> = HashMap::new();
    for entry in tree.entries() {
        let (key, value) = (entry.key, entry.value);
        match *known.entry(key).or_insert_with(|| says(key)) {
            // The `token` of a test describes one; its parts are no secrets.
            Says::Secret if key == "token" && value.entries().is_some() => {}
            Says::Secret => mask(value, text, &mut masks),
            Says::With if value.entries().is_some() => mask(value, text, &mut masks),
            Says::Sent => mask_credentials(value, text, &mut masks),
            Says::Parts => {
                let parts = value.items().into_iter().flatten().flat_map(|part| part.entries());
                let sent = parts.flatten().filter(|entry| entry.key == "json");
                sent.for_each(|json| mask_credentials(json.value, text, &mut masks));
            }
            Says::Script => {
                let several = value.items().into_iter().flatten();
                let certain = key != "lua";
                std::iter::once(value)
                    .chain(several)
                    .for_each(|node| mask_script(node, certain, text, lua::mask, &mut masks));
            }
            Says::Expression => {
                let several = value.items().into_iter().flatten();
                std::iter::once(value)
                    .chain(several)
                    .for_each(|node| mask_script(node, true, text, cel::mask, &mut masks));
            }
            Says::With | Says::Nothing => {}
        }
    }
    for consumer in consumers(tree) {
        mask_consumer(consumer, text, &mut masks);
    }
    for header in collector_headers(tree) {
        mask(header, text, &mut masks);
    }
    for node in tree.nodes() {
        let Some(scalar) = node.scalar() else { continue };
        let (bytes, written) = written(node, text);
        if scalar.text.contains(PRIVATE_KEY) {
            masks.push(bytes);
            continue;
        }
        if scalar.text.contains('@') {
            masks.extend(userinfo(written).map(|part| bytes.start + part.start..bytes.start + part.end));
        }
        if scalar.text.contains('?') {
            query::mask(&scalar.text, written, bytes.start, &mut masks);
        }
    }
    masks
}

fn says(key: &str) -> Says {
    match key {
        "parts" => Says::Parts,
        _ if is_secret(key) || SECRETS.contains(&key) => Says::Secret,
        _ if is_nearly(key, &["with"]) => Says::With,
        _ if is_nearly(key, &["lua", "inline"]) => Says::Script,
        _ if is_nearly(key, SENT) => Says::Sent,
        _ if is_nearly(key, &["if", "guard"]) => Says::Expression,
        _ => Says::Nothing,
    }
}

/// The secrets in the value of a key that is not known where it stands: of one whose name is that of a credential.
pub(crate) fn of_unknown(entry: Entry<'_>, text: &str) -> Vec<Range<usize>> {
    let mut masks = Vec::new();
    let lower = entry.key.to_ascii_lowercase();
    if names_credential(entry.key) || ["pass", "pw", "hmac", "hash", "sas"].contains(&lower.as_str()) {
        mask(entry.value, text, &mut masks);
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

/// Masks what stands under a name that looks like a credential. A template of one placeholder says where it comes from.
fn mask_credentials(node: NodeRef<'_>, text: &str, masks: &mut Vec<Range<usize>>) {
    node.items().into_iter().flatten().for_each(|item| mask_credentials(item, text, masks));
    for entry in node.entries().into_iter().flatten() {
        let placeholder = entry.value.scalar().is_some_and(|scalar| query::is_placeholder(&scalar.text));
        // A map describes a value, as a schema does, or has members of its own.
        if !names_credential(entry.key) || entry.value.entries().is_some() {
            mask_credentials(entry.value, text, masks);
        } else if !placeholder {
            mask(entry.value, text, masks);
        }
    }
}

/// Masks the texts in a script or an expression. Where it may be a path too, what has a line break is the script. Where what is written is not
/// the script word for word, all of it is masked.
fn mask_script(
    node: NodeRef<'_>,
    certain: bool,
    text: &str,
    texts_of: fn(&str, usize, &mut Vec<Range<usize>>),
    masks: &mut Vec<Range<usize>>,
) {
    let Some(scalar) = node.scalar().filter(|scalar| certain || scalar.text.contains('\n')) else { return };
    let (bytes, written) = written(node, text);
    let verbatim = match written.bytes().next() {
        Some(b'"') => !written.contains(['\\', '\n']),
        Some(b'\'') => !written.contains('\n') && scalar.text.len() + 2 == written.len(),
        // Behind `|`, or on one line. What is folded has other lines than what is written.
        _ => {
            let behind = written.strip_prefix('|').and_then(|rest| rest.split_once('\n'));
            let lines = behind.map_or(written, |(_, lines)| lines).lines().map(str::trim);
            lines.eq(scalar.text.trim_end().lines().map(str::trim))
        }
    };
    let quotes = usize::from(written.starts_with(['"', '\'']));
    match written.get(quotes..written.len().saturating_sub(quotes)) {
        Some(script) if verbatim => texts_of(script, bytes.start + quotes, masks),
        _ if written.is_empty() => {}
        _ => masks.push(bytes),
    }
}

/// Whether a word of the name is one of credentials: `x-api-key`, `accessToken`, `subscriptionkey`.
fn names_credential(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    // A word ends at a sign, and where a capital follows a small letter.
    let mut spaced = String::with_capacity(name.len() + 4);
    let mut small = false;
    for letter in name.chars() {
        if small && letter.is_ascii_uppercase() {
            spaced.push(' ');
        }
        small = letter.is_ascii_lowercase();
        spaced.push(letter.to_ascii_lowercase());
    }
    let mut words = spaced.split(|letter: char| !letter.is_ascii_alphabetic());
    words.any(|word| CREDENTIALS.contains(&word))
        || ["key", "token", "secret", "password"].iter().any(|end| lower.ends_with(end))
        || is_secret(name)
}

/// The secrets of a text that is no YAML: found line by line, rather too many than too few.
pub(crate) fn by_lines(text: &str) -> Vec<Range<usize>> {
    let mut masks = Vec::new();
    let mut start = 0;
    // The indentation of a secret key whose value may go on in deeper lines.
    let mut open: Option<usize> = None;
    let mut pem = false;
    for line in text.split_inclusive('\n') {
        let body = line.trim_end();
        let indent = body.len() - body.trim_start().len();
        pem |= body.contains("BEGIN") && body.contains(PRIVATE_KEY);
        if pem {
            masks.push(start + indent..start + body.len());
            pem = !(body.contains("-----END") || body.is_empty());
        } else if !body.is_empty() && open.is_some_and(|outer| indent > outer) {
            masks.push(start + indent..start + body.len());
        } else if !body.is_empty() {
            open = None;
            let query = query::after_name(body).map(|at| start + at..start + body.len());
            if let Some(colon) = secret_colon(body) {
                // An earlier query on the line is no part of the value.
                masks.extend(query);
                let value = body[colon + 1..].trim_start();
                masks.push(start + body.len() - value.len()..start + body.len());
                open = Some(indent);
            } else {
                masks.extend(userinfo(body).map(|part| start + part.start..start + part.end));
                masks.extend(query);
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
        is_secret(key) || SECRETS.contains(&key) || BLOCKS.contains(&key)
    })
}

/// A secret key, or what looks like a misspelt one: its error would show the value.
fn is_secret(key: &str) -> bool {
    is_nearly(key, SECRET)
}

/// One of the names, or nearly.
fn is_nearly(key: &str, names: &[&str]) -> bool {
    let lower = key.to_ascii_lowercase();
    names.iter().any(|name| name.len().abs_diff(lower.len()) <= 1 && strsim::osa_distance(name, &lower) <= 1)
}

/// Masks every scalar of a value.
fn mask(node: NodeRef<'_>, text: &str, masks: &mut Vec<Range<usize>>) {
    let Some(scalar) = node.scalar() else {
        node.items().into_iter().flatten().for_each(|item| mask(item, text, masks));
        node.entries().into_iter().flatten().for_each(|entry| mask(entry.value, text, masks));
        return;
    };
    let (span, written) = written(node, text);
    // A reference to a secret is none, and helps to find the place.
    if !query::is_reference(&scalar.text) && !written.is_empty() && !node.is_null() {
        masks.push(span);
    }
}

/// The bytes of a node, and what is written there.
fn written<'t>(node: NodeRef<'_>, text: &'t str) -> (Range<usize>, &'t str) {
    let span = node.span().start as usize..node.span().end as usize;
    let written = text.get(span.clone()).unwrap_or_default().trim_end();
    (span.start..span.start + written.len(), written)
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
mod tests;
