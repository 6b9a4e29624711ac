//! Conditions on headers and on the query.
//!
//! When a header or parameter is there more than once, a condition on its value must hold for every copy: what
//! an upstream makes of differing copies is not known here, and two conditions with different values exclude
//! each other for certain.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};
use tollgate_wire::Name;

use super::Facts;
use crate::query;
use crate::route::RouteId;

/// Compiled size of one condition's regular expression, in bytes.
const REGEX_BYTES_MAX: usize = 1024 * 1024;

/// A condition on a request header.
#[derive(Debug, Clone)]
pub struct HeaderCondition {
    /// The header.
    pub name: Name,
    /// What its value must be.
    pub value: ValueMatch,
}

impl HeaderCondition {
    /// Whether it holds for the lines of that name.
    pub fn holds<V: AsRef<[u8]>>(&self, values: impl Iterator<Item = V>) -> bool {
        self.value.holds(values)
    }
}

/// A condition on a query parameter.
#[derive(Debug, Clone)]
pub struct QueryCondition {
    /// The parameter, decoded.
    pub name: Box<str>,
    /// What its decoded value must be.
    pub value: ValueMatch,
}

/// A condition on a value.
#[derive(Clone)]
pub enum ValueMatch {
    /// This value.
    Exact(Box<str>),
    /// A value in which the expression finds something; anchors are the author's.
    Regex(Regex),
    /// Any value, also an empty one.
    Present,
    /// None at all.
    Absent,
}

impl ValueMatch {
    /// A text of a configuration: `~` introduces a regular expression, anything else is exact.
    pub fn parse(text: &str) -> Result<ValueMatch, regex::Error> {
        match text.strip_prefix('~') {
            Some(expression) => {
                RegexBuilder::new(expression).size_limit(REGEX_BYTES_MAX).build().map(ValueMatch::Regex)
            }
            None => Ok(ValueMatch::Exact(text.into())),
        }
    }

    /// Whether it holds for these values.
    pub(super) fn holds<V: AsRef<[u8]>>(&self, mut values: impl Iterator<Item = V>) -> bool {
        if matches!(self, ValueMatch::Absent) {
            return values.next().is_none();
        }
        let mut count = 0usize;
        values.inspect(|_| count += 1).all(|value| self.accepts(value.as_ref())) && count > 0
    }

    /// Whether one value is accepted.
    pub fn accepts(&self, value: &[u8]) -> bool {
        match self {
            ValueMatch::Exact(text) => value == text.as_bytes(),
            ValueMatch::Regex(regex) => regex.is_match(value),
            ValueMatch::Present => true,
            ValueMatch::Absent => false,
        }
    }
}

impl fmt::Debug for ValueMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            // What a client must send to get a route may be a credential: a plan may be printed, its secrets may not.
            ValueMatch::Exact(_) => "Exact(***)",
            ValueMatch::Regex(_) => "Regex(***)",
            ValueMatch::Present => "Present",
            ValueMatch::Absent => "Absent",
        })
    }
}

/// All conditions of a route.
#[derive(Debug, Clone, Default)]
pub(super) struct Conditions {
    pub(super) headers: Box<[HeaderCondition]>,
    pub(super) query: Box<[QueryCondition]>,
}

impl Conditions {
    /// More of them are more specific.
    pub(super) fn count(&self) -> usize {
        self.headers.len() + self.query.len()
    }

    /// Whether they hold; the route is theirs.
    pub(super) fn hold(&self, route: RouteId, facts: &impl Facts) -> bool {
        let query = facts.query().unwrap_or_default();
        self.headers.iter().all(|condition| facts.meets(route, condition))
            && self.query.iter().all(|c| c.value.holds(query::values(query, &c.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_value() {
        let conditions = ["s3cret", "~s3cret"].map(|text| ValueMatch::parse(text).unwrap());
        assert_eq!(format!("{conditions:?}"), "[Exact(***), Regex(***)]");
    }
}
