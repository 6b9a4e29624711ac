//! How two configurations differ, for people who decide whether one may take the other's place: by names of routes and
//! keys, and never by values.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value, json};
use tollgate_plan::Plan;

use crate::posture::{PostureRow, UNKNOWN, posture};
use crate::source_map::SourceMap;
use crate::yaml::{self, NodeRef};

/// Keys of a file that are told by name of what stands under them.
const BY_NAME: &[&str] = &["routes", "upstreams", "issuers", "consumers"];

/// Keys that a reload does not change.
const NEED_RESTART: &[(&[&str], &str)] =
    &[(&["workers"], "workers"), (&["admin", "address"], "admin.address")];

/// What `new` changes of `old`:
/// `{"routes": {"added", "removed", "changed": [{"route", "keys", "before", "after"}], "less_protected", "unknown"},
/// "upstreams": {"added", "removed", "changed"}, "issuers", "consumers", "keys", "needs_restart"}`.
///
/// `unknown` counts routes of `new` whose path holds `${…}`, which is not looked at: what they replace is among those
/// removed.
/// `before` and `after` are rows of the posture table, where they protect otherwise. `keys` are those of the whole that
/// differ.
pub fn difference(old: (&SourceMap, &Plan), new: (&SourceMap, &Plan)) -> Value {
    let (old, new) = (Side::of(old), Side::of(new));
    let keys = differing(&old.main, &new.main, BY_NAME);
    let at = |side: &Side, pointer: &[&str]| {
        let (first, rest) = pointer.split_first()?;
        rest.iter().try_fold(side.main.get(*first)?, |value, key| value.get(*key)).cloned()
    };
    let restart = NEED_RESTART.iter().filter(|(pointer, _)| at(&old, pointer) != at(&new, pointer));
    let named = |key: &str| names(&old.named(key), &new.named(key));
    json!({
        "routes": routes(&old, &new),
        "upstreams": named("upstreams"),
        "issuers": named("issuers"),
        "consumers": named("consumers"),
        "keys": keys,
        "needs_restart": restart.map(|(_, name)| *name).collect::<Vec<_>>(),
    })
}

/// One configuration: what is written, and what it comes to.
struct Side {
    main: Map<String, Value>,
    included: Vec<Map<String, Value>>,
    posture: Vec<PostureRow>,
}

impl Side {
    fn of((sources, plan): (&SourceMap, &Plan)) -> Side {
        let trees = sources.configurations().map(|(id, file)| match yaml::parse(id, &file.text) {
            Ok(Some(tree)) => written(tree.root()),
            _ => Value::Null,
        });
        let mut files = trees.map(|file| match file {
            Value::Object(members) => members,
            _ => Map::new(),
        });
        let main = files.next().unwrap_or_default();
        Side { main, included: files.collect(), posture: posture(plan) }
    }

    fn files(&self) -> impl Iterator<Item = &Map<String, Value>> {
        std::iter::once(&self.main).chain(&self.included)
    }

    /// What stands under a key of all files, by name.
    fn named(&self, key: &str) -> Vec<(String, Value)> {
        let mut all = Vec::new();
        for file in self.files() {
            match file.get(key) {
                Some(Value::Object(members)) => {
                    all.extend(members.iter().map(|(name, value)| (name.clone(), value.clone())));
                }
                Some(Value::Array(items)) => all.extend(items.iter().map(|item| {
                    let name = item.get("name").and_then(Value::as_str).unwrap_or_default();
                    (name.to_owned(), item.clone())
                })),
                _ => {}
            }
        }
        all
    }

    /// What decides about the protection of routes and stands elsewhere.
    fn beside_routes(&self) -> Vec<Option<&Value>> {
        let keys = ["defaults", "issuers", "consumers"];
        self.files().flat_map(|file| keys.map(|key| file.get(key))).collect()
    }

    /// Routes that are written and came to nothing: their paths are not known.
    fn unknown(&self) -> usize {
        let rows = self.files().filter_map(|file| file.get("routes")?.as_array()).flatten();
        rows.count().saturating_sub(self.posture.len())
    }

    /// Routes as they are written, with their rows of the posture: both are in the order of the files. Of a text that
    /// was sent, routes are missing whose path is not known.
    fn routes(&self) -> Vec<Row<'_>> {
        let rows = self.files().filter_map(|file| file.get("routes")?.as_array()).flatten();
        let rows: Vec<_> = rows.map(Value::as_object).collect();
        let all = rows.len() == self.posture.len();
        let known = |row: &Option<&Map<String, Value>>| {
            let path = row.and_then(|row| row.get("path")).and_then(Value::as_str);
            all || path.is_some_and(|path| !path.contains("${"))
        };
        let mut rows = rows.into_iter().filter(known);
        self.posture.iter().map(|row| (row, rows.next().flatten())).collect()
    }
}

/// A route as it protects, and as it is written.
type Row<'a> = (&'a PostureRow, Option<&'a Map<String, Value>>);

fn routes(old: &Side, new: &Side) -> Value {
    let unknown = new.unknown();
    let shared =
        (old.beside_routes() == new.beside_routes(), old.main.get("listeners") == new.main.get("listeners"));
    let (old, new) = (old.routes(), new.routes());
    fn by_name<'a>(side: &[Row<'a>]) -> HashMap<&'a str, Row<'a>> {
        side.iter().map(|row| (row.0.route.as_str(), *row)).collect()
    }
    let missing = |side: &[Row<'_>], from: &HashMap<&str, Row<'_>>| -> Vec<String> {
        let names = side.iter().map(|row| row.0.route.as_str());
        names.filter(|name| !from.contains_key(name)).map(str::to_owned).collect()
    };
    let known = by_name(&old);
    let (mut changed, mut less) = (Vec::new(), Vec::new());
    for (after, written) in &new {
        let Some((before, was)) = known.get(after.route.as_str()) else { continue };
        let after = &comparable((before, *was), (after, *written), shared);
        let empty = Map::new();
        let keys = differing(was.unwrap_or(&empty), written.unwrap_or(&empty), &[]);
        if is_less(before, after) {
            less.push(after.route.clone());
        }
        let same = protection(before) == protection(after);
        if same && keys.is_empty() {
            continue;
        }
        let mut change = json!({ "route": after.route, "keys": keys });
        if !same {
            change["before"] = json!(before);
            change["after"] = json!(after);
        }
        changed.push(change);
    }
    json!({
        "added": missing(&new, &known),
        "removed": missing(&old, &by_name(&new)),
        "changed": changed,
        "less_protected": less,
        "unknown": unknown,
    })
}

/// Keys of a route that decide what a column of the posture says.
const AUTH: &[&str] = &["auth", "allow_ips", "deny_ips", "user_agents", "guard", "validate"];
const LIMITS: &[&str] = &["rate_limit", "concurrency"];

/// The later row, but what it says otherwise has to be written otherwise: of a text that was sent not everything is
/// known, and what is not known is no less protection.
fn comparable(before: Row<'_>, after: Row<'_>, shared: (bool, bool)) -> PostureRow {
    let (same_defaults, same_listeners) = shared;
    let at = |row: Row<'_>, key: &str| row.1.and_then(|row| row.get(key)).cloned();
    let same = |keys: &[&str]| same_defaults && keys.iter().all(|key| at(before, key) == at(after, key));
    let (was, mut row) = (before.0, after.0.clone());
    if same(AUTH) || row.auth.starts_with(UNKNOWN) {
        (row.auth, row.public) = (was.auth.clone(), was.public);
    }
    if same(LIMITS) {
        row.limits.clone_from(&was.limits);
    }
    if same_listeners {
        row.tls.clone_from(&was.tls);
    }
    row
}

/// What a row says of protection. What the route does is told by its keys.
fn protection(row: &PostureRow) -> (&str, &str, &str, bool) {
    (&row.auth, &row.limits, &row.tls, row.public)
}

/// Whether a route protects less than before: it became public, or something that protected it is gone. A limit that
/// has another rate is no less a limit.
fn is_less(before: &PostureRow, after: &PostureRow) -> bool {
    let parts = |text: &str| match text {
        "-" | "public" => 0,
        text => text.split("; ").count(),
    };
    (after.public && !before.public)
        || parts(&after.auth) < parts(&before.auth)
        || parts(&after.limits) < parts(&before.limits)
        || (after.tls == "-" && before.tls != "-")
}

/// Names that one side has and the other has not, and those under which something else stands.
fn names(old: &[(String, Value)], new: &[(String, Value)]) -> Value {
    fn by_name(side: &[(String, Value)]) -> HashMap<&str, &Value> {
        side.iter().map(|(name, value)| (name.as_str(), value)).collect()
    }
    let (was, is) = (by_name(old), by_name(new));
    let names = |side: &[(String, Value)], fits: &dyn Fn(&str, &Value) -> bool| -> Vec<String> {
        side.iter().filter(|(name, value)| fits(name, value)).map(|(name, _)| name.clone()).collect()
    };
    json!({
        "added": names(new, &|name, _| !was.contains_key(name)),
        "removed": names(old, &|name, _| !is.contains_key(name)),
        "changed": names(new, &|name, value| was.get(name).is_some_and(|was| *was != value)),
    })
}

/// The keys under which not the same is written, but for `except`.
fn differing(old: &Map<String, Value>, new: &Map<String, Value>, except: &[&str]) -> Vec<String> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = |key: &&String| old.get(*key) != new.get(*key) && !except.contains(&key.as_str());
    keys.into_iter().filter(differs).cloned().collect()
}

/// A tree as values, all scalars as they are written.
fn written(node: NodeRef<'_>) -> Value {
    if let Some(entries) = node.entries() {
        return Value::Object(entries.map(|entry| (entry.key.to_owned(), written(entry.value))).collect());
    }
    if let Some(items) = node.items() {
        return items.map(written).collect();
    }
    node.scalar().map_or(Value::Null, |scalar| scalar.text.as_ref().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemorySources, load_text};

    const OLD: &str = "
workers: 1
upstreams:
  kept: { targets: [http://127.0.0.1:1] }
  other: { targets: [http://127.0.0.1:2] }
  gone: { targets: [http://127.0.0.1:3] }
consumers: [{ name: app, keys: [\"sha256:0000000000000000000000000000000000000000000000000000000000000000\"] }]
routes:
  - { name: a, path: /a, to: kept, auth: { api_key: { header: x-api-key } } }
  - { name: b, path: /b, to: other, rate_limit: { rate: 10/s, per: ip } }
  - { name: c, path: /c, to: gone }
";

    fn check(changes: &[(&str, &str)], pointer: &str, expect: Value) {
        let new = changes.iter().fold(OLD.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        let load = |text: &str| {
            load_text("tollgate.yaml", text, &MemorySources::default())
                .unwrap_or_else(|failed| panic!("{text}: {:?}", failed.diagnostics))
        };
        let (old, new) = (load(OLD), load(&new));
        let found = difference((&old.sources, &old.plan), (&new.sources, &new.plan));
        assert_eq!(found.pointer(pointer), Some(&expect), "{changes:?}: {found:#}");
    }

    #[test]
    fn nothing_differs_from_itself() {
        for list in
            ["/routes/added", "/routes/changed", "/routes/less_protected", "/upstreams/changed", "/keys"]
        {
            check(&[], list, json!([]));
        }
    }

    #[test]
    fn routes_and_upstreams_come_go_and_change() {
        let gone = [
            ("  gone: { targets: [http://127.0.0.1:3] }\n", ""),
            ("  - { name: c, path: /c, to: gone }\n", "  - { name: d, path: /d, to: kept }\n"),
        ];
        check(&gone, "/routes/added", json!(["d"]));
        check(&gone, "/routes/removed", json!(["c"]));
        check(&gone, "/routes/changed", json!([]));
        check(&gone, "/upstreams/removed", json!(["gone"]));
        check(&[("127.0.0.1:2", "127.0.0.1:9")], "/upstreams/changed", json!(["other"]));
        check(
            &[("to: gone", "to: kept, timeout: 1s"), ("  gone: { targets: [http://127.0.0.1:3] }\n", "")],
            "/routes/changed/0/keys",
            json!(["timeout", "to"]),
        );
    }

    #[test]
    fn a_route_that_protects_less_is_told() {
        let public = (", auth: { api_key: { header: x-api-key } }", "");
        check(&[public], "/routes/less_protected", json!(["a"]));
        check(&[public], "/routes/changed/0/before/auth", json!("api key"));
        check(&[public], "/routes/changed/0/after/auth", json!("public"));
        check(&[(", rate_limit: { rate: 10/s, per: ip }", "")], "/routes/less_protected", json!(["b"]));
        check(&[("10/s", "20/s")], "/routes/less_protected", json!([]));
        check(&[("10/s", "20/s")], "/routes/changed/0/keys", json!(["rate_limit"]));
    }

    #[test]
    fn what_needs_a_restart_is_told() {
        check(&[("workers: 1", "workers: 2")], "/needs_restart", json!(["workers"]));
        let admin = [("workers: 1", "workers: 1\nadmin: { address: \"127.0.0.1:1\" }")];
        check(&admin, "/needs_restart", json!(["admin.address"]));
        check(&admin, "/keys", json!(["admin"]));
    }
}
