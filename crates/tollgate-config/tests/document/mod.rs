//! A configuration as JSON, by the parser alone: what an editor hands to the schema.

use std::collections::HashMap;
use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle, StrInput};
use serde_json::{Map, Value};

/// The file's document.
pub(crate) fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("the case");
    Reader { parser: Parser::new_from_str(&text), anchors: HashMap::new() }.document()
}

struct Reader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Value>,
}

impl<'t> Reader<'t> {
    fn document(&mut self) -> Value {
        loop {
            match self.next() {
                Event::StreamStart | Event::DocumentStart(_) => {}
                first => return self.value(first),
            }
        }
    }

    fn next(&mut self) -> Event<'t> {
        self.parser.next_event().expect("an event").expect("YAML").0
    }

    fn value(&mut self, event: Event<'t>) -> Value {
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (scalar(&text, style), anchor),
            Event::Alias(anchor) => return self.anchors[&anchor].clone(),
            Event::SequenceStart(anchor, _) => (self.list(), anchor),
            Event::MappingStart(anchor, _) => (self.map(), anchor),
            other => panic!("{other:?}"),
        };
        self.anchors.insert(anchor, value.clone());
        value
    }

    fn list(&mut self) -> Value {
        let mut items = Vec::new();
        loop {
            match self.next() {
                Event::SequenceEnd => return items.into(),
                first => items.push(self.value(first)),
            }
        }
    }

    fn map(&mut self) -> Value {
        let mut map = Map::new();
        loop {
            match self.next() {
                Event::MappingEnd => return map.into(),
                Event::Scalar(key, ..) => {
                    let first = self.next();
                    let value = self.value(first);
                    map.insert(key.into_owned(), value);
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    let typed = serde_json::from_str(text).ok().filter(|value: &Value| !value.is_string());
    match style {
        ScalarStyle::Plain if text.is_empty() => Value::Null,
        ScalarStyle::Plain => typed.unwrap_or_else(|| text.into()),
        _ => text.into(),
    }
}
