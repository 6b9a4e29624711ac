//! Whether more of what a client sends goes on to the services behind a route.

use std::collections::HashSet;

use tollgate_plan::route::{Action, HeaderEdit, QueryEdit};

use super::Weak;
use super::weaker::Of;

/// `only_headers` and `only_query`, and `headers` and `query` of an aggregate: what is not named is not forwarded.
pub(super) fn allow_lists(old: Of<'_>, new: Of<'_>, found: &mut Vec<Weak>) {
    if !asks_services(old) || !asks_services(new) {
        return;
    }
    let lists = [
        ("headers", only_headers(old), only_headers(new)),
        ("query parameters", only_query(old), only_query(new)),
    ];
    for (what, was, is) in lists {
        let Some(was) = was else { continue };
        if is.is_none_or(|is| !is.is_subset(&was)) {
            found.push(Weak::new("forwards_more", format!("forwards more {what} of the client")));
        }
    }
}

/// What was removed or replaced on the way, whatever the client sent, and goes on now as it came. A service may believe
/// what stands there, because nobody but the gateway could write it.
pub(super) fn held_back(old: Of<'_>, new: Of<'_>, found: &mut Vec<Weak>) {
    if !asks_services(old) || !asks_services(new) {
        return;
    }
    let lists = [
        ("header", held_headers(old), held_headers(new), only_headers(new)),
        ("query parameter", held_query(old), held_query(new), only_query(new)),
    ];
    for (what, was, is, only) in lists {
        let passes =
            |name: &&String| !is.contains(*name) && only.as_ref().is_none_or(|only| only.contains(*name));
        let mut names: Vec<&String> = was.iter().filter(passes).collect();
        // The same order each time.
        names.sort_unstable();
        for name in names {
            let text = format!("lets the client's own {what} {name} through to the service");
            found.push(Weak::new("forwards_more", text));
        }
    }
}

fn asks_services(side: Of<'_>) -> bool {
    side.route.action.forwards() || matches!(side.route.action, Action::Aggregate(_))
}

fn only_headers(side: Of<'_>) -> Option<HashSet<String>> {
    let only = side.route.request.as_ref().and_then(|edits| edits.only_headers.as_ref());
    let only = only.map(|names| names.iter().map(ToString::to_string).collect());
    let Action::Aggregate(aggregate) = &side.route.action else { return only };
    Some(both(only, aggregate.headers.iter().map(ToString::to_string)))
}

fn only_query(side: Of<'_>) -> Option<HashSet<String>> {
    let only = side.route.request.as_ref().and_then(|edits| edits.only_query.as_ref());
    let only = only.map(|names| names.iter().map(ToString::to_string).collect());
    let Action::Aggregate(aggregate) = &side.route.action else { return only };
    Some(both(only, aggregate.query.iter().map(ToString::to_string)))
}

/// An aggregate names what its parts may see; an allow list beside it leaves less of that.
fn both(only: Option<HashSet<String>>, named: impl Iterator<Item = String>) -> HashSet<String> {
    named.filter(|name| only.as_ref().is_none_or(|only| only.contains(name))).collect()
}

fn held_headers(side: Of<'_>) -> HashSet<String> {
    let claims = side.route.auth.iter().flat_map(|auth| &auth.forward).map(|(name, _)| name.to_string());
    let edits = side.route.request.iter().flat_map(|edits| &edits.headers);
    let edited = edits.filter_map(|edit| match edit {
        HeaderEdit::Remove(name) | HeaderEdit::Set(name, _) => Some(name.to_string()),
        HeaderEdit::Add(..) => None,
    });
    claims.chain(edited).collect()
}

fn held_query(side: Of<'_>) -> HashSet<String> {
    let edits = side.route.request.iter().flat_map(|edits| &edits.query);
    let name = |edit: &QueryEdit| match edit {
        QueryEdit::Remove(name) | QueryEdit::Set(name, _) => name.to_string(),
    };
    edits.map(name).collect()
}
