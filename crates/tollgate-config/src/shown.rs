//! The configuration as it may be shown: as it is written, with everything taken out that is a secret or may be one.
//!
//! What `${…}` stands for never gets so far: the text is read once more and nothing is expanded. Of what is written,
//! literal secrets are known by their keys, as in snippets; beyond that whole kinds of values are left out, because a
//! header that the gateway sets, a query that it adds or the text of a script can hold a credential under any name.

use serde_json::{Map, Value};

use crate::mask;
use crate::source_map::{SourceFile, SourceMap};
use crate::yaml::{self, Core, NodeRef};

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// Keys under which every text is left out: values that go to services, conditions on what clients send, settings of
/// scripts.
const VALUES: &[&str] = &["set_headers", "add_headers", "set_query", "headers", "query", "with", "json"];

/// Of these, keys under which a list holds names: of headers that lines of the log carry, of what an aggregate passes on.
const NAMES: &[&str] = &["headers", "query"];

/// Keys under which those are what any client is shown anyway.
const SHOWN_TO_CLIENTS: &[&str] = &["response", "respond", "cors"];

/// Bytes of one text that are shown.
const TEXT_BYTES: usize = 1_000;

/// The files of a configuration, the main one first: `[{"file", "config"}]`.
pub fn redacted(sources: &SourceMap) -> Value {
    let files = sources.configurations().map(|(id, file)| {
        let tree = yaml::parse(id, &file.text).ok().flatten();
        let shown = tree.map_or(Value::Null, |tree| Walk { file }.node(tree.root(), Above::default()));
        let members = [("file", file.path.display().to_string().into()), ("config", shown)];
        Value::Object(members.map(|(key, value)| (key.to_owned(), value)).into_iter().collect())
    });
    files.collect()
}

struct Walk<'a> {
    file: &'a SourceFile,
}

/// What the keys above a value say of it.
#[derive(Debug, Clone, Copy, Default)]
struct Above<'k> {
    key: &'k str,
    /// Texts here are left out.
    values: bool,
    /// The key itself says so, none above it.
    by_key: bool,
    /// Clients see it.
    public: bool,
}

impl Walk<'_> {
    fn node(&self, node: NodeRef<'_>, above: Above<'_>) -> Value {
        if let Some(entries) = node.entries() {
            let shown = entries.map(|entry| {
                let value = self.node(entry.value, above.below(entry.key));
                (entry.key.to_owned(), value)
            });
            return Value::Object(shown.collect::<Map<_, _>>());
        }
        if let Some(items) = node.items() {
            let above = above.of_items();
            return items.map(|item| self.node(item, above)).collect();
        }
        self.scalar(node, above)
    }

    fn scalar(&self, node: NodeRef<'_>, above: Above<'_>) -> Value {
        let Some(scalar) = node.scalar() else { return Value::Null };
        match scalar.core() {
            Core::Null => return Value::Null,
            Core::Bool(value) => return value.into(),
            Core::Int(number) if !self.is_masked(node) && !above.values => {
                return i64::try_from(number).map_or_else(|_| number.to_string().into(), Value::from);
            }
            Core::Float(number) if number.is_finite() && !self.is_masked(node) && !above.values => {
                return number.into();
            }
            _ => {}
        }
        if above.hides(&scalar.text) {
            return HIDDEN.into();
        }
        match self.without_masks(node) {
            Some(text) => cut(without_query(&without_defaults(&above.without_literals(text)))).into(),
            None => HIDDEN.into(),
        }
    }

    fn is_masked(&self, node: NodeRef<'_>) -> bool {
        self.file.masks_in(&range(node)).next().is_some()
    }

    /// The text with its secret parts hidden; none when all of it is secret.
    fn without_masks(&self, node: NodeRef<'_>) -> Option<String> {
        let scalar = node.scalar()?;
        if !self.is_masked(node) {
            return Some(scalar.text.to_string());
        }
        // A text is shown as it is written, which of several lines is not what it is.
        let all = range(node);
        let written = self.file.text.get(all.clone())?.trim_end();
        if written.contains('\n') {
            return None;
        }
        let mut out = String::new();
        let mut at = all.start;
        for hidden in self.file.masks_in(&(all.start..all.start + written.len())) {
            if hidden.start == all.start && hidden.end >= all.start + written.len() {
                return None;
            }
            out.push_str(self.file.text.get(at..hidden.start)?);
            out.push_str(HIDDEN);
            at = hidden.end;
        }
        out.push_str(self.file.text.get(at..all.start + written.len())?);
        Some(out.trim_matches(['"', '\'']).to_owned())
    }
}

impl<'k> Above<'k> {
    fn below(self, key: &'k str) -> Above<'k> {
        let public = self.public || SHOWN_TO_CLIENTS.contains(&key);
        let by_key = !self.values && VALUES.contains(&key) && !public;
        Above { key, values: self.values || by_key, by_key, public }
    }

    /// Of a list that is the value of the key.
    fn of_items(self) -> Above<'k> {
        let names = self.by_key && NAMES.contains(&self.key);
        Above { values: self.values && !names, by_key: false, ..self }
    }

    /// Whether a text here may be a secret: all but a template of one placeholder where values are left out, and
    /// scripts, and tests.
    fn hides(self, text: &str) -> bool {
        let placeholder = text.starts_with('{') && text.ends_with('}') && text.matches('{').count() == 1;
        (self.values && !placeholder) || self.key == "inline" || (self.key == "lua" && text.contains('\n'))
    }

    /// A condition without the texts that it compares with.
    fn without_literals(self, text: String) -> String {
        if self.key != "if" {
            return text;
        }
        let mut out = String::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            out.push(c);
            if !matches!(c, '"' | '\'') {
                continue;
            }
            out.push_str(HIDDEN);
            while let Some(inside) = chars.next() {
                if inside == '\\' {
                    chars.next();
                } else if inside == c {
                    break;
                }
            }
            out.push(c);
        }
        out
    }
}

fn range(node: NodeRef<'_>) -> std::ops::Range<usize> {
    node.span().start as usize..node.span().end as usize
}

/// `${NAME:-default}` with its default hidden: whoever writes one for a secret writes a secret.
fn without_defaults(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let end = from.find('}').map_or(from.len(), |end| end + 1);
        let (reference, after) = from.split_at(end);
        match reference.split_once(":-") {
            Some((name, "}")) => out.extend([name, ":-}"]),
            Some((name, _)) => out.extend([name, ":-", HIDDEN, "}"]),
            None => out.push_str(reference),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A URL with its query hidden unless it has placeholders alone, and with its userinfo.
fn without_query(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let rest = match rest.split_once('?') {
        Some((address, query)) if !query.is_empty() && !mask::of_placeholders(query) => {
            format!("{address}?{HIDDEN}")
        }
        _ => rest.to_owned(),
    };
    let whole = format!("{scheme}://{rest}");
    match mask::userinfo(&whole) {
        Some(part) if whole.get(part.clone()) != Some(HIDDEN) => {
            let (before, after) = (whole.get(..part.start), whole.get(part.end..));
            format!("{}{HIDDEN}{}", before.unwrap_or_default(), after.unwrap_or_default())
        }
        _ => whole,
    }
}

fn cut(text: String) -> String {
    if text.len() <= TEXT_BYTES {
        return text;
    }
    let end = (0..=TEXT_BYTES).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}… ({} bytes)", text.get(..end).unwrap_or_default(), text.len())
}

#[cfg(test)]
mod tests;
