//! Other notations into JSON text.

mod csv;
mod xml;
mod yaml;

use std::borrow::Cow;
use std::fmt;

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
    /// RFC 4180 with a header line: a list of objects of strings. Columns of one name are a list; one without a name is
    /// `#` and its number, from 1.
    Csv,
    /// Plain text: `{ "text": … }`.
    Text,
}

/// Why a body came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undecoded {
    /// It is not written as it should be.
    Malformed(Malformed),
    /// As JSON it has more than so many bytes.
    TooLarge(usize),
}

impl From<Malformed> for Undecoded {
    fn from(malformed: Malformed) -> Self {
        Undecoded::Malformed(malformed)
    }
}

impl fmt::Display for Undecoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Undecoded::Malformed(malformed) => malformed.fmt(f),
            Undecoded::TooLarge(max) => write!(f, "it is more than {max} bytes as JSON"),
        }
    }
}

impl std::error::Error for Undecoded {}

/// Elements, maps and lists may stand so deep in each other.
pub(crate) const DEPTH_MAX: usize = 64;

/// A body as JSON text, checked: the same bytes where it is JSON. `max` bounds what is made of it, in bytes: an alias in
/// YAML and the header line of CSV stand in the result more often than in the body.
pub fn decode(body: &[u8], notation: Notation, max: usize) -> Result<Cow<'_, str>, Undecoded> {
    let made = match notation {
        Notation::Json => return Ok(Cow::Borrowed(Raw::check(body)?.as_str())),
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
    let made = made?;
    // What is made is looked at on the way, but not behind every byte.
    within(made.len(), max)?;
    let made = String::from_utf8(made).map_err(|_| Malformed("it is not UTF-8".to_owned()))?;
    Ok(Cow::Owned(made))
}

fn text(body: &[u8]) -> Result<&str, Malformed> {
    let text = std::str::from_utf8(body).map_err(|_| Malformed("it is not UTF-8".to_owned()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

fn within(bytes: usize, max: usize) -> Result<(), Undecoded> {
    if bytes > max { Err(Undecoded::TooLarge(max)) } else { Ok(()) }
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
    fn not_one_byte_more_is_made_than_may_be() {
        for (body, notation) in [
            ("a\n1\n", Notation::Csv),
            ("a", Notation::Csv),
            ("\u{1}\u{1}", Notation::Text),
            ("a: [b]", Notation::Yaml),
            ("", Notation::Yaml),
            ("<a><b/></a>", Notation::Xml),
        ] {
            let bytes = told(body, notation).len();
            assert!(decode(body.as_bytes(), notation, bytes).is_ok(), "{body:?}");
            let less = decode(body.as_bytes(), notation, bytes - 1);
            assert_eq!(less, Err(Undecoded::TooLarge(bytes - 1)), "{body:?}");
        }
    }

    #[test]
    fn text_and_json() {
        assert_eq!(told("a \"b\"\n", Notation::Text), r#"{"text":"a \"b\"\n"}"#);
        assert_eq!(told("", Notation::Text), r#"{"text":""}"#);
        assert_eq!(told(" [1, 2] ", Notation::Json), "[1, 2]");
        assert!(told("{", Notation::Json).starts_with("error: "));
        assert!(decode(b"\xff", Notation::Text, 10).is_err());
    }

    #[test]
    fn what_is_too_large_is_told_from_what_is_malformed() {
        let check = |body: &str, notation, wanted: Option<usize>| {
            let large = match decode(body.as_bytes(), notation, 40) {
                Err(Undecoded::TooLarge(max)) => Some(max),
                Ok(_) | Err(Undecoded::Malformed(_)) => None,
            };
            assert_eq!(large, wanted, "{body}");
        };
        check("a: &a 0123456789\nb: [*a, *a, *a, *a]", Notation::Yaml, Some(40));
        check("a: &a 0123456789\nb: [*a, *b]", Notation::Yaml, None);
        check("a_long_name\n1\n2\n3\n", Notation::Csv, Some(40));
        check("a,b\n1\n", Notation::Csv, None);
        check("<a><b>1</b><c/><d/><e/><f/><g/><h/><i/></a>", Notation::Xml, Some(40));
        check("<a>", Notation::Xml, None);
    }
}
