//! How callers of a route identify themselves, and whether anybody can.

use std::sync::Arc;

use tollgate_plan::auth::{Auth, Place, Require};
use tollgate_plan::issuer::IssuerId;
use tollgate_token::{ClaimPath, Requirement};
use tollgate_wire::{Name, name};

use super::consumers::People;
use super::issuers::Issuers;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, Dict, OneOrMany, Slot};
use crate::source_map::Span;
use crate::spec::{self, AuthSetting, repeated};
use crate::suggest;

/// What a route's `auth` came to.
pub(super) enum Found {
    /// Nobody needs to identify.
    Public,
    /// The report says what is wrong with it.
    Faulty,
    /// In one of these ways.
    By(Box<Auth>),
}

pub(super) fn auth(
    slot: &Slot<AuthSetting>,
    issuers: &mut Issuers,
    people: &People,
    report: &mut Report,
) -> Found {
    match slot {
        Slot::Absent => Found::Public,
        Slot::Faulty(_) => Found::Faulty,
        Slot::Given(at) => match &at.value {
            AuthSetting::Public => Found::Public,
            AuthSetting::By(block) => match block_of(block, at.key, issuers, people, report) {
                Some(auth) => Found::By(auth),
                None => {
                    // Never open by accident: what could not be understood is refused, whatever went wrong.
                    if !report.has_errors() && !report.withholds() {
                        report.push(Finding::error(Code::BadValue, at.key, "`auth` could not be understood"));
                    }
                    Found::Faulty
                }
            },
        },
    }
}

fn block_of(
    block: &spec::Auth,
    key: Span,
    issuers: &mut Issuers,
    people: &People,
    report: &mut Report,
) -> Option<Box<Auth>> {
    let basic = block.basic();
    if block.jwt.key().is_none() && block.api_key.key().is_none() && !basic {
        if !matches!(block.basic, Slot::Faulty(_)) {
            report.push(nothing_accepted(block, key));
        }
        return None;
    }
    let issuers = accepted(block, issuers, report);
    let token_from = token_places(block, report);
    let api_key = key_place(&block.api_key, report);
    ambiguous(block, &token_from, api_key.as_ref(), report);
    warn_nobody(block, people, report);
    let require = require(block, people, report);
    let forward = forward(block, report);
    if block.api_key.key().is_some() && api_key.is_none() {
        return None;
    }
    Some(Box::new(Auth {
        issuers: issuers?,
        token_from,
        api_key,
        basic,
        optional: block.optional(),
        require,
        forward,
        strip: block.strip(),
    }))
}

fn nothing_accepted(block: &spec::Auth, key: Span) -> Finding {
    match block.require.key() {
        Some(require) => {
            let message = "`require` without any accepted credential: nobody could satisfy it";
            Finding::error(Code::Impossible, require, message).hint("add `jwt`, `api_key` or `basic: true`")
        }
        None => {
            let message = "`auth` accepts no credential: it would protect nothing";
            let hint = "add `jwt`, `api_key` or `basic: true`; for a public route write `auth: public`";
            Finding::error(Code::MissingKey, key, message).hint(hint)
        }
    }
}

/// Stands for credentials that cannot be known because what they rest on is withheld: none that any request could
/// have. The plan is looked at and never run.
pub(super) fn unknown() -> Auth {
    Auth {
        issuers: Vec::new(),
        token_from: Vec::new(),
        api_key: None,
        basic: false,
        optional: false,
        require: None,
        forward: Vec::new(),
        strip: false,
    }
}

/// The issuers whose tokens are taken.
fn accepted(block: &spec::Auth, issuers: &mut Issuers, report: &mut Report) -> Option<Vec<IssuerId>> {
    let Slot::Given(jwt) = &block.jwt else { return block.jwt.key().is_none().then(Vec::new) };
    let OneOrMany(names) = &jwt.value;
    if names.is_empty() {
        let finding = Finding::error(Code::BadValue, jwt.span, "`jwt` names no issuer: no token would pass");
        report.push(finding.hint("name one of `issuers`, or remove the key"));
        return None;
    }
    for (again, first) in repeated(names) {
        let finding = Finding::error(Code::DuplicateName, again.span, "the issuer is listed twice");
        report.push(finding.related(first.span, "first listed here"));
    }
    let found: Vec<IssuerId> =
        names.iter().filter_map(|name| issuers.find(&name.value, name.span, report)).collect();
    (found.len() == names.len()).then_some(found)
}

/// Where a token may stand; nowhere when none is taken.
fn token_places(block: &spec::Auth, report: &mut Report) -> Vec<Place> {
    if block.jwt.key().is_none() {
        if let Some(key) = block.token_from.key() {
            let finding =
                Finding::error(Code::Conflict, key, "`token_from` is about tokens, and none is accepted");
            report.push(finding.hint("add `jwt` with the name of an issuer"));
        }
        return Vec::new();
    }
    if let Some(at) = block.token_from.given() {
        if at.value.0.is_empty() {
            report.push(Finding::error(
                Code::BadValue,
                at.span,
                "`token_from` is empty: no token would be found",
            ));
        }
        for (again, first) in repeated(&at.value.0) {
            let finding = Finding::error(Code::DuplicateName, again.span, "the place is listed twice");
            report.push(finding.related(first.span, "first listed here"));
        }
    }
    block.token_from().0.into_iter().map(|place| place.value.0).collect()
}

fn key_place(slot: &Slot<spec::ApiKey>, report: &mut Report) -> Option<Place> {
    let At { value: block, key, .. } = slot.given()?;
    match (block.header.key(), block.query.key()) {
        (Some(header), Some(query)) => {
            let finding = Finding::error(
                Code::Conflict,
                query,
                "an API key stands in one place: a header or a query parameter",
            );
            report.push(finding.related(header, "the other place"));
            None
        }
        (None, None) => {
            let finding =
                Finding::error(Code::MissingKey, *key, "`api_key` does not say where the key stands");
            report.push(finding.hint("write `{ header: x-api-key }` or `{ query: key }`"));
            None
        }
        _ => {
            let header = block.header.value().map(|header| Place::Header(header.0.clone()));
            header.or_else(|| block.query.value().map(|query| Place::Query(query.0.as_str().into())))
        }
    }
}

/// Reports one place for two kinds of credential: whatever stood there would be a bad one of the other kind.
fn ambiguous(block: &spec::Auth, token_from: &[Place], api_key: Option<&Place>, report: &mut Report) {
    let Some(place) = api_key else { return };
    let basic = block.basic() && *place == Place::Header(name::AUTHORIZATION);
    if !basic && !token_from.contains(place) {
        return;
    }
    let span = block.api_key.value().map_or(block.span, |key| key.span);
    let other = if basic { "passwords" } else { "tokens" };
    let message = format!(
        "API keys and {other} would stand in the same place: each would be a bad one of the other kind"
    );
    report.push(
        Finding::error(Code::Conflict, span, message)
            .hint("give the key a header of its own, such as `x-api-key`"),
    );
}

/// Credentials that nobody has.
fn warn_nobody(block: &spec::Auth, people: &People, report: &mut Report) {
    // Somebody may be among what was not looked at.
    if !people.complete || report.left_out() {
        return;
    }
    if let Some(key) = block.api_key.key().filter(|_| people.consumers.by_key.is_empty()) {
        let message = "no consumer has a key: every key is refused";
        report.push(Finding::warning(Code::Impossible, key, message).hint("add one under `consumers`"));
    }
    if let Some(key) = block.basic.key().filter(|_| block.basic() && people.consumers.by_user.is_empty()) {
        let message = "no consumer has a password: every password is refused";
        report.push(Finding::warning(Code::Impossible, key, message).hint("add one under `consumers`"));
    }
}

fn require(block: &spec::Auth, people: &People, report: &mut Report) -> Option<Require> {
    let At { value: require, key, .. } = block.require.given()?;
    let of_token =
        [("scopes", require.scopes.key()), ("roles", require.roles.key()), ("claims", require.claims.key())];
    let of_token: Vec<(&str, Span)> =
        of_token.into_iter().filter_map(|(name, key)| Some((name, key?))).collect();
    let groups = require.groups.key();
    if of_token.is_empty() && groups.is_none() {
        let finding = Finding::error(Code::MissingKey, *key, "`require` asks for nothing");
        report.push(finding.hint("add `scopes`, `roles`, `groups` or `claims`, or remove it"));
        return None;
    }
    let (tokens, others) = (block.jwt.key().is_some(), block.api_key.key().is_some() || block.basic());
    possible(&of_token, groups, tokens, others, report);
    let lists = [
        ("scopes", require.scopes.given().map(|at| (at.value.0.len(), at.span))),
        ("roles", require.roles.given().map(|at| (at.value.0.len(), at.span))),
        ("groups", require.groups.given().map(|at| (at.value.0.len(), at.span))),
        ("claims", require.claims.given().map(|at| (at.value.pairs.len(), at.span))),
    ];
    for (name, list) in lists {
        if let Some((_, span)) = list.filter(|(length, _)| *length == 0) {
            let finding = Finding::error(Code::BadValue, span, format!("`{name}` asks for nothing"));
            report.push(finding.hint("name what is required, or remove the key"));
        }
    }
    let texts = |slot: &Slot<OneOrMany<crate::shape::Name>>| -> Vec<Box<str>> {
        let names = slot.value().into_iter().flat_map(|OneOrMany(names)| names);
        names.map(|name| name.value.0.as_str().into()).collect()
    };
    let scopes = require.scopes.value().into_iter().flat_map(|OneOrMany(scopes)| scopes);
    let token = Requirement {
        scopes: scopes.map(|scope| scope.value.0.as_str().into()).collect(),
        roles: texts(&require.roles),
        claims: claims(&require.claims, report),
    };
    Some(Require { token, groups: known_groups(&require.groups, people, report) })
}

/// Tokens have scopes, roles and claims; keys and passwords have groups.
fn possible(
    of_token: &[(&str, Span)],
    groups: Option<Span>,
    tokens: bool,
    others: bool,
    report: &mut Report,
) {
    // Asked together, each is asked of those who can have it.
    let both = !of_token.is_empty() && groups.is_some();
    for (name, span) in of_token {
        if !tokens {
            let finding = Finding::error(
                Code::Impossible,
                *span,
                format!("`{name}` are of tokens, and none is accepted"),
            );
            report.push(finding.hint("add `jwt`, or require `groups`"));
        } else if others && !both {
            let message = format!("keys and passwords have no `{name}`: with them every caller is refused");
            report.push(Finding::warning(Code::Impossible, *span, message));
        }
    }
    let Some(groups) = groups else { return };
    if !others {
        let message = "`groups` are of consumers, and neither keys nor passwords are accepted";
        let finding = Finding::error(Code::Impossible, groups, message);
        report.push(
            finding.hint("add `api_key` or `basic: true`, or require `roles` or `claims` of the token"),
        );
    } else if tokens && !both {
        let message = "tokens have no `groups`: with them every caller is refused";
        report.push(Finding::warning(Code::Impossible, groups, message));
    }
}

fn known_groups(
    slot: &Slot<OneOrMany<crate::shape::Name>>,
    people: &People,
    report: &mut Report,
) -> Vec<Arc<str>> {
    let mut groups = Vec::new();
    for At { value, span, .. } in slot.value().into_iter().flat_map(|OneOrMany(names)| names) {
        let known = people.groups.get(value.0.as_str());
        if known.is_none() && people.complete {
            let message = format!("no consumer is in the group `{}`", report.sources.shown(*span));
            let hint = suggest::did_you_mean(&value.0, people.groups.iter().map(|group| &**group));
            report.push(Finding::error(Code::UnknownName, *span, message).maybe_hint(hint));
        }
        groups.push(known.cloned().unwrap_or_else(|| value.0.as_str().into()));
    }
    groups
}

fn claims(
    slot: &Slot<Dict<spec::Claim, OneOrMany<spec::ClaimValue>>>,
    report: &mut Report,
) -> Vec<(ClaimPath, Vec<serde_json::Value>)> {
    let mut claims = Vec::new();
    for (path, At { value: OneOrMany(values), span, .. }) in slot.value().into_iter().flat_map(Dict::iter) {
        if values.is_empty() {
            let finding =
                Finding::error(Code::BadValue, *span, "no value is allowed: nobody could satisfy it");
            report.push(finding.hint("name the values that the claim may have"));
        }
        claims.push((path.0.clone(), values.iter().map(|value| value.value.0.clone()).collect()));
    }
    claims
}

fn forward(block: &spec::Auth, report: &mut Report) -> Vec<(Name, ClaimPath)> {
    let Some(At { value: dict, key, .. }) = block.forward.given() else { return Vec::new() };
    if block.jwt.key().is_none() {
        let message = "`forward` is about claims, and no token is accepted: the headers are only removed";
        report.push(Finding::warning(Code::NoEffect, *key, message));
    }
    for (header, claim) in dict.iter().filter(|(header, _)| OF_THE_GATEWAY.contains(&header.0)) {
        let message = format!("`{}` belongs to the gateway and cannot hold a claim", header.0.as_str());
        let finding = Finding::error(Code::Conflict, claim.key, message);
        report.push(finding.hint("send the claim under another name, such as `x-user`"));
    }
    dict.iter().map(|(header, claim)| (header.0.clone(), claim.value.0.clone())).collect()
}

/// Headers in which the gateway speaks of the client, the request and its way: a claim beside it would be a second line.
const OF_THE_GATEWAY: [Name; 8] = [
    name::FORWARDED,
    name::TRACEPARENT,
    name::TRACESTATE,
    name::VIA,
    name::X_FORWARDED_FOR,
    name::X_FORWARDED_HOST,
    name::X_FORWARDED_PROTO,
    name::X_REQUEST_ID,
];
