//! How two configurations differ, for people who decide whether one may take the other's place: by names of routes and
//! keys, never by values, and what would be less protected than before.

mod blocks;
mod cors;
mod ends;
mod forwarded;
mod moved;
mod pairs;
mod paths;
mod values;
mod weaker;
mod written;

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::{Value, json};
use tollgate_plan::Plan;

use crate::posture::{PostureRow, posture};
use crate::source_map::SourceMap;
use written::{BY_NAME, Item, Written, differing};

pub use ends::Sample;
pub use moved::{Moved, Sampler, Samples};

/// How two configurations differ.
#[derive(Debug, Clone)]
pub struct Difference {
    /// Routes that only the new one has, as they protect.
    pub added: Vec<PostureRow>,
    /// Routes that only the old one has.
    pub removed: Vec<PostureRow>,
    /// Routes that both have, and that differ.
    pub changed: Vec<Changed>,
    /// Routes of the new one whose path holds `${…}` that is not looked at: what they replace is among those removed.
    pub unknown: usize,
    /// Routes for which no request could be made up: a header or parameter must fit an expression, and no value is known that
    /// does. Whether another route gets their requests was not looked at.
    pub untried: Vec<String>,
    /// Upstreams.
    pub upstreams: Names,
    /// Issuers.
    pub issuers: Names,
    /// Consumers.
    pub consumers: Names,
    /// Other keys of the main file under which not the same stands.
    pub keys: Vec<String>,
    /// What a reload does not change.
    pub needs_restart: Vec<&'static str>,
    /// What is less protected than before.
    pub weaker: Vec<Weakness>,
}

/// A route that both have.
#[derive(Debug, Clone)]
pub struct Changed {
    /// Its name.
    pub route: String,
    /// Its keys under which not the same stands.
    pub keys: Vec<String>,
    /// Its rows of the posture table, where they say something else of protection or of what it matches.
    pub rows: Option<(PostureRow, PostureRow)>,
}

/// What came, went, and is another.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Names {
    /// In the new one alone.
    pub added: Vec<String>,
    /// In the old one alone.
    pub removed: Vec<String>,
    /// In both, not the same.
    pub changed: Vec<String>,
}

/// What a weakness is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// A route.
    Route,
    /// A listening address.
    Listener,
    /// An issuer of tokens.
    Issuer,
    /// An upstream.
    Upstream,
    /// The gateway as a whole.
    Gateway,
}

/// Something that is less protected than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Weakness {
    /// What it is of.
    pub part: Part,
    /// The name of that; empty for the gateway.
    pub name: String,
    /// The route of the old configuration whose requests the route gets, where that had another name.
    pub instead_of: Option<String>,
    /// What kind of weakness, for machines: `auth_removed`.
    pub code: &'static str,
    /// What it does now, for people: `lets callers without credentials pass`.
    pub detail: String,
}

/// A weakness whose owner is known from where it was found.
struct Weak {
    code: &'static str,
    detail: String,
}

impl Weak {
    fn new(code: &'static str, detail: impl Into<String>) -> Weak {
        Weak { code, detail: detail.into() }
    }
}

impl Weakness {
    fn of(part: Part, name: &str, weak: Weak) -> Weakness {
        Weakness { part, name: name.to_owned(), instead_of: None, code: weak.code, detail: weak.detail }
    }
}

impl std::fmt::Display for Weakness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.part {
            Part::Route => write!(f, "route {}", self.name)?,
            Part::Listener => write!(f, "listener {}", self.name)?,
            Part::Issuer => write!(f, "issuer {}", self.name)?,
            Part::Upstream => write!(f, "upstream {}", self.name)?,
            Part::Gateway => f.write_str("the gateway")?,
        }
        if let Some(old) = &self.instead_of {
            write!(f, " (gets requests of {old})")?;
        }
        write!(f, " {}", self.detail)
    }
}

/// What `new` changes of `old`, both read as a whole.
pub fn compare(old: (&SourceMap, &Plan), new: (&SourceMap, &Plan)) -> Difference {
    of(old, new, true)
}

/// What `new` changes of `old`, where `new` was sent. Where `complete` says that nothing of it was withheld, this is what
/// [`compare`] finds. Else what is not known is no less protected, and requests are made up only where the paths of all
/// routes are known.
///
/// `{"complete", "routes": {"added", "removed", "changed": [{"route", "keys", "before", "after"}], "less_protected", "unknown", "untried"},
/// "upstreams": {"added", "removed", "changed"}, "issuers", "consumers", "keys", "needs_restart",
/// "weaker": [{"part", "name", "instead_of", "code", "detail"}]}`.
///
/// `before` and `after` are rows of the posture table, where they protect otherwise. `keys` are those of the whole that
/// differ.
pub fn difference(old: (&SourceMap, &Plan), new: (&SourceMap, &Plan), complete: bool) -> Value {
    let mut told = of(old, new, complete).to_json();
    told["complete"] = json!(complete);
    told
}

impl Difference {
    /// In the shape of [`difference`], without `complete`.
    pub fn to_json(&self) -> Value {
        let names = |rows: &[PostureRow]| rows.iter().map(|row| row.route.clone()).collect::<Vec<_>>();
        json!({
            "routes": {
                "added": names(&self.added),
                "removed": names(&self.removed),
                "changed": self.changed.iter().map(Changed::to_json).collect::<Vec<_>>(),
                "less_protected": self.less_protected(),
                "unknown": self.unknown,
                "untried": self.untried,
            },
            "upstreams": self.upstreams,
            "issuers": self.issuers,
            "consumers": self.consumers,
            "keys": self.keys,
            "needs_restart": self.needs_restart,
            "weaker": self.weaker,
        })
    }

    /// Routes that are less protected, each once.
    pub fn less_protected(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        let routes = self.weaker.iter().filter(|weak| weak.part == Part::Route);
        routes.map(|weak| weak.name.as_str()).filter(|name| seen.insert(*name)).collect()
    }

    /// Whether neither routes nor anything else differ.
    pub fn is_empty(&self) -> bool {
        self.summary() == NOTHING
    }

    /// In one line: `routes: 1 new, 2 changed; upstreams: 1 gone; keys: limits; 3 weaker`.
    pub fn summary(&self) -> String {
        let counts = |what: &str, counts: [usize; 3]| {
            let each = counts.iter().zip(["new", "gone", "changed"]).filter(|(count, _)| **count > 0);
            let each: Vec<String> = each.map(|(count, how)| format!("{count} {how}")).collect();
            (!each.is_empty()).then(|| format!("{what}: {}", each.join(", ")))
        };
        let names =
            |what, names: &Names| counts(what, [names.added.len(), names.removed.len(), names.changed.len()]);
        let routes = counts("routes", [self.added.len(), self.removed.len(), self.changed.len()]);
        let keys = (!self.keys.is_empty()).then(|| format!("keys: {}", self.keys.join(", ")));
        let weaker = (!self.weaker.is_empty()).then(|| format!("less protected: {}", self.weaker.len()));
        let parts = [
            routes,
            names("upstreams", &self.upstreams),
            names("issuers", &self.issuers),
            names("consumers", &self.consumers),
            keys,
            weaker,
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { NOTHING.to_owned() } else { parts.join("; ") }
    }
}

/// The summary of no difference.
const NOTHING: &str = "nothing differs";

impl Changed {
    fn to_json(&self) -> Value {
        let mut change = json!({ "route": self.route, "keys": self.keys });
        if let Some((before, after)) = &self.rows {
            change["before"] = json!(before);
            change["after"] = json!(after);
        }
        change
    }

    /// In one line: `auth: api key → public; match: …; keys timeout, to`.
    pub fn line(&self) -> String {
        let mut parts = Vec::new();
        for (before, after) in self.rows.iter() {
            let columns = [
                ("match", &before.matches, &after.matches),
                ("action", &before.action, &after.action),
                ("auth", &before.auth, &after.auth),
                ("limits", &before.limits, &after.limits),
                ("tls", &before.tls, &after.tls),
            ];
            let differ = columns.iter().filter(|(_, before, after)| before != after);
            parts.extend(differ.map(|(name, before, after)| format!("{name}: {before} → {after}")));
        }
        if !self.keys.is_empty() {
            parts.push(format!("keys {}", self.keys.join(", ")));
        }
        parts.join("; ")
    }
}

fn of((old, old_plan): (&SourceMap, &Plan), (new, new_plan): (&SourceMap, &Plan), whole: bool) -> Difference {
    // Most reloads of a file that nobody touched find something else in what it refers to, or nothing.
    let same_text = whole && old.same_configurations(new);
    let of = |sources: &SourceMap| if same_text { Written::default() } else { Written::of(sources) };
    let (was, is) = (of(old), of(new));
    let (before, after) = (posture(old_plan), posture(new_plan));
    let sides = pairs::Sides {
        old: pairs::Side { plan: old_plan, written: was.routes(before.len()).collect() },
        new: pairs::Side { plan: new_plan, written: is.routes(after.len()).collect() },
        whole,
        all_routes: whole || is.named("routes").len() == after.len(),
        same_beside: was.beside_routes == is.beside_routes,
        same_listeners: was.main.get("listeners") == is.main.get("listeners"),
        same_text,
    };
    let comparable = |kind: &str, name: &str| {
        // An upstream that is made of a URL stands nowhere.
        let found = || is.named(kind).iter().find(|item| item.name == name);
        whole || found().is_none_or(|item| !item.keys.values().any(|under| under.expands))
    };
    let mut weaker = blocks::compare((old_plan, new_plan), whole, &comparable);
    weaker.retain(|weak| whole || weak.part != Part::Listener || !sides.same_listeners);
    weaker.extend(pairs::weaker(&sides));
    let untried = pairs::untried(&sides);
    let named = |key: &str| names(was.named(key), is.named(key));
    Difference {
        changed: changed(&sides, &before, &after),
        added: missing(&after, &before),
        removed: missing(&before, &after),
        unknown: is.named("routes").len().saturating_sub(after.len()),
        untried,
        upstreams: named("upstreams"),
        issuers: named("issuers"),
        consumers: named("consumers"),
        keys: differing(&was.main, &is.main, BY_NAME),
        needs_restart: was.needs_restart(&is),
        weaker,
    }
}

/// Rows of the one side that the other has not.
fn missing(side: &[PostureRow], other: &[PostureRow]) -> Vec<PostureRow> {
    let known: HashSet<&str> = other.iter().map(|row| row.route.as_str()).collect();
    side.iter().filter(|row| !known.contains(row.route.as_str())).cloned().collect()
}

fn changed(sides: &pairs::Sides<'_>, before: &[PostureRow], after: &[PostureRow]) -> Vec<Changed> {
    let known: HashMap<&str, usize> =
        before.iter().enumerate().map(|(at, row)| (row.route.as_str(), at)).collect();
    let mut all = Vec::new();
    for (at, row) in after.iter().enumerate() {
        let Some((was_at, was)) = known.get(row.route.as_str()).and_then(|at| Some((*at, before.get(*at)?)))
        else {
            continue;
        };
        let written = (sides.old.written.get(was_at), sides.new.written.get(at));
        let keys = match written {
            (Some(was), Some(is)) => differing(&was.keys, &is.keys, &[]),
            _ => Vec::new(),
        };
        let row = sides.known_of(row, was, (was_at, at));
        let same = sides.alike(&row, was);
        if !same || !keys.is_empty() {
            let rows = (!same).then(|| (was.clone(), row.clone()));
            all.push(Changed { route: row.route, keys, rows });
        }
    }
    all
}

/// Names that one side has and the other has not, and those under which something else stands.
fn names(old: &[Item], new: &[Item]) -> Names {
    fn by_name(side: &[Item]) -> HashMap<&str, &Item> {
        side.iter().map(|item| (item.name.as_str(), item)).collect()
    }
    let (was, is) = (by_name(old), by_name(new));
    let names = |side: &[Item], fits: &dyn Fn(&Item) -> bool| -> Vec<String> {
        side.iter().filter(|item| fits(item)).map(|item| item.name.clone()).collect()
    };
    Names {
        added: names(new, &|item| !was.contains_key(item.name.as_str())),
        removed: names(old, &|item| !is.contains_key(item.name.as_str())),
        changed: names(new, &|item| was.get(item.name.as_str()).is_some_and(|was| was.differs(item))),
    }
}

#[cfg(test)]
mod tests;
