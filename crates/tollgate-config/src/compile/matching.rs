//! What a route matches.

use tollgate_plan::route::RouteId;
use tollgate_plan::table::{HeaderCondition, QueryCondition, RouteSpec};

use super::merge::Layers;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{Dict, Int, List, OneOrMany, Pattern, Slot};

/// The matching side of a route. `None` when a part of it is faulty: what is left would match too much.
pub(super) fn spec(id: RouteId, path: &Pattern, layers: &Layers<'_>) -> Option<RouteSpec> {
    let hosts = known(layers.key(|keys| keys.host))?;
    let methods = known(layers.key(|keys| keys.methods))?;
    let headers = known(layers.key(|keys| keys.headers))?.map(complete).unwrap_or(const { Some(&[]) })?;
    let query = known(layers.key(|keys| keys.query))?.map(complete).unwrap_or(const { Some(&[]) })?;
    let priority = known(layers.key(|keys| keys.priority))?;
    let hosts = hosts.map(|OneOrMany(hosts)| distinct(hosts.iter().map(|host| &host.value.0)));
    let methods = methods.map(|List(verbs)| distinct(verbs.iter().map(|verb| &verb.value.0)));
    Some(RouteSpec {
        id,
        hosts: hosts.unwrap_or_default(),
        path: path.pattern.clone(),
        methods: methods.unwrap_or_default(),
        headers: headers
            .iter()
            .filter_map(|pair| Some((pair.name.0.clone(), pair.value.as_ref()?.value.0.clone())))
            .map(|(name, value)| HeaderCondition { name, value })
            .collect(),
        query: query
            .iter()
            .filter_map(|pair| Some((pair.name.as_str().into(), pair.value.as_ref()?.value.0.clone())))
            .map(|(name, value)| QueryCondition { name, value })
            .collect(),
        priority: priority.map_or(0, |Int(priority)| *priority),
    })
}

/// Warns of a list that could be taken for "none" and is "any", where it does not put a default away.
pub(super) fn warn_empty(layers: &Layers<'_>, report: &mut Report) {
    let methods = layers.only(|keys| keys.methods).filter(|at| at.value.0.is_empty());
    let hosts = layers.only(|keys| keys.host).filter(|at| at.value.0.is_empty());
    let found = [
        (methods.map(|at| at.key), "`methods` is empty: every method is served"),
        (hosts.map(|at| at.key), "`host` is empty: every host is served"),
    ];
    for (key, message) in found {
        if let Some(key) = key {
            report.push(Finding::warning(Code::NoEffect, key, message).hint("remove the key, or name some"));
        }
    }
}

/// The values, each once: naming one twice means nothing more.
fn distinct<'a, T: Clone + PartialEq + 'a>(values: impl Iterator<Item = &'a T>) -> Vec<T> {
    let mut distinct = Vec::new();
    for value in values {
        if !distinct.contains(value) {
            distinct.push(value.clone());
        }
    }
    distinct
}

/// `None` for a faulty key, `Some(None)` for an absent one.
fn known<T>(slot: &Slot<T>) -> Option<Option<&T>> {
    match slot {
        Slot::Absent => Some(None),
        Slot::Faulty(_) => None,
        Slot::Given(at) => Some(Some(&at.value)),
    }
}

fn complete<K, T>(dict: &Dict<K, T>) -> Option<&[crate::shape::Pair<K, T>]> {
    dict.complete.then_some(&dict.pairs)
}
