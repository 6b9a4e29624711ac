//! Strict JSON: no member twice, nesting bounded.
//!
//! Two readers of one token that each take another of two equal members see two tokens. So there is one reader,
//! and it refuses.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Deepest nesting of lists and objects. Real tokens have three or four levels.
pub(crate) const MAX_DEPTH: usize = 32;

/// Reads one JSON object. `None`: not JSON, not an object, a member twice, a number beyond a double, or too deep.
pub(crate) fn object(text: &[u8]) -> Option<Map<String, Value>> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Level(MAX_DEPTH).deserialize(&mut reader).ok()?;
    reader.end().ok()?;
    match value {
        Value::Object(members) => Some(members),
        _ => None,
    }
}

/// How many levels may still be opened.
#[derive(Clone, Copy)]
struct Level(usize);

impl Level {
    fn below<E: Error>(self) -> Result<Self, E> {
        self.0.checked_sub(1).map(Self).ok_or_else(|| E::custom("nested too deep"))
    }
}

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(below)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let below = self.below()?;
        let mut members = Map::new();
        while let Some(name) = object.next_key::<String>()? {
            // Compared after unescaping: "\u0061lg" is "alg".
            let value = object.next_value_seed(below)?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("a member twice"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
