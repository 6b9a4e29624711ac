//! XML 1.0.

use std::borrow::Cow;

use crate::raw::{Kind, Raw};

pub(super) fn write(document: Raw<'_>, out: &mut String) {
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut members = document.members();
    match (members.next(), members.next()) {
        (Some((name, value)), None) if value.kind() != Kind::List && !is_special(&name) => {
            element(&name, value, out)
        }
        _ => element("root", document, out),
    }
    out.push('\n');
}

fn is_special(name: &str) -> bool {
    name.starts_with('@') || name == "#text"
}

fn element(name: &str, value: Raw<'_>, out: &mut String) {
    let name = element_name(name);
    out.push('<');
    out.push_str(&name);
    let object = value.kind() == Kind::Object;
    if object {
        for (name, value) in value.members() {
            if let (Some(name), Some(value)) = (name.strip_prefix('@'), value.scalar()) {
                out.push(' ');
                out.push_str(&element_name(name));
                out.push_str("=\"");
                escape(&value, out);
                out.push('"');
            }
        }
    }
    out.push('>');
    match value.kind() {
        Kind::Object => value.members().for_each(|(name, value)| member(&name, value, out)),
        Kind::List => value.elements().for_each(|value| element("item", value, out)),
        _ => escape(&value.scalar().unwrap_or_default(), out),
    }
    out.push_str("</");
    out.push_str(&name);
    out.push('>');
}

fn member(name: &str, value: Raw<'_>, out: &mut String) {
    match value.kind() {
        _ if name.starts_with('@') && value.scalar().is_some() => {}
        _ if name == "#text" => escape(&value.scalar().unwrap_or_default(), out),
        Kind::List => value.elements().for_each(|value| element(name, value, out)),
        _ => element(name, value, out),
    }
}

/// A name of XML: what it cannot hold becomes `_`.
fn element_name(name: &str) -> Cow<'_, str> {
    let begins = |letter: char| letter.is_ascii_alphabetic() || letter == '_' || letter > '\u{bf}';
    let goes_on = |letter: char| begins(letter) || letter.is_ascii_digit() || "-.:".contains(letter);
    if name.starts_with(begins) && name.chars().all(goes_on) {
        return Cow::Borrowed(name);
    }
    let mut fitting: String = name.chars().map(|letter| if goes_on(letter) { letter } else { '_' }).collect();
    if !fitting.starts_with(begins) {
        fitting.insert(0, '_');
    }
    Cow::Owned(fitting)
}

fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // A reader would make other space of it.
            '\t' | '\n' | '\r' => out.push_str(&format!("&#{};", u32::from(letter))),
            // No character of XML (section 2.2).
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Encoding, told};
    use crate::decode::{Notation, decode};

    #[test]
    fn documents() {
        let check = |json: &str, wanted: &str| {
            let xml = told(json, Encoding::Xml);
            let body = xml.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n").map(str::trim_end);
            assert_eq!(body, Some(wanted), "{json}");
            decode(xml.as_bytes(), Notation::Xml, 100_000).unwrap();
        };
        check(
            r##"{"a":{"@k":"1","#text":"t","b":[1,null,{"c":true}]}}"##,
            "<a k=\"1\">t<b>1</b><b></b><b><c>true</c></b></a>",
        );
        check(r#"{"a":1,"b":2}"#, "<root><a>1</a><b>2</b></root>");
        check("[1,[2]]", "<root><item>1</item><item><item>2</item></item></root>");
        check(r#"{"a":[1,2]}"#, "<root><a>1</a><a>2</a></root>");
        check(r#"{"1 a<":"<&>\"\u0001\n"}"#, "<_1_a_>&lt;&amp;&gt;&quot;\u{fffd}&#10;</_1_a_>");
        check(r#"{"":""}"#, "<_></_>");
        check("null", "<root></root>");
    }

    proptest! {
        #[test]
        fn what_is_written_is_xml(name in any::<String>(), value in any::<String>(), attribute in any::<String>()) {
            let json = serde_json::json!({ name: { format!("@{attribute}"): value, "x": [value, { "y": value }] } });
            let xml = told(&json.to_string(), Encoding::Xml);
            let read = decode(xml.as_bytes(), Notation::Xml, 1 << 20);
            prop_assert!(read.is_ok(), "{:?}\n{}", read, xml);
        }
    }
}
