use std::time::{Duration, Instant};

use bytes::Bytes;
use tollgate_policy::cache::{Terms, varied};
use tollgate_wire::{HeaderBlock, Name};

use super::*;

const TERMS: Terms = Terms {
    lifetime: Duration::from_secs(60),
    age: Duration::ZERO,
    stale_while_revalidate: Duration::ZERO,
    stale_if_error: Duration::ZERO,
    validate: false,
    strict: false,
    shareable: false,
};

fn request(foo: &str) -> HeaderBlock {
    let mut headers = HeaderBlock::default();
    headers.append(&Name::new("foo").expect("a name"), foo.as_bytes());
    headers
}

/// An answer for requests with `foo: …`.
fn entry(bytes: usize, foo: &str, now: Instant) -> Arc<Entry> {
    let foo_name = Name::new("foo").expect("a name");
    Arc::new(Entry {
        status: 200,
        headers: HeaderBlock::default(),
        body: Bytes::from(vec![b'x'; bytes]),
        terms: TERMS,
        varied: varied(&HeaderBlock::default(), &request(foo), &[foo_name]).expect("names"),
        begun: now,
        arrived: now,
    })
}

fn has(store: &Store, key: &str, foo: &str) -> bool {
    matches!(store.find(key.as_bytes(), |entry| entry.suits(&request(foo))), Found::Answer(_))
}

#[test]
fn a_store_keeps_to_its_bound_and_forgets_what_nobody_asks_for() {
    let now = Instant::now();
    let store = Store::new(100_000);
    store.put(b"hot", entry(1000, "1", now));
    for at in 0..1000 {
        assert!(has(&store, "hot", "1"), "asked for all the time, forgotten at {at}");
        store.put(format!("cold {at}").as_bytes(), entry(1000, "1", now));
        assert!(store.bytes() <= 100_000, "{} bytes", store.bytes());
    }
    assert!(store.bytes() > 50_000, "and it is used: {} bytes", store.bytes());
    store.put(b"larger than all", entry(200_000, "1", now));
    assert!(store.bytes() <= 100_000);
    assert_eq!(store.forget(|_| true) > 0, store.bytes() == 0, "what is counted is given back");
    assert_eq!(store.bytes(), 0);
}

#[test]
fn stores_share_what_there_is_when_they_ask_for_more() {
    let rules = |max_bytes| Cache {
        ttl: Duration::ZERO,
        respect: true,
        inputs: Vec::new(),
        vary: Vec::new(),
        stale_while_revalidate: None,
        stale_if_error: None,
        max_bytes,
        private: false,
    };
    for (wanted, share, asks, expect) in [
        (100, u64::MAX, 100, 100),
        (100, 100, 40, 40),
        (100, 50, 40, 20),
        (u64::MAX, 1 << 30, 1 << 40, 64),
        (0, 0, 0, 0),
    ] {
        assert_eq!(Bounds { wanted, share }.of_route(&rules(asks)), expect, "{asks} of {wanted} in {share}");
    }
    let store = Store::new(100_000);
    (0..50).for_each(|at| store.put(format!("{at}").as_bytes(), entry(1000, "1", Instant::now())));
    let before = store.bytes();
    store.let_go(50);
    assert!(store.bytes() <= before / 2 && store.bytes() > before / 4, "{} of {before}", store.bytes());
}

#[test]
fn answers_under_one_key_are_told_apart_and_bounded() {
    let now = Instant::now();
    let store = Store::new(1 << 20);
    assert!(matches!(store.find(b"a", |_| true), Found::Nothing));
    store.put(b"a", entry(1, "1", now));
    assert!(has(&store, "a", "1") && !has(&store, "a", "2"));
    assert!(matches!(store.find(b"a", |_| false), Found::Others(_)));
    let before = store.bytes();
    store.put(b"a", entry(1, "1", now));
    assert_eq!(store.bytes(), before, "a newer answer takes the place of the old one");
    for foo in 0..100 {
        store.put(b"a", entry(1, &foo.to_string(), now));
    }
    assert!(has(&store, "a", "99") && has(&store, "a", "68") && !has(&store, "a", "67"), "the newest 32");
}

#[test]
fn stamps_reach_what_is_kept_and_what_is_under_way() {
    let stamps = Stamps::default();
    let moment = |millis| Instant::now() + Duration::from_millis(millis);
    let (early, between, late) = (moment(10), moment(20), moment(30));
    assert!(stamps.holds(b"a", early) && stamps.keeps(b"a", early));
    stamps.invalidate(b"a", between);
    assert!(!stamps.holds(b"a", early) && !stamps.keeps(b"a", early));
    assert!(!stamps.holds(b"a", between), "the same moment is not after it");
    assert!(stamps.holds(b"a", late) && stamps.keeps(b"a", late));
    let others = (0..100).filter(|n| stamps.holds(format!("b{n}").as_bytes(), early)).count();
    assert!(others > 90, "others are hardly concerned: {others}");
    stamps.purge(between);
    assert!(!stamps.keeps(b"c", early) && stamps.keeps(b"c", late) && stamps.holds(b"c", early));
}

#[test]
fn one_leads_and_the_others_follow() {
    let flights: Arc<Flights> = Arc::default();
    let now = Instant::now();
    let join = |key: &[u8]| flights.join(key, now);
    let landed = |joined: &Joined| match joined {
        Joined::Follow(landed) => *landed.borrow(),
        _ => panic!("somebody else leads"),
    };
    let Joined::Lead(first) = join(b"a") else { panic!("nobody was there") };
    let follower = join(b"a");
    assert_eq!(landed(&follower), Landed::Flying);
    assert!(matches!(join(b"b"), Joined::Lead(_)), "another key");
    first.kept();
    assert_eq!(landed(&follower), Landed::Kept);

    let Joined::Lead(lost) = join(b"a") else { panic!("the first has landed") };
    let follower = join(b"a");
    drop(lost);
    assert_eq!(landed(&follower), Landed::Lost);

    let Joined::Lead(in_vain) = join(b"a") else { panic!("the second was lost") };
    let follower = join(b"a");
    in_vain.not_kept(now);
    assert_eq!(landed(&follower), Landed::NotKept);
    assert!(matches!(join(b"a"), Joined::Alone), "for a while nobody waits");
    let later = now + Duration::from_secs(11);
    assert!(matches!(flights.join(b"a", later), Joined::Lead(_)));
}

/// Whoever asks for many things that are not kept, under queries of his own making, must not end the waiting of others.
#[test]
fn what_is_in_vain_for_one_key_is_so_for_no_other() {
    let flights: Arc<Flights> = Arc::default();
    let now = Instant::now();
    for query in 0..20_000 {
        if let Joined::Lead(flight) = flights.join(format!("/?{query}").as_bytes(), now) {
            flight.not_kept(now);
        }
    }
    let leads = (0..100).filter(|at| {
        let joined = flights.join(format!("/others/{at}").as_bytes(), now);
        // Let go of at once: it is lost, which says nothing about the next.
        matches!(joined, Joined::Lead(_))
    });
    assert_eq!(leads.count(), 100);
    assert!(matches!(flights.join(b"/?19999", now), Joined::Alone), "the last one is remembered");
}

#[test]
fn one_may_follow_without_ever_leading() {
    let flights: Arc<Flights> = Arc::default();
    assert!(flights.follow(b"a").is_none(), "nobody asks");
    let Joined::Lead(flight) = flights.join(b"a", Instant::now()) else { panic!("nobody was there") };
    let follower = flights.follow(b"a").expect("somebody asks");
    assert!(flights.follow(b"b").is_none());
    flight.kept();
    assert_eq!(*follower.borrow(), Landed::Kept);
    assert!(flights.follow(b"a").is_none(), "it has landed");
}

#[test]
fn keys_have_parts_that_cannot_run_into_each_other() {
    let key = |url: &[u8], parts: &[&[u8]]| {
        let mut key = Key::new(Vec::new(), |out| out.extend_from_slice(url));
        parts.iter().for_each(|part| key.push(part));
        key
    };
    let one = key(b"http://a/b", &[b"token x"]);
    assert_eq!(one.url(), b"http://a/b");
    assert_eq!(Key::url_of(one.as_bytes()), b"http://a/b");
    assert_ne!(one.as_bytes(), key(b"http://a/btoken x", &[]).as_bytes());
    assert_ne!(key(b"a", &[b"b", b"c"]).as_bytes(), key(b"a", &[b"bc"]).as_bytes());
}
