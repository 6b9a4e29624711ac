//! Whether one request can satisfy two routes of the same host and shape.

use crate::table::RouteSpec;
use crate::table::conditions::ValueMatch;

/// What a condition is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Subject<'a> {
    Header(&'a str),
    Query(&'a str),
}

/// A condition of either kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Condition<'a> {
    pub(super) subject: Subject<'a>,
    pub(super) value: &'a ValueMatch,
}

/// All conditions of a route.
pub(super) fn conditions(spec: &RouteSpec) -> impl Iterator<Item = Condition<'_>> {
    let headers =
        spec.headers.iter().map(|condition| (Subject::Header(condition.name.as_str()), &condition.value));
    let query = spec.query.iter().map(|condition| (Subject::Query(&condition.name), &condition.value));
    headers.chain(query).map(|(subject, value)| Condition { subject, value })
}

/// Whether one request can satisfy both. Their hosts and the shapes of their paths are the same, and so is
/// whether they have `methods`.
pub(super) fn can_meet(a: &RouteSpec, b: &RouteSpec) -> bool {
    let methods = a.methods.is_empty() || a.methods.iter().any(|method| b.methods.contains(method));
    let segments = || a.path.segments.iter().zip(&b.path.segments);
    methods
        && conditions(a).all(|of_a| {
            let mut about_the_same = conditions(b).filter(|of_b| of_a.subject == of_b.subject);
            about_the_same.all(|of_b| agree(of_a.value, of_b.value))
        })
        && segments().all(|(a, b)| a.overlaps(b))
}

/// Whether one value (or none) can satisfy both.
pub(super) fn agree(a: &ValueMatch, b: &ValueMatch) -> bool {
    match (a, b) {
        (ValueMatch::Absent, ValueMatch::Absent) => true,
        (ValueMatch::Absent, _) | (_, ValueMatch::Absent) => false,
        (ValueMatch::Exact(text), other) | (other, ValueMatch::Exact(text)) => other.accepts(text.as_bytes()),
        _ => true,
    }
}

/// Whether every value (or none) that satisfies `a` is known to satisfy `b`.
pub(super) fn implies(a: &ValueMatch, b: &ValueMatch) -> bool {
    match (a, b) {
        (ValueMatch::Absent, ValueMatch::Absent) => true,
        (ValueMatch::Absent, _) | (_, ValueMatch::Absent) => false,
        (_, ValueMatch::Present) => true,
        (ValueMatch::Exact(text), other) => other.accepts(text.as_bytes()),
        (ValueMatch::Regex(a), ValueMatch::Regex(b)) => a.as_str() == b.as_str(),
        _ => false,
    }
}
