//! Bodies in other notations: what is decoded is JSON within its bound, and what is encoded is read back.

use serde_json::Value;
use tollgate_content::decode::{Notation, decode};
use tollgate_content::encode::{Encoding, encode};
use tollgate_content::{Node, Raw};

const BYTES_MAX: usize = 4096;

/// The first byte says what the others are written in. Whether they are.
pub(crate) fn notation(bytes: &[u8]) -> bool {
    let Some((choice, body)) = bytes.split_first() else { return false };
    let notation = match choice % 5 {
        0 => Notation::Json,
        1 => Notation::Xml,
        2 => Notation::Yaml,
        3 => Notation::Csv,
        _ => Notation::Text,
    };
    let Ok(json) = decode(body, notation, BYTES_MAX) else { return false };
    let shown = format!("{notation:?} {}", body.escape_ascii());
    // JSON is as long as it came.
    let roomy = notation == Notation::Json;
    assert!(roomy || json.len() <= BYTES_MAX, "{} bytes of {shown}", json.len());
    let raw = Raw::check(json.as_bytes()).unwrap_or_else(|error| panic!("{error}: {shown} gives {json}"));
    // One byte less is refused.
    if !roomy {
        assert!(decode(body, notation, json.len().saturating_sub(1)).is_err(), "{shown} gives {json}");
    }
    there_and_back(raw, &shown);
    true
}

fn there_and_back(raw: Raw<'_>, shown: &str) {
    let node = Node::Raw(raw);
    let roomy = usize::MAX / 2;
    let yaml = encode(&node, Encoding::Yaml);
    let xml = encode(&node, Encoding::Xml);
    assert!(std::str::from_utf8(&xml).is_ok() && std::str::from_utf8(&yaml).is_ok(), "{shown}");
    let Ok(value) = serde_json::from_str::<Value>(raw.as_str()) else { return };
    if depth(&value) < 60 && !twice(raw) {
        let back = decode(&yaml, Notation::Yaml, roomy);
        let back = back.unwrap_or_else(|error| panic!("{error}: {shown} gives {}", yaml.escape_ascii()));
        let back: Value = serde_json::from_str(&back).expect("JSON");
        assert!(alike(&back, &value), "{shown} gives {}, which is {back}", yaml.escape_ascii());
        let back = decode(&xml, Notation::Xml, roomy);
        assert!(back.is_ok(), "{back:?}: {shown} gives {}", xml.escape_ascii());
    }
}

fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(elements) => elements.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

fn twice(raw: Raw<'_>) -> bool {
    let mut names: Vec<_> = raw.members().map(|(name, _)| name).collect();
    let count = names.len();
    names.sort();
    names.dedup();
    names.len() < count || raw.members().map(|(_, value)| value).chain(raw.elements()).any(twice)
}

/// The same but for how a number is written.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| alike(value, other)))
        }
        _ => one == other,
    }
}
