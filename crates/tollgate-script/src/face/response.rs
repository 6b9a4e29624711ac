//! `res`: the answer of the upstream, and what scripts may make of it.

use mlua::{Lua, Value};

use super::{body, shown};
use crate::desk::{Desk, Phase, Side, refuse};
use crate::library::respond::status;

pub(super) fn get(lua: &Lua, desk: &Desk, name: &[u8]) -> mlua::Result<Value> {
    match name {
        b"status" => Ok(Value::Number(f64::from(desk.response.borrow().status))),
        b"body" => body::text(lua, desk, Side::Response),
        b"json" => body::json(lua, desk, Side::Response),
        other => Err(refuse(format!("`res` has no `{}`; it has status, headers, body, json", shown(other)))),
    }
}

pub(super) fn set(lua: &Lua, desk: &Desk, name: &[u8], value: Value) -> mlua::Result<()> {
    if desk.phase.get() != Phase::Response {
        return Err(refuse("there is no response yet"));
    }
    match name {
        b"status" => {
            let status = status(&value)?;
            let mut response = desk.response.borrow_mut();
            response.changed.status |= response.status != status;
            response.status = status;
            Ok(())
        }
        b"body" => body::set_text(lua, desk, Side::Response, value),
        b"json" => body::set_json(lua, desk, Side::Response, value),
        b"headers" => Err(refuse("`res.headers` cannot be replaced; set or remove single ones")),
        other => Err(refuse(format!("`res` has no `{}`", shown(other)))),
    }
}
