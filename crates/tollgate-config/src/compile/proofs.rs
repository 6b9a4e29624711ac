//! `tests`: every name in them must be one of the configuration.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tollgate_plan::auth::{Auth, Place};
use tollgate_plan::consumer::{ConsumerId, Consumers};
use tollgate_plan::issuer::IssuerId;
use tollgate_plan::proof::{Expect, Proof, ProofRequest, ProofToken, Proofs, Stub, StubAnswer};
use tollgate_plan::resilience::StatusSet;
use tollgate_plan::route::Route;
use tollgate_plan::table::ValueMatch;
use tollgate_plan::upstream::UpstreamId;
use tollgate_wire::{Method, Name, name};

use super::action::Parts;
use super::{Input, files};
use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, Condition, Dict, HeaderName, Name as Text, OneOrMany, Rows, Slot};
use crate::source_map::Span;
use crate::spec::{self, Statuses};
use crate::suggest;

/// What the names in tests stand for.
struct Names<'a> {
    /// Nothing was wrong before, or not looked at: a name that is not known is wrong itself, and not what it names.
    sure: bool,
    written: Written<'a>,
    parts: &'a Parts<'a>,
    routes: HashMap<&'a str, &'a Route>,
    /// In file order.
    all: &'a [Route],
}

/// Names of one kind as they are written, whether or not what has them is without faults.
#[derive(Default)]
struct Kind<'a> {
    names: BTreeSet<&'a str>,
    /// Some could not be read.
    unread: bool,
}

/// All names that tests may refer to.
#[derive(Default)]
struct Written<'a> {
    issuers: Kind<'a>,
    consumers: Kind<'a>,
    upstreams: Kind<'a>,
    routes: Kind<'a>,
}

/// Compiles the tests of all files. Where the report has errors already, what they would name may be what has the fault, or
/// what was not looked at.
pub(super) fn proofs(input: &Input<'_>, routes: &[Route], parts: &Parts<'_>, report: &mut Report) -> Proofs {
    let required = input.main.reload.value().is_some_and(spec::Reload::require_tests);
    let slots = std::iter::once(&input.main.tests).chain(input.included.iter().map(|file| &file.tests));
    let written: Vec<&At<spec::Test>> = slots.filter_map(Slot::value).flat_map(|Rows(rows)| rows).collect();
    if let Some(over) = written.get(bounds::TESTS) {
        let message = format!("more than {} tests", bounds::TESTS);
        report.push(Finding::error(Code::TooLarge, over.key, message));
        return Proofs::default();
    }
    let by_name = routes.iter().map(|route| (&*route.name, route)).collect();
    let names = Names {
        sure: !report.has_errors() && !report.left_out(),
        written: Written::of(input),
        parts,
        routes: by_name,
        all: routes,
    };
    let all = written.into_iter().filter_map(|test| names.proof(test, report)).collect();
    Proofs { required, all }
}

impl<'a> Written<'a> {
    fn of(input: &Input<'a>) -> Written<'a> {
        let mut written = Written::default();
        for file in files(input) {
            written.issuers.entries(file.issuers, |spec::IssuerName(name)| name);
            written.upstreams.entries(file.upstreams, |spec::UpstreamName(name)| name);
            written.consumers.rows(file.consumers, |block| &block.name);
            written.routes.rows(file.routes, |block| &block.name);
        }
        written
    }
}

impl<'a> Kind<'a> {
    fn entries<K, T>(&mut self, slot: &'a Slot<Dict<K, T>>, name: impl Fn(&'a K) -> &'a String) {
        self.unread |= matches!(slot, Slot::Faulty(_));
        self.names
            .extend(slot.value().into_iter().flat_map(|dict| &dict.pairs).map(|pair| &**name(&pair.name)));
    }

    fn rows<T>(&mut self, slot: &'a Slot<Rows<T>>, name: impl Fn(&'a T) -> &'a Slot<Text>) {
        self.unread |= matches!(slot, Slot::Faulty(_));
        for At { value: row, .. } in slot.value().into_iter().flat_map(|Rows(rows)| rows) {
            self.unread |= matches!(name(row), Slot::Faulty(_));
            self.names.extend(name(row).value().map(|name| &*name.0));
        }
    }

    /// Nobody has the name. One with a slash may be made of what has a fault: of a route's path, or of a URL.
    fn lacks(&self, name: &str) -> bool {
        !self.unread && !self.names.contains(name) && !name.contains('/')
    }
}

impl Names<'_> {
    fn proof(&self, test: &At<spec::Test>, report: &mut Report) -> Option<Proof> {
        let At { value: block, span, .. } = test;
        let expect = self.expect(block.expect.given()?, report);
        let route = expect.as_ref().and_then(|expect| self.routes.get(expect.route.as_deref()?).copied());
        let request = self.request(&block.request.given()?.value, route, report);
        let stubs = self.stubs(&block.upstreams, report);
        let line = report.sources.place(*span).map_or(0, |(line, _)| line);
        Some(Proof {
            name: block.name.value()?.0.as_str().into(),
            file: report.sources.path(span.file)?.display().to_string().into(),
            line,
            request: request?,
            repeat: u32::try_from(block.repeat().0).unwrap_or(u32::MAX),
            stubs: stubs?,
            expect: expect?,
        })
    }

    fn request(
        &self,
        block: &spec::TestRequest,
        route: Option<&Route>,
        report: &mut Report,
    ) -> Option<ProofRequest> {
        let host = block.host();
        let mut headers = lines(&block.headers, report)?;
        let body = body(&block.json, &block.body, &mut headers, report)?;
        let method = match block.method.value() {
            Some(verb) => verb.0.clone(),
            None if body.is_empty() => Method::Get,
            None => Method::Post,
        };
        if let Some(at) =
            block.host.given().filter(|_| host.is_empty() || !host.bytes().all(|b| b.is_ascii_graphic()))
        {
            report.push(Finding::error(Code::BadValue, at.span, "`host` must be a name or an address"));
            return None;
        }
        let token = match &block.token {
            Slot::Absent => None,
            Slot::Faulty(_) => return None,
            Slot::Given(token) => Some(self.token(token, route, report)?),
        };
        let key = match &block.key {
            Slot::Absent => None,
            Slot::Faulty(_) => return None,
            Slot::Given(owner) => Some(self.key(owner, route, report)?),
        };
        Some(ProofRequest {
            method,
            path: block.path.value()?.0.as_str().into(),
            host: host.into(),
            headers,
            token,
            key,
            ip: block.ip().0,
            body,
        })
    }

    fn token(
        &self,
        At { value: block, key, .. }: &At<spec::TestToken>,
        route: Option<&Route>,
        report: &mut Report,
    ) -> Option<ProofToken> {
        let issuer = match &block.issuer {
            Slot::Given(name) => self.issuer(name, report)?,
            Slot::Faulty(_) => return None,
            Slot::Absent => self.only_issuer(*key, report)?,
        };
        let claims = match &block.claims {
            Slot::Given(claims) => serde_json::Value::Object(claims.value.0.clone()).to_string(),
            Slot::Absent => "{}".to_owned(),
            Slot::Faulty(_) => return None,
        };
        let usual = Place::Header(name::AUTHORIZATION);
        let takes = |auth: &Auth| auth.token_from.first().cloned().filter(|_| !auth.issuers.is_empty());
        let place = route.and_then(|route| takes(route.auth.as_deref()?)).unwrap_or(usual);
        Some(ProofToken { issuer, claims: claims.into(), place })
    }

    fn issuer(&self, At { value: name, span, .. }: &At<String>, report: &mut Report) -> Option<IssuerId> {
        let id = self.parts.issuers.of_name(name);
        if id.is_none() {
            let message = format!("no issuer is named `{}`", report.sources.shown(*span));
            let known = &self.written.issuers;
            let hint = suggest::did_you_mean(name, known.names.iter().copied());
            self.unknown(known.lacks(name), *span, message, hint, report);
        }
        id
    }

    fn only_issuer(&self, span: Span, report: &mut Report) -> Option<IssuerId> {
        let known = &self.written.issuers;
        let not_one = !known.unread && known.names.len() != 1;
        let only = self.parts.issuers.only().filter(|_| !not_one);
        if only.is_none() && (self.sure || not_one) {
            let message = "`test_token` needs the key `issuer`: the configuration has not exactly one";
            report.push(Finding::error(Code::MissingKey, span, message));
        }
        only
    }

    fn key(
        &self,
        At { value: owner, span, .. }: &At<String>,
        route: Option<&Route>,
        report: &mut Report,
    ) -> Option<(ConsumerId, Place)> {
        let Consumers { list, .. } = &self.parts.people.consumers;
        let Some(at) = list.iter().position(|consumer| *consumer.name == **owner) else {
            let message = format!("no consumer is named `{}`", report.sources.shown(*span));
            let known = &self.written.consumers;
            let hint = suggest::did_you_mean(owner, known.names.iter().copied());
            self.unknown(known.lacks(owner), *span, message, hint, report);
            return None;
        };
        let takes = |route: &Route| route.auth.as_ref()?.api_key.clone();
        let place = route.and_then(takes).or_else(|| self.all.iter().find_map(takes));
        if place.is_none() && self.sure {
            let message = "the request carries a key, but no route takes any";
            report.push(Finding::error(Code::Impossible, *span, message));
        }
        Some((ConsumerId(u32::try_from(at).ok()?), place?))
    }

    fn upstream(&self, name: &str, span: Span, report: &mut Report) -> Option<UpstreamId> {
        let id = self.parts.upstreams.of_name(name);
        if id.is_none() {
            let message = format!("no upstream is named `{}`", report.sources.shown(span));
            let hint = suggest::did_you_mean(
                name,
                self.parts.upstreams.names().chain(self.written.upstreams.names.iter().copied()),
            )
            .unwrap_or_else(|| "it is one of `upstreams`, or a URL as a route's `to` says it".to_owned());
            self.unknown(self.written.upstreams.lacks(name), span, message, Some(hint), report);
        }
        id
    }

    /// Reports a name that nobody has, or that nobody is known to have though nothing was wrong before.
    fn unknown(&self, lacks: bool, span: Span, message: String, hint: Option<String>, report: &mut Report) {
        if self.sure || lacks {
            report.push(Finding::error(Code::UnknownName, span, message).maybe_hint(hint));
        }
    }

    fn stubs(
        &self,
        slot: &Slot<Dict<String, spec::Stub>>,
        report: &mut Report,
    ) -> Option<Vec<(UpstreamId, Stub)>> {
        let Some(dict) = slot.value() else {
            return matches!(slot, Slot::Absent).then(Vec::new);
        };
        let mut stubs = Vec::with_capacity(dict.pairs.len());
        for pair in &dict.pairs {
            let id = self.upstream(&pair.name, pair.key, report);
            let stub = pair.value.as_ref().and_then(|block| stub(&block.value, report));
            stubs.extend(id.zip(stub));
        }
        (dict.complete && stubs.len() == dict.pairs.len()).then_some(stubs)
    }

    fn expect(&self, At { value: block, key, .. }: &At<spec::Expect>, report: &mut Report) -> Option<Expect> {
        if block.is_empty() {
            let finding =
                Finding::error(Code::MissingKey, *key, "the test expects nothing: no answer fails it");
            report.push(finding.hint("say at least a `status`"));
            return None;
        }
        let statuses = block.status.value().map(|OneOrMany(list)| {
            StatusSet(list.iter().map(|At { value: Statuses(from, to), .. }| (*from, *to)).collect())
        });
        if let Some(at) = block.status.given().filter(|at| at.value.0.is_empty()) {
            report.push(Finding::error(
                Code::BadValue,
                at.span,
                "`status` is an empty list: no answer passes",
            ));
        }
        if let Some(name) = block.route.given().filter(|name| !self.routes.contains_key(name.value.as_str()))
        {
            let message = format!("no route is named `{}`", report.sources.shown(name.span));
            let names = self.all.iter().map(|route| &*route.name);
            let names = names.chain(self.written.routes.names.iter().copied());
            let hint = suggest::did_you_mean(&name.value, names)
                .or_else(|| Some("`tollgate routes` lists their names".to_owned()));
            self.unknown(self.written.routes.lacks(&name.value), name.span, message, hint, report);
        }
        let upstream = block.upstream.given().and_then(|name| self.upstream(&name.value, name.span, report));
        Some(Expect {
            status: statuses,
            reason: block.reason.value().map(|code| code.0),
            route: block.route.value().map(|name| name.as_str().into()),
            upstream,
            upstream_path: block.upstream_path.value().map(|path| path.as_str().into()),
            upstream_headers: conditions(&block.upstream_headers),
            upstream_json: block.upstream_json.value().map(|data| data.0.as_str().into()),
            json: block.json.value().map(|data| data.0.as_str().into()),
            body: block.body.value().map(|Condition(value)| value.clone()),
            headers: conditions(&block.headers),
        })
    }
}

fn conditions(slot: &Slot<Dict<HeaderName, Condition>>) -> Vec<(Name, ValueMatch)> {
    let pairs = slot.value().into_iter().flat_map(Dict::iter);
    pairs.map(|(HeaderName(name), value)| (name.clone(), value.value.0.clone())).collect()
}

fn stub(block: &spec::Stub, report: &mut Report) -> Option<Stub> {
    if let Some(error) = block.error.given() {
        let answers =
            [block.status.key(), block.headers.key(), block.json.key(), block.body.key(), block.delay.key()];
        if let Some(other) = answers.into_iter().flatten().next() {
            let finding = Finding::error(Code::Conflict, other, "what fails with `error` answers nothing");
            report.push(finding.related(error.key, "the error"));
            return None;
        }
        return Some(match error.value {
            spec::StubError::Connect => Stub::Refuse,
            spec::StubError::Timeout => Stub::Silence,
        });
    }
    let mut headers = lines(&block.headers, report)?;
    let body = body(&block.json, &block.body, &mut headers, report)?;
    let status = u16::try_from(block.status().0).ok()?;
    if !body.is_empty() && matches!(status, 204 | 304) {
        let finding =
            Finding::error(Code::Conflict, block.span, format!("an answer with {status} has no body"));
        report.push(finding);
        return None;
    }
    let delay = block.delay.value().map_or(Duration::ZERO, |delay| delay.0);
    Some(Stub::Answer(StubAnswer { status, headers, body, delay }))
}

/// Header lines: framing is not theirs.
fn lines(
    slot: &Slot<Dict<HeaderName, OneOrMany<String>>>,
    report: &mut Report,
) -> Option<Vec<(Name, Box<str>)>> {
    let Some(dict) = slot.value() else {
        return matches!(slot, Slot::Absent).then(Vec::new);
    };
    let mut lines = Vec::new();
    for pair in &dict.pairs {
        let HeaderName(header) = &pair.name;
        if [name::CONTENT_LENGTH, name::TRANSFER_ENCODING, name::CONNECTION, name::HOST].contains(header) {
            let finding = Finding::error(Code::BadValue, pair.key, format!("`{header}` cannot be set here"));
            let hint = match *header == name::HOST {
                true => "`host` beside `path` says what is sent",
                false => "the body says how it is framed",
            };
            report.push(finding.hint(hint));
            return None;
        }
        for At { value, span, .. } in pair.value.iter().flat_map(|values| &values.value.0) {
            if value.chars().any(|letter| letter.is_control() && letter != '\t') {
                let finding =
                    Finding::error(Code::BadValue, *span, "a header's value is one line without controls");
                report.push(finding);
                return None;
            }
            lines.push((header.clone(), value.as_str().into()));
        }
    }
    dict.complete.then_some(lines)
}

/// A body, and the `content-type` that JSON implies.
fn body(
    json: &Slot<spec::Data>,
    text: &Slot<String>,
    headers: &mut Vec<(Name, Box<str>)>,
    report: &mut Report,
) -> Option<Box<[u8]>> {
    if let (Some(json), Some(text)) = (json.key(), text.key()) {
        let finding = Finding::error(Code::Conflict, text, "`json` and `body` exclude each other");
        report.push(finding.related(json, "the other one"));
        return None;
    }
    match (json, text) {
        (Slot::Given(data), _) => {
            if !headers.iter().any(|(header, _)| *header == name::CONTENT_TYPE) {
                headers.push((name::CONTENT_TYPE, "application/json".into()));
            }
            Some(data.value.0.as_bytes().into())
        }
        (_, Slot::Given(text)) => Some(text.value.as_bytes().into()),
        (Slot::Absent, Slot::Absent) => Some(Box::default()),
        _ => None,
    }
}
