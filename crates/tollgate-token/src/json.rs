//! Strict JSON: no member twice, nesting bounded.
//!
//! Two readers of one token that each take another of two equal members see two tokens. So there is one reader,
//! and it refuses.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::document::Document;

/// Deepest nesting of lists and objects. Real tokens have three or four levels.
pub(crate) const MAX_DEPTH: usize = 32;

/// Reads one JSON object. `None`: not JSON, not an object, a member twice, a number beyond a double, or too deep.
pub(crate) fn object(text: &[u8]) -> Option<Document> {
    // Once for the whole, so that it is not asked of each string.
    let text = str::from_utf8(text).ok()?;
    let mut document = Document::sized_for(text.len())?;
    let mut reader = serde_json::Deserializer::from_str(text);
    Level { left: MAX_DEPTH, document: &mut document }.deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    document.is_object().then_some(document)
}

/// Where the next value goes, and how many levels may still be opened.
struct Level<'a> {
    left: usize,
    document: &'a mut Document,
}

impl Level<'_> {
    fn below<E: Error>(&self) -> Result<usize, E> {
        self.left.checked_sub(1).ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.document.null();
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.document.bool(value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.document.number(value.into());
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.document.number(value.into());
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a finite number"))?;
        self.document.number(number);
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.document.string(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let left = self.below()?;
        let open = self.document.open();
        while list.next_element_seed(Level { left, document: &mut *self.document })?.is_some() {}
        self.document.close_list(open);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let left = self.below()?;
        let open = self.document.open();
        while object.next_key_seed(Name(&mut *self.document))?.is_some() {
            object.next_value_seed(Level { left, document: &mut *self.document })?;
        }
        // Compared after unescaping: "\u0061lg" is "alg".
        match self.document.close_object(open) {
            true => Ok(()),
            false => Err(A::Error::custom("a member twice")),
        }
    }
}

/// Where the name of a member goes.
struct Name<'a>(&'a mut Document);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<(), E> {
        self.0.string(name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::Json;

    #[test]
    fn what_is_read_and_what_is_refused() {
        let nested = |levels: usize| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let lists = |levels: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let cases = [
            (r#"{}"#.to_owned(), true),
            (r#" {"a":[1,-2,3.5,"x",null,true,{"a":1}]} "#.to_owned(), true),
            (r#"{"a":1e308,"b":-0.0,"c":18446744073709551616}"#.to_owned(), true),
            (r#"{"a":1e400}"#.to_owned(), false),
            (r#"{"a":NaN}"#.to_owned(), false),
            (r#"{"a":1,"a":1}"#.to_owned(), false),
            (r#"{"a":1,"\u0061":1}"#.to_owned(), false),
            (r#"{"b":[{"c":{"a":1,"a":2}}]}"#.to_owned(), false),
            (r#"{"a":1}{"#.to_owned(), false),
            (r#"{"a":1,}"#.to_owned(), false),
            (r#"{'a':1}"#.to_owned(), false),
            (r#"["a"]"#.to_owned(), false),
            (r#""a""#.to_owned(), false),
            (String::new(), false),
            ("{\"a\":\"\n\"}".to_owned(), false),
            (r#"{"a":"\ud800"}"#.to_owned(), false),
            ("\u{feff}{}".to_owned(), false),
            (nested(MAX_DEPTH), true),
            (nested(MAX_DEPTH + 1), false),
            (nested(5000), false),
            (lists(MAX_DEPTH - 1), true),
            (lists(MAX_DEPTH), false),
            (lists(5000), false),
        ];
        for (text, read) in cases {
            assert_eq!(object(text.as_bytes()).is_some(), read, "{text}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_none());
    }

    /// Few names are compared with each other, many are sorted: neither lets one through.
    #[test]
    fn a_name_twice_is_found_wherever_it_stands() {
        for count in [2, 3, 15, 16, 17, 18, 100, 5000] {
            let names: Vec<String> = (0..count).map(|number| format!("name-{number}")).collect();
            let text = |names: &[String]| {
                let members: Vec<String> = names.iter().map(|name| format!(r#""{name}":[{{}}]"#)).collect();
                format!("{{{}}}", members.join(","))
            };
            let read = object(text(&names).as_bytes()).expect("all names differ");
            assert_eq!(read.object().iter().map(|(name, _)| name).collect::<Vec<_>>(), names);
            for (first, second) in [(0, 1), (0, count - 1), (count - 2, count - 1), (count / 2, 0)] {
                let mut names = names.clone();
                names[first] = names[second].clone();
                let twice = first != second;
                assert_eq!(object(text(&names).as_bytes()).is_none(), twice, "{count}: {first}, {second}");
            }
        }
    }

    /// What is found in a document is what any reader finds in the text.
    #[test]
    fn what_was_read_is_what_stood_there() {
        let text = r#"{"a":[1,-2,3.5,"x\n\u00e9",null,[],[[]]],"":{"b":{},"c":{"d":[{"e":true}]}},"f":false,"é":-0.0}"#;
        let read = object(text.as_bytes()).expect("an object");
        let expect: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let whole = Json::Object(read.object());
        assert_eq!(whole.to_value(), expect);
        assert!(whole == expect);
        for (name, value) in expect.as_object().expect("an object") {
            assert!(read.object().get(name).is_some_and(|found| found == *value), "{name}");
        }
        assert!(read.object().get("b").is_none() && read.object().get("e").is_none());
        for other in [r#"{}"#, r#"{"a":[1]}"#, r#"[]"#, r#"null"#] {
            assert!(whole != serde_json::from_str::<serde_json::Value>(other).expect("JSON"), "{other}");
        }
    }
}
