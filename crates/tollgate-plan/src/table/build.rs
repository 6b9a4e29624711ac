//! From specs to the tree.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use smallvec::SmallVec;
use tollgate_wire::Method;

use super::conditions::Conditions;
use super::segment::{Mixed, Segment};
use super::{HeaderCondition, PathPattern, QueryCondition, RouteSpec};
use crate::host::HostPattern;
use crate::route::RouteId;

mod literals;
mod order;

pub(super) use literals::Literals;

/// The look-up over all routes of a plan.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    /// One per route.
    pub(super) entries: Vec<Entry>,
    /// What most look-ups need of `entries`, in so little room that it stays in a cache.
    pub(super) gists: Vec<Gist>,
    pub(super) exact_hosts: Map<Tree>,
    /// By suffix, with its leading dot.
    pub(super) suffix_hosts: Map<Tree>,
    pub(super) any_host: Tree,
}

/// The beginning of an entry, and mostly all that is asked of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gist {
    pub(super) id: RouteId,
    /// Host and path decide alone: any method, no conditions.
    pub(super) plain: bool,
}

/// What decides about a route once its host and path match.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) id: RouteId,
    pub(super) names: Box<[Box<str>]>,
    /// Only to be shown: the look-up has the hosts in its maps.
    hosts: Box<[HostPattern]>,
    pub(super) methods: Box<[Method]>,
    pub(super) conditions: Conditions,
    pub(super) priority: i64,
    /// How specific the path is, segment by segment. Empty unless a segment holds text and parameters: all other
    /// paths are compared by their place in the tree.
    pub(super) specificity: Box<[usize]>,
}

/// The routes of one host pattern.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    /// Whole paths without any parameter: the most specific routes there are, found at once.
    pub(super) exact: Map<Leaf>,
    /// All others.
    pub(super) root: Node,
}

/// What can follow a prefix of segments.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) literals: Literals,
    pub(super) mixed: Vec<MixedGroup>,
    pub(super) param: Option<Box<Node>>,
    /// Routes that end here.
    pub(super) leaf: Leaf,
    /// Routes that match this and everything below.
    pub(super) tail: Leaf,
}

/// Entries in the order in which they are asked.
pub(super) type Leaf = SmallVec<[u32; 4]>;

/// Segments with text and parameters that have equally many literal bytes, and equally many of them at each
/// end: all are found by one look-up of the two ends. Only the number of literal bytes makes one more specific.
#[derive(Debug, Clone)]
pub(super) struct MixedGroup {
    pub(super) literal_bytes: usize,
    pub(super) prefix_bytes: usize,
    pub(super) suffix_bytes: usize,
    /// By [`ends_hash`]; what is found must still be compared.
    pub(super) by_ends: HashMap<u64, Vec<(Mixed, Node)>, BuildHasherDefault<FxHasher>>,
}

impl RouteTable {
    /// Builds the table. Total: routes that tie are asked in the order in which they stand; finding such routes
    /// is the work of [`super::analyse`].
    pub fn build(specs: Vec<RouteSpec>) -> RouteTable {
        let mut table = RouteTable { entries: Vec::with_capacity(specs.len()), ..RouteTable::default() };
        for spec in specs {
            let index = u32::try_from(table.entries.len()).unwrap_or(u32::MAX);
            if spec.hosts.is_empty() {
                table.any_host.insert(&spec.path, index);
            }
            for host in &spec.hosts {
                table.tree(host).insert(&spec.path, index);
            }
            table.entries.push(Entry {
                id: spec.id,
                specificity: spec.path.specificity().into(),
                names: spec.path.names.into(),
                hosts: spec.hosts.into(),
                methods: spec.methods.into(),
                conditions: Conditions { headers: spec.headers.into(), query: spec.query.into() },
                priority: spec.priority,
            });
        }
        let gist = |entry: &Entry| Gist {
            id: entry.id,
            plain: entry.methods.is_empty() && entry.conditions.count() == 0,
        };
        table.gists = table.entries.iter().map(gist).collect();
        let trees = table.exact_hosts.values_mut().chain(table.suffix_hosts.values_mut());
        for tree in trees.chain([&mut table.any_host]) {
            tree.exact.values_mut().for_each(|leaf| order(leaf, &table.entries));
            tree.root.order(&table.entries);
        }
        table
    }

    /// The hosts that a route matches, as configured; empty: every host.
    pub fn hosts(&self, route: RouteId) -> &[HostPattern] {
        self.entry(route).map(|entry| &*entry.hosts).unwrap_or_default()
    }

    /// The methods that a route matches, as configured; empty: every method.
    pub fn methods(&self, route: RouteId) -> &[Method] {
        self.entry(route).map(|entry| &*entry.methods).unwrap_or_default()
    }

    /// How many conditions on headers and on the query a route has.
    pub fn condition_count(&self, route: RouteId) -> usize {
        self.entry(route).map_or(0, |entry| entry.conditions.count())
    }

    /// A route's conditions on headers and on the query; all of them must hold.
    pub fn conditions(&self, route: RouteId) -> (&[HeaderCondition], &[QueryCondition]) {
        let conditions = self.entry(route).map(|entry| &entry.conditions);
        conditions.map(|all| (&*all.headers, &*all.query)).unwrap_or_default()
    }

    fn entry(&self, route: RouteId) -> Option<&Entry> {
        // Usually the route's own index; a table over some of the routes has gaps.
        let own = self.entries.get(route.0 as usize).filter(|entry| entry.id == route);
        own.or_else(|| self.entries.iter().find(|entry| entry.id == route))
    }

    pub(super) fn names(&self, entry: u32) -> &[Box<str>] {
        self.entries.get(entry as usize).map(|entry| &*entry.names).unwrap_or_default()
    }

    fn tree(&mut self, host: &HostPattern) -> &mut Tree {
        match host {
            HostPattern::Exact(name) => self.exact_hosts.entry(name.clone()).or_default(),
            HostPattern::Suffix(suffix) => self.suffix_hosts.entry(suffix.clone()).or_default(),
            HostPattern::Any => &mut self.any_host,
        }
    }
}

impl Tree {
    fn insert(&mut self, path: &PathPattern, entry: u32) {
        let leaf = match path.whole_literal() {
            Some(text) => self.exact.entry(text.into()).or_default(),
            None => self.root.leaf_of(path),
        };
        if !leaf.contains(&entry) {
            leaf.push(entry);
        }
    }
}

impl Node {
    fn leaf_of(&mut self, path: &PathPattern) -> &mut Leaf {
        let mut node = self;
        for segment in &path.segments {
            node = match segment {
                Segment::Literal(text) => node.literals.child(text),
                Segment::Mixed(mixed) => node.mixed_child(mixed),
                Segment::Param => node.param.get_or_insert_default(),
            };
        }
        if path.has_tail { &mut node.tail } else { &mut node.leaf }
    }

    fn mixed_child(&mut self, mixed: &Mixed) -> &mut Node {
        let (prefix_bytes, suffix_bytes) = (mixed.prefix.len(), mixed.suffix.len());
        let shape = (mixed.literal_bytes(), prefix_bytes, suffix_bytes);
        let at = match self.mixed.iter().position(|group| group.shape() == shape) {
            Some(at) => at,
            None => {
                let by_ends = HashMap::default();
                self.mixed.push(MixedGroup { literal_bytes: shape.0, prefix_bytes, suffix_bytes, by_ends });
                self.mixed.len() - 1
            }
        };
        let hash = ends_hash(mixed.prefix.as_bytes(), mixed.suffix.as_bytes());
        let candidates = self.mixed[at].by_ends.entry(hash).or_default();
        let at = match candidates.iter().position(|(known, _)| known == mixed) {
            Some(at) => at,
            None => {
                candidates.push((mixed.clone(), Node::default()));
                candidates.len() - 1
            }
        };
        &mut candidates[at].1
    }

    fn order(&mut self, entries: &[Entry]) {
        order(&mut self.leaf, entries);
        order(&mut self.tail, entries);
        self.mixed.sort_by_key(|group| std::cmp::Reverse(group.shape()));
        let in_mixed = self.mixed.iter_mut().flat_map(|group| group.by_ends.values_mut()).flatten();
        let children = self.literals.nodes_mut().chain(in_mixed.map(|(_, node)| node));
        children.chain(self.param.as_deref_mut()).for_each(|node| node.order(entries));
    }
}

impl MixedGroup {
    fn shape(&self) -> (usize, usize, usize) {
        (self.literal_bytes, self.prefix_bytes, self.suffix_bytes)
    }
}

/// More conditions first, then `methods` over any, then the higher priority, then as they stand.
fn order(leaf: &mut Leaf, entries: &[Entry]) {
    if leaf.len() < 2 {
        return;
    }
    leaf.sort_by_key(|&at| {
        let entry = entries.get(at as usize);
        (std::cmp::Reverse(entry.map(Entry::rank)), at)
    });
    leaf.shrink_to_fit();
}

impl Entry {
    /// The higher one wins where host and path do not decide.
    pub(super) fn rank(&self) -> (usize, bool, i64) {
        (self.conditions.count(), !self.methods.is_empty(), self.priority)
    }
}

/// One number for both ends of a segment.
pub(super) fn ends_hash(prefix: &[u8], suffix: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(prefix);
    hasher.write_u8(0);
    hasher.write(suffix);
    hasher.finish()
}

/// Keys are a configuration's own and are never inserted by a request, so no client can make them collide, and
/// the hash may be quick: Fx, as in the Rust compiler, with a final mix.
pub(super) type Map<V> = HashMap<Box<str>, V, Hashing>;

/// See [`Map`].
pub(super) type Hashing = BuildHasherDefault<FxHasher>;

/// See [`Map`].
#[derive(Debug, Clone, Default)]
pub(super) struct FxHasher {
    state: u64,
}

impl FxHasher {
    fn add(&mut self, word: u64) {
        self.state = (self.state.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for FxHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        if !rest.is_empty() {
            self.add(u64::from_le_bytes(last));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.add(byte.into());
    }

    fn finish(&self) -> u64 {
        // The table takes its bucket from the low bits and its tag from the high ones; a multiplication leaves
        // the low bits poor.
        self.state ^ self.state >> 32
    }
}
