//! Values into JSON: members in the order of their names, so that the same values give the same text.

use std::cmp::Ordering;

use mlua::{Lua, LuaString, Table, Value};

use super::json::{MAX_DEPTH, is_list};
use crate::desk::{Desk, kind, refuse};

/// Writes a value. A table with elements `1..n` and nothing else is a list, one with names an object; an empty one is
/// an object unless `json.array` made it.
pub(crate) fn encode(lua: &Lua, desk: &Desk, value: &Value) -> mlua::Result<Vec<u8>> {
    desk.unbound(lua, || {
        let mut writer = Writer { lua, desk, out: Vec::new() };
        writer.value(value, 0)?;
        Ok(writer.out)
    })
}

struct Writer<'a> {
    lua: &'a Lua,
    desk: &'a Desk,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) -> mlua::Result<()> {
        self.desk.makes(self.lua, 16)?;
        if self.out.len() > self.desk.max_text_bytes.get() {
            return Err(refuse("this is more JSON than a call may have memory"));
        }
        match value {
            Value::Nil | Value::LightUserData(mlua::LightUserData(_))
                if value.is_nil() || value.is_null() =>
            {
                self.out.extend_from_slice(b"null");
            }
            Value::Boolean(true) => self.out.extend_from_slice(b"true"),
            Value::Boolean(false) => self.out.extend_from_slice(b"false"),
            Value::Integer(number) => self.out.extend_from_slice(number.to_string().as_bytes()),
            Value::Number(number) => self.number(*number)?,
            Value::String(text) => self.text(text)?,
            Value::Table(table) => self.table(table, depth)?,
            other => return Err(refuse(format!("JSON has no {}", kind(other)))),
        }
        Ok(())
    }

    fn number(&mut self, number: f64) -> mlua::Result<()> {
        if !number.is_finite() {
            return Err(refuse("JSON has no infinity and no NaN"));
        }
        // Up to 2^53 whole numbers are exact, and nobody wants to read `3.0`.
        if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 {
            self.out.extend_from_slice((number as i64).to_string().as_bytes());
            return Ok(());
        }
        serde_json::to_writer(&mut self.out, &number).map_err(mlua::Error::external)
    }

    fn text(&mut self, text: &LuaString) -> mlua::Result<()> {
        let bytes = text.as_bytes();
        self.desk.work(bytes.len())?;
        let text = std::str::from_utf8(&bytes).map_err(|_| refuse("a text that is not UTF-8 is no JSON"))?;
        serde_json::to_writer(&mut self.out, text).map_err(mlua::Error::external)
    }

    fn table(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        if depth >= MAX_DEPTH {
            return Err(refuse(format!("a table within itself, or more than {MAX_DEPTH} levels")));
        }
        match is_list(self.desk, table) {
            Some(true) => self.list(table, table.raw_len(), depth),
            Some(false) => self.object(table, depth),
            None => {
                Err(refuse("`req`, `res` and their headers are no JSON; copy what is needed into a table"))
            }
        }
    }

    fn list(&mut self, table: &Table, length: usize, depth: usize) -> mlua::Result<()> {
        let mut entries = 0;
        table.for_each(|key: Value, _: Value| {
            entries += 1;
            match key {
                Value::String(name) => Err(refuse(format!(
                    "a table with elements and with names (`{}`) is neither list nor object",
                    crate::failure::bounded_line(&name.to_string_lossy(), 64)
                ))),
                _ => Ok(()),
            }
        })?;
        if entries != length {
            return Err(refuse("a list with holes; put `json.null` there"));
        }
        self.out.push(b'[');
        for at in 1..=length {
            if at > 1 {
                self.out.push(b',');
            }
            self.value(&table.raw_get(at)?, depth + 1)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, table: &Table, depth: usize) -> mlua::Result<()> {
        let mut members: Vec<(LuaString, Value)> = Vec::new();
        table.for_each(|key: Value, value: Value| match key {
            Value::String(name) => {
                members.push((name, value));
                self.desk.makes(self.lua, 16)
            }
            Value::Number(_) | Value::Integer(_) => Err(refuse("a list with holes; put `json.null` there")),
            other => Err(refuse(format!("a name in JSON is a text, not a {}", kind(&other)))),
        })?;
        members.sort_by(by_name);
        self.out.push(b'{');
        for (at, (name, value)) in members.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.text(name)?;
            self.out.push(b':');
            self.value(value, depth + 1)?;
        }
        self.out.push(b'}');
        Ok(())
    }
}

/// The order of members: that of their names, byte by byte.
pub(crate) fn by_name(a: &(LuaString, Value), b: &(LuaString, Value)) -> Ordering {
    (*a.0.as_bytes()).cmp(&*b.0.as_bytes())
}
