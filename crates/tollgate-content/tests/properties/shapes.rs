//! JSON taken apart and put together as text, against the same done to values.

use serde_json::{Map, Value};
use tollgate_content::{Kind, Merge, Node, Path, Raw, Shape, ShapeSpec, merge};

/// Rules, a line each, and any bytes behind a NUL as the document. Whether the document was shaped.
pub(crate) fn shape(bytes: &[u8]) -> bool {
    let (rules, document) = super::halves(bytes);
    let read: Result<Value, _> = serde_json::from_slice(without_mark(document));
    let raw = match Raw::check(document) {
        Ok(raw) => raw,
        Err(_) => {
            assert!(read.is_err(), "{}", document.escape_ascii());
            return false;
        }
    };
    same_reading(raw);
    let Some((rules, shape)) = compiled(&String::from_utf8_lossy(rules)) else { return false };
    let shaped = shape.apply(raw).to_json();
    let again = Raw::check(shaped.as_bytes()).expect("what is made is JSON");
    assert_eq!(again.as_str(), shaped);
    merged(raw, again);
    // A number too large for the model, or half of a surrogate pair: the text has room for both.
    let Ok(value) = read else { return true };
    if twice(raw) {
        return true;
    }
    let expected = rules.apply(value);
    let found: Value = serde_json::from_str(&shaped).expect("JSON");
    assert_eq!(found, expected, "{rules:?} of {}", raw.as_str());
    true
}

fn without_mark(document: &[u8]) -> &[u8] {
    document.strip_prefix("\u{feff}".as_bytes()).unwrap_or(document)
}

/// The parts of a document are documents, and are all of it.
fn same_reading(raw: Raw<'_>) {
    let written = Node::Raw(raw).to_json();
    assert_eq!(Raw::check(written.as_bytes()).map(Raw::as_str), Ok(raw.as_str()));
    for part in raw.members().map(|(_, value)| value).chain(raw.elements()) {
        assert_eq!(
            Raw::check(part.as_str().as_bytes()).map(Raw::as_str),
            Ok(part.as_str()),
            "{}",
            raw.as_str()
        );
    }
    if let Ok(value) = serde_json::from_str::<Value>(raw.as_str()) {
        let kind = match &value {
            Value::Null => Kind::Null,
            Value::Bool(_) => Kind::Bool,
            Value::Number(_) => Kind::Number,
            Value::String(text) => {
                assert_eq!(raw.text().as_deref(), Some(text.as_str()));
                Kind::Text
            }
            Value::Array(elements) => {
                assert_eq!(raw.elements().count(), elements.len());
                Kind::List
            }
            Value::Object(members) => {
                assert!(raw.members().all(|(name, _)| members.contains_key(&*name)));
                Kind::Object
            }
        };
        assert_eq!(raw.kind(), kind, "{}", raw.as_str());
    }
}

/// Whether a name stands twice in an object: which one counts is not the model's to say.
fn twice(raw: Raw<'_>) -> bool {
    let mut names: Vec<_> = raw.members().map(|(name, _)| name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    names.len() < count || raw.members().map(|(_, value)| value).chain(raw.elements()).any(twice)
}

/// Documents that are put together are a document, whatever they are, with all names of both.
fn merged(one: Raw<'_>, other: Raw<'_>) {
    for how in [Merge::Shallow, Merge::Deep] {
        let mut whole = tollgate_content::Object::default();
        let taken: Vec<bool> =
            [one, other].into_iter().map(|part| merge(&mut whole, Node::Raw(part), how).is_ok()).collect();
        assert_eq!(taken, [one, other].map(|part| part.kind() == Kind::Object));
        let text = Node::Object(whole).to_json();
        let made = Raw::check(text.as_bytes()).expect("what is made is JSON");
        for (name, _) in one.members().chain(other.members()) {
            assert!(made.members().any(|(known, _)| known == name), "{name} is gone from {text}");
        }
    }
}

#[derive(Debug, Default)]
struct Rules {
    from: Option<Vec<String>>,
    pick: Option<Vec<Vec<String>>>,
    drop: Vec<Vec<String>>,
    rename: Vec<(Vec<String>, String)>,
    wrap: Option<String>,
}

/// `from PATH`, `pick PATH`, `drop PATH`, `rename PATH NAME`, `wrap NAME`.
fn compiled(text: &str) -> Option<(Rules, Shape)> {
    let (mut rules, mut spec) = (Rules::default(), ShapeSpec::default());
    for line in text.lines().take(16) {
        let (word, rest) = line.split_once(' ')?;
        let (path, name) = rest.split_once(' ').unwrap_or((rest, "new"));
        if word == "wrap" {
            rules.wrap = Some(rest.to_owned());
            spec.wrap = Some(rest.into());
            continue;
        }
        let parsed = Path::parse(path).ok()?;
        let keys = keys(path);
        match word {
            "from" => (rules.from, spec.from) = (Some(keys), Some(parsed)),
            "pick" => {
                rules.pick.get_or_insert_default().push(keys);
                spec.pick.get_or_insert_default().push(parsed);
            }
            "drop" => {
                rules.drop.push(keys);
                spec.drop.push(parsed);
            }
            "rename" => {
                rules.rename.push((keys, name.to_owned()));
                spec.rename.push((parsed, name.into()));
            }
            _ => return None,
        }
    }
    Some((rules, Shape::new(spec).ok()?))
}

/// The names of a path that was parsed: `[]` says what happens anyway.
fn keys(path: &str) -> Vec<String> {
    let (mut keys, mut key, mut letters) = (Vec::new(), String::new(), path.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => key.extend(letters.next()),
            '.' | '[' if key.is_empty() => {}
            '.' | '[' => keys.push(std::mem::take(&mut key)),
            ']' => {}
            letter => key.push(letter),
        }
    }
    if !key.is_empty() {
        keys.push(key);
    }
    keys
}

impl Rules {
    fn apply(&self, value: Value) -> Value {
        let empty = || Value::Object(Map::new());
        let mut value = match &self.from {
            None => value,
            Some(path) => descend(value, path).unwrap_or_else(empty),
        };
        if let Some(paths) = &self.pick {
            let paths: Vec<&[String]> = paths.iter().map(Vec::as_slice).collect();
            value = pick(value, &paths).unwrap_or_else(empty);
        }
        let paths: Vec<&[String]> = self.drop.iter().map(Vec::as_slice).collect();
        value = drop(value, &paths);
        let paths: Vec<(&[String], &str)> =
            self.rename.iter().map(|(path, name)| (path.as_slice(), name.as_str())).collect();
        value = rename(value, &paths);
        match &self.wrap {
            None => value,
            Some(name) => Value::Object([(name.clone(), value)].into_iter().collect()),
        }
    }
}

fn descend(value: Value, path: &[String]) -> Option<Value> {
    let Some((first, rest)) = path.split_first() else { return Some(value) };
    match value {
        Value::Object(mut members) => descend(members.remove(first)?, rest),
        Value::Array(elements) => {
            Some(elements.into_iter().filter_map(|element| descend(element, path)).collect())
        }
        _ => None,
    }
}

fn below<'p>(paths: &[&'p [String]], name: &str) -> Vec<&'p [String]> {
    let below = paths.iter().filter_map(|path| path.split_first().filter(|(first, _)| *first == name));
    below.map(|(_, rest)| rest).collect()
}

fn pick(value: Value, paths: &[&[String]]) -> Option<Value> {
    if paths.iter().any(|path| path.is_empty()) {
        return Some(value);
    }
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter_map(|(name, value)| {
                let paths = below(paths, &name);
                (!paths.is_empty()).then(|| Some((name, pick(value, &paths)?))).flatten()
            });
            Some(Value::Object(kept.collect()))
        }
        Value::Array(elements) => {
            Some(elements.into_iter().filter_map(|element| pick(element, paths)).collect())
        }
        _ => None,
    }
}

fn drop(value: Value, paths: &[&[String]]) -> Value {
    match value {
        Value::Object(members) => {
            let kept = members.into_iter().filter_map(|(name, value)| {
                let paths = below(paths, &name);
                (!paths.iter().any(|path| path.is_empty())).then(|| (name, drop(value, &paths)))
            });
            Value::Object(kept.collect())
        }
        Value::Array(elements) => elements.into_iter().map(|element| drop(element, paths)).collect(),
        other => other,
    }
}

/// What gets a name takes it from whoever has it and keeps it.
fn rename(value: Value, paths: &[(&[String], &str)]) -> Value {
    match value {
        Value::Object(members) => {
            let new = |name: &str| {
                paths.iter().find(|(path, _)| matches!(path, [only] if only == name)).map(|(_, new)| *new)
            };
            let wanted: Vec<&str> = members.keys().filter_map(|name| new(name)).collect();
            let mut out = Map::new();
            for (name, value) in members.clone() {
                if new(&name).is_none() && wanted.contains(&name.as_str()) {
                    continue;
                }
                let inner: Vec<(&[String], &str)> = paths
                    .iter()
                    .filter_map(|(path, new)| {
                        Some((path.split_first().filter(|(first, _)| **first == name)?.1, *new))
                    })
                    .filter(|(path, _)| !path.is_empty())
                    .collect();
                let value = rename(value, &inner);
                out.insert(new(&name).map_or(name, str::to_owned), value);
            }
            Value::Object(out)
        }
        Value::Array(elements) => elements.into_iter().map(|element| rename(element, paths)).collect(),
        other => other,
    }
}
