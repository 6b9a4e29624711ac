//! JSON into values, straight from the text: no tree in between.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt;

use mlua::{Lua, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::json::MAX_DEPTH;
use crate::desk::Desk;

/// Reads a text. The outer error is one of limits, the inner one says why the text is no JSON.
pub(crate) fn decode(lua: &Lua, desk: &Desk, text: &[u8]) -> mlua::Result<Result<Value, String>> {
    let failed = RefCell::new(None);
    let reader = Reader { lua, desk, failed: &failed, depth: 0 };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = reader.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    match failed.take() {
        Some(error) => Err(error),
        None => Ok(read.map_err(|error| error.to_string())),
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    lua: &'a Lua,
    desk: &'a Desk,
    /// What the engine or a limit objected to: serde cannot carry it.
    failed: &'a RefCell<Option<mlua::Error>>,
    depth: usize,
}

impl Reader<'_> {
    fn engine<T, E: Error>(&self, result: mlua::Result<T>) -> Result<T, E> {
        result.map_err(|error| {
            *self.failed.borrow_mut() = Some(error);
            E::custom("")
        })
    }

    fn deeper<E: Error>(&self) -> Result<Self, E> {
        match self.depth < MAX_DEPTH {
            true => Ok(Reader { depth: self.depth + 1, ..*self }),
            false => Err(E::custom(format_args!("more than {MAX_DEPTH} levels"))),
        }
    }

    fn number<E: Error>(&self, number: f64) -> Result<Value, E> {
        self.engine(self.desk.work(8))?;
        Ok(Value::Number(number))
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::NULL)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        self.number(number as f64)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        self.number(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        self.number(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        self.engine(self.desk.work(text.len() + 16))?;
        self.engine(self.lua.create_string(text)).map(Value::String)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        self.engine(self.desk.work(64))?;
        let list = self.engine(self.lua.create_table())?;
        self.engine(list.set_metatable(self.desk.list.get().cloned()))?;
        let mut at = 0;
        while let Some(item) = items.next_element_seed(inner)? {
            at += 1;
            self.engine(list.raw_set(at, item))?;
        }
        Ok(Value::Table(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        self.engine(self.desk.work(64))?;
        let object = self.engine(self.lua.create_table())?;
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            let value = members.next_value_seed(inner)?;
            self.engine(object.raw_set(&*name, value))?;
        }
        Ok(Value::Table(object))
    }
}
