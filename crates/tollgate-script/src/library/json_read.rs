//! JSON into values, straight from the text: no tree in between.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::fmt;

use mlua::{Lua, Table, Value};
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Value as Json;

use super::json::MAX_DEPTH;
use super::json_mend::mended;
use crate::desk::Desk;

/// What a table takes, by the engine's own account.
const TABLE_BYTES: usize = 64;

/// Why a text has no values.
pub(crate) struct Fault {
    pub(crate) message: String,
    /// It is JSON, of more levels than are read.
    pub(crate) deep: bool,
}

/// Reads a text; of a name that an object has twice the last one counts. The outer error is one of limits, the inner one says why the text is no JSON.
pub(crate) fn decode(lua: &Lua, desk: &Desk, text: &[u8]) -> mlua::Result<Result<Value, Fault>> {
    desk.unbound(lua, || {
        let fault = match parse(lua, desk, text)? {
            Ok(read) => return Ok(Ok(read)),
            Err(fault) => fault,
        };
        desk.work(text.len())?;
        Ok(match mended(text) {
            Some(text) if !fault.deep => parse(lua, desk, &text)?,
            _ => Err(fault),
        })
    })
}

fn parse(lua: &Lua, desk: &Desk, text: &[u8]) -> mlua::Result<Result<Value, Fault>> {
    let notes = Notes::default();
    let reader = Reader { lua, desk, notes: &notes, frozen: false, depth: 0 };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = reader.deserialize(&mut deserializer).and_then(|item| deserializer.end().map(|()| item));
    notes.outcome(lua, read)
}

/// Values of a tree, which scripts may read and not change.
pub(crate) fn frozen(lua: &Lua, desk: &Desk, tree: &Json) -> mlua::Result<Result<Value, Fault>> {
    desk.unbound(lua, || {
        let notes = Notes::default();
        let reader = Reader { lua, desk, notes: &notes, frozen: true, depth: 0 };
        notes.outcome(lua, reader.deserialize(tree))
    })
}

/// What is learnt on the way.
#[derive(Default)]
struct Notes {
    /// What the engine or a limit objected to: serde cannot carry it.
    failed: RefCell<Option<mlua::Error>>,
    deep: Cell<bool>,
}

impl Notes {
    fn outcome<E: fmt::Display>(
        &self,
        lua: &Lua,
        read: Result<Item<'_>, E>,
    ) -> mlua::Result<Result<Value, Fault>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        match read {
            Ok(Item::Value(value)) => Ok(Ok(value)),
            Ok(Item::Text(text)) => Ok(Ok(Value::String(lua.create_string(&*text)?))),
            Err(error) => Ok(Err(Fault { message: error.to_string(), deep: self.deep.get() })),
        }
    }
}

/// A value on its way into a table: texts go there without a handle of their own.
enum Item<'de> {
    Text(Cow<'de, str>),
    Value(Value),
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    lua: &'a Lua,
    desk: &'a Desk,
    notes: &'a Notes,
    /// Tables are shut when they are made.
    frozen: bool,
    depth: usize,
}

impl Reader<'_> {
    fn engine<T, E: Error>(&self, result: mlua::Result<T>) -> Result<T, E> {
        result.map_err(|error| {
            *self.notes.failed.borrow_mut() = Some(error);
            E::custom("")
        })
    }

    fn deeper<E: Error>(&self) -> Result<Self, E> {
        match self.depth < MAX_DEPTH {
            true => Ok(Reader { depth: self.depth + 1, ..*self }),
            false => {
                self.notes.deep.set(true);
                Err(E::custom(format_args!("more than {MAX_DEPTH} levels")))
            }
        }
    }

    fn makes<E: Error>(&self, bytes: usize) -> Result<(), E> {
        self.engine(self.desk.makes(self.lua, bytes))
    }

    fn number<'de, E: Error>(&self, number: f64) -> Result<Item<'de>, E> {
        self.makes(8)?;
        Ok(Item::Value(Value::Number(number)))
    }

    fn text<'de, E: Error>(&self, text: Cow<'de, str>) -> Result<Item<'de>, E> {
        self.makes(text.len() + 16)?;
        Ok(Item::Text(text))
    }

    fn table<E: Error>(&self) -> Result<Table, E> {
        self.makes(TABLE_BYTES)?;
        self.engine(self.lua.create_table())
    }

    fn finish<'de>(&self, table: Table) -> Item<'de> {
        if self.frozen {
            table.set_readonly(true);
        }
        Item::Value(Value::Table(table))
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Item<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Item<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Item<'de>, E> {
        Ok(Item::Value(Value::NULL))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Item<'de>, E> {
        Ok(Item::Value(Value::Boolean(value)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Item<'de>, E> {
        self.number(number as f64)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Item<'de>, E> {
        self.number(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Item<'de>, E> {
        self.number(number)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Item<'de>, E> {
        self.text(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Item<'de>, E> {
        self.text(Cow::Owned(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Item<'de>, A::Error> {
        let inner = self.deeper()?;
        let list = self.table()?;
        self.engine(list.set_metatable(self.desk.list.get().cloned()))?;
        let mut at = 0;
        while let Some(item) = items.next_element_seed(inner)? {
            at += 1;
            self.engine(match item {
                Item::Text(text) => list.raw_set(at, &*text),
                Item::Value(value) => list.raw_set(at, value),
            })?;
        }
        Ok(self.finish(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Item<'de>, A::Error> {
        let inner = self.deeper()?;
        let object = self.table()?;
        while let Some(Name(name)) = members.next_key()? {
            self.makes(name.len())?;
            let item = members.next_value_seed(inner)?;
            self.engine(match item {
                Item::Text(text) => object.raw_set(&*name, &*text),
                Item::Value(value) => object.raw_set(&*name, value),
            })?;
        }
        Ok(self.finish(object))
    }
}

/// A member's name, lent by the text where it can be: `Cow` by itself always makes a copy.
pub(super) struct Name<'de>(pub(super) Cow<'de, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Name<'de>, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Borrowed(name)))
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name<'de>, E> {
        Ok(Name(Cow::Owned(name.to_owned())))
    }
}
