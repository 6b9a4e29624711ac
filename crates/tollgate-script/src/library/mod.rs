//! What the gateway adds to the language: `json`, `base64`, `hmac`, `time`, `respond`, and `require` of modules.

pub(crate) mod json;
pub(crate) mod log;
pub(crate) mod respond;
mod codec;
mod json_mend;
mod json_read;
mod json_same;
mod json_write;
mod modules;
mod time;

use std::rc::Rc;

use mlua::{Lua, Table};

use crate::desk::Desk;

/// Adds all of it to the globals.
pub(crate) fn add(lua: &Lua, desk: &Rc<Desk>, globals: &Table) -> mlua::Result<()> {
    json::add(lua, desk, globals)?;
    codec::add(lua, desk, globals)?;
    time::add(lua, desk, globals)?;
    respond::add(lua, desk, globals)?;
    modules::add(lua, desk, globals)
}
