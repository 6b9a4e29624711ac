//! Values as YAML that people like to read: short ones on one line, longer ones below each other.

use serde_json::{Map, Value};

use super::secrets::name_of;
use crate::yaml::{Core, core};

/// Columns of a line.
const WIDTH: usize = 110;

/// The keys of a map, each on a line of its own at least.
pub(super) fn keys(out: &mut String, indent: usize, keys: &Map<String, Value>) {
    for (key, value) in keys {
        out.push_str(&" ".repeat(indent));
        entry(out, indent, key, value);
    }
}

/// One key; the cursor stands at `indent` already.
pub(super) fn entry(out: &mut String, indent: usize, key: &str, value: &Value) {
    let key = scalar(key);
    let line = flow(value);
    out.push_str(&key);
    out.push(':');
    let whole = name_of(value).is_some() || !(value.is_object() || value.is_array());
    if whole || indent + key.len() + line.len() + 2 <= WIDTH {
        out.push(' ');
        out.push_str(&line);
        out.push('\n');
        return;
    }
    out.push('\n');
    match value {
        Value::Object(map) => keys(out, indent + 2, map),
        Value::Array(items) => {
            for item in items {
                out.push_str(&" ".repeat(indent + 2));
                out.push_str("- ");
                self::item(out, indent + 4, item);
            }
        }
        _ => {}
    }
}

fn item(out: &mut String, indent: usize, value: &Value) {
    let line = flow(value);
    match value {
        Value::Object(map) if indent + line.len() > WIDTH && !map.is_empty() => {
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 {
                    out.push_str(&" ".repeat(indent));
                }
                entry(out, indent, key, value);
            }
        }
        _ => {
            out.push_str(&line);
            out.push('\n');
        }
    }
}

/// A value on one line.
pub(super) fn flow(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(_) if name_of(value).is_some() => {
            format!("\"${{{}}}\"", name_of(value).unwrap_or_default())
        }
        Value::Object(map) => {
            let pairs = map.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value)));
            format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A duration in the largest unit in which it is whole.
pub(super) fn duration(ms: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    match units.iter().find(|(_, unit)| ms > 0 && ms.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", ms / unit),
        None if ms == 0 => "0s".to_owned(),
        None => format!("{ms}ms"),
    }
}

/// Text that stays the text it is: never another type, never syntax, never an expansion.
fn scalar(text: &str) -> String {
    let text = match text.contains("${") || text.contains("$$") {
        true => text.replace('$', "$$"),
        false => text.to_owned(),
    };
    let first = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_');
    let inner = |byte: u8| first(byte) || matches!(byte, b'.' | b'-' | b'+' | b'%' | b':' | b'*');
    let bytes = text.as_bytes();
    let plain = bytes.first().is_some_and(|byte| first(*byte))
        && bytes.iter().all(|byte| inner(*byte))
        && !text.ends_with(':')
        && core(&text) == Core::Text;
    if plain { text } else { quoted(&text) }
}

/// JSON's escapes are YAML's; what JSON leaves as it is and YAML does not, is escaped too.
fn quoted(text: &str) -> String {
    let json = Value::String(text.to_owned()).to_string();
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", c as u32));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        for (text, expect) in [
            ("orders", "orders"),
            ("http://a:80/x", "http://a:80/x"),
            ("header:x-user", "header:x-user"),
            ("1", "\"1\""),
            ("true", "\"true\""),
            ("/x/*", "/x/*"),
            ("", "\"\""),
            ("a: b", "\"a: b\""),
            ("{id}", "\"{id}\""),
            ("*.x", "\"*.x\""),
            ("a\n- b", "\"a\\n- b\""),
            ("${HOME}", "\"$${HOME}\""),
            ("$1 $2", "\"$1 $2\""),
            ("\u{7f}", "\"\\u007f\""),
        ] {
            assert_eq!(scalar(text), expect, "{text:?}");
        }
    }
}
