//! What protects a route less than before, of two compiled routes that get the same requests.

use std::collections::HashSet;

use tollgate_plan::Plan;
use tollgate_plan::access::{AddressRules, UserAgents};
use tollgate_plan::auth::{Auth, Require};
use tollgate_plan::cidr::Cidr;
use tollgate_plan::limit::{Per, RateLimit, RateLimitId, Store};
use tollgate_plan::route::{Action, Route};
use tollgate_plan::table::ValueMatch;
use tollgate_plan::upstream::{Upstream, UpstreamId};

use super::{Weak, cors, forwarded};
use crate::posture;

/// A route and the configuration that it is of.
#[derive(Clone, Copy)]
pub(super) struct Of<'p> {
    pub(super) plan: &'p Plan,
    pub(super) route: &'p Route,
}

/// Which keys of a route decide about what, so that what is written alike is not compared where not all of it is known.
type Compare = fn(Of<'_>, Of<'_>, &mut Vec<Weak>);
const PARTS: &[(&[&str], Compare)] = &[
    (&["auth"], auth),
    (&["allow_ips", "deny_ips"], addresses),
    (&["user_agents"], user_agents),
    (&["guard"], guards),
    (&["validate"], validation),
    (&["rate_limit"], rate_limits),
    (&["concurrency"], concurrency),
    (&["max_body"], body),
    (&["cors"], cors::compare),
    (&["request", "aggregate"], forwarded::allow_lists),
    (&["request", "aggregate", "auth"], forwarded::held_back),
    (&["cache"], cache),
    (&["to", "aggregate", "mirror"], way_to_upstreams),
];

/// What `new` protects less than `old` did; `comparable` says whether what is written under some keys can be compared.
pub(super) fn compare(old: Of<'_>, new: Of<'_>, comparable: impl Fn(&[&str]) -> bool) -> Vec<Weak> {
    let mut found = Vec::new();
    for (keys, compare) in PARTS {
        if comparable(keys) {
            compare(old, new, &mut found);
        }
    }
    found
}

fn auth(old: Of<'_>, new: Of<'_>, found: &mut Vec<Weak>) {
    let Some(was) = &old.route.auth else { return };
    let Some(is) = &new.route.auth else {
        let before = posture::identity(old.plan, was).join("; ");
        return found
            .push(Weak::new("auth_removed", format!("asks for no credentials any more (was {before})")));
    };
    // In a plan that can run there is at least one; here they rest on something withheld.
    if is.issuers.is_empty() && is.api_key.is_none() && !is.basic {
        return;
    }
    if is.optional && !was.optional {
        found.push(Weak::new("auth_optional", "lets callers without credentials pass"));
    }
    let names = |side: Of<'_>, auth: &Auth| -> Vec<String> {
        let all = auth.issuers.iter().filter_map(|id| side.plan.issuers.get(usize::from(id.0)));
        all.map(|issuer| issuer.name.to_string()).collect()
    };
    let known = names(old, was);
    for name in names(new, is).iter().filter(|name| !known.contains(name)) {
        found.push(Weak::new("auth_widened", format!("takes tokens of {name}, too")));
    }
    for (takes, took, kind) in
        [(is.api_key.is_some(), was.api_key.is_some(), "API keys"), (is.basic, was.basic, "passwords")]
    {
        if takes && !took {
            found.push(Weak::new("auth_widened", format!("takes {kind}, too")));
        }
    }
    if was.strip && !is.strip {
        found.push(Weak::new("credential_passed_on", "passes the credential on to the upstream"));
    }
    requirements(was.require.as_ref(), is.require.as_ref(), found);
}

fn requirements(was: Option<&Require>, is: Option<&Require>, found: &mut Vec<Weak>) {
    let Some(was) = was else { return };
    let texts = |list: &[Box<str>]| -> HashSet<String> { list.iter().map(|text| text.to_string()).collect() };
    let groups = |require: &Require| -> HashSet<String> {
        require.groups.iter().map(|group| group.to_string()).collect()
    };
    let scopes = is.map(|is| texts(&is.token.scopes)).unwrap_or_default();
    for scope in was.token.scopes.iter().filter(|scope| !scopes.contains(&***scope)) {
        found.push(Weak::new("requirement_dropped", format!("requires the scope {scope} no more")));
    }
    let any_of = [
        ("role", texts(&was.token.roles), is.map(|is| texts(&is.token.roles)).unwrap_or_default()),
        ("group", groups(was), is.map(groups).unwrap_or_default()),
    ];
    for (kind, was, is) in any_of {
        let mut more: Vec<_> = is.difference(&was).cloned().collect();
        more.sort();
        if is.is_empty() && !was.is_empty() {
            found.push(Weak::new("requirement_dropped", format!("requires no {kind} any more")));
        } else if !was.is_empty() && !more.is_empty() {
            let more = more.join(", ");
            found.push(Weak::new("requirement_widened", format!("the {kind} may also be {more}")));
        }
    }
    for (path, values) in &was.token.claims {
        let now = is.and_then(|is| is.token.claims.iter().find(|(other, _)| other == path));
        match now {
            None => {
                found.push(Weak::new("requirement_dropped", format!("requires the claim {path} no more")))
            }
            // The values stay unsaid: a difference names keys.
            Some((_, now)) if now.iter().any(|value| !values.contains(value)) => {
                found.push(Weak::new(
                    "requirement_widened",
                    format!("the claim {path} may have other values"),
                ));
            }
            Some(_) => {}
        }
    }
}

fn addresses(old: Of<'_>, new: Of<'_>, found: &mut Vec<Weak>) {
    let Some(was) = &old.route.addresses else { return };
    let none = AddressRules::default();
    let is = new.route.addresses.as_deref().unwrap_or(&none);
    match (&was.allow, &is.allow) {
        (Some(_), None) => found.push(Weak::new("addresses_widened", "lets all addresses call")),
        (Some(was), Some(is)) => {
            if let Some(block) = is.iter().find(|block| !was.covers(block)) {
                found.push(Weak::new("addresses_widened", format!("lets {block} call, too")));
            }
        }
        (None, _) => {}
    }
    // What may not call anyway need not be denied.
    let open = |block: &Cidr| is.allow.as_ref().is_none_or(|allow| allow.touches(block));
    if let Some(block) = was.deny.iter().find(|block| !is.deny.covers(block) && open(block)) {
        found.push(Weak::new("addresses_widened", format!("denies {block} no more")));
    }
}

fn user_agents(old: Of<'_>, new: Of<'_>, found: &mut Vec<Weak>) {
    let Some(was) = &old.route.user_agents else { return };
    let none = UserAgents::default();
    let is = new.route.user_agents.as_deref().unwrap_or(&none);
    let texts = |list: &[ValueMatch]| -> HashSet<String> {
        let text = |one: &ValueMatch| match one {
            ValueMatch::Exact(text) => text.to_string(),
            ValueMatch::Regex(regex) => format!("~{}", regex.as_str()),
            ValueMatch::Present | ValueMatch::Absent => String::new(),
        };
        list.iter().map(text).collect()
    };
    if !texts(&was.deny).is_subset(&texts(&is.deny)) {
        found.push(Weak::new("user_agents_widened", "denies fewer user agents"));
    } else if !texts(&is.allow).is_subset(&texts(&was.allow)) {
        found.push(Weak::new("user_agents_widened", "excepts more user agents"));
    }
    if was.deny_empty && !is.deny_empty {
        found.push(Weak::new("user_agents_widened", "lets requests without a user agent pass"));
    }
}

/// Fewer guards are less; of another expression nobody but its author knows whether it is.
fn guards(old: Of<'_>, new: Of<'_>, found: &mut Vec<Weak>) {
    let count = |side: Of<'_>| side.route.checks.as_ref().map_or(0, |checks| checks.guards.len());
    let (was, is) = (count(old), count(new));
    if is < was {
        found.push(Weak::new("guard_removed", format!("has {} fewer (was {was})", guards_of(was - is))));
    }
}

fn guards_of(count: usize) -> String {
    format!("{count} guard{}", if count == 1 { "" } else { "s" })
}

fn validation(old: Of<'_>, new: Of<'_>, found: &mut Vec<Weak>) {
    let kinds = |side: Of<'_>| {
        let checks = side.route.checks.as_deref();
        [
            ("interface", checks.is_some_and(|checks| checks.interface.is_some())),
            ("query", checks.is_some_and(|checks| checks.query.is_some())),
            ("headers", checks.is_some_and(|checks| checks.headers.is_some())),
            ("body", checks.is_some_and(|checks| checks.body.is_some())),
        ]
    };
    for ((what, was), (_, is)) in kinds(old).into_iter().zip(kinds(new)) {
        if was && !is {
            found.push(Weak::new("validation_removed", format!("checks the {what} no more")));
        }
    }
}

fn rate_limits(old: Of<'_>, new: Of<'_>, found: &mut Vec<Weak>) {
    let now = limits_of(new);
    for was in limits_of(old) {
        if now.iter().any(|is| covers(is, was)) {
            continue;
        }
        let before = posture::rate_limit(was);
        let same = now.iter().find(|is| is.per == was.per);
        found.push(match same {
            None => Weak::new("limit_removed", format!("has no limit of {before} any more")),
            Some(is) if is.store == Store::Local && was.store != Store::Local => {
                Weak::new("limit_unshared", format!("counts {before} in each gateway by itself"))
            }
            Some(is) => Weak::new("limit_raised", raised(was, is)),
        });
    }
}

fn raised(was: &RateLimit, is: &RateLimit) -> String {
    let (before, after) = (posture::rate_limit(was), posture::rate_limit(is));
    if before == after {
        return format!("lets {} pass at once, not {} ({after})", is.burst, was.burst);
    }
    format!("lets {after} pass, not {before}")
}

fn limits_of<'p>(side: Of<'p>) -> Vec<&'p RateLimit> {
    let limits = side.route.limits.iter();
    let ids = limits.flat_map(|limits| limits.by_address.iter().chain(&limits.by_identity));
    ids.filter_map(|RateLimitId(at)| side.plan.rate_limits.get(*at as usize)).collect()
}

/// Whether nothing passes the one that the other would have refused.
fn covers(is: &RateLimit, was: &RateLimit) -> bool {
    let faster = u128::from(is.rate) * was.period.as_nanos() > u128::from(was.rate) * is.period.as_nanos();
    let shared = was.store == Store::Local || is.store != Store::Local;
    (is.per == was.per || is.per == Per::All) && !faster && is.burst <= was.burst && shared
}

fn concurrency(old: Of<'_>, new: Of<'_>, found: &mut Vec<Weak>) {
    match (&old.route.concurrency, &new.route.concurrency) {
        (Some(was), None) => {
            let text = format!("has no bound of {} requests at once any more", was.max);
            found.push(Weak::new("limit_removed", text));
        }
        (Some(was), Some(is)) if is.max > was.max => {
            found.push(Weak::new(
                "limit_raised",
                format!("lets {} requests in at once, not {}", is.max, was.max),
            ));
        }
        _ => {}
    }
}

fn body(old: Of<'_>, new: Of<'_>, found: &mut Vec<Weak>) {
    let (was, is) = (old.route.max_body, new.route.max_body);
    if is > was {
        let (was, is) = (crate::units::show_size(was), crate::units::show_size(is));
        found.push(Weak::new("limit_raised", format!("takes bodies of {is}, not {was}")));
    }
}

fn cache(old: Of<'_>, new: Of<'_>, found: &mut Vec<Weak>) {
    if let (Some(was), Some(is)) = (&old.route.cache, &new.route.cache)
        && was.private
        && !is.private
        && new.route.auth.is_some()
    {
        found.push(Weak::new("cache_shared", "keeps answers for all callers together, not for each"));
    }
}

/// Whether what is sent on is still sent to somebody who proved who they are. Of an upstream of the same name, the
/// upstream's own comparison tells.
fn way_to_upstreams(old: Of<'_>, new: Of<'_>, found: &mut Vec<Weak>) {
    let (was, is) = (upstreams(old), upstreams(new));
    if was.is_empty() || !was.iter().all(|one| is_proven(one)) {
        return;
    }
    let known: HashSet<&str> = was.iter().map(|one| &*one.name).collect();
    let fresh = is.iter().find(|one| !is_proven(one) && !known.contains(&*one.name));
    if let Some(one) = fresh {
        let text = format!("sends to {}, which proves by no certificate who it is", one.name);
        found.push(Weak::new("upstream_unverified", text));
    }
}

fn upstreams<'p>(side: Of<'p>) -> Vec<&'p Upstream> {
    let ids: Vec<UpstreamId> = match &side.route.action {
        Action::To(one) => vec![*one],
        Action::Split(parts) => parts.iter().map(|part| part.upstream).collect(),
        _ => Vec::new(),
    };
    let ids = ids.into_iter().chain(side.route.mirror.as_ref().map(|mirror| mirror.to));
    ids.filter_map(|UpstreamId(at)| side.plan.upstreams.get(at as usize)).collect()
}

/// Whether each of its targets is asked for a certificate.
pub(super) fn is_proven(upstream: &Upstream) -> bool {
    upstream.tls.verify && upstream.targets.iter().all(|target| target.tls.is_some())
}
