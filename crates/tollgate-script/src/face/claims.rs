//! `req.claims`: what a token says, made into values once for as many requests as have the same token one after another.
//!
//! Scripts cannot change what they are given here, so they cannot tell whether it was made for them.

use std::collections::HashMap;
use std::rc::Rc;

use mlua::{Lua, Value};

use crate::desk::Desk;
use crate::library::json;
use crate::message::Claims;

/// Bytes that the claims which are kept may take, by the engine's account. Over it all but the last are forgotten.
const MAX_KEPT_BYTES: usize = 256 << 10;

/// Tokens whose claims are kept.
const MAX_KEPT: usize = 256;

/// Claims as values, by where they are: what is kept here is not freed, so that its place is nobody else's.
#[derive(Default)]
pub(crate) struct Kept {
    values: HashMap<*const (), (Rc<dyn Claims>, Value)>,
    bytes: usize,
}

pub(super) fn get(lua: &Lua, desk: &Desk) -> mlua::Result<Value> {
    let Some(claims) = desk.request.borrow().facts.claims.clone() else { return Ok(Value::Nil) };
    let place = Rc::as_ptr(&claims).cast::<()>();
    if let Some((_, value)) = desk.claims.borrow().values.get(&place) {
        return Ok(value.clone());
    }
    let before = lua.used_memory();
    let value = json::frozen(lua, desk, &claims.tree())?;
    let bytes = lua.used_memory().saturating_sub(before);
    let mut kept = desk.claims.borrow_mut();
    if kept.bytes.saturating_add(bytes) > MAX_KEPT_BYTES || kept.values.len() >= MAX_KEPT {
        *kept = Kept::default();
    }
    kept.bytes += bytes;
    kept.values.insert(place, (claims, value.clone()));
    Ok(value)
}
