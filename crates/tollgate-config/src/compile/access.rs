//! Who may call at all: addresses, and browsers of other origins.

use tollgate_plan::access::{AddressRules, AllowedHeaders, Cors, OriginPattern, Origins};
use tollgate_plan::cidr::CidrSet;
use tollgate_wire::Name;

use super::merge::Layers;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, List, Network};
use crate::spec::{self, Names, Origin};

/// `allow_ips` and `deny_ips`; `None` where neither says anything.
pub(super) fn addresses(layers: &Layers<'_>, report: &mut Report) -> Option<Box<AddressRules>> {
    let set = |List(networks): &List<Network>| networks.iter().map(|network| network.value.0).collect();
    let allow = layers.key(|keys| keys.allow_ips).given();
    if let Some(At { span, .. }) = allow.filter(|list| list.value.0.is_empty()) {
        let finding =
            Finding::error(Code::BadValue, *span, "`allow_ips` is empty: it would refuse everybody");
        report.push(finding.hint("remove the key; over a default, `[0.0.0.0/0, \"::/0\"]` lets everybody"));
    }
    let allow: Option<CidrSet> = allow.map(|list| set(&list.value));
    let deny: CidrSet = layers.key(|keys| keys.deny_ips).value().map(set).unwrap_or_default();
    (allow.is_some() || !deny.is_empty()).then(|| Box::new(AddressRules { allow, deny }))
}

pub(super) fn cors(layers: &Layers<'_>, report: &mut Report) -> Option<Box<Cors>> {
    let block = layers.key(|keys| keys.cors).value()?;
    let origins = origins(block, report)?;
    let credentials = block.credentials();
    if credentials && origins == Origins::Any {
        // Fetch Standard section 3.3.5: browsers refuse it, and echoing every origin instead would be worse.
        let span = block.credentials.given().map_or(block.span, |at| at.span);
        let finding = Finding::error(Code::Insecure, span, "`credentials` excludes the origin `*`");
        report.push(finding.hint("name the origins that may act in their users' names"));
    }
    let max_age = block.max_age().0;
    let methods: Vec<_> = block.methods().0.into_iter().map(|method| method.value.0.0).collect();
    let headers = match names("headers", &block.headers(), report)? {
        None => AllowedHeaders::Any,
        Some(names) => AllowedHeaders::These(names),
    };
    Some(Box::new(Cors { origins, methods, headers, expose: expose(block, report)?, credentials, max_age }))
}

fn origins(block: &spec::Cors, report: &mut Report) -> Option<Origins> {
    let At { value: List(list), span, .. } = block.origins.given()?;
    if list.is_empty() {
        let finding = Finding::error(Code::BadValue, *span, "`origins` is empty: it would allow nobody");
        report.push(finding.hint("name an origin, or remove `cors`"));
        return None;
    }
    if let Some(any) = list.iter().find(|origin| origin.value == Origin::Any) {
        if list.len() > 1 {
            let finding = Finding::error(Code::Conflict, any.span, "`*` is every origin: it stands alone");
            report.push(finding.hint("remove it, or the others"));
        }
        return Some(Origins::Any);
    }
    let mut patterns: Vec<OriginPattern> = Vec::with_capacity(list.len());
    for At { value, .. } in list {
        if let Origin::One(pattern) = value
            && !patterns.contains(pattern)
        {
            patterns.push(pattern.clone());
        }
    }
    Some(Origins::These(patterns))
}

/// The names of a list; `Some(None)` for `*`, which stands alone.
fn names(key: &str, List(list): &List<Names>, report: &mut Report) -> Option<Option<Vec<Name>>> {
    if let Some(any) = list.iter().find(|name| name.value == Names::Any) {
        if list.len() > 1 {
            let message = format!("`*` in `{key}` is every header: it stands alone");
            report.push(Finding::error(Code::Conflict, any.span, message).hint("remove it, or the others"));
            return None;
        }
        return Some(None);
    }
    let mut names: Vec<Name> = Vec::with_capacity(list.len());
    for At { value, .. } in list {
        if let Names::One(name) = value
            && !names.contains(&name.0)
        {
            names.push(name.0.clone());
        }
    }
    Some(Some(names))
}

/// The value of `Access-Control-Expose-Headers`.
fn expose(block: &spec::Cors, report: &mut Report) -> Option<Box<str>> {
    match names("expose", &block.expose(), report)? {
        Some(names) => {
            let names: Vec<&str> = names.iter().map(Name::as_str).collect();
            Some(names.join(", ").into())
        }
        None if block.credentials() => {
            // Fetch Standard section 3.3.4: with credentials `*` is a header's name.
            let span = block.expose.given().map_or(block.span, |at| at.span);
            let finding =
                Finding::error(Code::Conflict, span, "with `credentials` browsers take `*` for a name");
            report.push(finding.hint("name the headers that scripts may read"));
            None
        }
        None => Some("*".into()),
    }
}
