//! YAML 1.2: blocks for maps and lists, JSON's own strings where a plain one could be read as something else.

use crate::node::write_text;
use crate::raw::{Kind, Raw};

pub(super) fn write(document: Raw<'_>, out: &mut String) {
    value(document, 0, false, out);
    if !out.ends_with('\n') {
        out.push('\n');
    }
}

/// Writes a value at a depth; `inline` says that something stands in front of it on its line.
fn value(raw: Raw<'_>, depth: usize, inline: bool, out: &mut String) {
    match raw.kind() {
        Kind::Object if raw.members().next().is_some() => {
            for (at, (name, member)) in raw.members().enumerate() {
                line(at, depth, inline, out);
                text(&name, out);
                out.push(':');
                below(member, depth, out);
            }
        }
        Kind::List if raw.elements().next().is_some() => {
            for (at, element) in raw.elements().enumerate() {
                line(at, depth, inline, out);
                out.push_str("- ");
                value(element, depth + 1, true, out);
                end(out);
            }
        }
        Kind::Object => out.push_str("{}"),
        Kind::List => out.push_str("[]"),
        Kind::Text => text(&raw.text().unwrap_or_default(), out),
        Kind::Null | Kind::Bool | Kind::Number => out.push_str(raw.as_str()),
    }
}

/// Begins a line, but for the first one behind a dash.
fn line(at: usize, depth: usize, inline: bool, out: &mut String) {
    if at > 0 || !inline {
        end(out);
        out.extend(std::iter::repeat_n("  ", depth));
    }
}

fn end(out: &mut String) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

/// Writes the value of a member: containers below, indented, everything else behind the colon.
fn below(raw: Raw<'_>, depth: usize, out: &mut String) {
    let nested = match raw.kind() {
        Kind::Object => raw.members().next().is_some(),
        Kind::List => raw.elements().next().is_some(),
        _ => false,
    };
    if nested {
        out.push('\n');
        value(raw, depth + 1, false, out);
    } else {
        out.push(' ');
        value(raw, depth, true, out);
    }
    end(out);
}

fn text(text: &str, out: &mut String) {
    if is_plain(text) {
        return out.push_str(text);
    }
    // A string of JSON is a double-quoted scalar of YAML.
    let mut quoted = Vec::new();
    write_text(text, &mut quoted);
    for letter in String::from_utf8(quoted).unwrap_or_default().chars() {
        // JSON leaves these as they are; to YAML they end a line or cannot be printed.
        match letter {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
}

/// Whether nobody can take it for anything but this text: letters first, and only harmless bytes behind.
fn is_plain(text: &str) -> bool {
    const WORDS: &[&str] = &["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && !text.ends_with(' ')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./ @+".contains(&byte))
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::super::{Encoding, told};
    use crate::decode::{Notation, decode};

    #[test]
    fn documents() {
        let check = |json: &str, wanted: &str| assert_eq!(told(json, Encoding::Yaml), wanted, "{json}");
        check(
            r#"{"a":1,"b":[1,"x"],"c":{"d":null},"e":[],"f":{}}"#,
            "a: 1\nb:\n  - 1\n  - x\nc:\n  d: null\ne: []\nf: {}\n",
        );
        check(r#"[{"a":1,"b":2},[1,[2]],"yes"]"#, "- a: 1\n  b: 2\n- - 1\n  - - 2\n- \"yes\"\n");
        check(r#""a: b\n""#, "\"a: b\\n\"\n");
        check("{}", "{}\n");
        check("5", "5\n");
    }

    fn json() -> impl Strategy<Value = Value> {
        let text = prop_oneof![any::<String>(), "[a-z0-9:#\\-?,\\[\\]{}&*!|>'\"%@` ~.]{0,6}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((text.clone(), inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(value in json()) {
            let yaml = told(&value.to_string(), Encoding::Yaml);
            let json = decode(yaml.as_bytes(), Notation::Yaml, 1 << 20);
            prop_assert!(json.is_ok(), "{:?}\n{}", json, yaml);
            prop_assert_eq!(serde_json::from_str::<Value>(&json.unwrap()).unwrap(), value, "{}", yaml);
        }
    }
}
