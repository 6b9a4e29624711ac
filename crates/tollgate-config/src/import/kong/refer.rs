//! Before anything is carried over: defaults stand where they are missing, what refers by id or name refers by name, shared configurations of plugins stand in
//! the plugins, and a plugin whose scope cannot be told carries [`REFUSED`], so that nothing it may protect is opened.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::{defaults, named};
use crate::import::document::{Unreadable, at, list, plain, text};
use crate::import::findings::Findings;

/// The key of a plugin under which stands why every route that it may protect refuses.
pub(super) const REFUSED: &str = "_refused";

/// What an entity may be called by.
const CALLED: &[&str] = &["id", "name", "username", "custom_id"];

/// What stands beside and refers to something, and by which key.
const REFERRING: &[(&str, &str)] = &[
    ("routes", "service"),
    ("targets", "upstream"),
    ("keyauth_credentials", "consumer"),
    ("basicauth_credentials", "consumer"),
    ("jwt_secrets", "consumer"),
    ("acls", "consumer"),
];

/// Rules of Kong that are no plugins of a service or route, but may protect every one of them.
const GROUP_RULES: &str = "rules for a group of consumers have no like here";

/// The document with all of that done.
pub(super) fn resolve(document: &Value, findings: &mut Findings) -> Result<Value, Unreadable> {
    let mut document = document.clone();
    defaults::fill(&mut document, findings)?;
    name_services(&mut document);
    let known = Known::of(&document);
    for (kind, key) in REFERRING {
        for one in items(&mut document, kind) {
            if at(one, key).is_none() {
                continue;
            }
            match known.name(key, &one[*key]) {
                Some(name) => one[*key] = name.into(),
                None => {
                    one[*key] = Value::Null;
                    let element = format!("{kind}.{}", named(one));
                    // Credentials without a consumer are told, and left out, where consumers are made.
                    if key != &"consumer" {
                        findings.unsafe_(element, format!("its {key} is not in this file; it leads nowhere"));
                    }
                }
            }
        }
    }
    let shared = document.get("_plugin_configs").cloned().unwrap_or_default();
    let plugins = Plugins { known, shared };
    for plugin in items(&mut document, "plugins") {
        plugins.resolve(plugin, &[], findings);
    }
    for service in items(&mut document, "services") {
        plugins.within(service, &["route"], findings);
        for route in items(service, "routes") {
            plugins.within(route, &["service"], findings);
        }
    }
    for route in items(&mut document, "routes") {
        plugins.within(route, &["service"], findings);
    }
    rules_of_groups(&mut document, findings);
    Ok(document)
}

/// Services need no name; two without one are not the same.
fn name_services(document: &mut Value) {
    for (index, service) in items(document, "services").iter_mut().enumerate() {
        let nameless = CALLED.iter().all(|key| text(service, key).is_none());
        if let Some(service) = service.as_object_mut().filter(|_| nameless) {
            service.insert("name".to_owned(), format!("unnamed-service-{}", index + 1).into());
        }
    }
}

/// Plugins of groups, and filters, become plugins for all that refuse.
fn rules_of_groups(document: &mut Value, findings: &mut Findings) {
    let mut rules: Vec<(String, &str)> = Vec::new();
    let on = |one: &&Value| at(one, "enabled") != Some(&Value::Bool(false));
    let groups = list(document, "consumer_groups").iter().flat_map(|group| list(group, "plugins"));
    for rule in groups.chain(list(document, "consumer_group_plugins")).filter(on) {
        rules.push((text(rule, "name").unwrap_or_default(), GROUP_RULES));
    }
    for filters in list(document, "filter_chains").iter().filter(on) {
        rules.push((named(filters), "filters have no like here"));
    }
    for (name, why) in rules {
        findings.unsafe_(format!("plugins.{name}"), format!("{why}; every route refuses"));
        let rule = json!({ "name": name, REFUSED: why });
        match document.get_mut("plugins") {
            Some(Value::Array(plugins)) => plugins.push(rule),
            _ => document["plugins"] = json!([rule]),
        }
    }
}

/// What each kind of entity is called, and by which name it is known here.
struct Known(HashMap<(&'static str, String), BTreeSet<String>>);

impl Known {
    fn of(document: &Value) -> Known {
        let mut known = Known(HashMap::new());
        for (kind, key) in [
            ("service", "services"),
            ("route", "routes"),
            ("consumer", "consumers"),
            ("upstream", "upstreams"),
        ] {
            list(document, key).iter().for_each(|one| known.add(kind, one));
        }
        for service in list(document, "services") {
            list(service, "routes").iter().for_each(|one| known.add("route", one));
        }
        known
    }

    fn add(&mut self, kind: &'static str, entity: &Value) {
        for called in CALLED.iter().filter_map(|key| text(entity, key)) {
            self.0.entry((kind, called)).or_default().insert(named(entity));
        }
    }

    /// The one that is referred to; `None` where it is not there, or could be either of two.
    fn name(&self, kind: &'static str, reference: &Value) -> Option<String> {
        let parts: Vec<String> = match reference {
            Value::Object(_) => CALLED.iter().filter_map(|key| text(reference, key)).collect(),
            one => plain(one).into_iter().collect(),
        };
        let mut names: Option<BTreeSet<String>> = None;
        for part in parts {
            let found = self.0.get(&(kind, part))?;
            names = Some(match names {
                Some(names) => names.intersection(found).cloned().collect(),
                None => found.clone(),
            });
        }
        let mut names = names?.into_iter();
        names.next().filter(|_| names.next().is_none())
    }
}

struct Plugins {
    known: Known,
    shared: Value,
}

impl Plugins {
    /// The plugins inside of a service or a route, which cannot have a scope of their own beside that.
    fn within(&self, owner: &mut Value, foreign: &[&str], findings: &mut Findings) {
        for plugin in items(owner, "plugins") {
            self.resolve(plugin, foreign, findings);
        }
    }

    fn resolve(&self, plugin: &mut Value, foreign: &[&str], findings: &mut Findings) {
        if !plugin.is_object() || at(plugin, "enabled") == Some(&Value::Bool(false)) {
            return;
        }
        let Err(why) = self.scope(plugin, foreign).and_then(|()| self.config(plugin)) else { return };
        let element = format!("plugins.{}", text(plugin, "name").unwrap_or_default());
        findings.unsafe_(element, format!("{why}; whatever it may protect refuses"));
        for key in ["service", "route", "consumer", "consumer_group"] {
            plugin[key] = Value::Null;
        }
        plugin[REFUSED] = why.into();
    }

    /// Makes its references names.
    fn scope(&self, plugin: &mut Value, foreign: &[&str]) -> Result<(), String> {
        if at(plugin, "consumer_group").is_some() {
            return Err(GROUP_RULES.to_owned());
        }
        for key in ["service", "route", "consumer"] {
            let Some(reference) = at(plugin, key) else { continue };
            if foreign.contains(&key) {
                return Err(format!("it stands inside and has a `{key}` of its own"));
            }
            let name = self.known.name(key, reference);
            plugin[key] = name.ok_or_else(|| format!("its `{key}` is not in this file"))?.into();
        }
        Ok(())
    }

    /// Puts what is shared under what it says itself, key by key, as decK does.
    fn config(&self, plugin: &mut Value) -> Result<(), String> {
        let Some(shared) = at(plugin, "_config") else { return Ok(()) };
        let name = plain(shared).unwrap_or_default();
        let Some(Value::Object(shared)) = self.shared.get(&name) else {
            return Err(format!("`_config: {name}` is not under `_plugin_configs`"));
        };
        if at(plugin, "config").is_none() {
            plugin["config"] = json!({});
        }
        let Value::Object(own) = &mut plugin["config"] else {
            return Err("its `config` is no map".to_owned());
        };
        for (key, value) in shared {
            own.entry(key.clone()).or_insert_with(|| value.clone());
        }
        Ok(())
    }
}

/// The entities of a kind.
pub(super) fn items<'v>(value: &'v mut Value, kind: &str) -> &'v mut [Value] {
    match value.get_mut(kind) {
        Some(Value::Array(items)) => items,
        Some(one @ Value::Object(_)) => std::slice::from_mut(one),
        _ => &mut [],
    }
}
