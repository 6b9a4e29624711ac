//! How routes keep answers, and what they tell them apart by.

use tollgate_content::expr::{Expr, Want};
use tollgate_plan::aggregate::{Aggregate, PartBody, Source};
use tollgate_plan::cache::{Cache, Input};
use tollgate_plan::route::{Action, HeaderEdit, QueryEdit, RequestEdits, Rewrite};
use tollgate_plan::script::Scripts;
use tollgate_plan::template::{Template, Var};
use tollgate_script::Script;
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
    action: Option<&Action>,
    (request, scripts): (Option<&RequestEdits>, Option<&Scripts>),
    report: &mut Report,
) -> Option<Box<Cache>> {
    let CacheSetting::Keep(block) = layers.key(|keys| keys.cache).value()? else { return None };
    // What the route does may stand in what is withheld.
    let aggregate = match action? {
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
    if let Some(all) = names.iter().find(|name| name.value.0.as_str() == "*") {
        let finding =
            Finding::warning(Code::NoEffect, all.span, "no answer is kept that varies on everything");
        report.push(finding.hint("name the headers that answers depend on; `cache: off` keeps none"));
    }
    let mut vary: Vec<Name> = names.iter().map(|name| name.value.0.clone()).collect();
    let mut read = Read::default();
    if let Some(edits) = request {
        read.edits(edits);
    }
    if let Some(aggregate) = aggregate {
        read.parts(aggregate);
    }
    if let Some(scripts) = scripts {
        read.scripts(scripts);
    }
    if block.private()
        && let Found::By(auth) = auth
    {
        // Answers that are not the caller's own may not depend on them: the upstream says so, or they are not kept.
        auth.forward.iter().for_each(|(_, claim)| read.input(Input::Value(Var::Claim(claim.clone()))));
    }
    vary.append(&mut read.headers);
    vary.sort();
    vary.dedup();
    Some(Box::new(Cache {
        ttl: block.ttl().0,
        respect: block.respect(),
        vary,
        inputs: read.inputs,
        stale_while_revalidate: block.stale_while_revalidate.value().map(|time| time.0),
        stale_if_error: block.stale_if_error.value().map(|time| time.0),
        max_bytes: block.max_size().0,
        private: block.private(),
    }))
}

/// What of a request goes into its answer: an answer that was made of it must not be given to a request that has something
/// else there. What stands in the URL tells answers apart anyway.
#[derive(Default)]
struct Read {
    headers: Vec<Name>,
    inputs: Vec<Input>,
}

impl Read {
    fn edits(&mut self, edits: &RequestEdits) {
        if let Some(Rewrite::To(template)) = &edits.rewrite {
            self.template(template);
        }
        for edit in &edits.headers {
            if let HeaderEdit::Set(_, template) | HeaderEdit::Add(_, template) = edit {
                self.template(template);
            }
        }
        for edit in &edits.query {
            if let QueryEdit::Set(_, template) = edit {
                self.template(template);
            }
        }
    }

    fn parts(&mut self, aggregate: &Aggregate) {
        self.headers.extend(aggregate.headers.iter().cloned());
        for part in &aggregate.parts {
            if let Some(condition) = &part.condition {
                self.expression(condition);
            }
            match &part.source {
                Source::Constant(json) => self.template(json),
                Source::Call(call) => {
                    self.template(&call.path);
                    if let PartBody::Json(json) = &call.body {
                        self.template(json);
                    }
                }
            }
        }
    }

    /// Scripts may look at whom they like. Of headers they must be told which by `vary`: nobody would have a second
    /// answer of a route whose answers depend on all of them.
    fn scripts(&mut self, scripts: &Scripts) {
        let needs = scripts.needs;
        // A token's claims and the client's address stand in headers, too.
        let sees_requests = scripts.list.iter().any(Script::has_request);
        if sees_requests || needs.claims {
            self.input(Input::Claims);
        }
        if sees_requests || needs.consumer {
            self.input(Input::Value(Var::Consumer));
        }
        if sees_requests || needs.client_ip {
            self.input(Input::Value(Var::ClientIp));
        }
    }

    fn template(&mut self, template: &Template) {
        for var in template.vars() {
            match var {
                Var::Header(header) => self.headers.push(header.clone()),
                Var::Cookie(_) => self.headers.push(name::COOKIE),
                Var::Claim(_) | Var::Consumer | Var::ClientIp => self.input(Input::Value(var.clone())),
                // They stand in the URL, or are of other parts, or are the same for all.
                Var::Param(_) | Var::Tail(_) | Var::Host | Var::Path | Var::Query | Var::QueryParam(_) => {}
                Var::Method | Var::Scheme | Var::Route | Var::Answer(..) => {}
                // Each request has another one, and no answer is the worse for it.
                Var::RequestId => {}
            }
        }
    }

    fn expression(&mut self, expression: &Expr) {
        for want in expression.wants() {
            match want {
                Want::Variable("claims") => self.input(Input::Claims),
                Want::Variable("consumer") => self.input(Input::Value(Var::Consumer)),
                Want::Variable("client_ip") | Want::Request("ip") => {
                    self.input(Input::Value(Var::ClientIp));
                }
                Want::Request("headers") => match headers_of(expression.as_str()) {
                    Some(headers) => self.headers.extend(headers),
                    None => self.input(Input::Headers),
                },
                // They stand in the URL, but for the time.
                Want::Variable(_) | Want::Request(_) => {}
            }
        }
    }

    fn input(&mut self, input: Input) {
        if !self.inputs.contains(&input) {
            self.inputs.push(input);
        }
    }
}

/// The headers that an expression reads, where all of them are named in it: `request.headers["x-a"]`,
/// `request.headers.accept`, `"x-a" in request.headers`. None: it may read any.
fn headers_of(expression: &str) -> Option<Vec<Name>> {
    let mut headers = Vec::new();
    for (at, word) in expression.match_indices("request") {
        let (before, after) = (expression.get(..at)?, expression.get(at + word.len()..)?);
        let (member, rest) = identifier(after.strip_prefix('.')?)?;
        if member != "headers" {
            continue;
        }
        let header = if let Some(index) = rest.strip_prefix('[') {
            let (header, rest) = literal(index)?;
            rest.starts_with(']').then_some(header)?
        } else if let Some(member) = rest.strip_prefix('.') {
            let (header, rest) = identifier(member)?;
            (!rest.starts_with('(')).then_some(header)?
        } else {
            asked_for(before)?
        };
        headers.push(Name::new(header).ok()?);
    }
    Some(headers)
}

fn identifier(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.split_at_checked(end).filter(|(name, _)| !name.is_empty())
}

/// A plain text between quotes, and what stands behind it.
fn literal(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let (inside, rest) = text.get(1..)?.split_once(quote)?;
    (!inside.contains('\\')).then_some((inside, rest))
}

/// The header of `"x-a" in `, in front of the headers.
fn asked_for(before: &str) -> Option<&str> {
    let before = before.trim_end().strip_suffix("in")?;
    let before = before.strip_suffix(char::is_whitespace)?.trim_end();
    let quote = before.chars().next_back().filter(|c| matches!(c, '"' | '\''))?;
    let (outside, inside) = before.strip_suffix(quote)?.rsplit_once(quote)?;
    let alone = outside.trim_end().chars().next_back().is_none_or(|c| matches!(c, '(' | '&' | '|'));
    (alone && !inside.contains('\\')).then_some(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expression: &str, expect: Option<&[&str]>) {
        let found = headers_of(expression);
        let found: Option<Vec<&str>> = found.as_ref().map(|all| all.iter().map(Name::as_str).collect());
        assert_eq!(found.as_deref(), expect, "{expression}");
    }

    #[test]
    fn headers_are_known_where_all_are_named() {
        check("request.method == 'GET'", Some(&[]));
        check("request.headers['x-a'] == 'b' || request.headers.accept != ''", Some(&["x-a", "accept"]));
        check("\"x-a\" in request.headers && has(request.headers.b)", Some(&["x-a", "b"]));
        check("!('x-a' in request.headers)", Some(&["x-a"]));
        for any in [
            "request['headers']['x-a'] == ''",
            "request.headers[claims.header] == ''",
            "request.headers['x-' + 'a'] == ''",
            "request.headers.size() > 3",
            "request.headers.exists(name, name == 'x')",
            "'x-' + 'a' in request.headers",
            "[request.headers].exists(all, all['x'] == '')",
            "request.headers['x\\u002da'] == ''",
            "request.`headers`['x'] == ''",
            "request . headers['x'] == ''",
        ] {
            check(any, None);
        }
    }
}
