//! Issuers of all files: whom their tokens are for, and where the keys to check them come from.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tollgate_plan::issuer::{HttpUrl, Introspection, Issuer, IssuerId, KeyFetch, KeyUrl, Reach, TokenCheck};
use tollgate_plan::secret::Secret;
use tollgate_token::{Algorithms, Audience, Exp, Expectations};

use super::names::RENAME;
use super::{Contents, File, certificates, keys};
use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, List, Slot, missing_key};
use crate::source_map::Span;
use crate::spec::{self, IssuerName, ServiceUrl};
use crate::suggest;

/// All issuers so far, and who uses them.
#[derive(Default)]
pub(super) struct Issuers {
    all: Vec<Issuer>,
    named: HashMap<String, Named>,
    /// Where each issuer of `all` was declared, and whether a route takes its tokens.
    used: Vec<(Span, bool)>,
}

struct Named {
    key: Span,
    /// `None` when the report says what is wrong with it: the name exists all the same.
    id: Option<IssuerId>,
}

/// Collects the issuers of all files.
pub(super) fn collect(files: &[File<'_>], contents: &Contents, report: &mut Report) -> Issuers {
    let mut issuers = Issuers::default();
    for pair in files.iter().filter_map(|file| file.issuers.value()).flat_map(|dict| &dict.pairs) {
        let IssuerName(name) = &pair.name;
        if let Some(first) = issuers.named.get(name) {
            let message = format!("two issuers are named `{name}`");
            let finding = Finding::error(Code::DuplicateName, pair.key, message);
            report.push(finding.related(first.key, "the first one").hint(RENAME));
            continue;
        }
        if issuers.named.len() == bounds::ISSUERS {
            let message = format!("more than {} issuers", bounds::ISSUERS);
            report.push(Finding::error(Code::TooLarge, pair.key, message));
            break;
        }
        let issuer = pair.value.as_ref().and_then(|block| issuer(name, &block.value, contents, report));
        let id = issuer.map(|issuer| issuers.push(issuer, pair.key));
        issuers.named.insert(name.clone(), Named { key: pair.key, id });
    }
    issuers
}

impl Issuers {
    /// The issuer of a name. `None` when there is none, or none without faults; either is reported.
    pub(super) fn find(&mut self, name: &str, span: Span, report: &mut Report) -> Option<IssuerId> {
        let Some(named) = self.named.get(name) else {
            let message = format!("no issuer is named `{}`", report.sources.shown(span));
            let hint = suggest::did_you_mean(name, self.named.keys().map(String::as_str));
            let hint = hint.unwrap_or_else(|| "declare it under `issuers`".to_owned());
            report.push(Finding::error(Code::UnknownName, span, message).hint(hint));
            return None;
        };
        if let Some(id) = named.id {
            self.used[usize::from(id.0)].1 = true;
        }
        named.id
    }

    /// The issuer of a name. It counts as used as little as before.
    pub(super) fn of_name(&self, name: &str) -> Option<IssuerId> {
        self.named.get(name)?.id
    }

    /// The only one.
    pub(super) fn only(&self) -> Option<IssuerId> {
        (self.all.len() == 1).then_some(IssuerId(0))
    }

    pub(super) fn warn_unused(&self, report: &mut Report) {
        // What uses an issuer may be what has the fault, or what was not looked at.
        if report.has_errors() || report.left_out() {
            return;
        }
        for (issuer, (span, _)) in self.all.iter().zip(&self.used).filter(|(_, (_, used))| !used) {
            let message = format!("no route takes tokens of the issuer `{}`", issuer.name);
            report.push(Finding::warning(Code::UnusedIssuer, *span, message));
        }
    }

    pub(super) fn finish(self) -> Vec<Issuer> {
        self.all
    }

    fn push(&mut self, issuer: Issuer, span: Span) -> IssuerId {
        self.all.push(issuer);
        self.used.push((span, false));
        IssuerId(self.all.len() as u16 - 1)
    }
}

fn issuer(name: &str, block: &spec::Issuer, contents: &Contents, report: &mut Report) -> Option<Issuer> {
    let sources = [
        ("jwks_url", block.jwks_url.key()),
        ("jwks_file", block.jwks_file.key()),
        ("public_key_file", block.public_key_file.key()),
        ("secret", block.secret.key()),
        ("introspection", block.introspection.key()),
    ];
    let found: Vec<(&str, Span)> = sources.into_iter().filter_map(|(name, key)| Some((name, key?))).collect();
    if let [first, second, ..] = found.as_slice() {
        let message = format!(
            "`{}` and `{}` exclude each other: an issuer's tokens are checked in one way",
            first.0, second.0
        );
        let finding = Finding::error(Code::Conflict, second.1, message).related(first.1, "the first one");
        report.push(finding.hint("declare two issuers; a route takes a list of them"));
        return None;
    }
    let (expect, check) = match block.introspection.key() {
        Some(_) => asked(block, contents, report)?,
        None => signed(block, contents, report)?,
    };
    Some(Issuer { name: name.into(), expect, roles_claim: block.roles_claim().0, check })
}

/// An issuer that is asked about each token.
fn asked(
    block: &spec::Issuer,
    contents: &Contents,
    report: &mut Report,
) -> Option<(Expectations, TokenCheck)> {
    let signatures =
        [("algorithms", block.algorithms.key()), ("typ", block.typ.key()), ("refresh", block.refresh.key())];
    for (key, span) in signatures.into_iter().filter_map(|(key, span)| Some((key, span?))) {
        let message =
            format!("`{key}` concerns signed tokens; with `introspection` the issuer is asked instead");
        report.push(Finding::error(Code::Conflict, span, message));
    }
    let reach = reach(block, contents, report);
    let asked = block.introspection.value()?;
    for (key, slot) in [("client_id", &asked.client_id), ("client_secret", &asked.client_secret)] {
        if let Some(At { span, .. }) = slot.given().filter(|text| text.value.is_empty()) {
            report.push(Finding::error(Code::BadValue, *span, format!("`{key}` is empty")));
        }
    }
    let url = url(&asked.url, block, report)?;
    let exp = match block.exp.value() {
        Some(spec::Exp::Required) => Exp::Required,
        // RFC 7662 section 2.2: `exp` is optional, `active` says it all.
        Some(spec::Exp::Optional) | None => Exp::Optional,
    };
    let expect = Expectations {
        issuer: block.issuer.value().map(|issuer| issuer.as_str().into()),
        audience: audience(block).unwrap_or(Audience::Any),
        algorithms: Algorithms::NONE,
        leeway_s: block.leeway().0.as_secs(),
        exp,
        typ: None,
    };
    let check = Introspection {
        url,
        client_id: asked.client_id.value()?.as_str().into(),
        client_secret: Secret::from(asked.client_secret.value()?.as_str()),
        cache: asked.cache().0,
        reach,
    };
    Some((expect, TokenCheck::Introspection(check)))
}

/// An issuer whose tokens are checked by signature.
fn signed(
    block: &spec::Issuer,
    contents: &Contents,
    report: &mut Report,
) -> Option<(Expectations, TokenCheck)> {
    let needed = [
        ("issuer", block.issuer.key()),
        ("audience", block.audience.key()),
        ("algorithms", block.algorithms.key()),
    ];
    for (key, _) in needed.iter().filter(|(_, span)| span.is_none()) {
        missing_key(block.span, "issuer", key, report);
    }
    for (key, slot) in [("issuer", &block.issuer), ("typ", &block.typ)] {
        if let Some(At { span, .. }) = slot.given().filter(|text| text.value.is_empty()) {
            report.push(Finding::error(Code::BadValue, *span, format!("`{key}` is empty")));
        }
    }
    let algorithms = algorithms(block, report);
    let check = check(block, algorithms, contents, report);
    let expect = Expectations {
        issuer: Some(block.issuer.value()?.as_str().into()),
        audience: audience(block)?,
        algorithms: algorithms?,
        leeway_s: block.leeway().0.as_secs(),
        exp: match block.exp() {
            spec::Exp::Required => Exp::Required,
            spec::Exp::Optional => Exp::Optional,
        },
        typ: block.typ.value().map(|typ| typ.as_str().into()),
    };
    Some((expect, check?))
}

fn audience(block: &spec::Issuer) -> Option<Audience> {
    Some(match block.audience.value()? {
        spec::Audience::Any => Audience::Any,
        spec::Audience::These(names) => {
            Audience::AnyOf(names.iter().map(|name| name.as_str().into()).collect())
        }
    })
}

fn algorithms(block: &spec::Issuer, report: &mut Report) -> Option<Algorithms> {
    let At { value: List(list), span, .. } = block.algorithms.given()?;
    if list.is_empty() {
        let finding = Finding::error(Code::BadValue, *span, "`algorithms` is empty: no token would pass");
        report.push(finding.hint("name what the issuer signs with, such as `[RS256]`"));
        return None;
    }
    Some(list.iter().map(|one| one.value.0).collect())
}

/// Where the keys come from; read, when they came with the configuration.
fn check(
    block: &spec::Issuer,
    algorithms: Option<Algorithms>,
    contents: &Contents,
    report: &mut Report,
) -> Option<TokenCheck> {
    let fixed = [block.jwks_file.key(), block.public_key_file.key(), block.secret.key()];
    if fixed.iter().any(Option::is_some) {
        warn_not_fetched(block, report);
        let span = block.algorithms.given().map_or(block.span, |list| list.span);
        let wanted = keys::Wanted { algorithms: algorithms?, span };
        let keys = if let Some(secret) = block.secret.given() {
            keys::of_secret(secret, &wanted, report)
        } else if let Some(file) = block.public_key_file.given() {
            keys::of_pem(file, &wanted, contents, report)
        } else {
            keys::of_jwks(block.jwks_file.given()?, &wanted, contents, report)
        };
        return Some(TokenCheck::Fixed(Arc::new(keys?)));
    }
    let reach = reach(block, contents, report);
    let from = match block.jwks_url.key() {
        Some(_) => KeyUrl::Jwks(url(&block.jwks_url, block, report)?),
        None => discovery(block, report)?,
    };
    let refresh = block.refresh().0;
    Some(TokenCheck::Fetched(KeyFetch { from, algorithms: algorithms?, refresh, reach }))
}

/// Keys about fetching, where nothing is fetched.
fn warn_not_fetched(block: &spec::Issuer, report: &mut Report) {
    let keys =
        [("ca", block.ca.key()), ("refresh", block.refresh.key()), ("allow_http", block.allow_http.key())];
    for (name, key) in keys.into_iter().filter_map(|(name, key)| Some((name, key?))) {
        let message = format!("`{name}` changes nothing: the keys are not fetched");
        report.push(Finding::warning(Code::NoEffect, key, message));
    }
}

/// OpenID Connect Discovery 1.0 section 4: the document stands below the issuer's own URL.
fn discovery(block: &spec::Issuer, report: &mut Report) -> Option<KeyUrl> {
    let At { value: issuer, span, .. } = block.issuer.given()?;
    let fault = match HttpUrl::parse(issuer) {
        Ok(_) if issuer.contains('?') => "a URL for discovery has no query",
        Ok(_) => {
            let text = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
            let url = HttpUrl::parse(&text).ok()?;
            reachable(&url, *span, block, report)?;
            return Some(KeyUrl::Discovery { url, issuer: issuer.as_str().into() });
        }
        Err(why) => why,
    };
    let message = format!("no key source is given, and `issuer` is no URL for discovery: {fault}");
    let hint = "add `jwks_url`, `jwks_file`, `public_key_file` or `secret`";
    report.push(Finding::error(Code::MissingKey, *span, message).hint(hint));
    None
}

fn url(slot: &Slot<ServiceUrl>, block: &spec::Issuer, report: &mut Report) -> Option<HttpUrl> {
    let At { value: ServiceUrl(url), span, .. } = slot.given()?;
    reachable(url, *span, block, report)?;
    Some(url.clone())
}

/// Reports plain http to another machine: who stands between could answer in the issuer's name.
fn reachable(url: &HttpUrl, span: Span, block: &spec::Issuer, report: &mut Report) -> Option<()> {
    if url.tls || url.is_loopback() || block.allow_http() {
        return Some(());
    }
    let message = "plain http to another machine: whoever stands between can answer for the issuer";
    let hint = "write `https://`, or `allow_http: true` where the network itself is trusted";
    report.push(Finding::error(Code::Insecure, span, message).hint(hint));
    None
}

fn reach(block: &spec::Issuer, contents: &Contents, report: &mut Report) -> Reach {
    let roots = certificates::roots(&block.ca, contents, report);
    Reach { roots, allow_http: block.allow_http() }
}

/// Files that issuers of a file name.
pub(super) fn files(
    slot: &Slot<crate::shape::Dict<IssuerName, spec::Issuer>>,
) -> impl Iterator<Item = &At<PathBuf>> {
    let blocks = slot.value().into_iter().flat_map(|dict| dict.iter()).map(|(_, block)| &block.value);
    blocks.flat_map(|block| [&block.jwks_file, &block.public_key_file, &block.ca]).filter_map(Slot::given)
}
