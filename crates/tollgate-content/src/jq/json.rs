//! Values out of JSON text and into it.

use super::JqFailed;
use super::meter;
use super::number::Num;
use super::value::{Object, Val};
use crate::node::write_text;
use crate::raw::{Kind, Raw};
use crate::read::Build;

impl Build for Val {
    fn scalar(raw: Raw<'_>) -> Val {
        match raw.kind() {
            Kind::Text => Val::text(raw.text().unwrap_or_default()),
            Kind::Number => Val::Num(Num::parse(raw.as_str())),
            Kind::Bool => Val::Bool(raw.as_str() == "true"),
            Kind::Null | Kind::List | Kind::Object => Val::Null,
        }
    }

    fn list(items: Vec<Val>) -> Val {
        items.into_iter().collect()
    }

    fn object(members: Vec<(String, Val)>) -> Val {
        let mut object = Object::default();
        for (name, value) in members {
            object.set(name.into(), value);
        }
        Val::Object(object.into())
    }
}

/// Writes a document of at most so many bytes.
pub(super) fn write(value: &Val, bytes: usize) -> Result<String, JqFailed> {
    let mut out = Vec::new();
    put(value, bytes, &mut out);
    if out.len() > bytes {
        return Err(JqFailed::Large);
    }
    // All of it came from strings.
    Ok(String::from_utf8(out).unwrap_or_default())
}

/// Its text, as a value of a filter.
pub(super) fn text(value: &Val) -> String {
    let mut out = Vec::new();
    put(value, usize::MAX, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// A value that is written twice is in memory once: the bound is looked at all the time.
fn put(value: &Val, bytes: usize, out: &mut Vec<u8>) {
    meter::spend(1);
    if out.len() > bytes {
        meter::stop(JqFailed::Large);
    }
    match value {
        Val::Null => out.extend_from_slice(b"null"),
        Val::Bool(true) => out.extend_from_slice(b"true"),
        Val::Bool(false) => out.extend_from_slice(b"false"),
        Val::Num(number) => number.write(out),
        Val::Text(text) => {
            meter::copy(text.len());
            write_text(text, out);
        }
        Val::List(list) => {
            out.push(b'[');
            for (at, item) in list.items().iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                put(item, bytes, out);
            }
            out.push(b']');
        }
        Val::Object(object) => {
            out.push(b'{');
            for (at, (name, value)) in object.members().iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_text(name, out);
                out.push(b':');
                put(value, bytes, out);
            }
            out.push(b'}');
        }
    }
}
