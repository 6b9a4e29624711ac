//! `req.query`: names to a text, or to a list where they are repeated.
//!
//! The table is the script's to change. When the call ends it is compared with what was sent: pairs that mean the
//! same keep their bytes and their places, others are written anew, and new names follow in their order.

use std::collections::BTreeMap;

use mlua::{Lua, LuaString, Table, Value};

use super::shown;
use crate::desk::{Desk, kind, refuse};

/// Pairs that a query may have, sent or set: bounds the table that is made of it.
const MAX_PAIRS: usize = 1000;

/// Bytes of a query that a script leaves.
const MAX_QUERY_BYTES: usize = 8 << 10;

pub(super) fn get(lua: &Lua, desk: &Desk) -> mlua::Result<Value> {
    if let Some(query) = desk.handed(|handed| handed.query.clone()) {
        return Ok(Value::Table(query));
    }
    let request = desk.request.borrow();
    let query = lua.create_table()?;
    for (name, values) in by_name(&pairs(request.query.as_deref().unwrap_or_default())) {
        let name = lua.create_string(name)?;
        match values.as_slice() {
            [value] => query.raw_set(name, lua.create_string(value)?)?,
            values => {
                let list = lua.create_table()?;
                for value in values {
                    list.raw_push(lua.create_string(value)?)?;
                }
                query.raw_set(name, list)?;
            }
        }
    }
    desk.handed(|handed| handed.query = Some(query.clone()));
    Ok(Value::Table(query))
}

pub(super) fn set(lua: &Lua, desk: &Desk, value: Value) -> mlua::Result<()> {
    let query = match value {
        Value::Nil => lua.create_table()?,
        Value::Table(query) => query,
        other => {
            return Err(refuse(format!("a query is a table of names and values, not a {}", kind(&other))));
        }
    };
    wanted(&query)?;
    desk.handed(|handed| handed.query = Some(query));
    Ok(())
}

/// Writes the query back, if it was handed out and means something else now.
pub(super) fn take_back(desk: &Desk) -> mlua::Result<()> {
    let Some(query) = desk.handed(|handed| handed.query.clone()) else { return Ok(()) };
    let wanted = wanted(&query)?;
    let mut request = desk.request.borrow_mut();
    let raw = request.query.as_deref().unwrap_or_default();
    let sent = pairs(raw);
    if by_name(&sent) == wanted.iter().map(|(name, values)| (name.as_slice(), borrowed(values))).collect() {
        return Ok(());
    }
    let written = write(&sent, wanted);
    if written.len() > MAX_QUERY_BYTES.max(raw.len()) {
        return Err(refuse(format!("`req.query` came to more than {MAX_QUERY_BYTES} bytes")));
    }
    request.query = (!written.is_empty()).then_some(written);
    request.changed.query = true;
    Ok(())
}

/// One pair as it was sent, and decoded.
struct Pair<'a> {
    raw: &'a [u8],
    name: Vec<u8>,
    value: Vec<u8>,
}

/// The pairs of a query, in order (WHATWG URL, section 5.1). Pairs past the most are not shown to scripts.
fn pairs(raw: &[u8]) -> Vec<Pair<'_>> {
    let pieces = raw.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
    let pair = |raw: &'_ [u8]| {
        let at = memchr::memchr(b'=', raw).unwrap_or(raw.len());
        (decode(raw.get(..at).unwrap_or_default()), decode(raw.get(at + 1..).unwrap_or_default()))
    };
    pieces
        .take(MAX_PAIRS)
        .map(|raw| {
            let (name, value) = pair(raw);
            Pair { raw, name, value }
        })
        .collect()
}

fn by_name<'p>(pairs: &'p [Pair<'_>]) -> BTreeMap<&'p [u8], Vec<&'p [u8]>> {
    let mut names: BTreeMap<&[u8], Vec<&[u8]>> = BTreeMap::new();
    for pair in pairs {
        names.entry(&pair.name).or_default().push(&pair.value);
    }
    names
}

fn borrowed(values: &[Vec<u8>]) -> Vec<&[u8]> {
    values.iter().map(Vec::as_slice).collect()
}

/// What a script left: names to values, without those that have none.
fn wanted(query: &Table) -> mlua::Result<BTreeMap<Vec<u8>, Vec<Vec<u8>>>> {
    let mut names = BTreeMap::new();
    let mut count = 0;
    query.for_each(|name: Value, value: Value| {
        let Value::String(name) = name else {
            return Err(refuse(format!("a name in `req.query` is a text, not a {}", kind(&name))));
        };
        let values = values(&name, value)?;
        count += values.len();
        if count > MAX_PAIRS {
            return Err(refuse(format!("`req.query` has more than {MAX_PAIRS} values")));
        }
        if !values.is_empty() {
            names.insert(name.as_bytes().to_vec(), values);
        }
        Ok(())
    })?;
    Ok(names)
}

fn values(name: &LuaString, value: Value) -> mlua::Result<Vec<Vec<u8>>> {
    let one = |value: &Value| match value {
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        Value::Number(_) | Value::Integer(_) | Value::Boolean(_) => Ok(value.to_string()?.into_bytes()),
        other => Err(refuse(format!(
            "`req.query.{}` is a text or a list of texts, not a {}",
            shown(&name.as_bytes()),
            kind(other)
        ))),
    };
    match value {
        Value::Table(list) => (1..=list.raw_len().min(MAX_PAIRS)).map(|at| one(&list.raw_get(at)?)).collect(),
        other => one(&other).map(|value| vec![value]),
    }
}

fn write(sent: &[Pair<'_>], mut wanted: BTreeMap<Vec<u8>, Vec<Vec<u8>>>) -> Vec<u8> {
    let mut out = Vec::new();
    let before = by_name(sent);
    for pair in sent {
        let Some(values) = wanted.get(&pair.name) else { continue };
        if before.get(pair.name.as_slice()).is_some_and(|sent| *sent == borrowed(values)) {
            separate(&mut out);
            out.extend_from_slice(pair.raw);
            continue;
        }
        // The new values stand in the place of the first old one.
        let values = wanted.insert(pair.name.clone(), Vec::new()).unwrap_or_default();
        put(&mut out, &pair.name, &values);
    }
    for (name, values) in &wanted {
        if !before.contains_key(name.as_slice()) {
            put(&mut out, name, values);
        }
    }
    out
}

fn put(out: &mut Vec<u8>, name: &[u8], values: &[Vec<u8>]) {
    for value in values {
        separate(out);
        encode(out, name);
        out.push(b'=');
        encode(out, value);
    }
}

fn separate(out: &mut Vec<u8>) {
    if !out.is_empty() {
        out.push(b'&');
    }
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after) {
            (b'+', _) => out.push(b' '),
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or_default() as u8;
                out.push(digit(*high) << 4 | digit(*low));
                rest = behind;
            }
            (byte, _) => out.push(*byte),
        }
    }
    out
}

fn encode(out: &mut Vec<u8>, text: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte);
            continue;
        }
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
        out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte & 15)]);
    }
}
