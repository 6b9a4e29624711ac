//! Names of routes: given, or made from methods and path.

use std::collections::{HashMap, HashSet};

use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::At;
use crate::source_map::Span;
use crate::spec::Route;

/// The names that are taken.
pub(super) struct Names {
    given: HashMap<String, Span>,
    made: HashSet<String>,
    /// The last number behind each made name, so that a thousand equal ones stay linear.
    last: HashMap<String, usize>,
}

/// The route in metrics of requests that no route takes.
const UNMATCHED: &str = "none";

/// What to do about a name that is taken.
pub(super) const RENAME: &str = "give one of them another name";

impl Names {
    /// Takes every given name first: a made one never takes a given one away.
    pub(super) fn new<'a>(routes: impl ExactSizeIterator<Item = &'a At<Route>>, report: &mut Report) -> Self {
        let made = HashSet::with_capacity(routes.len());
        let mut given: HashMap<String, Span> = HashMap::new();
        for At { value: name, span, .. } in routes.filter_map(|route| route.value.name.given()) {
            if name.0 == UNMATCHED {
                let message =
                    format!("metrics call requests that no route takes `{UNMATCHED}`, too: the two are one");
                report.push(
                    Finding::warning(Code::DuplicateName, *span, message).hint("give the route another name"),
                );
            }
            if let Some(first) = given.get(&name.0) {
                let message = format!("two routes are named `{}`", report.sources.shown(*span));
                report.push(
                    Finding::error(Code::DuplicateName, *span, message)
                        .related(*first, "the first one")
                        .hint(RENAME),
                );
            } else {
                given.insert(name.0.clone(), *span);
            }
        }
        Names { given, made, last: HashMap::new() }
    }

    /// A name such as `GET /users/*`, with the host and then a number behind it when it is taken.
    pub(super) fn make(&mut self, methods: &[&str], host: Option<&str>, path: &str) -> String {
        let mut name = match methods {
            [] => path.to_owned(),
            methods => format!("{} {path}", methods.join(",")),
        };
        shorten(&mut name);
        if self.take(&name) {
            return name;
        }
        if let Some(host) = host {
            name = format!("{name} ({host})");
            shorten(&mut name);
            if self.take(&name) {
                return name;
            }
        }
        loop {
            let number = self.last.entry(name.clone()).or_insert(1);
            *number += 1;
            let numbered = format!("{name} #{number}");
            if self.take(&numbered) {
                return numbered;
            }
        }
    }

    fn take(&mut self, name: &str) -> bool {
        !self.given.contains_key(name) && self.made.insert(name.to_owned())
    }
}

fn shorten(name: &mut String) {
    // Room for a number.
    let mut end = bounds::NAME_BYTES - 10;
    if name.len() > end {
        while !name.is_char_boundary(end) {
            end -= 1;
        }
        name.truncate(end);
        name.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_names_are_short_and_unique() {
        let mut names = Names::new(std::iter::empty(), &mut Report::default());
        names.given.insert("/given".to_owned(), Span::default());
        let mut make = |methods: &[&str], host, path: &str| names.make(methods, host, path);
        assert_eq!(make(&[], None, "/a"), "/a");
        assert_eq!(make(&["GET", "POST"], None, "/a"), "GET,POST /a");
        assert_eq!(make(&[], None, "/a"), "/a #2");
        assert_eq!(make(&[], None, "/a"), "/a #3");
        assert_eq!(make(&[], Some("x.org"), "/a"), "/a (x.org)");
        assert_eq!(make(&[], Some("x.org"), "/a"), "/a (x.org) #2");
        assert_eq!(make(&[], None, "/given"), "/given #2");
        let long = format!("/{}", "é".repeat(500));
        assert!(make(&[], None, &long).len() <= bounds::NAME_BYTES);
        assert!(make(&[], None, &long).ends_with("#2"));
    }
}
