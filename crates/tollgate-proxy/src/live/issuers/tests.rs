use std::time::Duration;

use tollgate_plan::issuer::{HttpUrl, Introspection, KeyFetch, KeyUrl, Reach};
use tollgate_token::{Algorithm, Audience, Exp, Expectations};

use super::*;

fn issuer(name: &str, check: TokenCheck) -> Issuer {
    let expect = Expectations {
        issuer: None,
        audience: Audience::Any,
        algorithms: Algorithm::RS256.into(),
        leeway_s: 30,
        exp: Exp::Required,
        typ: None,
    };
    Issuer { name: name.into(), expect, roles_claim: "roles".parse().unwrap(), check }
}

fn fetched(url: &str, refresh_s: u64) -> TokenCheck {
    TokenCheck::Fetched(KeyFetch {
        from: KeyUrl::Jwks(HttpUrl::parse(url).unwrap()),
        algorithms: Algorithm::RS256.into(),
        refresh: Duration::from_secs(refresh_s),
        reach: Reach::default(),
    })
}

fn asked(secret: &str, cache_s: u64) -> TokenCheck {
    TokenCheck::Introspection(Introspection {
        url: HttpUrl::parse("https://a/introspect").unwrap(),
        client_id: "gateway".into(),
        client_secret: secret.into(),
        cache: Duration::from_secs(cache_s),
        reach: Reach::default(),
    })
}

fn plan(issuers: Vec<Issuer>) -> Plan {
    Plan { issuers, ..crate::observe::fixture::plan(&[], &[]) }
}

/// Whether both are the same living thing.
fn same(a: &IssuerLive, b: &IssuerLive) -> bool {
    match (a, b) {
        (IssuerLive::Keys(a), IssuerLive::Keys(b)) => Arc::ptr_eq(a, b),
        (IssuerLive::Introspection(a), IssuerLive::Introspection(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

#[test]
fn a_reload_keeps_what_is_reached_in_the_same_way() {
    let registry = IssuerRegistry::default();
    let first = registry.reconcile(&plan(vec![
        issuer("a", fetched("https://a/jwks", 600)),
        issuer("b", fetched("https://b/jwks", 600)),
        issuer("twin of a", fetched("https://a/jwks", 600)),
        issuer("c", asked("secret", 30)),
    ]));
    assert!(same(&first[0], &first[2]), "one set of keys is fetched once");
    assert_eq!(registry.wanted().borrow().len(), 2);
    let second = registry.reconcile(&plan(vec![
        issuer("renamed", asked("secret", 60)),
        issuer("b", fetched("https://b/jwks?v=2", 600)),
        issuer("a", fetched("https://a/jwks", 5)),
    ]));
    assert!(same(&second[0], &first[3]), "another name, another time to remember");
    assert!(!same(&second[1], &first[1]), "another URL");
    assert!(same(&second[2], &first[0]), "another interval");
    assert_eq!(registry.wanted().borrow().len(), 2);
    let third = registry.reconcile(&plan(vec![issuer("c", asked("another secret", 60))]));
    assert!(!same(&third[0], &second[0]), "another secret");
    assert!(registry.wanted().borrow().is_empty());
}
