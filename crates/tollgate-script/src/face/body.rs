//! `body` and `json` of a message: one body, seen as text or as values.
//!
//! Values that were handed out may be changed in place, so they are written back when the call ends, or when the
//! text is read. A body that means the same afterwards keeps its bytes.

use mlua::{Lua, Value};
use tollgate_wire::{HeaderBlock, name};

use super::{at_hand, text_of};
use crate::desk::{Desk, Payload, Side, kind, refuse};
use crate::library::json;

pub(super) fn text(lua: &Lua, desk: &Desk, side: Side) -> mlua::Result<Value> {
    buffered(desk, side, "body")?;
    take_back(lua, desk, side)?;
    if let Some(text) = desk.handed(|handed| handed.payload(side).text.clone()) {
        return Ok(Value::String(text));
    }
    let text = desk.body(side, |body| {
        desk.makes(lua, body.len())?;
        lua.create_string(body)
    })?;
    desk.handed(|handed| handed.payload(side).text = Some(text.clone()));
    Ok(Value::String(text))
}

/// The body's values; `nil` where it is no JSON, for that is the sender's fault and not the script's.
pub(super) fn json(lua: &Lua, desk: &Desk, side: Side) -> mlua::Result<Value> {
    buffered(desk, side, "json")?;
    if let Some(value) = desk.handed(|handed| handed.payload(side).json.clone()) {
        return Ok(value);
    }
    if side == Side::Response && desk.headers(side, coded) && desk.body(side, |body| !body.is_empty()) {
        return Err(refuse("the body is in a coding, which nobody asked for: its values cannot be seen"));
    }
    let read = desk.body(side, |body| json::decode(lua, desk, body))?;
    let read = match read {
        Ok(read) => read,
        // It is JSON, and seems to say nothing to who sees none of it.
        Err(fault) if fault.deep => return Err(refuse(format!("the body has {}", fault.message))),
        Err(_) => return Ok(Value::Nil),
    };
    desk.handed(|handed| {
        let payload = handed.payload(side);
        payload.json = Some(read.clone());
    });
    Ok(read)
}

pub(super) fn set_text(lua: &Lua, desk: &Desk, side: Side, value: Value) -> mlua::Result<()> {
    buffered(desk, side, "body")?;
    let text = match &value {
        Value::Nil => None,
        value => Some(text_of(lua, value)?.ok_or_else(|| {
            refuse(format!("a body is a text, not a {}; values go into `json`", kind(value)))
        })?),
    };
    desk.handed(|handed| *handed.payload(side) = Default::default());
    desk.set_body(side, text.map(|text| text.as_bytes().to_vec()).unwrap_or_default());
    Ok(())
}

pub(super) fn set_json(lua: &Lua, desk: &Desk, side: Side, value: Value) -> mlua::Result<()> {
    if value.is_nil() {
        return set_text(lua, desk, side, value);
    }
    buffered(desk, side, "json")?;
    let body = json::encode(lua, desk, &value)?;
    desk.handed(|handed| {
        let payload = handed.payload(side);
        *payload = Payload { text: None, json: Some(value) };
    });
    desk.set_body(side, body);
    let said = desk.headers(side, |headers| headers.get(&name::CONTENT_TYPE).is_some_and(says_json));
    if !said {
        desk.edit_headers(side, |headers| headers.set(&name::CONTENT_TYPE, JSON));
    }
    Ok(())
}

/// The media type of JSON.
pub(crate) const JSON: &[u8] = b"application/json";

/// Writes values that were handed out back into the body, if that changes what it means.
pub(super) fn take_back(lua: &Lua, desk: &Desk, side: Side) -> mlua::Result<()> {
    let handed = desk.handed(|handed| handed.payload(side).json.clone());
    // Values that are no tables cannot have been changed in place.
    let Some(value @ Value::Table(_)) = handed else { return Ok(()) };
    // A text with a name twice is never what the script saw: whoever reads it next may take the other member.
    if desk.body(side, |body| json::says(lua, desk, body, &value))? {
        return Ok(());
    }
    let written = json::encode(lua, desk, &value)?;
    desk.handed(|handed| handed.payload(side).text = None);
    desk.set_body(side, written);
    Ok(())
}

fn buffered(desk: &Desk, side: Side, field: &str) -> mlua::Result<()> {
    let needs = desk.needs.get();
    match side {
        Side::Request => at_hand(needs.request_body, &format!("req.{field}")),
        Side::Response => at_hand(needs.response_body, &format!("res.{field}")),
    }
}

fn coded(headers: &HeaderBlock) -> bool {
    headers.list(&name::CONTENT_ENCODING).any(|coding| !coding.eq_ignore_ascii_case(b"identity"))
}

/// Whether a media type is JSON, by itself or by its suffix (RFC 6839).
fn says_json(kind: &[u8]) -> bool {
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let essence = essence.to_ascii_lowercase();
    essence == JSON || essence.ends_with(b"+json")
}

#[cfg(test)]
mod tests {
    use super::says_json;

    #[test]
    fn media_types_that_are_json() {
        for (kind, expect) in [
            (&b"application/json"[..], true),
            (b"Application/JSON; charset=utf-8", true),
            (b"application/problem+json", true),
            (b"text/json-like", false),
            (b"text/plain", false),
            (b"", false),
        ] {
            assert_eq!(says_json(kind), expect, "{}", String::from_utf8_lossy(kind));
        }
    }
}
