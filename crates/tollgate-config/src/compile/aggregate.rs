//! `aggregate`: parts, and the order that their references give them.

use std::collections::HashMap;

use tollgate_content::encode::Encoding;
use tollgate_content::{Merge, Raw};
use tollgate_plan::aggregate::{Aggregate, Call, Part, PartBody, Source, Times};
use tollgate_plan::template::{ITEM, Template, Var};
use tollgate_wire::Method;

use super::action::{Parts, destination};
use super::edits::Scope;
use super::resilience::{needs_status, status_set};
use super::shaping;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, List, Slot};
use crate::source_map::Span;
use crate::spec;
use crate::suggest;

/// Parts of one aggregate.
const PARTS_MAX: usize = 64;

/// Bytes of a whole answer that is made here.
pub(super) const ANSWER_BYTES: usize = 16 << 20;

/// Compiles an aggregate. `None` when the report says what is wrong with it.
pub(super) fn aggregate(
    block: &spec::Aggregate,
    encode: Option<Encoding>,
    parts: &mut Parts<'_>,
    scope: &Scope<'_>,
    report: &mut Report,
) -> Option<Aggregate> {
    let List(written) = block.parts.value()?;
    let place = block.parts.key().unwrap_or(block.span);
    if written.is_empty() || written.len() > PARTS_MAX {
        let message = format!("an aggregate has from 1 to {PARTS_MAX} parts");
        report.push(Finding::error(Code::BadValue, place, message));
        return None;
    }
    let names = names(written, report);
    let mut compiled = Vec::with_capacity(written.len());
    for (at, part) in written.iter().enumerate() {
        let one = One { at, block: &part.value, names: &names, scope };
        compiled.extend(one.compile(parts, report));
    }
    if compiled.len() < written.len() {
        return None;
    }
    refuse_loops(&compiled, written, report)?;
    let render = match block.render.given() {
        Some(file) => Some(parts.templates.template(file, report)?),
        None => None,
    };
    Some(Aggregate {
        timeout: block.timeout().0,
        merge: match block.merge() {
            spec::MergeRule::Shallow => Merge::Shallow,
            spec::MergeRule::Deep => Merge::Deep,
        },
        parts: compiled,
        headers: list(&block.headers, |name| name.0.clone()),
        query: list(&block.query, |name| name.as_str().into()),
        part_bytes: usize::try_from(block.part_bytes().0).unwrap_or(usize::MAX),
        answer_bytes: ANSWER_BYTES,
        encode,
        render,
    })
}

fn list<T, U>(slot: &Slot<List<T>>, make: impl Fn(&T) -> U) -> Vec<U> {
    slot.value().map(|List(items)| items.iter().map(|item| make(&item.value)).collect()).unwrap_or_default()
}

/// Where each name stands.
fn names<'a>(written: &'a [At<spec::Part>], report: &mut Report) -> HashMap<&'a str, usize> {
    let mut names = HashMap::new();
    for (at, part) in written.iter().enumerate() {
        let Some(name) = part.value.name.given() else { continue };
        let text = name.value.0.as_str();
        if text == ITEM {
            let message = "`item` is the element of a `for_each`; no part can have that name";
            report.push(Finding::error(Code::BadValue, name.span, message));
        }
        if let Some(first) = names.insert(text, at) {
            let message = format!("two parts are named `{text}`");
            let first =
                written.get(first).and_then(|part| part.value.name.given()).map_or(name.span, |at| at.span);
            report.push(Finding::error(Code::Conflict, name.span, message).related(first, "the first one"));
        }
    }
    names
}

/// One part on its way into the plan.
struct One<'a> {
    at: usize,
    block: &'a spec::Part,
    names: &'a HashMap<&'a str, usize>,
    scope: &'a Scope<'a>,
}

impl One<'_> {
    fn compile(&self, parts: &mut Parts<'_>, report: &mut Report) -> Option<Part> {
        let block = self.block;
        let name = block.name.value()?;
        let mut after = Vec::new();
        let source = match (&block.to, &block.json) {
            (Slot::Absent, Slot::Given(json)) => self.constant(json, &mut after, report),
            (Slot::Given(to), _) => self.call(to, parts, &mut after, report),
            (Slot::Absent, Slot::Absent) => {
                let hint = "add `to` and `path` for a request to a service, or `json` for constant data";
                let finding = Finding::error(Code::MissingKey, block.span, "the part comes from nowhere");
                report.push(finding.hint(hint));
                None
            }
            _ => None,
        };
        let shape = shaping::shape(&block.shaping(), report);
        let jq = shaping::jq(&block.shaping(), report);
        let fallback = self.fallback(report);
        if let Some(condition) = block.if_.given() {
            self.scope.expression(condition, report);
        }
        after.sort_unstable();
        after.dedup();
        Some(Part {
            name: name.0.as_str().into(),
            source: source?,
            shape: shape?,
            jq: jq?,
            condition: block.if_.value().map(|condition| condition.0.clone()),
            fallback: fallback?,
            required: block.required(),
            after,
        })
    }

    fn constant(&self, json: &At<spec::Json>, after: &mut Vec<usize>, report: &mut Report) -> Option<Source> {
        for (key, place) in self.block.of_requests() {
            let Some(place) = place else { continue };
            let message = format!("`{key}` is for a request to a service, and the part has no `to`");
            report.push(Finding::error(Code::Conflict, place, message));
        }
        Some(Source::Constant(self.template(&json.value.0, json.span, after, report)?))
    }

    fn call(
        &self,
        to: &At<spec::Destination>,
        parts: &mut Parts<'_>,
        after: &mut Vec<usize>,
        report: &mut Report,
    ) -> Option<Source> {
        let block = self.block;
        let upstream = destination(to, &mut parts.upstreams, report);
        let times = self.times(after, report);
        if matches!(block.path, Slot::Absent) {
            let finding = Finding::error(Code::MissingKey, to.span, "the part has a `to` and no `path`");
            report.push(finding.hint("add the path that the service is asked for, such as `path: /status`"));
        }
        let path = block.path.given().and_then(|path| self.template(&path.value.0, path.span, after, report));
        needs_status(&block.success, "success", "the part would always fail", report);
        let body = self.body(after, report);
        Some(Source::Call(Box::new(Call {
            upstream: upstream?,
            times: times?,
            method: block.method.value().map_or(Method::Get, |verb| verb.0.clone()),
            path: path?,
            body: body?,
            decode: shaping::notation(block.decode()),
            timeout: block.timeout.value().map(|timeout| timeout.0),
            success: status_set(&block.success()),
        })))
    }

    fn body(&self, after: &mut Vec<usize>, report: &mut Report) -> Option<PartBody> {
        match (&self.block.body, &self.block.json) {
            (Slot::Absent, Slot::Absent) => Some(PartBody::Nothing),
            (Slot::Given(_), Slot::Absent) => Some(PartBody::Request),
            (Slot::Absent, Slot::Given(json)) => {
                Some(PartBody::Json(self.template(&json.value.0, json.span, after, report)?))
            }
            (Slot::Given(body), Slot::Given(json)) => {
                let message = "`body` and `json` exclude each other";
                report.push(
                    Finding::error(Code::Conflict, json.key, message).related(body.key, "the other one"),
                );
                None
            }
            _ => None,
        }
    }

    fn times(&self, after: &mut Vec<usize>, report: &mut Report) -> Option<Times> {
        let block = self.block;
        let for_each = match &block.for_each {
            Slot::Absent if block.each_target() => return Some(Times::EachTarget),
            Slot::Absent => {
                if let Some(key) = block.concurrency.key() {
                    let message = "`concurrency` changes nothing without `for_each`";
                    report.push(Finding::warning(Code::NoEffect, key, message));
                }
                return Some(Times::Once);
            }
            Slot::Faulty(_) => return None,
            Slot::Given(for_each) => for_each,
        };
        if let Some(key) = block.each_target.key().filter(|_| block.each_target()) {
            let message = "`for_each` and `each_target` exclude each other";
            report.push(Finding::error(Code::Conflict, key, message).related(for_each.key, "the other one"));
            return None;
        }
        let mut vars = for_each.value.0.vars();
        let (Some(Var::Answer(part, list)), None, 1) =
            (vars.next(), vars.next(), for_each.value.0.parts().len())
        else {
            let message = "`for_each` must be one reference to a list in another part's answer";
            let finding = Finding::error(Code::BadValue, for_each.span, message);
            report.push(finding.hint("write it such as `\"{vehicle.stop_ids}\"`"));
            return None;
        };
        let part = self.part(part, for_each.span, report)?;
        after.push(part);
        Some(Times::Each { part, list: list.clone(), concurrency: block.concurrency().count() })
    }

    fn fallback(&self, report: &mut Report) -> Option<Option<std::sync::Arc<str>>> {
        let Some(fallback) = self.block.fallback.given() else {
            return matches!(self.block.fallback, Slot::Absent).then_some(None);
        };
        if self.block.required() {
            let message = "`fallback` changes nothing: where a required part fails, there is no answer";
            report.push(Finding::warning(Code::NoEffect, fallback.key, message));
        }
        match fallback.value.0.literal() {
            Some(text) => {
                debug_assert!(Raw::check(text.as_bytes()).is_ok(), "JSON that was written here");
                Some(Some(text.into()))
            }
            None => {
                let message = "a `fallback` is constant: what a placeholder needs may be what is missing";
                let finding = Finding::error(Code::BadValue, fallback.span, message);
                report.push(finding.hint("a literal brace is written `{{`"));
                None
            }
        }
    }

    /// Ties a template to the route's parameters and to the other parts.
    fn template(
        &self,
        template: &Template,
        span: Span,
        after: &mut Vec<usize>,
        report: &mut Report,
    ) -> Option<Template> {
        let mut template = template.clone();
        let each = self.block.for_each.key().is_some();
        if each {
            template.bind_item();
        }
        let mut known = true;
        for var in template.vars() {
            let Var::Answer(part, _) = var else { continue };
            if **part == *ITEM && each {
                continue;
            }
            match self.part(part, span, report) {
                Some(part) => after.push(part),
                None => known = false,
            }
        }
        let bound = self.scope.bind_part(&template, span, report);
        known.then_some(bound)
    }

    fn part(&self, name: &str, span: Span, report: &mut Report) -> Option<usize> {
        match self.names.get(name) {
            Some(&at) if at == self.at => {
                let message = format!("the part refers to its own answer, `{name}`");
                report.push(Finding::error(Code::Conflict, span, message));
                None
            }
            Some(&at) => Some(at),
            // It may be the name of a part that was not looked at.
            None if report.left_out() => None,
            None => {
                let mut others: Vec<&str> = self.names.keys().copied().collect();
                others.sort_unstable();
                let message = match name {
                    ITEM => "`{item}` is the element of a `for_each`, and the part has none".to_owned(),
                    _ => format!("no part is named `{name}`"),
                };
                let hint = suggest::did_you_mean(name, others.iter().copied());
                report.push(Finding::error(Code::UnknownName, span, message).maybe_hint(hint));
                None
            }
        }
    }
}

/// Reports parts that wait for each other.
fn refuse_loops(parts: &[Part], written: &[At<spec::Part>], report: &mut Report) -> Option<()> {
    let mut done = vec![false; parts.len()];
    // Each round takes what waits for nothing more; what is left at the end waits for itself.
    while let Some(at) = (0..parts.len()).find(|&at| {
        let ready = |part: &Part| part.after.iter().all(|other| done.get(*other) == Some(&true));
        done.get(at) == Some(&false) && parts.get(at).is_some_and(ready)
    }) {
        if let Some(done) = done.get_mut(at) {
            *done = true;
        }
    }
    let left: Vec<usize> = (0..parts.len()).filter(|at| done.get(*at) == Some(&false)).collect();
    let first = *match left.first() {
        Some(first) => first,
        None => return Some(()),
    };
    let names = left.iter().filter_map(|at| parts.get(*at)).map(|part| &*part.name);
    let message = format!("these parts wait for each other: {}", suggest::listing(names));
    let place = written.get(first).map_or_else(super::whole, |part| part.span);
    let place = written.get(first).and_then(|part| part.value.name.given()).map_or(place, |name| name.span);
    report.push(Finding::error(Code::Conflict, place, message));
    None
}
