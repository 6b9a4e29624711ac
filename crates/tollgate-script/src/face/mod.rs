//! `req` and `res` as scripts see them: names that are looked up when they are read, so that a script pays for what
//! it uses.
//!
//! Both are tables that cannot be written to, with functions behind them. There is one pair in a machine; what it
//! shows is what lies on the desk.

mod body;
mod claims;
mod headers;
mod query;
mod request;
mod response;

use std::rc::Rc;

use mlua::{FromLua, Function, IntoLuaMulti, Lua, LuaString, Table, Value};

use crate::desk::{Desk, Phase, Side, refuse};

pub(crate) use body::JSON;
pub(crate) use claims::Kept as KeptClaims;
pub(crate) use headers::{put as put_header, settable};

/// The two messages, and their headers.
pub(crate) struct Faces {
    pub(crate) req: Table,
    pub(crate) res: Table,
    req_headers: Table,
    res_headers: Table,
}

/// Makes the two messages.
pub(crate) fn faces(lua: &Lua, desk: &Rc<Desk>) -> mlua::Result<Faces> {
    let req_headers = headers::face(lua, desk, Side::Request)?;
    let res_headers = headers::face(lua, desk, Side::Response)?;
    let req = lua.create_table()?;
    req.raw_set("headers", &req_headers)?;
    let (reads, writes) = (desk.clone(), desk.clone());
    close(
        lua,
        &req,
        lua.create_function(move |lua, (_, name): (Owner, LuaString)| {
            reads.unbound(lua, || request::get(lua, &reads, &name.as_bytes()))
        })?,
        lua.create_function(move |lua, (_, name, value): (Owner, LuaString, Value)| {
            request::set(lua, &writes, &name.as_bytes(), value)
        })?,
    )?
    .set_readonly(true);
    let res = lua.create_table()?;
    res.raw_set("headers", &res_headers)?;
    let (reads, writes) = (desk.clone(), desk.clone());
    close(
        lua,
        &res,
        lua.create_function(move |lua, (_, name): (Owner, LuaString)| {
            reads.unbound(lua, || response::get(lua, &reads, &name.as_bytes()))
        })?,
        lua.create_function(move |lua, (_, name, value): (Owner, LuaString, Value)| {
            response::set(lua, &writes, &name.as_bytes(), value)
        })?,
    )?
    .set_readonly(true);
    Ok(Faces { req, res, req_headers, res_headers })
}

/// Writes back what scripts changed in place of what they were handed.
pub(crate) fn take_back(lua: &Lua, desk: &Desk) -> mlua::Result<()> {
    if desk.phase.get() == Phase::Request {
        query::take_back(desk)?;
        body::take_back(lua, desk, Side::Request)?;
    } else {
        body::take_back(lua, desk, Side::Response)?;
    }
    Ok(())
}

impl Faces {
    /// What `pairs` goes through instead of headers: functions that copy them, by the headers.
    pub(crate) fn snapshots(&self, lua: &Lua, desk: &Rc<Desk>) -> mlua::Result<Table> {
        let snapshots = lua.create_table()?;
        for (face, side) in [(&self.req_headers, Side::Request), (&self.res_headers, Side::Response)] {
            let own = desk.clone();
            snapshots.raw_set(face, lua.create_function(move |lua, ()| headers::copy(lua, &own, side))?)?;
        }
        Ok(snapshots)
    }
}

/// The first argument of a metamethod, which is known.
struct Owner;

impl FromLua for Owner {
    fn from_lua(_: Value, _: &Lua) -> mlua::Result<Owner> {
        Ok(Owner)
    }
}

/// Puts functions behind a table and shuts it. Gives the metatable, which is still open.
fn close(lua: &Lua, table: &Table, index: Function, new_index: Function) -> mlua::Result<Table> {
    let meta = lua.create_table()?;
    meta.raw_set("__index", index)?;
    meta.raw_set("__newindex", new_index)?;
    meta.raw_set("__metatable", false)?;
    table.set_metatable(Some(meta.clone()))?;
    table.set_readonly(true);
    Ok(meta)
}

/// A part is given only to scripts that name it: making the others would cost every request.
fn at_hand(named: bool, what: &str) -> mlua::Result<()> {
    match named {
        true => Ok(()),
        false => Err(refuse(format!("`{what}` is at hand only where the script says it by that name"))),
    }
}

fn string(lua: &Lua, text: impl AsRef<[u8]>) -> mlua::Result<Value> {
    lua.create_string(text).map(Value::String)
}

/// The text of a string or a number; nothing of any other value.
fn text_of(lua: &Lua, value: &Value) -> mlua::Result<Option<LuaString>> {
    match value {
        Value::String(text) => Ok(Some(text.clone())),
        Value::Number(_) | Value::Integer(_) => lua.coerce_string(value.clone()),
        _ => Ok(None),
    }
}

/// A name that a script used, for a message.
fn shown(name: &[u8]) -> String {
    crate::failure::bounded_line(&String::from_utf8_lossy(name), 64)
}

/// A function and its name in a library.
type Named<A, R> = (&'static str, fn(&Lua, &Desk, A) -> mlua::Result<R>);

/// Functions of a library, by their names.
pub(crate) fn functions<A: mlua::FromLuaMulti + 'static, R: IntoLuaMulti + 'static>(
    lua: &Lua,
    into: &Table,
    desk: &Rc<Desk>,
    all: &[Named<A, R>],
) -> mlua::Result<()> {
    for (name, function) in all {
        let (own, function) = (desk.clone(), *function);
        into.raw_set(*name, lua.create_function(move |lua, arguments| function(lua, &own, arguments))?)?;
    }
    Ok(())
}
