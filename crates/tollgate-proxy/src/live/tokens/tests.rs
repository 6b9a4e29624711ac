//! What is kept of tokens, what a reload keeps, and who is made to wait.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tollgate_plan::issuer::{HttpUrl, Reach};

use super::*;
use crate::observe::fixture;

fn credentials(id: &str) -> Arc<ClientCredentials> {
    Arc::new(ClientCredentials {
        token_url: HttpUrl::parse("https://id.example.com/token").unwrap(),
        client_id: id.into(),
        client_secret: "a secret&more".into(),
        scope: "read write".into(),
        audience: None,
        client_auth: ClientAuth::Basic,
        reach: Reach::default(),
    })
}

fn live() -> Arc<TokenLive> {
    TokenLive::new(&"u".into(), &credentials("gateway"))
}

fn granted(line: &str, life_s: Option<u64>) -> Result<Granted, Fault> {
    Ok(Granted { line: line.into(), life: life_s.map(Duration::from_secs) })
}

fn now_or_never<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

/// What the task does around a fetch.
fn fetch(live: &TokenLive, asked: Instant, outcome: Result<Granted, Fault>) -> Option<Duration> {
    live.begun.fetch_add(1, Relaxed);
    let pause = live.settle(asked, outcome);
    live.over.send_modify(|over| *over += 1);
    pause
}

#[test]
fn what_is_sent() {
    let mut from = (*credentials("gate:way")).clone();
    assert_eq!(form(&from), "grant_type=client_credentials&scope=read+write");
    from.scope = "".into();
    from.audience = Some("https://api/".into());
    from.client_auth = ClientAuth::Body;
    let own = "client_id=gate%3Away&client_secret=a+secret%26more";
    assert_eq!(form(&from), format!("grant_type=client_credentials&audience=https%3A%2F%2Fapi%2F&{own}"));
}

#[test]
fn a_token_is_used_to_its_end_and_not_beyond() {
    let (live, start) = (live(), Instant::now());
    let line = |after_s: u64| {
        let token = live.current(start + Duration::from_secs(after_s));
        token.map(|token| (token.line.expose().to_owned(), token.generation))
    };
    let status = |after_s: u64| live.health(&"u".into(), start + Duration::from_secs(after_s)).status;
    assert_eq!((line(0), status(0)), (None, TokenStatus::Unavailable));
    assert_eq!(fetch(&live, start, Err(Fault::Late)), None);
    assert_eq!(line(0), None);
    assert_eq!(fetch(&live, start, granted("Bearer a", Some(100))), Some(Duration::from_secs(75)));
    assert_eq!((line(0), status(0)), (Some(("Bearer a".into(), 1)), TokenStatus::Ok));
    // The issuer is down: the token is good as long as it would be anyway.
    assert_eq!(fetch(&live, start, Err(Fault::Status(500))), None);
    assert_eq!((line(99), status(99)), (Some(("Bearer a".into(), 1)), TokenStatus::Stale));
    assert_eq!((line(100), status(100)), (None, TokenStatus::Unavailable));
    // The same token with a new end is the same token.
    fetch(&live, start, granted("Bearer a", Some(200)));
    assert_eq!((line(150), status(150)), (Some(("Bearer a".into(), 1)), TokenStatus::Ok));
    assert_eq!(fetch(&live, start, granted("Bearer b", None)), Some(RENEW_UNTOLD));
    assert_eq!(line(1_000_000), Some(("Bearer b".into(), 2)));
    assert_eq!(fetch(&live, start, granted("Bearer c", Some(0))), Some(RENEW_MIN));
    assert_eq!(live.health(&"u".into(), start).refreshes, (4, 2));
}

#[test]
fn only_what_may_come_is_waited_for() {
    let (live, start) = (live(), Instant::now());
    assert!(now_or_never(live.soon(start)).is_none(), "the first one is about to be fetched");
    live.begun.fetch_add(1, Relaxed);
    assert!(now_or_never(live.soon(start)).is_none(), "it is on its way");
    live.settle(start, Err(Fault::Late));
    live.over.send_modify(|over| *over += 1);
    assert!(
        now_or_never(live.soon(start)).is_some_and(|token| token.is_none()),
        "nobody waits for one who is down"
    );
    fetch(&live, start, granted("Bearer a", Some(100)));
    let all: Vec<_> =
        std::iter::repeat_with(|| Waiter::enter(&live.waiters, WAITERS_MAX)).take(WAITERS_MAX + 1).collect();
    assert_eq!(all.iter().filter(|waiter| waiter.is_some()).count(), WAITERS_MAX);
    drop(all);
    assert_eq!(live.waiters.load(Relaxed), 0);
}

#[test]
fn a_refused_token_is_replaced_now_and_then() {
    let (live, start) = (live(), Instant::now());
    let after = |seconds: u64| start + Duration::from_secs(seconds);
    fetch(&live, start, granted("Bearer a", None));
    let asked = |generation: u64, at: Instant| now_or_never(live.newer_than(generation, at));
    assert!(asked(1, start).is_none(), "the first who is refused waits for another one");
    assert!(asked(1, after(1)).is_none(), "and so do all who come meanwhile");
    fetch(&live, start, granted("Bearer b", None));
    let found = asked(1, after(1)).flatten().expect("another one is there");
    assert_eq!((found.line.expose(), found.generation), ("Bearer b", 2));
    assert!(asked(2, after(2)).is_some_and(|token| token.is_none()), "that one too: it is no use, for now");
    assert!(asked(2, after(11)).is_none(), "later somebody may ask again");
    fetch(&live, start, Err(Fault::Late));
    assert!(asked(2, after(12)).is_some_and(|token| token.is_none()), "nothing came of it");
}

#[test]
fn upstreams_with_the_same_credentials_share_a_token_over_reloads() {
    let registry = TokenRegistry::default();
    let reload = |ids: &[Option<&str>]| {
        let named: Vec<String> = (0..ids.len()).map(|at| format!("u{at}")).collect();
        let list: Vec<(&str, &[&str])> =
            named.iter().map(|name| (name.as_str(), &["http://a"][..])).collect();
        let mut plan = fixture::plan(&[], &list);
        for (upstream, id) in plan.upstreams.iter_mut().zip(ids) {
            upstream.credentials = id.map(credentials);
        }
        registry.reconcile(&plan.upstreams)
    };
    let same = |a: &Option<Arc<TokenLive>>, b: &Option<Arc<TokenLive>>| match (a, b) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    };
    let first = reload(&[Some("a"), None, Some("b"), Some("a")]);
    assert!(same(&first[0], &first[3]) && !same(&first[0], &first[2]) && first[1].is_none());
    assert_eq!(registry.wanted().borrow().len(), 2);
    let second = reload(&[Some("b"), Some("c")]);
    assert!(same(&second[0], &first[2]) && !same(&second[1], &first[0]));
    assert_eq!(registry.wanted().borrow().len(), 2);
    assert!(reload(&[None])[0].is_none() && registry.wanted().borrow().is_empty());
}
