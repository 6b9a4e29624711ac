//! Other notations into JSON text.

mod csv;
mod xml;
mod yaml;

use std::borrow::Cow;

use crate::node::write_text;
use crate::raw::{Malformed, Raw};

/// What a body is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Notation {
    /// RFC 8259.
    #[default]
    Json,
    /// XML 1.0 without a document type: the root element is the one member; attributes are `@name`, text beside
    /// elements is `#text`, elements of one name are a list; an element with text alone is a string, an empty one null.
    Xml,
    /// YAML 1.2 with its core schema: one document.
    Yaml,
    /// RFC 4180 with a header line: a list of objects of strings.
    Csv,
    /// Plain text: `{ "text": … }`.
    Text,
}

/// Elements, maps and lists may stand so deep in each other.
pub(crate) const DEPTH_MAX: usize = 64;

/// A body as JSON text, checked: the same bytes where it is JSON. `max` bounds what is made of it, in bytes: an alias in
/// YAML and the header line of CSV stand in the result more often than in the body.
pub fn decode(body: &[u8], notation: Notation, max: usize) -> Result<Cow<'_, str>, Malformed> {
    let made = match notation {
        Notation::Json => return Raw::check(body).map(|raw| Cow::Borrowed(raw.as_str())),
        Notation::Xml => xml::decode(text(body)?, max),
        Notation::Yaml => yaml::decode(text(body)?, max),
        Notation::Csv => csv::decode(text(body)?, max),
        Notation::Text => {
            let mut out = b"{\"text\":".to_vec();
            write_text(text(body)?, &mut out);
            out.push(b'}');
            Ok(out)
        }
    };
    let made = String::from_utf8(made?).map_err(|_| Malformed("it is not UTF-8".to_owned()))?;
    Ok(Cow::Owned(made))
}

fn text(body: &[u8]) -> Result<&str, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed("it is not UTF-8".to_owned()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn within(out: &[u8], max: usize) -> Result<(), Malformed> {
    if out.len() > max { Err(Malformed(format!("it is more than {max} bytes as JSON"))) } else { Ok(()) }
}

#[cfg(test)]
pub(crate) fn told(body: &str, notation: Notation) -> String {
    match decode(body.as_bytes(), notation, 10_000) {
        Ok(json) => {
            assert_eq!(Raw::check(json.as_bytes()).map(Raw::as_str), Ok(&*json), "what is made is JSON");
            json.into_owned()
        }
        Err(error) => format!("error: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_json() {
        assert_eq!(told("a \"b\"\n", Notation::Text), r#"{"text":"a \"b\"\n"}"#);
        assert_eq!(told("", Notation::Text), r#"{"text":""}"#);
        assert_eq!(told(" [1, 2] ", Notation::Json), "[1, 2]");
        assert!(told("{", Notation::Json).starts_with("error: "));
        assert!(decode(b"\xff", Notation::Text, 10).is_err());
    }
}
