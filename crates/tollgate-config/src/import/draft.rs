//! The configuration while it is made: items with comments, and where each came to stand in the text.

use std::fmt::Write;
use std::ops::Range;

use serde_json::{Map, Value, json};

use super::findings::{Findings, one_line};
use super::secrets::Secrets;
use super::write;

/// A configuration in the making.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// What the file says about itself, line by line.
    pub(super) head: Vec<String>,
    /// Keys of the top level that are no lists or maps of items.
    pub(super) root: Map<String, Value>,
    pub(super) issuers: Vec<Item>,
    pub(super) consumers: Vec<Item>,
    pub(super) upstreams: Vec<Item>,
    pub(super) routes: Vec<Item>,
    /// What these refer to and do not hold.
    pub(super) secrets: Secrets,
}

/// One issuer, consumer, upstream or route.
#[derive(Debug, Default, Clone)]
pub(super) struct Item {
    pub(super) name: String,
    /// Comment lines above it.
    pub(super) notes: Vec<String>,
    pub(super) keys: Map<String, Value>,
    /// Where the source has an order of routes that is not ours: where it stands in that.
    pub(super) rank: Option<Rank>,
    /// A route that refuses every request.
    refused: bool,
    /// What it would have done otherwise.
    withheld: Map<String, Value>,
}

/// How the source ranks a route.
#[derive(Debug, Default, Clone)]
pub(super) struct Rank {
    /// What it compares, by each order that it may be set to; the greater comes first.
    pub(super) orders: Vec<Vec<i64>>,
    /// Whether it has a host that could not be written here.
    pub(super) any_host: bool,
}

/// A section of the file: its key, its items, whether they are named, and what a place in it is called.
type Section<'d> = (&'static str, &'d [Item], bool, fn(usize) -> Place);

/// Where a part of the draft stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Root(String),
    Issuer(usize),
    Consumer(usize),
    Upstream(usize),
    Route(usize),
}

/// Keys that decide which requests a route gets.
const MATCHING: &[&str] = &["name", "path", "host", "methods", "headers", "query", "priority"];

/// Keys of a route in the order in which a request meets them.
const ORDER: &[&str] = &[
    "name",
    "path",
    "host",
    "methods",
    "headers",
    "query",
    "priority",
    "cors",
    "allow_ips",
    "deny_ips",
    "user_agents",
    "auth",
    "rate_limit",
    "max_body",
    "guard",
    "validate",
    "request",
    "response",
    "cache",
    "timeout",
];

impl Item {
    pub(super) fn new(name: impl Into<String>, keys: Value) -> Self {
        let keys = match keys {
            Value::Object(keys) => keys,
            _ => Map::new(),
        };
        Item { name: name.into(), keys, ..Item::default() }
    }

    pub(super) fn note(&mut self, note: impl AsRef<str>) {
        self.notes.push(one_line(note.as_ref()));
    }

    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.keys.insert(key.to_owned(), value.into());
    }

    /// Sets a key of a block of the item.
    pub(super) fn set_in(&mut self, block: &str, key: &str, value: impl Into<Value>) {
        let block = self.keys.entry(block).or_insert_with(|| json!({}));
        if let Value::Object(block) = block {
            block.insert(key.to_owned(), value.into());
        }
    }

    /// Adds to a map in a block of the item.
    pub(super) fn put(&mut self, block: &str, map: &str, key: &str, value: impl Into<Value>) {
        let block = self.keys.entry(block).or_insert_with(|| json!({}));
        let Value::Object(block) = block else { return };
        if let Value::Object(map) = block.entry(map).or_insert_with(|| json!({})) {
            map.insert(key.to_owned(), value.into());
        }
    }

    /// Adds to a list of the item.
    pub(super) fn append(&mut self, list: &str, value: impl Into<Value>) {
        if let Value::Array(list) = self.keys.entry(list).or_insert_with(|| json!([])) {
            list.push(value.into());
        }
    }

    /// Adds to a list in a block of the item.
    pub(super) fn append_in(&mut self, block: &str, list: &str, value: impl Into<Value>) {
        let block = self.keys.entry(block).or_insert_with(|| json!({}));
        let Value::Object(block) = block else { return };
        if let Value::Array(list) = block.entry(list).or_insert_with(|| json!([])) {
            list.push(value.into());
        }
    }

    /// Whether it is a route that refuses.
    pub(super) fn refuses(&self) -> bool {
        self.refused
    }

    /// Makes a route refuse every request, whatever else is said about it before or after.
    pub(super) fn refuse(&mut self, why: &str) {
        self.note(format!("REFUSES, since {why}"));
        self.refused = true;
    }

    /// Puts the keys of a route in order; one that refuses keeps what it would have done as a comment.
    fn seal(&mut self) {
        let rank = |key: &str| ORDER.iter().position(|known| *known == key).unwrap_or(ORDER.len());
        let mut keys: Vec<(String, Value)> = std::mem::take(&mut self.keys).into_iter().collect();
        keys.sort_by_key(|(key, _)| rank(key));
        let refused = self.refused;
        let (kept, withheld): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|(key, _)| !refused || MATCHING.contains(&key.as_str()));
        self.keys = kept.into_iter().collect();
        if refused {
            // Sealed before, it holds its own answer, which is nothing to come back to.
            let own = |(key, _): &(String, Value)| key != "respond" || self.withheld.is_empty();
            self.withheld.extend(withheld.into_iter().filter(own).collect::<Vec<_>>());
            self.set("respond", json!({ "status": 503, "body": "this route was not imported" }));
        }
    }
}

impl Draft {
    /// Adds a route. Of two that get the same requests one remains, and it refuses: which one was meant is not known.
    pub(super) fn route(&mut self, mut item: Item, findings: &mut Findings) {
        item.seal();
        let wanted = matching(&item);
        match self.routes.iter_mut().find(|one| matching(one) == wanted) {
            None => self.routes.push(item),
            Some(first) => {
                let why = format!("the source has another one for the same requests, {}", item.name);
                first.refuse(&why);
                first.seal();
                findings.unsafe_(
                    format!("route {}", item.name),
                    format!("it gets the same requests as {}: that one refuses them all", first.name),
                );
            }
        }
    }

    /// Makes a route refuse that is in the draft already.
    pub(super) fn refuse(&mut self, index: usize, why: &str) {
        if let Some(route) = self.routes.get_mut(index) {
            route.refuse(why);
            route.seal();
        }
    }

    /// Puts a route that refuses before those that it ties with.
    pub(super) fn settle_tie(&mut self, index: usize) {
        if let Some(route) = self.routes.get_mut(index) {
            route.set("priority", index + 1);
            route.seal();
        }
    }

    /// The text, and the lines of each part, from 1.
    pub(super) fn write(&self) -> (String, Vec<(Range<u32>, Place)>) {
        let mut out = String::new();
        let mut places = Vec::new();
        for line in &self.head {
            comment(&mut out, 0, line);
        }
        for (key, value) in &self.root {
            let from = line_of(&out);
            out.push('\n');
            write::entry(&mut out, 0, key, value);
            places.push((from..line_of(&out), Place::Root(key.clone())));
        }
        let sections: [Section<'_>; 4] = [
            ("issuers", &self.issuers, true, Place::Issuer),
            ("consumers", &self.consumers, false, Place::Consumer),
            ("upstreams", &self.upstreams, true, Place::Upstream),
            ("routes", &self.routes, false, Place::Route),
        ];
        for (name, items, named, place) in sections {
            if items.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n{name}:");
            for (index, item) in items.iter().enumerate() {
                let from = line_of(&out);
                item_text(&mut out, item, named);
                places.push((from..line_of(&out), place(index)));
            }
        }
        (out, places)
    }
}

/// What decides which requests a route gets; names of parameters do not.
fn matching(item: &Item) -> Vec<(String, String)> {
    let keys = item.keys.iter().filter(|(key, _)| MATCHING.contains(&key.as_str()) && *key != "name");
    let mut parts: Vec<_> = keys.map(|(key, value)| (key.clone(), anonymous(&write::flow(value)))).collect();
    parts.sort();
    parts
}

fn anonymous(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        inside = (inside || c == '{') && c != '}';
        if !inside || c == '{' || c == '*' {
            out.push(c);
        }
    }
    out
}

fn item_text(out: &mut String, item: &Item, named: bool) {
    for note in &item.notes {
        comment(out, 2, note);
    }
    match named {
        true => {
            out.push_str("  ");
            let flat = Value::Object(item.keys.clone());
            // One key alone, such as `targets`, reads best on the same line.
            if item.keys.len() > 1 {
                let _ = writeln!(out, "{}:", write::flow(&Value::String(item.name.clone())));
                write::keys(out, 4, &item.keys);
            } else {
                write::entry(out, 2, &item.name, &flat);
            }
        }
        false => {
            for (at, (key, value)) in item.keys.iter().enumerate() {
                out.push_str(if at == 0 { "  - " } else { "    " });
                write::entry(out, 4, key, value);
            }
        }
    }
    if let Some(withheld) = Some(&item.withheld).filter(|keys| !keys.is_empty()) {
        let mut text = String::new();
        write::keys(&mut text, 0, withheld);
        comment(out, 4, "In the place of `respond`, once it is right:");
        for line in text.lines() {
            let _ = writeln!(out, "    # {line}");
        }
    }
}

/// A comment, broken into lines that fit.
fn comment(out: &mut String, indent: usize, text: &str) {
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && indent + line.len() + word.len() + 3 > 110 {
            let _ = writeln!(out, "{}# {line}", " ".repeat(indent));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    let _ = writeln!(out, "{}# {line}", " ".repeat(indent));
}

fn line_of(out: &str) -> u32 {
    out.matches('\n').count() as u32 + 1
}
