//! What is less protected than before and is no route: listeners, issuers, upstreams, and the gateway itself.

use std::collections::HashMap;
use std::net::IpAddr;

use tollgate_plan::Plan;
use tollgate_plan::issuer::{Issuer, TokenCheck};
use tollgate_plan::listener::Listener;
use tollgate_plan::redis::OnFailure;
use tollgate_plan::tls::TlsVersion;
use tollgate_plan::upstream::Upstream;
use tollgate_token::{Audience, Exp};

use super::{Part, Weak, Weakness};

/// What of `new` protects less than in `old`. `whole` says whether all of `new` is known; `comparable` whether what
/// stands under a name can be compared.
pub(super) fn compare(
    (old, new): (&Plan, &Plan),
    whole: bool,
    comparable: &dyn Fn(&str, &str) -> bool,
) -> Vec<Weakness> {
    let mut found = Vec::new();
    let mut tell = |part: Part, name: &str, weak: Vec<Weak>| {
        found.extend(weak.into_iter().map(|weak| Weakness::of(part, name, weak)));
    };
    for is in &new.listeners {
        tell(Part::Listener, &is.name, listener(&old.listeners, is, whole));
    }
    for is in new.issuers.iter().filter(|is| comparable("issuers", &is.name)) {
        if let Some(was) = old.issuers.iter().find(|was| was.name == is.name) {
            tell(Part::Issuer, &is.name, issuer(was, is));
        }
    }
    // As many as routes, where each names a URL.
    let known: HashMap<&str, &Upstream> = old.upstreams.iter().map(|one| (&*one.name, one)).collect();
    for is in &new.upstreams {
        let was = known.get(&*is.name).filter(|_| comparable("upstreams", &is.name));
        if let Some(was) = was {
            tell(Part::Upstream, &is.name, upstream(was, is, whole));
        }
    }
    if whole {
        tell(Part::Gateway, "", gateway(old, new));
    }
    found
}

/// A new address is compared with what all others had in common.
fn listener(known: &[Listener], is: &Listener, whole: bool) -> Vec<Weak> {
    let mut found = Vec::new();
    let same: Vec<&Listener> = known.iter().filter(|was| was.address == is.address).collect();
    let was = if same.is_empty() { known.iter().collect() } else { same };
    let all = |holds: &dyn Fn(&Listener) -> bool| !was.is_empty() && was.iter().all(|was| holds(was));
    let Some(tls) = &is.tls else {
        if all(&|was| was.tls.is_some()) {
            found.push(Weak::new("tls_removed", "speaks clear text, no TLS"));
        }
        return found;
    };
    let certified = |was: &Listener| was.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    if whole && tls.client_ca.is_none() && all(&certified) {
        found.push(Weak::new("client_certificates_removed", "asks for no client certificate"));
    }
    let newest = |was: &Listener| was.tls.as_ref().is_some_and(|tls| tls.min_version == TlsVersion::V13);
    if tls.min_version == TlsVersion::V12 && all(&newest) {
        found.push(Weak::new("tls_version_lowered", "speaks TLS 1.2, too"));
    }
    found
}

fn issuer(was: &Issuer, is: &Issuer) -> Vec<Weak> {
    let mut found = Vec::new();
    let (before, after) = (&was.expect, &is.expect);
    if before.issuer.is_some() && after.issuer.is_none() {
        found.push(Weak::new("issuer_widened", "does not look at `iss` any more"));
    }
    match (&before.audience, &after.audience) {
        (Audience::AnyOf(_), Audience::Any) => {
            found.push(Weak::new("issuer_widened", "takes tokens for every audience"));
        }
        (Audience::AnyOf(known), Audience::AnyOf(now)) => {
            if let Some(more) = now.iter().find(|audience| !known.contains(audience)) {
                found.push(Weak::new("issuer_widened", format!("takes tokens for the audience {more}, too")));
            }
        }
        (Audience::Any, _) => {}
    }
    let more = after.algorithms.iter().find(|algorithm| !before.algorithms.contains(*algorithm));
    if let Some(algorithm) = more.filter(|_| !before.algorithms.is_empty()) {
        found.push(Weak::new("issuer_widened", format!("takes {}, too", algorithm.as_str())));
    }
    if before.exp == Exp::Required && after.exp == Exp::Optional {
        found.push(Weak::new("issuer_widened", "takes tokens without an end"));
    }
    if before.typ.is_some() && after.typ.is_none() {
        found.push(Weak::new("issuer_widened", "does not look at `typ` any more"));
    }
    if after.leeway_s > before.leeway_s {
        let text = format!("takes tokens for {} s after their end, not {}", after.leeway_s, before.leeway_s);
        found.push(Weak::new("issuer_widened", text));
    }
    if over_http(&is.check) && !over_http(&was.check) {
        found.push(Weak::new("issuer_in_clear_text", "is reached by plain http"));
    }
    found
}

fn over_http(check: &TokenCheck) -> bool {
    match check {
        TokenCheck::Fixed(_) => false,
        TokenCheck::Fetched(keys) => keys.reach.allow_http,
        TokenCheck::Introspection(asked) => asked.reach.allow_http,
    }
}

fn upstream(was: &Upstream, is: &Upstream, whole: bool) -> Vec<Weak> {
    let mut found = Vec::new();
    if was.tls.verify && !is.tls.verify {
        found.push(Weak::new("upstream_unverified", "looks at no certificate of its targets"));
    }
    if whole && was.tls.roots.is_some() && is.tls.roots.is_none() {
        found.push(Weak::new("upstream_unverified", "trusts the system's authorities, not its own alone"));
    }
    let clear = |upstream: &Upstream| upstream.targets.iter().any(|target| target.tls.is_none());
    if clear(is) && !clear(was) {
        found.push(Weak::new("upstream_in_clear_text", "is reached in clear text"));
    }
    found
}

fn gateway(old: &Plan, new: &Plan) -> Vec<Weak> {
    let mut found = Vec::new();
    let more = new.trusted_proxies.iter().find(|block| !old.trusted_proxies.covers(block));
    if let Some(block) = more {
        found.push(Weak::new("proxies_widened", format!("believes what {block} says of clients, too")));
    }
    if old.admin.token.is_some() && new.admin.token.is_none() {
        found.push(Weak::new("admin_opened", "asks for no token on the admin side"));
    }
    let public = |ip: IpAddr| !ip.is_loopback();
    if public(new.admin.address.ip()) && !public(old.admin.address.ip()) {
        found.push(Weak::new("admin_opened", "opens the admin side to other machines"));
    }
    if new.admin.allow_write && !old.admin.allow_write {
        found.push(Weak::new("admin_opened", "lets who has the admin token write the configuration"));
    }
    let passes = |plan: &Plan| plan.redis.as_ref().is_some_and(|redis| redis.on_failure == OnFailure::Allow);
    if passes(new) && old.redis.is_some() && !passes(old) {
        found.push(Weak::new("limits_without_redis", "lets everything pass its limits while Redis is gone"));
    }
    found
}
