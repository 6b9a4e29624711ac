//! What is written in a configuration, for comparison: names, keys, and of what stands under them a digest, so that
//! neither a value nor a copy of the text is held.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::source_map::SourceMap;
use crate::yaml::{self, NodeRef};

/// Keys of a file that are told by name of what stands under them.
pub(super) const BY_NAME: &[&str] = &["routes", "upstreams", "issuers", "consumers"];

/// What decides about the protection of routes and stands elsewhere.
const BESIDE_ROUTES: [&str; 3] = ["defaults", "issuers", "consumers"];

/// One configuration as it is written.
#[derive(Default)]
pub(super) struct Written {
    /// The keys of the main file.
    pub(super) main: Keys,
    /// `admin.address`, which stands deeper.
    admin_address: Option<u64>,
    named: HashMap<&'static str, Vec<Item>>,
    /// Of all files, in order: what decides about routes and stands elsewhere.
    pub(super) beside_routes: Vec<Option<u64>>,
}

/// Keys, and a digest of what stands under each.
pub(super) type Keys = BTreeMap<String, Under>;

/// What stands under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Under {
    digest: u64,
    /// Whether something in it is expanded: of a text that was sent it is not known to what.
    pub(super) expands: bool,
}

/// A route, an upstream, an issuer, a consumer.
pub(super) struct Item {
    pub(super) name: String,
    whole: u64,
    pub(super) keys: Keys,
}

impl Written {
    pub(super) fn of(sources: &SourceMap) -> Written {
        let mut written = Written::default();
        for (at, (id, file)) in sources.configurations().enumerate() {
            if let Ok(Some(tree)) = yaml::parse(id, &file.text) {
                written.add(tree.root(), at == 0);
            }
        }
        written
    }

    fn add(&mut self, root: NodeRef<'_>, main: bool) {
        let keys = keys(root);
        for entry in root.entries().into_iter().flatten() {
            if let Some(key) = BY_NAME.iter().find(|key| **key == entry.key) {
                self.named.entry(key).or_default().extend(items(entry.value));
            }
            if main && entry.key == "admin" {
                self.admin_address = self::keys(entry.value).get("address").map(|part| part.digest);
            }
        }
        self.beside_routes.extend(BESIDE_ROUTES.map(|key| keys.get(key).map(|part| part.digest)));
        if main {
            self.main = keys;
        }
    }

    /// What stands under one of [`BY_NAME`], in the order of the files.
    pub(super) fn named(&self, key: &str) -> &[Item] {
        self.named.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// Settings that a reload does not change.
    pub(super) fn needs_restart(&self, other: &Written) -> Vec<&'static str> {
        let workers = (self.main.get("workers") != other.main.get("workers")).then_some("workers");
        let admin = (self.admin_address != other.admin_address).then_some("admin.address");
        workers.into_iter().chain(admin).collect()
    }

    /// The written routes that `known` rows of a plan come from, in order. Of a text that was sent, routes are missing
    /// whose path is not known.
    pub(super) fn routes(&self, known: usize) -> impl Iterator<Item = &Item> {
        let rows = self.named("routes");
        let all = rows.len() == known;
        rows.iter().filter(move |row| all || row.keys.get("path").is_some_and(|path| !path.expands))
    }
}

impl Item {
    /// Whether not the same stands under one of these keys.
    pub(super) fn differs_at(&self, other: &Item, keys: &[&str]) -> bool {
        keys.iter().any(|key| self.keys.get(*key) != other.keys.get(*key))
    }

    pub(super) fn differs(&self, other: &Item) -> bool {
        self.whole != other.whole
    }
}

/// The keys under which not the same is written, but for `except`.
pub(super) fn differing(old: &Keys, new: &Keys, except: &[&str]) -> Vec<String> {
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differs = |key: &&String| old.get(*key) != new.get(*key) && !except.contains(&key.as_str());
    keys.into_iter().filter(differs).cloned().collect()
}

fn items(node: NodeRef<'_>) -> Vec<Item> {
    if let Some(entries) = node.entries() {
        return entries.map(|entry| item(entry.key.to_owned(), entry.value)).collect();
    }
    let name = |item: NodeRef<'_>| {
        let mut entries = item.entries()?;
        Some(entries.find(|entry| entry.key == "name")?.value.scalar()?.text.clone().into_owned())
    };
    node.items().into_iter().flatten().map(|one| item(name(one).unwrap_or_default(), one)).collect()
}

fn item(name: String, node: NodeRef<'_>) -> Item {
    Item { name, whole: digest(node), keys: keys(node) }
}

fn keys(node: NodeRef<'_>) -> Keys {
    let part = |value| Under { digest: digest(value), expands: expands(value) };
    let entries = node.entries().into_iter().flatten();
    entries.map(|entry| (entry.key.to_owned(), part(entry.value))).collect()
}

/// The same for the same content, in whatever order the keys of a mapping stand. Sixty-four bits tell apart what people
/// write.
fn digest(node: NodeRef<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    if let Some(entries) = node.entries() {
        let pairs = entries.map(|entry| {
            let mut pair = DefaultHasher::new();
            (entry.key, digest(entry.value)).hash(&mut pair);
            pair.finish()
        });
        (1u8, pairs.fold(0u64, u64::wrapping_add)).hash(&mut hasher);
    } else if let Some(items) = node.items() {
        2u8.hash(&mut hasher);
        items.for_each(|item| digest(item).hash(&mut hasher));
    } else if let Some(scalar) = node.scalar() {
        (3u8, scalar.text.as_ref()).hash(&mut hasher);
    }
    hasher.finish()
}

fn expands(node: NodeRef<'_>) -> bool {
    if let Some(mut entries) = node.entries() {
        return entries.any(|entry| expands(entry.value));
    }
    if let Some(mut items) = node.items() {
        return items.any(expands);
    }
    node.scalar().is_some_and(|scalar| scalar.text.contains("${"))
}
