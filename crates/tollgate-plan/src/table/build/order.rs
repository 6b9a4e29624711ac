//! The routes in the order in which they are asked, for people to read.

use super::{Map, Node, RouteTable, Tree};
use crate::route::RouteId;

impl RouteTable {
    /// Every route once: exact hosts, then wildcards with the longer suffix first, then any host; within a host
    /// the more specific path first. Where nothing decides, because no request matches both, by text.
    pub fn in_order(&self) -> Vec<RouteId> {
        let mut entries = Vec::new();
        for (_, tree) in by_text(&self.exact_hosts) {
            tree.list(&mut entries);
        }
        let mut suffixes = by_text(&self.suffix_hosts);
        suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
        for (_, tree) in suffixes {
            tree.list(&mut entries);
        }
        self.any_host.list(&mut entries);
        // A route with several hosts stands where it is asked first.
        let mut listed = vec![false; self.entries.len()];
        let first = |entry: &u32| {
            listed.get_mut(*entry as usize).is_some_and(|listed| !std::mem::replace(listed, true))
        };
        let entries = entries.into_iter().filter(first);
        entries.filter_map(|entry| self.entries.get(entry as usize)).map(|entry| entry.id).collect()
    }
}

impl Tree {
    fn list(&self, out: &mut Vec<u32>) {
        for (_, leaf) in by_text(&self.exact) {
            out.extend(leaf);
        }
        self.root.list(out);
    }
}

impl Node {
    /// As deep as the deepest pattern at most, which is bounded when patterns are parsed.
    fn list(&self, out: &mut Vec<u32>) {
        out.extend(&self.leaf);
        let mut literals: Vec<_> = self.literals.iter().collect();
        literals.sort_unstable_by_key(|(text, _)| *text);
        for (_, node) in literals {
            node.list(out);
        }
        for group in &self.mixed {
            let mut children: Vec<_> = group.by_ends.values().flatten().collect();
            children.sort_by_key(|(mixed, _)| (&mixed.prefix, &mixed.suffix));
            children.iter().for_each(|(_, node)| node.list(out));
        }
        if let Some(node) = &self.param {
            node.list(out);
        }
        out.extend(&self.tail);
    }
}

fn by_text<V>(map: &Map<V>) -> Vec<(&str, &V)> {
    let mut rows: Vec<_> = map.iter().map(|(text, value)| (&**text, value)).collect();
    rows.sort_unstable_by_key(|(text, _)| *text);
    rows
}

#[cfg(test)]
mod tests {
    use super::super::super::{PathPattern, RouteSpec};
    use super::*;

    fn check(routes: &[(&str, &str, i64)], expect: &[u32]) {
        let specs = routes.iter().zip(0..).map(|((hosts, path, priority), id)| RouteSpec {
            id: RouteId(id),
            hosts: hosts.split_whitespace().map(|host| host.parse().unwrap()).collect(),
            path: PathPattern::parse(path).unwrap(),
            methods: Vec::new(),
            headers: Vec::new(),
            query: Vec::new(),
            priority: *priority,
        });
        let order = RouteTable::build(specs.collect()).in_order();
        assert_eq!(order.iter().map(|id| id.0).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn the_more_specific_path_stands_first() {
        let routes = [
            ("", "/*", 0),
            ("", "/a/{id}", 0),
            ("", "/a/{name}.json", 0),
            ("", "/b/*", 0),
            ("", "/a/x", 0),
            ("", "/a/{id}/y", 0),
            ("", "/", 0),
        ];
        check(&routes, &[6, 4, 2, 1, 5, 3, 0]);
    }

    #[test]
    fn hosts_stand_before_paths_and_a_route_stands_once() {
        let routes = [
            ("", "/a", 0),
            ("*.example.com", "/a", 0),
            ("*.api.example.com b.example.com", "/*", 0),
            ("a.example.com", "/*", 0),
        ];
        check(&routes, &[3, 2, 1, 0]);
    }

    #[test]
    fn priority_settles_what_is_left() {
        check(&[("", "/a", 0), ("", "/a", 2), ("", "/a", 1)], &[1, 2, 0]);
    }
}
