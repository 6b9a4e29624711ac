//! `allow_ips` and `deny_ips`.

use std::net::IpAddr;

use serde_json::Value;
use tollgate_plan::Reason;
use tollgate_plan::access::AddressRules;

use crate::exchange::{Exchange, Reject};
use crate::trail::{Stage, Verdict};

/// Refuses a client whose address may not call.
pub(crate) fn addresses(exchange: &Exchange<'_>) -> Result<(), Reject> {
    let Some(rules) = exchange.matched().and_then(|route| route.addresses.as_deref()) else { return Ok(()) };
    let client = exchange.facts.client_ip;
    let verdict = match may_call(rules, client) {
        true => Ok(()),
        false => Err(Reject::new(Reason::IpDenied, "this address may not call here")),
    };
    exchange.note(|trail| {
        let denied = client.is_some_and(|ip| rules.deny.contains(ip));
        let list = if denied { "deny_ips" } else { "allow_ips" };
        let detail = match (&verdict, client) {
            (Ok(()), _) => "the address may call".to_owned(),
            (Err(_), Some(ip)) if denied => format!("{ip} is in {list}"),
            (Err(_), Some(ip)) => format!("{ip} is not in {list}"),
            (Err(_), None) => format!("the client has no address, and there is a list {list}"),
        };
        let answer = verdict.as_ref().err().map_or(Verdict::Ok, Verdict::of);
        trail.step(Stage::Addresses, answer, detail, Value::Null);
    });
    verdict
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
