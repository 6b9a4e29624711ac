//! `allow_ips` and `deny_ips`.

use std::net::IpAddr;

use tollgate_plan::Reason;
use tollgate_plan::access::AddressRules;

use crate::exchange::{Exchange, Reject};

/// Refuses a client whose address may not call.
pub(crate) fn addresses(exchange: &Exchange<'_>) -> Result<(), Reject> {
    match exchange.matched().and_then(|route| route.addresses.as_deref()) {
        Some(rules) if !may_call(rules, exchange.facts.client_ip) => {
            Err(Reject::new(Reason::IpDenied, "this address may not call here"))
        }
        _ => Ok(()),
    }
}

/// A client without an address (on a unix socket) is refused where there is a list of those that may.
fn may_call(rules: &AddressRules, client: Option<IpAddr>) -> bool {
    let denied = client.is_some_and(|ip| rules.deny.contains(ip));
    !denied && rules.allow.as_ref().is_none_or(|allow| client.is_some_and(|ip| allow.contains(ip)))
}

#[cfg(test)]
mod tests {
    use tollgate_plan::cidr::{Cidr, CidrSet};

    use super::*;

    #[test]
    fn denied_wins_and_a_list_of_the_allowed_refuses_the_rest() {
        let set = |texts: &[&str]| {
            texts.iter().map(|text| text.parse::<Cidr>().expect("an address range")).collect::<CidrSet>()
        };
        for (allow, deny, client, expect) in [
            (None, &[][..], Some("192.0.2.1"), true),
            (None, &[], None, true),
            (Some(&["192.0.2.0/24"][..]), &[], Some("192.0.2.1"), true),
            (Some(&["192.0.2.0/24"]), &[], Some("::ffff:192.0.2.1"), true),
            (Some(&["192.0.2.0/24"]), &[], Some("192.0.3.1"), false),
            (Some(&["192.0.2.0/24"]), &[], Some("2001:db8::1"), false),
            (Some(&["192.0.2.0/24"]), &[], None, false),
            (Some(&[]), &[], Some("192.0.2.1"), false),
            (Some(&["192.0.2.0/24"]), &["192.0.2.1/32"], Some("192.0.2.1"), false),
            (Some(&["192.0.2.0/24"]), &["192.0.2.1/32"], Some("192.0.2.2"), true),
            (None, &["2001:db8::/32"], Some("2001:db8::1"), false),
            (None, &["192.0.2.1/32"], Some("::ffff:192.0.2.1"), false),
            (None, &["192.0.2.1/32"], None, true),
        ] {
            let rules = AddressRules { allow: allow.map(set), deny: set(deny) };
            let ip = client.map(|text| text.parse().expect("an address"));
            assert_eq!(may_call(&rules, ip), expect, "{client:?} with {allow:?} and {deny:?}");
        }
    }
}
