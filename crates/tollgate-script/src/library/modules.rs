//! `require`: modules from the script's folder, which were compiled with the script.
//!
//! A module is run once in each request that requires it, in an environment of its own: what it keeps in its
//! variables is that request's.

use std::rc::Rc;

use mlua::{Lua, LuaString, Table, Value};

use crate::desk::{Desk, refuse};
use crate::script::module_name;

pub(super) fn add(lua: &Lua, desk: &Rc<Desk>, globals: &Table) -> mlua::Result<()> {
    let own = desk.clone();
    globals.raw_set(
        "require",
        lua.create_function(move |lua, name: LuaString| require(lua, &own, &name.to_str()?))?,
    )
}

fn require(lua: &Lua, desk: &Desk, name: &str) -> mlua::Result<Value> {
    let name = module_name(name).map_err(refuse)?;
    let given = match &*desk.modules.borrow() {
        Some(given) => given.raw_get(name)?,
        None => Value::Nil,
    };
    if !given.is_nil() {
        return Ok(given);
    }
    let running = desk.running.borrow().clone();
    let module = match running {
        Some(loaded) => loaded.module(lua, name)?,
        None => None,
    };
    let Some(module) = module else {
        return Err(refuse(format!("no module `{name}` was read with this script")));
    };
    let gives = match module.call::<Value>(())? {
        Value::Nil => Value::Boolean(true),
        value => value,
    };
    let given = match &*desk.modules.borrow() {
        Some(given) => given.clone(),
        None => lua.create_table()?,
    };
    given.raw_set(name, &gives)?;
    *desk.modules.borrow_mut() = Some(given);
    Ok(gives)
}
