//! JSON text that is known to be valid.

use std::borrow::Cow;
use std::fmt;

use serde::de::IgnoredAny;

use crate::path::{Path, Step};
use crate::scan::{depth, skip_space, skip_value};

/// One JSON value (RFC 8259) as it stands in a checked text, without the space around it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

/// Lists and objects may stand so deep in each other: rules follow them by recursion.
const DEPTH_MAX: usize = 128;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number.
    Number,
    /// A string.
    Text,
    /// An array.
    List,
    /// An object.
    Object,
}

/// Why a text is no document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub(crate) String);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Malformed {}

impl<'a> Raw<'a> {
    /// `null`
    pub const NULL: Raw<'static> = Raw("null");
    /// `{}`
    pub const EMPTY: Raw<'static> = Raw("{}");

    /// Checks a whole document: UTF-8, one value, nested at most 128 deep.
    pub fn check(document: &'a [u8]) -> Result<Raw<'a>, Malformed> {
        let text = std::str::from_utf8(document).map_err(|_| Malformed("it is not UTF-8".to_owned()))?;
        // Some services put a byte order mark in front, which RFC 8259 section 8.1 lets a reader ignore.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| Malformed(error.to_string()))?;
        if depth(text.as_bytes()) > DEPTH_MAX {
            return Err(Malformed(format!("it is nested more than {DEPTH_MAX} deep")));
        }
        Ok(Raw(text.trim_matches([' ', '\t', '\n', '\r'])))
    }

    /// A document that [`Raw::check`] or [`crate::decode::decode`] let pass before. Of any other text the values are
    /// nonsense, and nothing worse.
    pub fn of_checked(document: &'a str) -> Raw<'a> {
        Raw(document.trim_matches([' ', '\t', '\n', '\r']))
    }

    /// Text that this crate wrote itself.
    pub(crate) fn trusted(text: &'a str) -> Raw<'a> {
        debug_assert!(serde_json::from_str::<IgnoredAny>(text).is_ok(), "{text}");
        Raw(text)
    }

    /// The text.
    pub fn as_str(self) -> &'a str {
        self.0
    }

    /// What it is.
    pub fn kind(self) -> Kind {
        match self.0.as_bytes().first() {
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::List,
            Some(b'"') => Kind::Text,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// The members of an object in their order, a name that stands twice twice; nothing for any other value.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Raw<'a>)> {
        let mut values = Values::of(self, Kind::Object);
        std::iter::from_fn(move || {
            let name = values.next()?;
            // Behind a name there is always a value.
            Some((name.text().unwrap_or_default(), values.next().unwrap_or(Raw::NULL)))
        })
    }

    /// The elements of a list; nothing for any other value.
    pub fn elements(self) -> impl Iterator<Item = Raw<'a>> {
        Values::of(self, Kind::List)
    }

    /// What a string says; none for any other value. Half a surrogate pair, which no Unicode text can hold, becomes
    /// U+FFFD.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        Some(if inner.contains('\\') { Cow::Owned(unescape(inner)) } else { Cow::Borrowed(inner) })
    }

    /// A string, a number or a boolean as text; none for null, lists and objects.
    pub fn scalar(self) -> Option<Cow<'a, str>> {
        match self.kind() {
            Kind::Text => self.text(),
            Kind::Bool | Kind::Number => Some(Cow::Borrowed(self.0)),
            Kind::Null | Kind::List | Kind::Object => None,
        }
    }

    /// The value at a path that names one place: member by member, elements of lists by their number from 0. Of a
    /// name that stands twice in an object the last one counts.
    pub fn find(self, path: &Path) -> Option<Raw<'a>> {
        path.steps().iter().try_fold(self, |at, step| match (at.kind(), step) {
            (Kind::Object, Step::Key(key)) => {
                at.members().filter(|(name, _)| name == &**key).last().map(|it| it.1)
            }
            (Kind::List, Step::Key(key)) => at.elements().nth(key.parse().ok()?),
            _ => None,
        })
    }
}

/// The values directly inside a container, names of members included.
struct Values<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Values<'a> {
    fn of(raw: Raw<'a>, kind: Kind) -> Values<'a> {
        let text = if raw.kind() == kind { raw.0 } else { "" };
        Values { text, at: 1 }
    }
}

impl<'a> Iterator for Values<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Raw<'a>> {
        let bytes = self.text.as_bytes();
        loop {
            let at = skip_space(bytes, self.at);
            match bytes.get(at)? {
                b',' | b':' => self.at = at + 1,
                b'}' | b']' => return None,
                _ => {
                    self.at = skip_value(bytes, at);
                    return self.text.get(at..self.at).map(Raw);
                }
            }
        }
    }
}

/// Escapes that JSON knows; text without valid ones cannot get here.
fn unescape(inner: &str) -> String {
    let mut out = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let mut letters = behind.chars();
        match letters.next() {
            Some('u') => {
                let (letter, used) = unicode(behind);
                out.push(letter);
                rest = behind.get(used..).unwrap_or_default();
                continue;
            }
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some(itself) => out.push(itself),
            None => {}
        }
        rest = letters.as_str();
    }
    out.push_str(rest);
    out
}

/// The letter that `uXXXX`, or two of them in a row, stand for, and the bytes they take.
fn unicode(escape: &str) -> (char, usize) {
    let unit = |at: usize| escape.get(at..at + 4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let high = unit(1).unwrap_or(0xFFFD);
    if let Some(letter) = char::from_u32(high) {
        return (letter, 5);
    }
    let low = escape
        .get(5..7)
        .filter(|it| *it == "\\u")
        .and_then(|_| unit(7))
        .filter(|low| (0xDC00..0xE000).contains(low));
    match low {
        Some(low) if high < 0xDC00 => {
            let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
            (char::from_u32(code).unwrap_or('\u{fffd}'), 11)
        }
        _ => ('\u{fffd}', 5),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_no_document() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        for bad in ["", " ", "{", "{}}", "[1,]", "{\"a\":1,}", "nul", "01", "\"\\x\"", "'a'", "NaN", &deep] {
            assert!(Raw::check(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Raw::check(b"\"\xff\"").is_err(), "not UTF-8");
        assert_eq!(Raw::check("\u{feff} {} \n".as_bytes()).map(Raw::as_str), Ok("{}"));
    }

    #[test]
    fn strings_are_unescaped() {
        let check = |text: &str, wanted: &str| {
            assert_eq!(Raw::check(text.as_bytes()).unwrap().text().as_deref(), Some(wanted), "{text}");
        };
        check(r#""plain""#, "plain");
        check(r#""a\"\\\/\b\f\n\r\tz""#, "a\"\\/\u{8}\u{c}\n\r\tz");
        check(r#""\u00e9\ud83d\ude00!""#, "é😀!");
        check(r#""\ud83d""#, "\u{fffd}");
        check(r#""\ude00\ud83dx""#, "\u{fffd}\u{fffd}x");
    }

    #[test]
    fn values_are_found_by_path() {
        let raw =
            Raw::check(br#"{"a": {"b": [10, {"c": "x"}]}, "d": null, "a.b": 5, "e": 1, "e": 2}"#).unwrap();
        let find = |path: &str| raw.find(&Path::parse(path).unwrap()).map(Raw::as_str);
        assert_eq!(find("a.b.0"), Some("10"));
        assert_eq!(find("a.b.1.c"), Some("\"x\""));
        assert_eq!(find("a.b.2"), None);
        assert_eq!(find("a.b.c"), None);
        assert_eq!(find("d"), Some("null"));
        assert_eq!(find(r"a\.b"), Some("5"));
        assert_eq!(find("e"), Some("2"), "the last one counts");
        assert_eq!(find("d.x"), None);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 60, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    fn rebuild(raw: Raw<'_>) -> Value {
        match raw.kind() {
            Kind::Object => {
                Value::Object(raw.members().map(|(name, it)| (name.into_owned(), rebuild(it))).collect())
            }
            Kind::List => raw.elements().map(rebuild).collect(),
            Kind::Text => Value::from(raw.text().unwrap().into_owned()),
            _ => serde_json::from_str(raw.as_str()).unwrap(),
        }
    }

    proptest! {
        #[test]
        fn taking_apart_loses_nothing(value in json(), pretty in any::<bool>()) {
            let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
            prop_assert_eq!(rebuild(Raw::check(text.as_bytes()).unwrap()), value);
        }

        #[test]
        fn any_bytes_are_refused_or_taken_apart(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(raw) = Raw::check(&bytes) {
                rebuild(raw);
            }
        }
    }
}
