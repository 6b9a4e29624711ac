use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::fixture::splitmix;
use crate::limit::bucket::tests::{Model, quota};
use crate::limit::quota::NS_PER_S;

const SECRET: [u64; 2] = [1, 2];

/// Threads that take as fast as they can, each so often, while the time moves on with every take.
#[track_caller]
fn check_threads(threads: u64, takes: u64, step_ns: u64, keys: &[&[u8]]) {
    let (table, quota) = (Table::with_secret(1_000, SECRET), quota(1_000, 1, 50));
    let (clock, passed) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..takes {
                    let now_ns = clock.fetch_add(step_ns, Ordering::Relaxed);
                    for key in keys {
                        let decision = table.take(7, key, &quota, now_ns);
                        passed.fetch_add(u64::from(decision.allowed), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let end = clock.load(Ordering::Relaxed);
    let rest: u64 = keys
        .iter()
        .map(|key| (0..=50).filter(|_| table.take(7, key, &quota, end).allowed).count() as u64)
        .sum();
    let expect = keys.len() as u64 * (50 + end / 1_000_000);
    assert_eq!(passed.load(Ordering::Relaxed) + rest, expect, "over {threads} threads");
}

#[test]
fn many_threads_pass_exactly_the_burst() {
    check_threads(8, 5_000, 0, &[b"one"]);
}

#[test]
fn many_threads_pass_exactly_burst_and_refill() {
    // Twice as many takes as tokens, so that no bucket is ever full again.
    check_threads(8, 5_000, 500_000, &[b"one", b"two", b"three"]);
}

#[test]
fn inventing_keys_resets_nobody() {
    let (slow, table) = (quota(10, 86_400, 10), Table::with_secret(10_000, SECRET));
    for _ in 0..10 {
        assert!(table.take(1, b"spent", &slow, 0).allowed);
    }
    let mut passed = 0;
    for key in 0..300_000u64 {
        passed += u64::from(table.take(1, &key.to_le_bytes(), &slow, key * 1_000).allowed);
    }
    assert!(!table.take(1, b"spent", &slow, 300_000_000).allowed);
    let counts = table.counts();
    assert!(counts.buckets <= 10_000 + SHARDS as u64, "{counts:?}");
    assert_eq!(counts.evicted, 0);
    // Those that found room pass once; the others share a burst in each shard.
    let most = counts.buckets + SHARDS as u64 * 10;
    assert!((10_000..=most).contains(&passed), "{passed} of at most {most} passed; {counts:?}");
    assert_eq!(counts.overflowed, 300_000 - (counts.buckets - 1));
}

#[test]
fn limits_do_not_share_their_overflow() {
    let (slow, table) = (quota(1, 86_400, 1), Table::with_secret(1, SECRET));
    let passed = |limit| {
        let keys = (0..10_000u64).map(u64::to_le_bytes);
        keys.filter(|key| table.take(limit, key, &slow, 0).allowed).count()
    };
    assert_eq!((passed(1), passed(2)), (2 * SHARDS, SHARDS));
}

#[test]
fn what_the_overflow_allowed_goes_back_there() {
    let (slow, table) = (quota(1, 86_400, 1), Table::with_secret(1, SECRET));
    for key in 0..10_000u64 {
        table.take(1, &key.to_le_bytes(), &slow, 0);
    }
    let is_allowed = |key: &[u8]| table.take(1, key, &slow, 0).allowed;
    assert!(!is_allowed(b"late"));
    table.give_back(1, b"late", &slow, 0);
    assert!(is_allowed(b"late"));
    assert!(!is_allowed(b"late"));
}

#[test]
fn full_buckets_leave_the_eldest_first() {
    let table = Table::with_secret(3 * SHARDS, SECRET);
    let (quick, slow) = (quota(1, 1, 5), quota(1, 3_600, 5));
    // Of one shard: three that are full after 3, 1 and 3600 s.
    let shard = |key: &u64| (siphash::hash(SECRET, 1, &key.to_le_bytes())[1] as usize).is_multiple_of(SHARDS);
    let keys: Vec<[u8; 8]> = (0..).filter(shard).take(6).map(u64::to_le_bytes).collect();
    let take = |key: usize, quota: &Quota, s: u64| table.take(1, &keys[key], quota, s * NS_PER_S).remaining;
    for _ in 0..3 {
        take(0, &quick, 0);
    }
    take(1, &quick, 0);
    take(2, &slow, 0);
    let here = |key: usize, s: u64| {
        let lacks = table.peek(1, &keys[key], &slow, s * NS_PER_S).remaining < 5;
        (lacks, table.counts().evicted, table.counts().overflowed)
    };
    // Nothing is full yet.
    take(3, &slow, 0);
    assert_eq!(table.counts().overflowed, 1);
    // The one is full, the other nearly: only the full one leaves.
    take(4, &slow, 2);
    assert_eq!((table.counts().evicted, here(4, 2).0, here(2, 2).0), (1, true, true));
    assert_eq!(table.peek(1, &keys[0], &quick, 2 * NS_PER_S).remaining, 4);
    take(5, &slow, 3);
    assert_eq!((table.counts().evicted, here(5, 3).0, table.len()), (2, true, 3));
}

#[test]
fn memory_returns_when_keys_are_gone() {
    let (quick, table) = (quota(100, 1, 100), Table::with_secret(200_000, SECRET));
    let empty = table.bytes();
    for key in 0..100_000u64 {
        table.take(1, &key.to_le_bytes(), &quick, 0);
    }
    let per_bucket = (table.bytes() - empty) / table.len();
    assert!((60..=160).contains(&per_bucket), "{per_bucket} bytes per bucket");
    // Takes of one key sweep its shard, a tick sweeps all.
    let mut now_ns = 11 * NS_PER_S;
    for _ in 0..2_000 {
        table.take(1, b"one", &quick, now_ns);
    }
    assert!(table.len() < 99_000);
    while table.len() > 1 {
        now_ns += NS_PER_S;
        table.sweep(now_ns);
        assert!(now_ns < 100 * NS_PER_S, "{} left", table.len());
    }
    assert!(table.bytes() < empty + 64 * 16_384, "{} bytes are kept", table.bytes());
}

#[test]
fn a_bucket_in_use_outlives_the_sweep() {
    let (quota, table) = (quota(1, 1, 100), Table::with_secret(1_000, SECRET));
    for s in 0..1_000 {
        let decision = table.take(1, b"one", &quota, s * NS_PER_S / 2);
        assert_eq!(decision.remaining, 99 - s.div_ceil(2).min(99), "after {s} half seconds");
        table.sweep(s * NS_PER_S / 2);
    }
}

/// Many limits and keys, on a clock that steps back and forth, in a table that is always short of room, beside a
/// model that remembers everything.
fn simulate(seed: u64) {
    let mut random = splitmix(seed);
    let quotas = [quota(3, 1, 2), quota(7, 60, 5), quota(100, 1, 200), quota(1, 1, 1), quota(10, 3_600, 10)];
    let table = Table::with_secret(2 * SHARDS, [seed, !seed]);
    let mut models: HashMap<(u64, u64), Model> = HashMap::new();
    let (mut now_ns, mut latest_ns, mut compared) = (0u64, 0u64, 0);
    for step in 0..20_000 {
        now_ns = match random() % 100 {
            0 => now_ns + random() % (600 * NS_PER_S),
            1..3 => now_ns.saturating_sub(random() % (10 * NS_PER_S)),
            _ => now_ns + random() % (NS_PER_S / 10),
        };
        latest_ns = latest_ns.max(now_ns);
        // All shards are to know the latest moment, as the model does.
        table.sweep(now_ns);
        let (limit, key) = (random() % 5, (random() % 400).min(random() % 400));
        let quota = quotas[limit as usize];
        let overflowed = table.counts().overflowed;
        let decision = table.take(limit, &key.to_le_bytes(), &quota, now_ns);
        if table.counts().overflowed > overflowed {
            continue;
        }
        compared += 1;
        let model = models.entry((limit, key)).or_insert_with(|| Model::new(quota));
        assert_eq!(decision, model.take(latest_ns, 1), "seed {seed}, step {step}");
        if random().is_multiple_of(8) && decision.allowed {
            table.give_back(limit, &key.to_le_bytes(), &quota, latest_ns);
            model.give_back();
        }
    }
    let counts = table.counts();
    assert!(
        compared > 5_000 && counts.evicted > 100 && counts.overflowed > 100,
        "seed {seed}: {compared}, {counts:?}"
    );
}

#[test]
fn a_simulated_day_of_many_keys_is_like_the_plain_model() {
    // To replay one: TOLLGATE_SEED=<the seed that was printed>.
    let fixed = std::env::var("TOLLGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    match fixed {
        Some(seed) => simulate(seed),
        None => (0..4).chain([std::process::id().into()]).for_each(simulate),
    }
}

#[test]
fn a_preview_says_what_a_take_would_and_takes_nothing() {
    let (slow, table) = (quota(1, 3_600, 3), Table::with_secret(1, SECRET));
    for key in [b"one".as_slice(), b"another", b"one"] {
        for now_ns in [0, NS_PER_S, NS_PER_S] {
            let counts = table.counts();
            let preview = table.preview(1, key, &slow, now_ns);
            assert_eq!(table.preview(1, key, &slow, now_ns), preview);
            assert_eq!(table.counts(), counts);
            assert_eq!(table.take(1, key, &slow, now_ns), preview, "{key:?} at {now_ns}");
        }
    }
}
