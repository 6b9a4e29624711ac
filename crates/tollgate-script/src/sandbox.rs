//! What scripts find in their environment: a list of what stays, the bounded functions, and the gateway's own.

use std::rc::Rc;
use std::sync::OnceLock;

use mlua::chunk::ChunkMode;
use mlua::{Function, Lua, LuaString, Table, Value};

use crate::desk::{Desk, limit_error};
use crate::face::Faces;
use crate::failure::{Cause, SANDBOX, is_memory};
use crate::library;

/// What stays of the engine's globals. Not named, and therefore gone: `loadstring`, `require` of files, `getfenv`,
/// `setfenv`, `newproxy`, `gcinfo`, `_G`, and every library that is not here.
const GLOBALS: &[&str] = &[
    "_VERSION",
    "assert",
    "collectgarbage",
    "error",
    "getmetatable",
    "ipairs",
    "next",
    "pairs",
    "pcall",
    "print",
    "rawequal",
    "rawget",
    "rawlen",
    "rawset",
    "select",
    "setmetatable",
    "tonumber",
    "tostring",
    "type",
    "typeof",
    "unpack",
    "xpcall",
    "bit32",
    "buffer",
    "coroutine",
    "math",
    "string",
    "table",
    "utf8",
    // The gateway's.
    "base64",
    "hmac",
    "json",
    "log",
    "require",
    "respond",
    "time",
];

/// What is taken out of the libraries that stay: a seed that one request could set for the next, and finalizers.
const WITHOUT: &[(&str, &str)] = &[("math", "randomseed"), ("coroutine", "finally")];

/// The prelude's functions that run a script.
pub(crate) struct Starters {
    /// In a fresh environment.
    pub(crate) first: Function,
    /// Makes the function that runs one of its functions in an environment that was there.
    pub(crate) again: Function,
}

/// Fills the globals, and gives the functions that run a script.
pub(crate) fn furnish(lua: &Lua, desk: &Rc<Desk>, faces: &Faces) -> mlua::Result<Starters> {
    let globals = lua.globals();
    library::add(lua, desk, &globals)?;
    let rust = rust(lua, desk, faces)?;
    let chunk = lua.load(prelude()?).set_mode(ChunkMode::Binary).set_name(format!("={SANDBOX}"));
    let (first, again) = chunk.into_function()?.call(rust)?;
    for (library, name) in WITHOUT {
        globals.raw_get::<Table>(*library)?.raw_set(*name, Value::Nil)?;
    }
    let mut others = Vec::new();
    globals.for_each(|name: LuaString, _: Value| {
        let stays = name.to_str().is_ok_and(|name| GLOBALS.contains(&&*name));
        if !stays {
            others.push(name);
        }
        Ok(())
    })?;
    for name in others {
        globals.raw_set(name, Value::Nil)?;
    }
    Ok(Starters { first, again })
}

/// What the prelude is handed.
fn rust(lua: &Lua, desk: &Rc<Desk>, faces: &Faces) -> mlua::Result<Table> {
    let rust = lua.create_table()?;
    let own = desk.clone();
    rust.raw_set("caught", lua.create_function(move |lua, problem| caught(lua, &own, problem))?)?;
    let own = desk.clone();
    rust.raw_set("find", lua.create_function(move |_, arguments| find(&own, arguments))?)?;
    let own = desk.clone();
    rust.raw_set(
        "log",
        lua.create_function(move |_, (level, line)| library::log::write(&own, level, &line))?,
    )?;
    rust.raw_set("snapshots", faces.snapshots(lua, desk)?)?;
    Ok(rust)
}

/// An error that a script caught: what it is given of it. An error of a limit is raised again.
fn caught(lua: &Lua, desk: &Desk, problem: Value) -> mlua::Result<Value> {
    let error = match &problem {
        Value::Error(error) => (**error).clone(),
        Value::String(text) => mlua::Error::RuntimeError(text.to_string_lossy()),
        _ => return Ok(problem),
    };
    if is_memory(&error) {
        desk.budget.exhaust(Cause::Memory);
    }
    if let Some(cause) = desk.budget.over() {
        desk.note_place(lua);
        return Err(limit_error(cause));
    }
    match problem {
        Value::Error(_) => Ok(Value::String(lua.create_string(desk.plain(&error))?)),
        other => Ok(other),
    }
}

/// `string.find` of plain text, in time that grows with the lengths and not with their product.
fn find(
    desk: &Desk,
    (text, pattern, from): (LuaString, LuaString, Option<f64>),
) -> mlua::Result<(Option<usize>, Option<usize>)> {
    let (text, pattern) = (text.as_bytes(), pattern.as_bytes());
    desk.work(text.len())?;
    let from = match from.unwrap_or(1.0) {
        from if from < 0.0 => (text.len() as f64 + from).max(0.0) as usize,
        from => (from - 1.0).max(0.0) as usize,
    };
    let at = text.get(from..).and_then(|rest| memchr::memmem::find(rest, &pattern));
    Ok((at.map(|at| from + at + 1), at.map(|at| from + at + pattern.len())))
}

/// The prelude's bytecode, made once in a process.
fn prelude() -> mlua::Result<&'static [u8]> {
    static PRELUDE: OnceLock<Vec<u8>> = OnceLock::new();
    if let Some(bytecode) = PRELUDE.get() {
        return Ok(bytecode);
    }
    let bytecode =
        mlua::chunk::Compiler::new().set_optimization_level(2).compile(include_str!("prelude.lua"))?;
    Ok(PRELUDE.get_or_init(|| bytecode))
}
