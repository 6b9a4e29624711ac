//! A plan that no request uses any more is freed: hundreds of reloads under load leave memory where it was.
//!
//! `TOLLGATE_RELOADS=10000 cargo test -p tollgate --test reload_memory` makes it many.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tollgate_testkit::{Client, Origin, gateway};

/// After so many the process has what it keeps: threads, buffers, arenas.
const WARM: usize = 60;
/// Far less than what a configuration of this size takes: one that was kept a hundred times would show.
const GROWTH_MAX_KIB: u64 = 12 * 1024;

#[test]
fn old_configurations_are_freed() {
    let reloads: usize =
        std::env::var("TOLLGATE_RELOADS").ok().and_then(|text| text.parse().ok()).unwrap_or(300);
    let origin = Origin::ok();
    // Some 2 MiB of plan.
    let mut text =
        String::from("access_log: { sink: off }\nworkers: 2\nroutes:\n  - { path: /load, to: @ORIGIN@ }\n");
    for number in 0..1_000 {
        text.push_str(&format!(
            "  - {{ path: \"/route/{number}/{{id}}\", respond: {{ body: \"{{id}} of {number}\" }} }}\n"
        ));
    }
    let gateway = gateway!(&text, ORIGIN = origin.url());
    let over = Arc::new(AtomicBool::new(false));
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (mut client, over) = (Client::connect(&gateway.address()), over.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    assert_eq!(client.get("/load").text(), "ok");
                }
            })
        })
        .collect();
    let reload = |until: usize| {
        while gateway.generation() < until as u64 {
            let mut admin = Client::connect(&gateway.admin_address());
            let host = gateway.admin_address();
            let answer = admin.exchange(format!(
                "POST /api/v1/reload HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            ));
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        gateway.own_kib()
    };
    let (before, descriptors) = (reload(WARM), gateway.descriptors());
    let after = reload(WARM + reloads);
    over.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("no request was lost"));
    let grown = after.saturating_sub(before);
    assert!(grown < GROWTH_MAX_KIB, "{before} KiB before {reloads} reloads, {after} KiB after");
    assert!(
        gateway.descriptors() <= descriptors + 8,
        "{descriptors} descriptors, then {}",
        gateway.descriptors()
    );
}
