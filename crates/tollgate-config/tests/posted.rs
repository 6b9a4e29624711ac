//! Whatever configuration runs can be sent to the admin side to be checked: what it must not see there makes warnings,
//! and differs from nothing.

mod world;

use std::path::Path;

use tollgate_config::{Severity, check_posted, difference, load, redacted, render};
use world::World;

#[test]
fn what_runs_can_be_checked_over_the_admin_side() {
    for case in world::cases("good") {
        let text = std::fs::read_to_string(world::root().join(&case)).expect("the case can be read");
        let running = load(&case, &World).unwrap_or_else(|failed| {
            panic!("{}: {}", case.display(), render(&failed.diagnostics, &failed.sources, false))
        });
        let posted = check_posted(&text, &running.sources);
        let errors = posted.diagnostics.iter().filter(|one| one.severity == Severity::Error);
        let errors: Vec<_> = errors.cloned().collect();
        assert!(posted.ok, "{}:\n{}", case.display(), render(&errors, &posted.sources, false));
        let Some(plan) = &posted.plan else { panic!("{} comes to nothing", case.display()) };
        let withheld =
            posted.diagnostics.iter().any(|one| ["not_looked_at", "bad_include"].contains(&one.code));
        let differs = difference((&running.sources, &running.plan), (&posted.sources, plan), !withheld);
        for list in
            ["/routes/added", "/routes/removed", "/routes/less_protected", "/upstreams/changed", "/keys"]
        {
            let found = differs.pointer(list).and_then(|list| list.as_array());
            let unknown = list.starts_with("/routes") && differs["routes"]["unknown"] != 0;
            assert!(unknown || found.is_some_and(Vec::is_empty), "{} {list}: {differs:#}", case.display());
        }
    }
}

#[test]
fn what_is_shown_of_them_holds_no_secret() {
    let mut files = 0;
    for kind in ["good", "bad"] {
        for case in world::cases(kind) {
            let sources = match load(&case, &World) {
                Ok(loaded) => loaded.sources,
                Err(failed) => failed.sources,
            };
            let shown = redacted(&sources).to_string();
            for secret in ["very-secret", "value-of-word", "s3cret"] {
                assert!(!shown.contains(secret), "{} shows {secret}: {shown}", case.display());
            }
            files += 1;
        }
    }
    assert!(files > 60, "{files}");
}

/// What is not looked at may be what is missed.
#[test]
fn what_is_withheld_is_missed_by_nobody() {
    let running = load(Path::new("good/smallest.yaml"), &World).unwrap_or_else(|_| panic!("it is good"));
    for text in [
        "upstreams: { o: { targets: ['http://${H}'] } }\nroutes: [{ path: /a, to: o, cache: {} }]",
        "routes: [{ path: /a, to: '${H}', cache: {} }]",
        "consumers: [{ name: c, basic: { user: u, password: '${HASH}' } }]\nroutes: [{ path: /a, auth: { basic: true }, respond: {} }]",
        "upstreams: { o: { targets: ['http://127.0.0.1:1'] } }\nroutes: [{ path: '${P}', to: o }]",
        "issuers: { i: { issuer: 'x', audience: any, algorithms: [HS256], secret: '0123456789012345678901234567890123456789' } }\n\
         routes: [{ path: '${P}', auth: { jwt: i }, respond: {} }]",
        "upstreams: { o: { targets: ['http://127.0.0.1:1'] } }\n\
         routes: [{ path: /a, aggregate: { parts: [{ name: '${N}', to: o, path: /x }, { name: b, to: o, path: '/{v.x}' }] } }]",
    ] {
        let posted = check_posted(text, &running.sources);
        let codes: Vec<&str> = posted.diagnostics.iter().map(|one| one.code).collect();
        assert!(posted.ok && codes.contains(&"not_looked_at"), "{text}: {codes:?}");
        let others: Vec<&&str> =
            codes.iter().filter(|code| **code != "not_looked_at" && **code != "public_route").collect();
        assert!(others.is_empty(), "{text}: {others:?}");
    }
}
