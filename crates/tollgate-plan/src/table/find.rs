//! The look-up.

use memchr::{memchr, memchr_iter};
use tollgate_wire::Method;

use super::build::{Entry, Leaf, Node, RouteTable, Tree, ends_hash};
use super::{Allow, Facts, Found, Params};

impl RouteTable {
    /// Finds the route of a request. `host` is in the form of [`crate::host::Host::name`], empty when there is
    /// none; `path` is in normal form. `params` is replaced; after [`Found::Route`] it holds the parameters.
    ///
    /// Each node of the tree is looked at once at most. Nothing is allocated but for [`Found::MethodNotAllowed`].
    pub fn find(&self, host: &str, path: &str, facts: &impl Facts, params: &mut Params) -> Found {
        params.clear();
        let mut search = Search { table: self, path, facts, params, allow: Allow::default() };
        if let Some(entry) = search.host(host) {
            params.entry = entry;
            return self.gists.get(entry as usize).map_or(Found::NotFound, |gist| Found::Route(gist.id));
        }
        let allow = search.allow;
        params.clear();
        if allow.is_empty() { Found::NotFound } else { Found::MethodNotAllowed(allow) }
    }
}

struct Search<'a, F> {
    table: &'a RouteTable,
    path: &'a str,
    facts: &'a F,
    params: &'a mut Params,
    /// The methods of routes that differ from the request in nothing else.
    allow: Allow,
}

impl<F: Facts> Search<'_, F> {
    fn host(&mut self, host: &str) -> Option<u32> {
        let table = self.table;
        if !table.exact_hosts.is_empty()
            && let Some(tree) = table.exact_hosts.get(host)
            && let Some(entry) = self.tree(tree)
        {
            return Some(entry);
        }
        if !table.suffix_hosts.is_empty() {
            // From the left: the longest suffix first. A dot in front would leave no label to match.
            for dot in memchr_iter(b'.', host.as_bytes()).filter(|&dot| dot > 0) {
                if let Some(tree) = host.get(dot..).and_then(|suffix| table.suffix_hosts.get(suffix))
                    && let Some(entry) = self.tree(tree)
                {
                    return Some(entry);
                }
            }
        }
        self.tree(&table.any_host)
    }

    fn tree(&mut self, tree: &Tree) -> Option<u32> {
        if let Some(leaf) = tree.exact.get(self.path)
            && let Some(entry) = self.leaf(leaf)
        {
            return Some(entry);
        }
        self.node(&tree.root, 0)
    }

    /// `at` is where the slash before the next segment stands, or the end of the path. As deep as the deepest
    /// pattern at most, which is bounded when patterns are parsed.
    fn node(&mut self, node: &Node, at: usize) -> Option<u32> {
        let Some(rest) = self.path.get(at..).and_then(|rest| rest.strip_prefix('/')) else {
            return self.leaf(&node.leaf).or_else(|| self.tail(&node.tail, at));
        };
        let start = at + 1;
        let end = memchr(b'/', rest.as_bytes()).map_or(self.path.len(), |len| start + len);
        let segment = self.path.get(start..end)?;
        if let Some(child) = node.literals.get(segment)
            && let Some(entry) = self.node(child, end)
        {
            return Some(entry);
        }
        if !segment.is_empty() {
            if let Some(entry) = self.mixed(node, segment, start, end) {
                return Some(entry);
            }
            if let Some(child) = &node.param {
                self.push_param(start, end);
                if let Some(entry) = self.node(child, end) {
                    return Some(entry);
                }
                self.params.ranges.pop();
            }
        }
        self.tail(&node.tail, start)
    }

    /// Among segments with equally many literal bytes none is more specific; where two of them match (which is
    /// rare), what follows them decides, so both ways are gone and the better end is kept.
    fn mixed(&mut self, node: &Node, segment: &str, start: usize, end: usize) -> Option<u32> {
        let before = self.params.ranges.len();
        let mut best: Option<(u32, usize)> = None;
        for group in &node.mixed {
            if best.is_some_and(|(_, literal_bytes)| group.literal_bytes < literal_bytes) {
                break;
            }
            let prefix = segment.as_bytes().get(..group.prefix_bytes);
            let suffix =
                segment.len().checked_sub(group.suffix_bytes).and_then(|at| segment.as_bytes().get(at..));
            let (Some(prefix), Some(suffix)) = (prefix, suffix) else { continue };
            for (mixed, child) in group.by_ends.get(&ends_hash(prefix, suffix)).into_iter().flatten() {
                let after = self.params.ranges.len();
                let matches = mixed.find(segment, |from, to| self.push_param(start + from, start + to));
                let entry = if matches { self.node(child, end) } else { None };
                let better = entry.filter(|&entry| best.is_none_or(|(best, _)| self.beats(entry, best)));
                match better {
                    Some(entry) => {
                        best = Some((entry, group.literal_bytes));
                        self.params.ranges.drain(before..after);
                    }
                    None => self.params.ranges.truncate(after),
                }
            }
        }
        best.map(|(entry, _)| entry)
    }

    /// Whether the one entry goes before the other, where both match.
    fn beats(&self, one: u32, other: u32) -> bool {
        let order = |at: u32| {
            let entry = self.table.entries.get(at as usize)?;
            let (conditions, has_methods, priority) = entry.rank();
            let is_named = entry.methods.contains(self.facts.method());
            Some((&entry.specificity, conditions, has_methods, is_named, priority, std::cmp::Reverse(at)))
        };
        order(one) > order(other)
    }

    fn tail(&mut self, tail: &Leaf, start: usize) -> Option<u32> {
        let entry = self.leaf(tail)?;
        self.push_param(start, self.path.len());
        Some(entry)
    }

    fn leaf(&mut self, leaf: &Leaf) -> Option<u32> {
        let method = self.facts.method();
        let mut implied: Option<(u32, &Entry)> = None;
        for &at in leaf {
            if implied.is_none() && self.table.gists.get(at as usize).is_some_and(|gist| gist.plain) {
                return Some(at);
            }
            let Some(entry) = self.table.entries.get(at as usize) else { continue };
            let fit = Fit::of(method, &entry.methods);
            if let Some((_, implied)) = implied {
                // Only a route that names HEAD goes before, and only where nothing but `priority` is left to decide.
                if entry.conditions.count() < implied.conditions.count() || entry.methods.is_empty() {
                    break;
                }
                if fit != Fit::Named {
                    continue;
                }
            }
            if !entry.conditions.hold(entry.id, self.facts) {
                continue;
            }
            match fit {
                Fit::Named | Fit::Any => return Some(at),
                Fit::Implied => implied = Some((at, entry)),
                Fit::No => self.allow.add(&entry.methods),
            }
        }
        implied.map(|(at, _)| at)
    }

    fn push_param(&mut self, start: usize, end: usize) {
        // A path is far shorter than 4 GiB: the head that holds it is bounded.
        self.params.ranges.push((start as u32, end as u32));
    }
}

/// How a route's `methods` fit a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    Named,
    /// HEAD by GET.
    Implied,
    Any,
    No,
}

impl Fit {
    pub(super) fn of(method: &Method, methods: &[Method]) -> Fit {
        if methods.is_empty() {
            Fit::Any
        } else if methods.contains(method) {
            Fit::Named
        } else if *method == Method::Head && methods.contains(&Method::Get) {
            Fit::Implied
        } else {
            Fit::No
        }
    }
}
