//! Edits of requests and responses.

use tollgate_plan::route::{BodyRules, HeaderEdit, QueryEdit, RequestEdits, ResponseEdits, Rewrite};
use tollgate_plan::table::PathPattern;
use tollgate_plan::template::{BindError, Template, Var};

use tollgate_wire::Name;

use super::auth::Found;
use super::merge::Layers;
use super::shaping;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, Dict, EditedHeader, HeaderText, List, Slot, names_hint};
use crate::source_map::Span;

/// What templates of a route are checked against.
pub(super) struct Scope<'a> {
    pub(super) route: &'a str,
    pub(super) pattern: &'a PathPattern,
    pub(super) path: Span,
    /// The whole route.
    pub(super) block: Span,
    pub(super) auth: &'a Found,
}

impl Scope<'_> {
    /// Ties a template to the route's parameters. Every placeholder that has no value is reported.
    pub(super) fn bind(&self, template: &Template, span: Span, report: &mut Report) -> Template {
        for answer in template.vars().filter(|var| matches!(var, Var::Answer(..))) {
            let place = placeholder(&answer.to_string(), span, report);
            let message = "only the parts of an aggregate have answers to refer to";
            report.push(
                Finding::error(Code::UnknownName, place, message).hint("a literal brace is written `{{`"),
            );
        }
        self.bind_part(template, span, report)
    }

    /// The same for a part of an aggregate, which may refer to other parts.
    pub(super) fn bind_part(&self, template: &Template, span: Span, report: &mut Report) -> Template {
        self.warn_nobody(template, span, report);
        let mut bound = template.clone();
        let Err(error) = bound.bind(self.pattern) else { return bound };
        let unknown = template.vars().filter_map(|var| match var {
            Var::Param(name) if !self.pattern.params().any(|param| *param == **name) => Some(&**name),
            _ => None,
        });
        if let BindError::Ambiguous(name) = error {
            let place = placeholder(name, span, report);
            let finding = Finding::error(Code::BadValue, place, error.to_string());
            report.push(finding.related(self.path, "the path"));
        }
        for name in unknown {
            let place = placeholder(name, span, report);
            let (message, hint) = match report.sources.public_text(place) {
                Some(_) => (
                    format!("the route's path has no parameter `{name}`"),
                    Some(names_hint(name, self.pattern)),
                ),
                None => ("the route's path has no such parameter".to_owned(), None),
            };
            let finding = Finding::error(Code::UnknownName, place, message).related(self.path, "the path");
            report.push(finding.maybe_hint(hint));
        }
        bound
    }

    /// Placeholders of an identity that no request of the route has. From defaults they are no surprise.
    fn warn_nobody(&self, template: &Template, span: Span, report: &mut Report) {
        let own = span.file == self.block.file && (self.block.start..self.block.end).contains(&span.start);
        for var in template.vars().filter(|_| own) {
            let lacking = match (var, self.auth) {
                (Var::Consumer | Var::Claim(_), Found::Public) => "the route identifies nobody",
                (Var::Claim(_), Found::By(auth)) if auth.issuers.is_empty() => "the route takes no tokens",
                _ => continue,
            };
            let name = var.to_string();
            let place = placeholder(&name, span, report);
            let shown = report.sources.shown(place);
            report.push(Finding::warning(
                Code::NoEffect,
                place,
                format!("`{shown}` has no value: {lacking}"),
            ));
        }
    }
}

/// The place of a placeholder inside a value, or the whole value when it is not written out there.
fn placeholder(name: &str, span: Span, report: &Report) -> Span {
    let written = format!("{{{name}}}");
    match report.sources.text(span).find(&written) {
        Some(at) => {
            let start = span.start + at as u32;
            Span { file: span.file, start, end: start + written.len() as u32 }
        }
        None => span,
    }
}

pub(super) fn request(
    layers: &Layers<'_>,
    scope: &Scope<'_>,
    report: &mut Report,
) -> Option<Box<RequestEdits>> {
    let mut headers = remove(layers.request(|request| &request.remove_headers));
    set(layers.request(|request| &request.set_headers), HeaderEdit::Set, &mut headers, scope, report);
    set(layers.request(|request| &request.add_headers), HeaderEdit::Add, &mut headers, scope, report);
    warn_claims(layers, scope, report);
    let removed = layers.request(|request| &request.remove_query).value();
    let names = removed.map(|List(names)| names.as_slice()).unwrap_or_default();
    let mut query: Vec<QueryEdit> =
        names.iter().map(|name| QueryEdit::Remove(name.value.as_str().into())).collect();
    if let Some(dict) = layers.request(|request| &request.set_query).value() {
        for (name, At { value, span, .. }) in dict.iter() {
            query.push(QueryEdit::Set(name.as_str().into(), scope.bind(&value.0, *span, report)));
        }
    }
    let only_headers = layers.request(|request| &request.only_headers).value();
    let only_query = layers.request(|request| &request.only_query).value();
    let edits = RequestEdits {
        rewrite: rewrite(layers, scope, report),
        only_headers: only_headers.map(|List(names)| names.iter().map(|name| name.value.0.clone()).collect()),
        only_query: only_query
            .map(|List(names)| names.iter().map(|name| name.value.as_str().into()).collect()),
        headers,
        query,
    };
    let lists = edits.only_headers.is_some() || edits.only_query.is_some();
    let none = edits.rewrite.is_none() && !lists && edits.headers.is_empty() && edits.query.is_empty();
    (!none).then(|| Box::new(edits))
}

/// Edits of headers that are to hold a claim: they have the last word.
fn warn_claims(layers: &Layers<'_>, scope: &Scope<'_>, report: &mut Report) {
    let Found::By(auth) = scope.auth else { return };
    let claim = |name: &Name| auth.forward.iter().any(|(header, _)| header == name);
    let removed = layers.request(|request| &request.remove_headers).value();
    let removed = removed.into_iter().flat_map(|List(names)| names).map(|name| (&name.value.0, name.span));
    let set = layers.request(|request| &request.set_headers).value();
    let set = set.into_iter().flat_map(Dict::iter).map(|(name, value)| (&name.0, value.key));
    for (name, place) in removed.chain(set).filter(|(name, _)| claim(name)) {
        let message =
            format!("`auth.forward` changes nothing for `{}`: this edit comes behind it", name.as_str());
        report.push(Finding::warning(Code::NoEffect, place, message));
    }
}

pub(super) fn response(
    layers: &Layers<'_>,
    scope: &Scope<'_>,
    report: &mut Report,
) -> Option<Box<ResponseEdits>> {
    let mut headers = remove(layers.response(|response| &response.remove_headers));
    set(layers.response(|response| &response.set_headers), HeaderEdit::Set, &mut headers, scope, report);
    let compress = layers.response(|response| &response.compress).value().copied().unwrap_or_default();
    let body = body(layers, report);
    let none = !compress && headers.is_empty() && body.is_none();
    (!none).then(|| Box::new(ResponseEdits { headers, compress, body }))
}

/// The rules for the body of an upstream's answer.
fn body(layers: &Layers<'_>, report: &mut Report) -> Option<Box<BodyRules>> {
    let block = layers.response(|response| &response.body).value()?;
    let encode =
        layers.response(|response| &response.encode).value().copied().unwrap_or(crate::spec::Encode::Json);
    Some(Box::new(BodyRules {
        decode: shaping::notation(block.decode()),
        shape: shaping::shape(&block.shaping(), report)?,
        jq: shaping::jq(&block.shaping(), report)?,
        encode: shaping::encoding(encode),
        bytes: super::aggregate::ANSWER_BYTES,
    }))
}

/// `rewrite` and `strip_prefix` are two ways to say one thing: the nearest block that has either decides.
fn rewrite(layers: &Layers<'_>, scope: &Scope<'_>, report: &mut Report) -> Option<Rewrite> {
    let has_either = |keys: (Option<Span>, Option<Span>)| keys.0.is_some() || keys.1.is_some();
    let block =
        layers.requests().find(|block| has_either((block.rewrite.key(), block.strip_prefix.key())))?;
    if let (Some(rewrite), Some(strip)) = (block.rewrite.key(), block.strip_prefix.key()) {
        let message = "`rewrite` and `strip_prefix` exclude each other";
        report.push(Finding::error(Code::Conflict, strip, message).related(rewrite, "`rewrite` stands here"));
        return None;
    }
    if let Some(At { value, span, .. }) = block.rewrite.given() {
        return Some(Rewrite::To(scope.bind(&value.0, *span, report)));
    }
    block.strip_prefix.value().map(|prefix| Rewrite::StripPrefix(prefix.0.as_str().into()))
}

fn remove(slot: &Slot<List<EditedHeader>>) -> Vec<HeaderEdit> {
    let names = slot.value().map(|List(names)| names.as_slice()).unwrap_or_default();
    names.iter().map(|name| HeaderEdit::Remove(name.value.0.clone())).collect()
}

fn set(
    slot: &Slot<Dict<EditedHeader, HeaderText>>,
    edit: impl Fn(tollgate_wire::Name, Template) -> HeaderEdit,
    edits: &mut Vec<HeaderEdit>,
    scope: &Scope<'_>,
    report: &mut Report,
) {
    for (name, At { value, span, .. }) in slot.value().into_iter().flat_map(Dict::iter) {
        edits.push(edit(name.0.clone(), scope.bind(&value.0, *span, report)));
    }
}
