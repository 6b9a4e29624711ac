//! A whole document at once, for those who need values instead of text. One pass, whatever nests in it.

use crate::raw::Raw;
use crate::scan::{skip_space, skip_value};

/// What values are made of.
pub(crate) trait Build: Sized {
    /// Null, a boolean, a number or a string.
    fn scalar(raw: Raw<'_>) -> Self;
    fn list(items: Vec<Self>) -> Self;
    /// Members in their order; a name that stands twice is there twice.
    fn object(members: Vec<(String, Self)>) -> Self;
}

/// Reads a document that was checked. Of any other text the values are nonsense, and nothing worse.
pub(crate) fn read<T: Build>(document: &str) -> T {
    Reader { text: document, at: 0 }.value()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn value<T: Build>(&mut self) -> T {
        match self.peek() {
            Some(b'{') => {
                let mut members = Vec::new();
                let mut more = self.open(b'}');
                while more {
                    let name = self.scalar().text().unwrap_or_default().into_owned();
                    self.peek();
                    // The colon.
                    self.at += 1;
                    members.push((name, self.value()));
                    more = self.goes_on();
                }
                T::object(members)
            }
            Some(b'[') => {
                let mut items = Vec::new();
                let mut more = self.open(b']');
                while more {
                    items.push(self.value());
                    more = self.goes_on();
                }
                T::list(items)
            }
            _ => T::scalar(self.scalar()),
        }
    }

    /// Steps over a bracket. Whether something is behind it.
    fn open(&mut self, close: u8) -> bool {
        self.at += 1;
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                false
            }
            next => next.is_some(),
        }
    }

    /// Steps over a comma, or a bracket that closes. Whether something follows.
    fn goes_on(&mut self) -> bool {
        let next = self.peek();
        self.at += 1;
        next == Some(b',')
    }

    fn peek(&mut self) -> Option<u8> {
        self.at = skip_space(self.text.as_bytes(), self.at);
        self.text.as_bytes().get(self.at).copied()
    }

    fn scalar(&mut self) -> Raw<'a> {
        self.peek();
        let end = skip_value(self.text.as_bytes(), self.at);
        let raw = Raw::of_checked(self.text.get(self.at..end).unwrap_or_default());
        self.at = end;
        raw
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    impl Build for Value {
        fn scalar(raw: Raw<'_>) -> Value {
            serde_json::from_str(raw.as_str()).unwrap()
        }

        fn list(items: Vec<Value>) -> Value {
            items.into()
        }

        fn object(members: Vec<(String, Value)>) -> Value {
            Value::Object(members.into_iter().collect())
        }
    }

    #[test]
    fn a_document_is_read_as_others_read_it() {
        for text in [
            "1",
            " [ ] ",
            "{ }",
            "[[],{},[1]]",
            r#" { "a" : [ 1 , "}" , { "b\"\u00e9" : null } ] , "c":{"d":[true ,false]} ,"e":-1.5e3}"#,
            r#"{"a":1,"a":[2]}"#,
        ] {
            assert_eq!(read::<Value>(text), serde_json::from_str::<Value>(text).unwrap(), "{text}");
        }
        let deep = "[".repeat(128) + &"]".repeat(128);
        assert_eq!(read::<Value>(&deep).to_string(), deep);
    }
}
