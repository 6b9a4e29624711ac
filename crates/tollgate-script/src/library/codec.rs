//! `base64` (RFC 4648) and `hmac` (RFC 2104).

use std::rc::Rc;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mlua::{Lua, LuaString, Table};

use crate::desk::{Desk, refuse};
use crate::face::functions;

/// With padding; read with it or without.
const STANDARD: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `-` and `_`, without padding; read with it or without.
const URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn add(lua: &Lua, desk: &Rc<Desk>, globals: &Table) -> mlua::Result<()> {
    let base64 = lua.create_table()?;
    functions(
        lua,
        &base64,
        desk,
        &[
            ("encode", |lua, desk, text: LuaString| encode(lua, desk, &STANDARD, &text)),
            ("decode", |lua, desk, text: LuaString| decode(lua, desk, &STANDARD, &text)),
            ("url_encode", |lua, desk, text: LuaString| encode(lua, desk, &URL, &text)),
            ("url_decode", |lua, desk, text: LuaString| decode(lua, desk, &URL, &text)),
        ],
    )?;
    globals.raw_set("base64", base64)?;
    let hmac = lua.create_table()?;
    functions(lua, &hmac, desk, &[("sha256", |_, desk, (key, data)| sha256(desk, &key, &data))])?;
    globals.raw_set("hmac", hmac)
}

fn encode(lua: &Lua, desk: &Desk, engine: &GeneralPurpose, text: &LuaString) -> mlua::Result<LuaString> {
    desk.work(text.as_bytes().len())?;
    lua.create_string(engine.encode(text.as_bytes()))
}

fn decode(lua: &Lua, desk: &Desk, engine: &GeneralPurpose, text: &LuaString) -> mlua::Result<LuaString> {
    desk.work(text.as_bytes().len())?;
    let bytes = engine.decode(text.as_bytes()).map_err(|error| refuse(format!("not base64: {error}")))?;
    lua.create_string(bytes)
}

fn sha256(desk: &Desk, key: &LuaString, data: &LuaString) -> mlua::Result<String> {
    desk.work(data.as_bytes().len())?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key.as_bytes());
    Ok(hmac::sign(&key, &data.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}
