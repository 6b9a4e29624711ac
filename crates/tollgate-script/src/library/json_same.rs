//! Whether values still say what a text says, found by going through both: nothing is written for it.

use std::cell::RefCell;
use std::fmt;

use mlua::{Lua, LuaString, Table, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::json::{entries, is_list};
use super::json_mend::mended;
use super::json_read::Name;
use crate::desk::Desk;

/// Whether `value`, read from `text` or put in its place, would be written as what means the same to a script:
/// numbers as it sees them, members in any order. A text with a name twice in one object never does.
pub(crate) fn says(lua: &Lua, desk: &Desk, text: &[u8], value: &Value) -> mlua::Result<bool> {
    desk.unbound(lua, || {
        let failed = RefCell::new(None);
        let look = Look { lua, desk, value, failed: &failed };
        let mut same = look.deserialize(&mut serde_json::Deserializer::from_slice(text));
        // The values are of what was made of it.
        if same.as_ref().is_err_and(serde_json::Error::is_syntax) {
            desk.work(text.len())?;
            if let Some(text) = mended(text) {
                same = look.deserialize(&mut serde_json::Deserializer::from_slice(&text));
            }
        }
        match failed.take() {
            Some(error) => Err(error),
            None => Ok(same.unwrap_or(false)),
        }
    })
}

#[derive(Clone, Copy)]
struct Look<'a> {
    lua: &'a Lua,
    desk: &'a Desk,
    value: &'a Value,
    /// What the engine or a limit objected to: serde cannot carry it.
    failed: &'a RefCell<Option<mlua::Error>>,
}

impl<'a> Look<'a> {
    fn at<'b>(&self, value: &'b Value) -> Look<'b>
    where
        'a: 'b,
    {
        Look { lua: self.lua, desk: self.desk, value, failed: self.failed }
    }

    fn engine<T, E: Error>(&self, result: mlua::Result<T>) -> Result<T, E> {
        result.map_err(|error| {
            *self.failed.borrow_mut() = Some(error);
            E::custom("")
        })
    }

    fn number<E: Error>(&self, number: f64) -> Result<bool, E> {
        self.same(match self.value {
            Value::Number(own) => *own == number,
            Value::Integer(own) => *own as f64 == number,
            _ => false,
        })
    }

    /// Goes on where both are the same. The first difference ends the look.
    fn same<E: Error>(&self, same: bool) -> Result<bool, E> {
        self.engine(self.desk.makes(self.lua, 8))?;
        match same {
            true => Ok(true),
            false => Err(E::custom("")),
        }
    }

    /// The table that a list or an object stands for here.
    fn table<E: Error>(&self, list: bool) -> Result<&'a Table, E> {
        let Value::Table(table) = self.value else { return Err(E::custom("")) };
        self.same(is_list(self.desk, table) == Some(list))?;
        Ok(table)
    }
}

impl<'de> DeserializeSeed<'de> for Look<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Look<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        self.same(self.value.is_null())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<bool, E> {
        self.same(self.value.as_boolean() == Some(value))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<bool, E> {
        self.number(number as f64)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<bool, E> {
        self.number(number as f64)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<bool, E> {
        self.number(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        self.engine(self.desk.work(text.len()))?;
        let own: Option<&LuaString> = self.value.as_string();
        self.same(own.is_some_and(|own| own.as_bytes() == text.as_bytes()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<bool, A::Error> {
        let table = self.table(true)?;
        let mut count = 0;
        loop {
            let value = self.engine(table.raw_get::<Value>(count + 1))?;
            if items.next_element_seed(self.at(&value))?.is_none() {
                break;
            }
            count += 1;
        }
        self.same(count == table.raw_len() && self.engine::<_, A::Error>(entries(table))? == count)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<bool, A::Error> {
        let table = self.table(false)?;
        let mut count = 0;
        while let Some(Name(name)) = members.next_key()? {
            self.engine(self.desk.makes(self.lua, name.len()))?;
            let value = self.engine(table.raw_get::<Value>(&*name))?;
            if value.is_nil() {
                members.next_value::<IgnoredAny>()?;
                self.same(false)?;
            }
            members.next_value_seed(self.at(&value))?;
            count += 1;
        }
        self.same(self.engine::<_, A::Error>(entries(table))? == count)
    }
}
