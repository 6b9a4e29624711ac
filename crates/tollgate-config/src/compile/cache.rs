//! How routes keep answers, and what they tell them apart by.

use tollgate_plan::aggregate::{Aggregate, PartBody, Source};
use tollgate_plan::cache::Cache;
use tollgate_plan::route::{Action, HeaderEdit, QueryEdit, RequestEdits, Rewrite};
use tollgate_plan::template::{Template, Var};
use tollgate_wire::{Name, name};

use super::auth::Found;
use super::merge::Layers;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::List;
use crate::spec::{self, CacheSetting};

/// The route's `cache`; none where nothing is kept.
pub(super) fn cache(
    own: &spec::Route,
    layers: &Layers<'_>,
    auth: &Found,
    action: &Action,
    request: Option<&RequestEdits>,
    report: &mut Report,
) -> Option<Box<Cache>> {
    let CacheSetting::Keep(block) = layers.key(|keys| keys.cache).value()? else { return None };
    let aggregate = match action {
        Action::Aggregate(aggregate) => Some(&**aggregate),
        Action::To(_) | Action::Split(_) => None,
        Action::Respond(_) | Action::Redirect(_) | Action::Health(_) => {
            // From defaults it is no surprise.
            if let Some(key) = own.cache.key() {
                let message = "`cache` changes nothing: the answer is made here";
                report.push(Finding::warning(Code::NoEffect, key, message));
            }
            return None;
        }
    };
    if block.private()
        && matches!(auth, Found::Public)
        && let Some(key) = block.private.key()
    {
        let message = "`private` changes nothing: the route identifies nobody";
        report.push(Finding::warning(Code::NoEffect, key, message));
    }
    let List(names) = block.vary();
    let mut vary: Vec<Name> = names.iter().map(|name| name.value.0.clone()).collect();
    vary.extend(request.map(inputs_of_edits).unwrap_or_default());
    vary.extend(aggregate.map(inputs_of_parts).unwrap_or_default());
    vary.sort();
    vary.dedup();
    Some(Box::new(Cache {
        ttl: block.ttl().0,
        respect: block.respect(),
        vary,
        stale_while_revalidate: block.stale_while_revalidate.value().map(|time| time.0),
        stale_if_error: block.stale_if_error.value().map(|time| time.0),
        max_bytes: block.max_size().0,
        private: block.private(),
    }))
}

/// The client's headers that reach the upstream under another name: an answer made by them must not be given to a request
/// that has others.
fn inputs_of_edits(edits: &RequestEdits) -> Vec<Name> {
    let rewrite = edits.rewrite.iter().filter_map(|rewrite| match rewrite {
        Rewrite::To(template) => Some(template),
        Rewrite::StripPrefix(_) => None,
    });
    let headers = edits.headers.iter().filter_map(|edit| match edit {
        HeaderEdit::Set(_, template) | HeaderEdit::Add(_, template) => Some(template),
        HeaderEdit::Remove(_) => None,
    });
    let query = edits.query.iter().filter_map(|edit| match edit {
        QueryEdit::Set(_, template) => Some(template),
        QueryEdit::Remove(_) => None,
    });
    inputs(rewrite.chain(headers).chain(query))
}

/// The same for the parts of an aggregate, and the headers that they see.
fn inputs_of_parts(aggregate: &Aggregate) -> Vec<Name> {
    let templates = aggregate.parts.iter().flat_map(|part| match &part.source {
        Source::Constant(json) => vec![json],
        Source::Call(call) => match &call.body {
            PartBody::Json(json) => vec![&call.path, json],
            PartBody::Nothing | PartBody::Request => vec![&call.path],
        },
    });
    let mut names = inputs(templates);
    names.extend(aggregate.headers.iter().cloned());
    names
}

fn inputs<'a>(templates: impl Iterator<Item = &'a Template>) -> Vec<Name> {
    let header = |var: &Var| match var {
        Var::Header(header) => Some(header.clone()),
        Var::Cookie(_) => Some(name::COOKIE),
        _ => None,
    };
    templates.flat_map(Template::vars).filter_map(header).collect()
}
