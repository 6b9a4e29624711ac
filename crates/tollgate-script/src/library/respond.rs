//! `respond(status, body, headers)`: an answer that a script makes. It counts when it is returned.

use std::cell::Cell;
use std::rc::Rc;

use mlua::{Lua, LuaString, Table, UserData, Value};
use tollgate_wire::{HeaderBlock, name};

use super::json;
use crate::desk::{Desk, kind, refuse};
use crate::face::{JSON, put_header, settable};
use crate::message::Respond;

/// An answer on its way through the script.
pub(crate) struct Made(pub(crate) Cell<Option<Respond>>);

impl UserData for Made {}

pub(super) fn add(lua: &Lua, desk: &Rc<Desk>, globals: &Table) -> mlua::Result<()> {
    let own = desk.clone();
    let function =
        lua.create_function(move |lua, (status, body, headers): (Value, Value, Option<Table>)| {
            respond(lua, &own, &status, &body, headers)
        })?;
    globals.raw_set("respond", function)
}

fn respond(
    lua: &Lua,
    desk: &Desk,
    code: &Value,
    body: &Value,
    headers: Option<Table>,
) -> mlua::Result<mlua::AnyUserData> {
    let mut answer = Respond { status: status(code)?, ..Respond::default() };
    answer.body = match body {
        Value::Nil => Vec::new(),
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Table(_) => {
            answer.headers.set(&name::CONTENT_TYPE, JSON);
            json::encode(lua, desk, body)?
        }
        other => return Err(refuse(format!("a body is a text, or a table for JSON, not a {}", kind(other)))),
    };
    // These have no body (RFC 9110 sections 15.3.5 and 15.4.5).
    if matches!(answer.status, 204 | 304) {
        answer.body.clear();
    }
    if let Some(headers) = headers {
        read_headers(lua, &headers, &mut answer.headers)?;
    }
    lua.create_userdata(Made(Cell::new(Some(answer))))
}

fn read_headers(lua: &Lua, from: &Table, into: &mut HeaderBlock) -> mlua::Result<()> {
    // In the order of their names: that of a table is nobody's.
    let mut lines: Vec<(LuaString, Value)> = Vec::new();
    from.for_each(|name: Value, value: Value| match name {
        Value::String(name) => {
            lines.push((name, value));
            Ok(())
        }
        other => Err(refuse(format!("a header name is a text, not a {}", kind(&other)))),
    })?;
    lines.sort_by(json::by_name);
    for (name, value) in lines {
        put_header(lua, into, &settable(&name.as_bytes())?, &value)?;
    }
    Ok(())
}

/// Reads a status that an answer may have.
pub(crate) fn status(value: &Value) -> mlua::Result<u16> {
    let number = value.as_f64().or_else(|| value.as_i64().map(|number| number as f64));
    match number {
        Some(number) if number.fract() == 0.0 && (200.0..600.0).contains(&number) => Ok(number as u16),
        _ => Err(refuse("a status is a whole number from 200 to 599")),
    }
}
