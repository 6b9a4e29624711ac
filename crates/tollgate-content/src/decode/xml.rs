//! XML 1.0 without document types.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::{DEPTH_MAX, Undecoded, within};
use crate::node::write_text;
use crate::raw::Malformed;

/// One element while it is read.
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    text: String,
    /// Names and values as JSON text, in the order in which they ended.
    children: Vec<(String, Vec<u8>)>,
}

pub(super) fn decode(text: &str, max: usize) -> Result<Vec<u8>, Undecoded> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().check_end_names = true;
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let event = reader.read_event().map_err(|error| Malformed(error.to_string()))?;
        match event {
            Event::Start(start) => {
                if open.len() >= DEPTH_MAX {
                    return Err(Malformed(format!("it is nested more than {DEPTH_MAX} deep")).into());
                }
                open.push(Element::begin(&start, open.is_empty() && root.is_some())?);
            }
            Event::Empty(start) => {
                let element = Element::begin(&start, open.is_empty() && root.is_some())?;
                end(element, &mut open, &mut root, max)?;
            }
            Event::End(_) => {
                let Some(element) = open.pop() else {
                    return Err(Malformed("an element ends twice".to_owned()).into());
                };
                end(element, &mut open, &mut root, max)?;
            }
            Event::Text(text) => append(&mut open, &text.xml10_content())?,
            Event::CData(data) => append(&mut open, &data.xml10_content())?,
            Event::GeneralRef(entity) => append(&mut open, &reference(&entity)?)?,
            Event::DocType(_) => return Err(Malformed("it has a document type".to_owned()).into()),
            Event::Comment(_) | Event::PI(_) | Event::Decl(_) => {}
            Event::Eof => break,
        }
    }
    match root {
        Some(root) if open.is_empty() => Ok(root),
        _ => Err(Malformed("an element has no end, or there is none".to_owned()).into()),
    }
}

impl Element {
    fn begin(start: &BytesStart<'_>, second: bool) -> Result<Element, Malformed> {
        if second {
            return Err(Malformed("it has more than one root element".to_owned()));
        }
        let attributes = start.attributes().map(|attribute| {
            let attribute = attribute.map_err(|error| Malformed(error.to_string()))?;
            Ok((format!("@{}", attribute.key.0), unescape(&attribute.value)?))
        });
        Ok(Element {
            name: start.name().0.to_owned(),
            attributes: attributes.collect::<Result<_, Malformed>>()?,
            text: String::new(),
            children: Vec::new(),
        })
    }

    /// The element's value.
    fn write(mut self, out: &mut Vec<u8>) {
        let text = self.text.trim();
        if self.attributes.is_empty() && self.children.is_empty() {
            return if text.is_empty() { out.extend_from_slice(b"null") } else { write_text(text, out) };
        }
        out.push(b'{');
        let mut first = true;
        let mut name = |name: &str, out: &mut Vec<u8>| {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            write_text(name, out);
            out.push(b':');
        };
        for (attribute, value) in &self.attributes {
            name(attribute, out);
            write_text(value, out);
        }
        if !text.is_empty() {
            name("#text", out);
            write_text(text, out);
        }
        // Stable: elements of one name come together, in their order, where the first of them stood.
        let mut order: std::collections::HashMap<&str, usize> = std::collections::HashMap::new();
        let ranks: Vec<usize> = self
            .children
            .iter()
            .map(|(child, _)| {
                let next = order.len();
                *order.entry(child).or_insert(next)
            })
            .collect();
        let mut ranked: Vec<(usize, (String, Vec<u8>))> =
            ranks.into_iter().zip(self.children.drain(..)).collect();
        ranked.sort_by_key(|(rank, _)| *rank);
        for same in ranked.chunk_by(|(one, _), (other, _)| one == other) {
            let Some((_, (child, value))) = same.first() else { continue };
            name(child, out);
            match same {
                [_] => out.extend_from_slice(value),
                several => {
                    let values: Vec<&[u8]> = several.iter().map(|(_, (_, value))| &**value).collect();
                    out.push(b'[');
                    out.extend_from_slice(&values.join(&b','));
                    out.push(b']');
                }
            }
        }
        out.push(b'}');
    }
}

/// Gives an element that has ended to the one around it.
fn end(
    element: Element,
    open: &mut [Element],
    root: &mut Option<Vec<u8>>,
    max: usize,
) -> Result<(), Undecoded> {
    let mut json = Vec::new();
    let name = element.name.clone();
    element.write(&mut json);
    within(json.len(), max)?;
    match open.last_mut() {
        Some(parent) => parent.children.push((name, json)),
        None => {
            let mut document = b"{".to_vec();
            write_text(&name, &mut document);
            document.push(b':');
            document.extend_from_slice(&json);
            document.push(b'}');
            *root = Some(document);
        }
    }
    Ok(())
}

fn append(open: &mut [Element], text: &str) -> Result<(), Malformed> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(Malformed("text stands outside of the root element".to_owned())),
    }
    Ok(())
}

/// The text of an attribute, its references resolved.
fn unescape(text: &str) -> Result<String, Malformed> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        let Some((name, after)) = behind.split_once(';') else {
            return Err(Malformed("a reference has no end".to_owned()));
        };
        out.push_str(&reference(name)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// What `&name;` stands for: a character by its number, or one of the five that XML itself names. Nobody else's.
fn reference(name: &str) -> Result<Cow<'static, str>, Malformed> {
    let letter = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => name.strip_prefix('#').and_then(|number| {
            let code = match number.strip_prefix('x') {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?).filter(|letter| *letter != '\0')
        }),
    };
    letter
        .map(|letter| Cow::Owned(letter.to_string()))
        .ok_or_else(|| Malformed("it has an entity of its own".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::{Notation, told};

    #[test]
    fn documents() {
        let check = |text: &str, wanted: &str| assert_eq!(told(text, Notation::Xml), wanted, "{text}");
        check("<a/>", r#"{"a":null}"#);
        check("<a> x </a>", r#"{"a":"x"}"#);
        check(
            "<?xml version=\"1.0\"?><!-- c --><a k=\"1\" l='&lt;&#65;'>t</a>\n",
            r##"{"a":{"@k":"1","@l":"<A","#text":"t"}}"##,
        );
        check("<o><i>1</i><j/><i>2</i></o>", r#"{"o":{"i":["1","2"],"j":null}}"#);
        check("<o>a &amp; <b>c</b> d</o>", r##"{"o":{"#text":"a &  d","b":"c"}}"##);
        check("<a><![CDATA[<x> & \"y\"]]></a>", r#"{"a":"<x> & \"y\""}"#);
        check("<n:a xmlns:n='u'><n:b>1</n:b></n:a>", r#"{"n:a":{"@xmlns:n":"u","n:b":"1"}}"#);
        check("<a>&#x1F600;</a>", r#"{"a":"😀"}"#);
    }

    #[test]
    fn what_is_refused() {
        let check = |text: &str, wanted: &str| {
            let told = told(text, Notation::Xml);
            assert!(told.starts_with("error: ") && told.contains(wanted), "{text}: {told}");
        };
        check("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>", "it has a document type");
        check("<a>&x;</a>", "it has an entity of its own");
        check("<a k='&x;'/>", "it has an entity of its own");
        check("<a>&#0;</a>", "it has an entity of its own");
        check("<a></b>", "");
        check("<a>", "an element has no end");
        check("", "an element has no end, or there is none");
        check("x", "text stands outside of the root element");
        check("<a/><b/>", "it has more than one root element");
        check("<a k='1' k='2'/>", "");
        check(&"<a>".repeat(100), "it is nested more than 64 deep");
    }
}
