//! `json`: values of Lua and text of JSON (RFC 8259), and the two things that Lua has no value for: `json.null`, and
//! a list that is empty.

use std::rc::Rc;

use mlua::{Lua, LuaString, Table, Value};
use serde_json::Value as Json;

use super::{json_read, json_same, json_write};
use crate::desk::{Desk, refuse};

pub(crate) use json_read::decode;
pub(crate) use json_same::says;
pub(crate) use json_write::{by_name, encode};

/// Lists and objects within each other. Deeper ones are refused in both directions.
pub(super) const MAX_DEPTH: usize = 64;

pub(super) fn add(lua: &Lua, desk: &Rc<Desk>, globals: &Table) -> mlua::Result<()> {
    let list = lua.create_table()?;
    list.raw_set("__metatable", "json.array")?;
    list.set_readonly(true);
    let _ = desk.list.set(list);
    let json = lua.create_table()?;
    json.raw_set("null", Value::NULL)?;
    let own = desk.clone();
    let encode_text = move |lua: &Lua, value: Value| lua.create_string(encode(lua, &own, &value)?);
    json.raw_set("encode", lua.create_function(encode_text)?)?;
    let own = desk.clone();
    let decode_text = move |lua: &Lua, text: LuaString| {
        let read = decode(lua, &own, &text.as_bytes())?;
        read.map_err(|fault| refuse(format!("not JSON: {}", fault.message)))
    };
    json.raw_set("decode", lua.create_function(decode_text)?)?;
    let own = desk.clone();
    let array = move |_: &Lua, table: Table| {
        table.set_metatable(own.list.get().cloned())?;
        Ok(table)
    };
    json.raw_set("array", lua.create_function(array)?)?;
    globals.raw_set("json", json)
}

/// Values as scripts may read and not change: configuration, claims.
pub(crate) fn frozen(lua: &Lua, desk: &Desk, value: &Json) -> mlua::Result<Value> {
    json_read::frozen(lua, desk, value)?.map_err(|fault| refuse(fault.message))
}

/// Members of a table, of whatever kind.
pub(super) fn entries(table: &Table) -> mlua::Result<usize> {
    let mut count = 0;
    // As truth values, for they are the cheapest to look at.
    table.for_each(|_: bool, _: bool| {
        count += 1;
        Ok(())
    })?;
    Ok(count)
}

/// Whether a table is written as a list or as an object. Nothing of the messages' own: there is nothing in them.
pub(super) fn is_list(desk: &Desk, table: &Table) -> Option<bool> {
    let Some(meta) = table.metatable() else { return Some(table.raw_len() > 0) };
    if desk.list.get().is_some_and(|list| meta.to_pointer() == list.to_pointer()) {
        return Some(true);
    }
    match meta.raw_get::<Value>("__metatable") {
        Ok(Value::Boolean(false)) => None,
        _ => Some(table.raw_len() > 0),
    }
}
