//! What was made has to pass `check`. What does not is taken back: a route refuses, anything else goes.

use std::collections::HashSet;
use std::ops::Range;

use super::document::Unreadable;
use super::draft::{Draft, Item, Place};
use super::findings::Findings;
use super::secrets::Variable;
use crate::diagnostic::{Diagnostic, Severity};
use crate::load_text;
use crate::sources::Sources;

/// Each round takes something back; a name that goes takes with it what refers to it, and so on.
const ROUNDS_MAX: usize = 16;

pub(super) fn settle(
    mut draft: Draft,
    target: &str,
    sources: &dyn Sources,
    findings: &mut Findings,
) -> Result<(String, Vec<Variable>), Unreadable> {
    let mut last = String::new();
    for _ in 0..ROUNDS_MAX {
        if draft.routes.is_empty() {
            let mut item = Item::new("nothing", serde_json::json!({ "name": "nothing", "path": "/*" }));
            item.refuse("nothing that could be served was found");
            draft.route(item, findings);
        }
        let (text, places) = draft.write();
        let Err(failed) = load_text(target, &text, &draft.secrets.set(sources)) else {
            let variables = draft.secrets.of_text(&text);
            findings.need(&variables);
            return Ok((text, variables));
        };
        let errors: Vec<&Diagnostic> =
            failed.diagnostics.iter().filter(|one| one.severity == Severity::Error).collect();
        last = errors.first().map(|one| one.message.clone()).unwrap_or_default();
        if !take_back(&mut draft, &errors, &places, findings) {
            break;
        }
    }
    Err(Unreadable::new(format!("what was made of it does not pass `check`: {last}")))
}

/// Takes back what is wrong; false when that is nothing.
fn take_back(
    draft: &mut Draft,
    errors: &[&Diagnostic],
    places: &[(Range<u32>, Place)],
    findings: &mut Findings,
) -> bool {
    let find =
        |line: u32| places.iter().find(|(lines, _)| lines.contains(&line)).map(|(_, place)| place.clone());
    let mut gone: HashSet<Place> = HashSet::new();
    let mut refused: HashSet<Place> = HashSet::new();
    for error in errors {
        let Some(place) = find(error.line) else { continue };
        // Which of two routes a request would have gone to is not known: both refuse.
        let others = error.related.iter().filter(|_| error.code == "route_tie");
        let also = others.filter_map(|related| find(related.line)).filter(|other| *other != place);
        for place in std::iter::once(place.clone()).chain(also) {
            let Place::Route(index) = place else { continue };
            let Some(route) = draft.routes.get(index) else { continue };
            if !route.refuses() {
                let why = format!("it would not pass `check`: {}", error.message);
                findings.unsafe_(format!("route {}", route.name), format!("refused here, since {why}"));
                draft.refuse(index, &why);
                refused.insert(place);
            } else if error.code == "route_tie" {
                // It refuses already: as far as it goes it has to stay, so the tie is settled.
                draft.settle_tie(index);
                refused.insert(place);
            }
        }
        if !refused.contains(&place) && gone.insert(place.clone()) {
            let note = format!("left out, since it would not pass `check`: {}", error.message);
            findings.unsafe_(name(draft, &place), note);
        }
    }
    gone.retain(|place| !refused.contains(place));
    let changed = !gone.is_empty() || !refused.is_empty();
    for place in &gone {
        if let Place::Root(key) = place {
            draft.root.shift_remove(key);
        }
    }
    remove(&mut draft.issuers, |index| gone.contains(&Place::Issuer(index)));
    remove(&mut draft.consumers, |index| gone.contains(&Place::Consumer(index)));
    remove(&mut draft.upstreams, |index| gone.contains(&Place::Upstream(index)));
    remove(&mut draft.routes, |index| gone.contains(&Place::Route(index)));
    changed
}

fn remove(items: &mut Vec<Item>, gone: impl Fn(usize) -> bool) {
    let mut index = 0;
    items.retain(|_| {
        index += 1;
        !gone(index - 1)
    });
}

fn name(draft: &Draft, place: &Place) -> String {
    let named = |kind: &str, items: &[Item], index: usize| {
        format!("{kind} {}", items.get(index).map_or("", |item| item.name.as_str()))
    };
    match place {
        Place::Root(key) => key.clone(),
        Place::Issuer(index) => named("issuer", &draft.issuers, *index),
        Place::Consumer(index) => named("consumer", &draft.consumers, *index),
        Place::Upstream(index) => named("upstream", &draft.upstreams, *index),
        Place::Route(index) => named("route", &draft.routes, *index),
    }
}
