//! Who may call at all: addresses, user agents, and browsers of other origins.

use tollgate_plan::access::{AddressRules, AllowedHeaders, Cors, OriginPattern, Origins, UserAgents};
use tollgate_plan::cidr::CidrSet;
use tollgate_wire::{Method, Name};

use super::merge::Layers;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{AgentMatch, At, List, Network, Slot};
use crate::spec::{self, EmptyAgent, Names, Origin};

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

/// `user_agents`; `None` where it refuses nobody.
pub(super) fn user_agents(layers: &Layers<'_>, report: &mut Report) -> Option<Box<UserAgents>> {
    let block = layers.key(|keys| keys.user_agents).value()?;
    let patterns =
        |List(list): List<AgentMatch>| list.into_iter().map(|item| item.value.0).collect::<Vec<_>>();
    let (deny, allow) = (patterns(block.deny()), patterns(block.allow()));
    let knows_deny = !matches!(block.deny, Slot::Faulty(_));
    if let Some(At { key, .. }) =
        block.allow.given().filter(|_| !allow.is_empty() && deny.is_empty() && knows_deny)
    {
        // Taken for a list of those who may, it would let everybody pass.
        let message = "`allow` makes exceptions from `deny`, and nothing is denied";
        let hint = "so that only these may call, add `deny: [\"~\"]`, which denies all others";
        report.push(Finding::error(Code::Conflict, *key, message).hint(hint));
    }
    let deny_empty = block.empty() == EmptyAgent::Deny;
    (deny_empty || !deny.is_empty()).then(|| Box::new(UserAgents { deny, allow, deny_empty }))
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

/// Methods that the route's own `cors` names and the route does not serve: a browser would be told yes, and then get 405.
/// From defaults they are no surprise.
pub(super) fn warn_unserved(route: &spec::Route, layers: &Layers<'_>, report: &mut Report) {
    let Some(List(allowed)) = route.cors.value().and_then(|block| block.methods.value()) else { return };
    let Some(List(served)) = layers.key(|keys| keys.methods).value() else { return };
    let serves = |asked: &Method| {
        let also = (*asked == Method::Head).then_some(Method::Get);
        served.iter().any(|verb| verb.value.0 == *asked || Some(&verb.value.0) == also.as_ref())
    };
    for At { value, span, .. } in allowed.iter().filter(|method| !serves(&method.value.0.0)) {
        let message = format!("`cors` allows {}, which the route does not serve", value.0.0.as_str());
        let hint = "add it to the route's `methods`, or remove it here";
        report.push(Finding::warning(Code::NoEffect, *span, message).hint(hint));
    }
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
