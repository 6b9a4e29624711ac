//! `req.headers` and `res.headers`: lines by name in any case, without a table in between.

use std::rc::Rc;

use mlua::{Lua, LuaString, Table, Value};
use tollgate_wire::{EntryRef, HeaderBlock, Name, name};

use super::{Owner, close, shown, string, text_of};
use crate::desk::{Desk, Phase, Side, kind, refuse};
use crate::message::Request;

/// Lines that frame a message or belong to one connection: the gateway's to write.
const FRAMING: &[Name] = &[
    name::CONNECTION,
    name::CONTENT_LENGTH,
    name::EXPECT,
    name::HOST,
    name::HTTP2_SETTINGS,
    name::KEEP_ALIVE,
    name::PROXY_CONNECTION,
    name::TE,
    name::TRAILER,
    name::TRANSFER_ENCODING,
    name::UPGRADE,
];

/// Longest value of one line, in bytes: few receivers take as much.
const MAX_VALUE_BYTES: usize = 64 << 10;

/// Lines that a message may have: far above what `limits.header_count` lets in.
const MAX_LINES: usize = 1000;

pub(super) fn face(lua: &Lua, desk: &Rc<Desk>, side: Side) -> mlua::Result<Table> {
    let headers = lua.create_table()?;
    let (reads, writes, copies) = (desk.clone(), desk.clone(), desk.clone());
    let meta = close(
        lua,
        &headers,
        lua.create_function(move |lua, (_, name): (Owner, LuaString)| {
            reads.unbound(lua, || reads.headers(side, |headers| get(lua, headers, &name.as_bytes())))
        })?,
        lua.create_function(move |lua, (_, name, value): (Owner, LuaString, Value)| {
            set(lua, &writes, side, &name.as_bytes(), &value)
        })?,
    )?;
    let next: Value = lua.globals().raw_get("next")?;
    let iterate = lua.create_function(move |lua, _: Owner| Ok((next.clone(), copy(lua, &copies, side)?)))?;
    meta.raw_set("__iter", iterate)?;
    meta.set_readonly(true);
    Ok(headers)
}

/// All lines, by their names in lower case.
pub(super) fn copy(lua: &Lua, desk: &Desk, side: Side) -> mlua::Result<Table> {
    let copy = lua.create_table()?;
    desk.headers(side, |headers| {
        for (name, _) in headers.iter() {
            let lower = name.to_ascii_lowercase();
            desk.work(lower.len())?;
            copy.raw_set(lua.create_string(&lower)?, get(lua, headers, &lower)?)?;
        }
        Ok(copy)
    })
}

/// The value under a name: lines joined by comma, those of `cookie` by semicolon (RFC 9113 section 8.2.3), a list of
/// `set-cookie`.
fn get(lua: &Lua, headers: &HeaderBlock, name: &[u8]) -> mlua::Result<Value> {
    let Ok(name) = Name::from_bytes(name) else { return Ok(Value::Nil) };
    let mut values = headers.get_all(&name);
    let Some(first) = values.next() else { return Ok(Value::Nil) };
    if name == name::SET_COOKIE {
        let list = lua.create_table()?;
        for value in std::iter::once(first).chain(values) {
            list.raw_push(lua.create_string(value)?)?;
        }
        return Ok(Value::Table(list));
    }
    let Some(second) = values.next() else { return string(lua, first) };
    let between: &[u8] = if name == name::COOKIE { b"; " } else { b", " };
    let mut joined = [first, between, second].concat();
    for value in values {
        joined.extend_from_slice(between);
        joined.extend_from_slice(value);
    }
    string(lua, joined)
}

fn set(lua: &Lua, desk: &Desk, side: Side, name: &[u8], value: &Value) -> mlua::Result<()> {
    match (side, desk.phase.get()) {
        (Side::Request, Phase::Request) | (Side::Response, Phase::Response) => {}
        (Side::Request, _) => return Err(refuse("the request has been sent and cannot be changed any more")),
        (Side::Response, _) => return Err(refuse("there is no response yet")),
    }
    let name = settable(name)?;
    desk.edit_headers(side, |headers| put(lua, headers, &name, value))?;
    match side {
        Side::Request => own(&mut desk.request.borrow_mut(), name),
        Side::Response => Ok(()),
    }
}

/// Makes what goes on under the name the script's alone. Lines of other spellings go, as where the route's own edits set
/// a header: an application that reads CGI names cannot tell `_` from `-`. What frames the message stays, whatever a
/// script calls by a name like it.
fn own(request: &mut Request, name: Name) -> mlua::Result<()> {
    let Request { headers, edited, .. } = request;
    if !edited.contains(&name) {
        if edited.len() >= MAX_LINES {
            return Err(refuse(format!("more than {MAX_LINES} names of headers are set or removed")));
        }
        edited.push(name.clone());
    }
    let stays = |entry: EntryRef<'_>| edited.iter().chain(FRAMING).any(|own| entry.is(own));
    headers.retain_entries(|entry| !entry.spells(&name) || stays(entry));
    Ok(())
}

/// Reads a name that scripts may set.
pub(crate) fn settable(name: &[u8]) -> mlua::Result<Name> {
    let Ok(read) = Name::from_bytes(name) else {
        return Err(refuse(format!("`{}` is no header name", shown(name))));
    };
    match FRAMING.contains(&read) {
        true => Err(refuse(format!("`{}` is the gateway's to set", read.as_str()))),
        false => Ok(read),
    }
}

/// Puts a value under a name: text, a number, a list of them for as many lines, or `nil` for none.
pub(crate) fn put(lua: &Lua, headers: &mut HeaderBlock, name: &Name, value: &Value) -> mlua::Result<()> {
    match value {
        Value::Nil => {
            headers.remove(name);
            return Ok(());
        }
        Value::Table(list) => {
            let lines = list.raw_len();
            if lines == 0 && !list.is_empty() {
                return Err(refuse(format!("`{}` is a text or a list of texts", name.as_str())));
            }
            headers.remove(name);
            for at in 1..=lines.min(MAX_LINES) {
                has_room(headers)?;
                line(lua, name, &list.raw_get(at)?, |text| headers.append(name, text))?;
            }
            return Ok(());
        }
        _ => {}
    }
    has_room(headers)?;
    line(lua, name, value, |text| headers.set(name, text))
}

/// Hands on the text of one line, if it is one.
fn line(lua: &Lua, name: &Name, value: &Value, put: impl FnOnce(&[u8])) -> mlua::Result<()> {
    let number;
    let text = match value {
        Value::String(text) => text,
        Value::Number(_) | Value::Integer(_) => {
            number = text_of(lua, value)?;
            number.as_ref().ok_or_else(|| refuse("a number without text"))?
        }
        other => {
            let kind = kind(other);
            return Err(refuse(format!("`{}` is a text or a list of texts, not a {kind}", name.as_str())));
        }
    };
    let text = text.as_bytes();
    if text.len() > MAX_VALUE_BYTES {
        return Err(refuse(format!(
            "the value of `{}` has more than {MAX_VALUE_BYTES} bytes",
            name.as_str()
        )));
    }
    // A line that ends early would let the rest be read as another line (RFC 9110 section 5.5).
    if text.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
        return Err(refuse(format!(
            "the value of `{}` has a line break or another control character",
            name.as_str()
        )));
    }
    put(&text);
    Ok(())
}

fn has_room(headers: &HeaderBlock) -> mlua::Result<()> {
    match headers.len() < MAX_LINES {
        true => Ok(()),
        false => Err(refuse(format!("more than {MAX_LINES} header lines"))),
    }
}
