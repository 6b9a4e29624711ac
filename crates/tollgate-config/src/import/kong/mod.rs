//! Kong's declarative configuration: services with their routes inside, or beside each other with references.

mod matching;
mod order;
mod people;
mod plugins;
mod edits;
mod refer;
mod defaults;
mod target;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Hashes;
use super::document::{Unreadable, at, is, list, text, texts};
use super::draft::{Draft, Item};
use super::findings::Findings;
use people::People;

/// Format versions that are known.
const VERSIONS: &[&str] = &["1.1", "2.1", "3.0"];

/// What stands at the top level and is read here; anything else is told.
const KNOWN: &[&str] = &[
    "_format_version",
    "_transform",
    "_comment",
    "_info",
    "_plugin_configs",
    "services",
    "routes",
    "consumers",
    "upstreams",
    "targets",
    "plugins",
    "keyauth_credentials",
    "basicauth_credentials",
    "jwt_secrets",
    "acls",
];

/// One plugin, with the scope that it was declared in.
#[derive(Clone, Copy)]
struct Plugin<'v> {
    name: &'v str,
    config: &'v Value,
    scope: Scope,
    /// Why all that it may protect refuses.
    refused: Option<&'v str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Scope {
    Global,
    Service,
    Route,
}

/// Everything that routes are made of.
struct World<'v> {
    document: &'v Value,
    /// Lower than 3.0: a path is an expression when it looks like one.
    old: bool,
    people: People,
    draft: &'v mut Draft,
    findings: &'v mut Findings,
    /// Upstreams by service and by what becomes of Host.
    made: BTreeMap<(String, bool), String>,
}

pub(super) fn carry(
    document: &Value,
    hashes: &Hashes,
    draft: &mut Draft,
    findings: &mut Findings,
) -> Result<(), Unreadable> {
    let version = text(document, "_format_version").ok_or_else(|| {
        Unreadable::new("no `_format_version`: this is no declarative configuration of Kong")
    })?;
    // Unquoted, YAML reads 3.0 as the number 3.
    let version = if version == "3" { "3.0".to_owned() } else { version };
    if !VERSIONS.contains(&version.as_str()) {
        let message = format!("`_format_version` {version} is not known, only {}", VERSIONS.join(", "));
        return Err(Unreadable::new(message));
    }
    draft.head = vec![
        format!(
            "Made by `tollgate import kong` from a file of format version {version}. Its report says what differs."
        ),
        "A prefix of Kong such as /foo is /foo/* here: it matches whole segments, so not /foobar.".to_owned(),
    ];
    draft.root.insert("listeners".into(), json!([{ "address": "0.0.0.0:8000" }]));
    findings.near(
        "listeners",
        "Kong's are not in this file: clear text on 0.0.0.0:8000; add TLS under `listeners`",
    );
    let document = &refer::resolve(document, findings)?;
    let people = people::carry(document, hashes, draft, findings);
    let mut world = World { document, old: version != "3.0", people, draft, findings, made: BTreeMap::new() };
    for (key, value) in document.as_object().into_iter().flatten() {
        if !KNOWN.contains(&key.as_str()) && !value.is_null() {
            world.findings.unsafe_(key, "not known here; see what it does, and write it by hand");
        }
    }
    plugins::everywhere(&mut world);
    for service in list(document, "services") {
        let name = named(service);
        let own: Vec<&Value> = list(service, "routes").iter().collect();
        let beside = list(document, "routes")
            .iter()
            .filter(|route| reference(route, "service").as_ref() == Some(&name));
        for route in own.into_iter().chain(beside) {
            world.route(Some((&name, service)), route);
        }
    }
    let services: Vec<String> = list(document, "services").iter().map(named).collect();
    for route in list(document, "routes") {
        if reference(route, "service").is_none_or(|service| !services.contains(&service)) {
            world.route(None, route);
        }
    }
    order::settle(draft, findings);
    matching::close_gaps(draft, findings);
    Ok(())
}

impl<'v> World<'v> {
    fn route(&mut self, service: Option<(&str, &'v Value)>, route: &'v Value) {
        let element = match service {
            Some((service, _)) => format!("services.{service}.routes.{}", named(route)),
            None => format!("routes.{}", named(route)),
        };
        if service.is_some_and(|(_, service)| at(service, "enabled") == Some(&Value::Bool(false))) {
            self.findings.exact(format!("{element} (its service is disabled)"));
            return;
        }
        if matching::is_stream(route) {
            self.findings
                .lost(element, "no HTTP route: this gateway speaks HTTP alone, and does not listen for it");
            return;
        }
        let plugins = self.plugins_of(service, route);
        let mut refused = false;
        for mut item in matching::items(route, self.old, &element, self.findings) {
            self.action(service, route, &element, &plugins, &mut item);
            plugins::apply(self, service.map(|(name, _)| name), &element, &plugins, &mut item);
            refused |= item.refuses();
            self.draft.route(item, self.findings);
        }
        if !refused {
            self.findings.exact(element);
        }
    }

    /// Where requests go: the service, or what a plugin answers.
    fn action(
        &mut self,
        service: Option<(&str, &'v Value)>,
        route: &Value,
        element: &str,
        plugins: &[Plugin<'_>],
        item: &mut Item,
    ) {
        if plugins.iter().any(|plugin| plugin.name == "request-termination") {
            return;
        }
        let Some((name, service)) = service else {
            self.findings.lost(element, "it has no service; it answers 503");
            item.refuse("it has no service");
            return;
        };
        let upstream = target::upstream(self, name, service, is(route, "preserve_host"));
        match upstream {
            Some(upstream) => item.set("to", upstream),
            None => item.refuse("its service is no HTTP service"),
        }
    }

    /// The plugins that a route meets: of one name, that of the route, else of the service, else the one for all.
    fn plugins_of(&mut self, service: Option<(&str, &'v Value)>, route: &'v Value) -> Vec<Plugin<'v>> {
        let name = named(route);
        let beside = list(self.document, "plugins");
        let mut found: Vec<Plugin<'v>> = Vec::new();
        // Of a service and a route is nearer than of a route alone; of another service it never meets this one.
        let of = |one: &Value, service: Option<&str>| {
            reference(one, "route").as_ref() == Some(&name) && reference(one, "service").as_deref() == service
        };
        let both = service.map(|(service, _)| service);
        let of_both = beside.iter().filter(|one| both.is_some() && of(one, both));
        let of_route = beside.iter().filter(|one| of(one, None));
        collect(&mut found, of_both.chain(list(route, "plugins")).chain(of_route), Scope::Route);
        if let Some((name, service)) = service {
            let of_service = beside.iter().filter(|one| {
                reference(one, "service").as_deref() == Some(name) && at(one, "route").is_none()
            });
            collect(&mut found, list(service, "plugins").iter().chain(of_service), Scope::Service);
        }
        let global = beside.iter().filter(|one| at(one, "route").is_none() && at(one, "service").is_none());
        collect(&mut found, global, Scope::Global);
        found
    }
}

fn collect<'v>(found: &mut Vec<Plugin<'v>>, plugins: impl Iterator<Item = &'v Value>, scope: Scope) {
    for plugin in plugins {
        // Those of a consumer are told with the consumer.
        let of_others = at(plugin, "consumer").is_some();
        let name = at(plugin, "name").and_then(Value::as_str).unwrap_or_default();
        let refused = at(plugin, refer::REFUSED).and_then(Value::as_str);
        if of_others || at(plugin, "enabled") == Some(&Value::Bool(false)) {
            continue;
        }
        if refused.is_some() || found.iter().all(|known| known.name != name) {
            let config = plugin.get("config").unwrap_or(&Value::Null);
            found.push(Plugin { name, config, scope, refused });
        }
    }
}

/// A reference is a name, or a map with a name or an id.
fn reference(value: &Value, key: &str) -> Option<String> {
    match at(value, key)? {
        Value::Object(_) => {
            ["name", "username", "id"].into_iter().find_map(|part| text(value, &format!("{key}/{part}")))
        }
        _ => text(value, key),
    }
}

fn named(value: &Value) -> String {
    let name = ["name", "username", "custom_id", "id"].into_iter().find_map(|key| text(value, key));
    name.or_else(|| texts(value, "paths").into_iter().next()).unwrap_or_else(|| "unnamed".to_owned())
}
