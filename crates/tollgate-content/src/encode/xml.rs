//! XML 1.0.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::raw::{Kind, Raw};

/// Prefixes that are known at a time. Who declares more finds them unknown.
const PREFIXES_MAX: usize = 64;

pub(super) fn write(document: Raw<'_>, out: &mut String) {
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut prefixes = Vec::new();
    let mut members = document.members();
    match (members.next(), members.next()) {
        (Some((name, value)), None) if value.kind() != Kind::List && !is_special(&name) => {
            element(&name, value, &mut prefixes, out)
        }
        _ => element("root", document, &mut prefixes, out),
    }
    out.push('\n');
}

fn is_special(name: &str) -> bool {
    name.starts_with('@') || name == "#text"
}

/// `prefixes` are those that elements around it declare (Namespaces in XML 1.0, section 3).
fn element(name: &str, value: Raw<'_>, prefixes: &mut Vec<String>, out: &mut String) {
    let outside = prefixes.len();
    let own = attributes(value).filter_map(|(name, value)| declared(&name, &value).map(str::to_owned));
    prefixes.extend(own.take(PREFIXES_MAX.saturating_sub(outside)));
    let name = element_name(name, prefixes);
    out.push('<');
    out.push_str(&name);
    let mut written: HashMap<String, usize> = HashMap::new();
    for (name, value) in attributes(value) {
        let own = match declared(&name, &value) {
            Some(_) => name,
            None => element_name(&name, prefixes).into_owned(),
        };
        out.push(' ');
        out.push_str(&unlike(own, &mut written));
        out.push_str("=\"");
        escape(&value, out);
        out.push('"');
    }
    out.push('>');
    match value.kind() {
        Kind::Object => value.members().for_each(|(name, value)| member(&name, value, prefixes, out)),
        Kind::List => value.elements().for_each(|value| element("item", value, prefixes, out)),
        _ => escape(&value.scalar().unwrap_or_default(), out),
    }
    prefixes.truncate(outside);
    out.push_str("</");
    out.push_str(&name);
    out.push('>');
}

/// The name, with a number behind it where one was written before: two names that XML cannot hold may come to one, which no
/// element has twice.
fn unlike(name: String, written: &mut HashMap<String, usize>) -> String {
    let mut own = name.clone();
    while written.contains_key(&own) {
        let times = written.entry(name.clone()).or_default();
        *times += 1;
        own = format!("{name}_{times}");
    }
    written.insert(own.clone(), 0);
    own
}

/// The attributes of an element, without the sign that tells them.
fn attributes(value: Raw<'_>) -> impl Iterator<Item = (String, String)> {
    let members = (value.kind() == Kind::Object).then(|| value.members());
    members.into_iter().flatten().filter_map(|(name, value)| {
        let value = value.scalar()?.into_owned();
        Some((name.strip_prefix('@')?.to_owned(), value))
    })
}

/// The prefix that an attribute declares.
fn declared<'a>(name: &'a str, value: &str) -> Option<&'a str> {
    let prefix = name.strip_prefix("xmlns:")?;
    // These two names are bound already, each to its own prefix (Namespaces in XML 1.0, section 3).
    let reserved = matches!(value, "http://www.w3.org/XML/1998/namespace" | "http://www.w3.org/2000/xmlns/");
    let fits =
        prefix != "xml" && prefix != "xmlns" && !value.is_empty() && !reserved && !prefix.contains(':');
    (fits && matches!(element_name(prefix, &[]), Cow::Borrowed(_))).then_some(prefix)
}

fn member(name: &str, value: Raw<'_>, prefixes: &mut Vec<String>, out: &mut String) {
    match value.kind() {
        _ if name.starts_with('@') && value.scalar().is_some() => {}
        Kind::List => value.elements().for_each(|value| element(name, value, prefixes, out)),
        Kind::Object => element(name, value, prefixes, out),
        _ if name == "#text" => escape(&value.scalar().unwrap_or_default(), out),
        _ => element(name, value, prefixes, out),
    }
}

/// A name of XML: what it cannot hold becomes `_`, and so does a colon behind a prefix that nobody declared.
fn element_name<'a>(name: &'a str, prefixes: &[String]) -> Cow<'a, str> {
    let plain = |name: &str| name.starts_with(begins) && name.chars().all(goes_on);
    let prefixed = |(prefix, rest): (&str, &str)| {
        plain(rest) && (prefix == "xml" || prefixes.iter().any(|known| known == prefix))
    };
    if plain(name) || name.split_once(':').is_some_and(prefixed) {
        return Cow::Borrowed(name);
    }
    let mut fitting: String = name.chars().map(|letter| if goes_on(letter) { letter } else { '_' }).collect();
    if !fitting.starts_with(begins) {
        fitting.insert(0, '_');
    }
    Cow::Owned(fitting)
}

/// NameStartChar of XML 1.0 (section 2.3), but for the colon.
fn begins(letter: char) -> bool {
    matches!(letter,
        'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

/// NameChar.
fn goes_on(letter: char) -> bool {
    begins(letter)
        || matches!(letter, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
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
        check(r#"{"×a":1,"é÷":2,"☎":3}"#, "<root><_a>1</_a><é_>2</é_><_>3</_></root>");
        check(
            "{\"\u{301}e\u{301}\u{b7}\":{\"@\u{e000}a\":1}}",
            "<_\u{301}e\u{301}\u{b7} _a=\"1\"></_\u{301}e\u{301}\u{b7}>",
        );
        // Readers that know namespaces refuse a prefix that nobody declared, and any an attribute that stands twice.
        check(r#"{"dc:title":"x"}"#, "<dc_title>x</dc_title>");
        check(
            r#"{"a":{"@xmlns:dc":"u","@dc:k":"1","dc:t":{"dc:u":"x"},"c:t":1}}"#,
            "<a xmlns:dc=\"u\" dc:k=\"1\"><dc:t><dc:u>x</dc:u></dc:t><c_t>1</c_t></a>",
        );
        check(
            r#"{"dc:a":{"@xmlns:dc":"u","@xml:lang":"de"}}"#,
            "<dc:a xmlns:dc=\"u\" xml:lang=\"de\"></dc:a>",
        );
        check(r#"{"r":{"a":{"@xmlns:dc":"u"},"dc:b":1}}"#, "<r><a xmlns:dc=\"u\"></a><dc_b>1</dc_b></r>");
        check(r#"{"a":{"@xmlns:dc":"","dc:b":"a:b:c"}}"#, "<a xmlns_dc=\"\"><dc_b>a:b:c</dc_b></a>");
        check(
            r#"{"a":{"@xmlns:x":"http://www.w3.org/2000/xmlns/","x:b":1}}"#,
            "<a xmlns_x=\"http://www.w3.org/2000/xmlns/\"><x_b>1</x_b></a>",
        );
        check(r#"{"x":{"@a b":1,"@a_b":2}}"#, "<x a_b=\"1\" a_b_1=\"2\"></x>");
        check(r##"{"x":{"#text":{"y":1}}}"##, "<x><_text><y>1</y></_text></x>");
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
