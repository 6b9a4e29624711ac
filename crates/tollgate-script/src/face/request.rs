//! `req`: what is known of the request, and what scripts may make of it.

use mlua::{Lua, Value};
use tollgate_wire::Method;

use super::{at_hand, body, claims, query, shown, string, text_of};
use crate::desk::{Desk, Phase, Side, refuse};

/// Longest path that a script may set, in bytes: that of `limits.uri_bytes`.
const MAX_PATH_BYTES: usize = 8 << 10;

pub(super) fn get(lua: &Lua, desk: &Desk, name: &[u8]) -> mlua::Result<Value> {
    let needs = desk.needs.get();
    let request = desk.request.borrow();
    match name {
        b"method" => string(lua, request.method.as_str()),
        b"path" => at_hand(needs.path, "req.path").and_then(|()| string(lua, &request.path)),
        b"host" => at_hand(needs.host, "req.host").and_then(|()| string(lua, &request.facts.host)),
        b"client_ip" => {
            at_hand(needs.client_ip, "req.client_ip")?;
            request.facts.client_ip.map_or(Ok(Value::Nil), |ip| string(lua, ip.to_string()))
        }
        b"consumer" => {
            at_hand(needs.consumer, "req.consumer")?;
            request.facts.consumer.as_ref().map_or(Ok(Value::Nil), |name| string(lua, name))
        }
        b"params" => {
            drop(request);
            at_hand(needs.params, "req.params").and_then(|()| params(lua, desk))
        }
        b"claims" => {
            drop(request);
            at_hand(needs.claims, "req.claims").and_then(|()| claims::get(lua, desk))
        }
        b"query" => {
            drop(request);
            at_hand(needs.query, "req.query").and_then(|()| query::get(lua, desk))
        }
        b"body" => {
            drop(request);
            body::text(lua, desk, Side::Request)
        }
        b"json" => {
            drop(request);
            body::json(lua, desk, Side::Request)
        }
        other => Err(refuse(format!(
            "`req` has no `{}`; it has method, path, query, headers, params, body, json, host, client_ip, consumer, \
             claims",
            shown(other)
        ))),
    }
}

pub(super) fn set(lua: &Lua, desk: &Desk, name: &[u8], value: Value) -> mlua::Result<()> {
    if desk.phase.get() != Phase::Request {
        return Err(refuse("the request has been sent and cannot be changed any more"));
    }
    match name {
        b"method" => set_method(lua, desk, &value),
        b"path" => set_path(lua, desk, &value),
        b"query" => query::set(lua, desk, value),
        b"body" => body::set_text(lua, desk, Side::Request, value),
        b"json" => body::set_json(lua, desk, Side::Request, value),
        b"headers" | b"params" | b"host" | b"client_ip" | b"consumer" | b"claims" => {
            Err(refuse(format!("`req.{}` cannot be replaced", shown(name))))
        }
        other => Err(refuse(format!("`req` has no `{}`", shown(other)))),
    }
}

fn set_method(lua: &Lua, desk: &Desk, value: &Value) -> mlua::Result<()> {
    let text = text_of(lua, value)?;
    let method = text.and_then(|text| Method::parse(&text.as_bytes()));
    let Some(method) = method.filter(|method| !matches!(method, Method::Connect | Method::Trace)) else {
        return Err(refuse("a method is a name like GET or POST; CONNECT and TRACE are not served"));
    };
    let mut request = desk.request.borrow_mut();
    request.changed.method |= request.method != method;
    request.method = method;
    Ok(())
}

fn set_path(lua: &Lua, desk: &Desk, value: &Value) -> mlua::Result<()> {
    let text = text_of(lua, value)?;
    let path = text.and_then(|text| Some(text.to_str().ok()?.to_owned()));
    let Some(path) = path.filter(|path| is_path(path)) else {
        return Err(refuse(
            "a path begins with `/`, is percent-encoded, without query, and has no segment `.` or `..`",
        ));
    };
    let mut request = desk.request.borrow_mut();
    request.changed.path |= request.path != path;
    request.path = path;
    Ok(())
}

/// Whether the text is a path that stays one however it is read: nothing that ends it early, no way up.
fn is_path(path: &str) -> bool {
    let bytes = path.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#' | b'\\');
    let mut encoded = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%');
    bytes.first() == Some(&b'/')
        && bytes.len() <= MAX_PATH_BYTES
        && bytes.iter().all(plain)
        && encoded.all(|(at, _)| match bytes.get(at + 1..at + 3) {
            Some(b"00") | None => false,
            Some(digits) => digits.iter().all(u8::is_ascii_hexdigit),
        })
        && path.split('/').all(|segment| {
            let dots = segment.replace("%2e", ".").replace("%2E", ".");
            dots != "." && dots != ".."
        })
}

fn params(lua: &Lua, desk: &Desk) -> mlua::Result<Value> {
    if let Some(params) = desk.handed(|handed| handed.params.clone()) {
        return Ok(Value::Table(params));
    }
    let params = lua.create_table()?;
    for (name, value) in &desk.request.borrow().facts.params {
        params.raw_set(name.as_str(), value.as_str())?;
    }
    params.set_readonly(true);
    desk.handed(|handed| handed.params = Some(params.clone()));
    Ok(Value::Table(params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_scripts_may_set() {
        for (path, expect) in [
            ("/", true),
            ("/a/b%20c/d;e=1/@:~", true),
            ("/a//b", true),
            ("/.well-known/x", true),
            ("/a/...", true),
            ("", false),
            ("a", false),
            ("/a b", false),
            ("/a?b", false),
            ("/a#b", false),
            ("/a\\b", false),
            ("/a\r\nb", false),
            ("/é", false),
            ("/%", false),
            ("/%4", false),
            ("/%zz", false),
            ("/%00", false),
            ("/..", false),
            ("/a/../b", false),
            ("/a/.%2E/b", false),
            ("/a/%2e", false),
            ("/.", false),
        ] {
            assert_eq!(is_path(path), expect, "{path:?}");
        }
    }
}
