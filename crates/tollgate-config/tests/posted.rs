//! Whatever configuration runs can be sent to the admin side to be checked: what it must not see there makes warnings,
//! and differs from nothing.

mod world;

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
