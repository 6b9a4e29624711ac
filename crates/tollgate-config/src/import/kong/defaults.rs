//! `_info.defaults` of decK: what stands under each service, route, upstream and target that does not say it itself. Without it
//! a route that strips no path here would strip it, and one for https alone would be for all.

use serde_json::{Map, Value};

use super::refer::items;
use crate::import::document::{Unreadable, at, members, text};
use crate::import::findings::Findings;

/// Kinds that have defaults: their key in `_info.defaults`, the list at the top level, and the list that holds them inside
/// another kind.
const KINDS: &[(&str, &str, Option<&str>)] = &[
    ("service", "services", None),
    ("route", "routes", Some("services")),
    ("upstream", "upstreams", None),
    ("target", "targets", Some("upstreams")),
];

/// What makes one entity itself: no default says that of all.
const OWN: &[&str] = &["id", "name", "tags"];

/// What `url` of a service says in their place.
const IN_URL: &[&str] = &["protocol", "host", "port"];

/// Bytes that all copies of the defaults together may have. A file may have millions of entities.
const COPIED_BYTES_MAX: usize = 64 << 20;

/// Puts the defaults where they are missing.
pub(super) fn fill(document: &mut Value, findings: &mut Findings) -> Result<(), Unreadable> {
    let Some(defaults) = at(document, "_info/defaults").cloned() else { return Ok(()) };
    let mut copied = 0usize;
    for (kind, list, owner) in KINDS {
        let Some(Value::Object(given)) = at(&defaults, kind) else { continue };
        let bytes = Value::Object(given.clone()).to_string().len();
        let mut all: Vec<&mut Value> = Vec::new();
        // Those at the top level, and those inside of their owners.
        for (key, value) in document.as_object_mut().into_iter().flatten() {
            if key.as_str() == *list {
                all.extend(listed(value));
            } else if owner.is_some_and(|owner| key.as_str() == owner) {
                all.extend(listed(value).iter_mut().flat_map(|one| items(one, list)));
            }
        }
        copied = copied.saturating_add(bytes.saturating_mul(all.len()));
        if copied > COPIED_BYTES_MAX {
            return Err(Unreadable::new("`_info.defaults` is too long for so many entities"));
        }
        for entity in all.into_iter().filter(|one| one.is_object()) {
            let url = *kind == "service" && text(entity, "url").is_some();
            let Value::Object(own) = entity else { continue };
            put(own, given, &|key| OWN.contains(&key) || (url && IN_URL.contains(&key)));
        }
        findings.exact(format!("_info.defaults.{kind}"));
    }
    for (kind, _) in members(document, "_info/defaults") {
        if KINDS.iter().all(|(known, ..)| known != kind) {
            let note = "not known here; see what it does, and write it by hand";
            findings.unsafe_(format!("_info.defaults.{kind}"), note);
        }
    }
    Ok(())
}

/// A list, or the one that stands in its place.
fn listed(value: &mut Value) -> &mut [Value] {
    match value {
        Value::Array(items) => items,
        one @ Value::Object(_) => std::slice::from_mut(one),
        _ => &mut [],
    }
}

/// Null says nothing. The parser bounds how deep both are.
fn put(own: &mut Map<String, Value>, given: &Map<String, Value>, except: &dyn Fn(&str) -> bool) {
    for (key, value) in given.iter().filter(|(key, value)| !except(key) && !value.is_null()) {
        match (own.get_mut(key), value) {
            (Some(Value::Object(own)), Value::Object(given)) => put(own, given, &|_| false),
            (None | Some(Value::Null), _) => {
                own.insert(key.clone(), value.clone());
            }
            _ => {}
        }
    }
}
