//! What the cache would do for a request that is only explained. What is kept is looked at and does not notice; nobody is
//! waited for, and nothing is asked for in the background.

use serde_json::json;
use tollgate_plan::Reason;
use tollgate_policy::cache::{Use, Wish, use_of};

use super::Shelf;
use super::give::give;
use super::look::{forward, is_for, of_others, sought, validators};
use super::told::{Forward, Status};
use crate::exchange::{Cached, Exchange, Reject, Reply};
use crate::live::cache::Found;
use crate::trail::{Stage, Verdict};
use crate::worker::Active;

/// The answer that is kept; none where the upstream would be asked.
pub(crate) fn explain<'a>(
    exchange: &mut Exchange<'_>,
    active: &'a Active,
    shelf: &'a Shelf,
) -> Result<Option<Reply<'a>>, Reject> {
    let rules = active.route(exchange.route).and_then(|route| route.cache.as_deref());
    let (Some(cache), Some(rules)) = (active.caches.route(exchange.route), rules) else {
        return Err(Reject::internal("a route without its store"));
    };
    let wish = Wish::of(&exchange.kit.head.headers);
    let (key, asked) = match sought(exchange, rules, &wish) {
        Ok(found) => found,
        Err(forward) => {
            asks(exchange, forward, "the request has nothing to do with the cache");
            return Ok(None);
        }
    };
    let now = exchange.worker.clock.now();
    let headers = &exchange.kit.head.headers;
    let found = cache.store.peek(key.as_bytes(), |entry| is_for(entry, cache, &key, asked, headers));
    if let Found::Answer(entry) = &found {
        let way = use_of(&entry.terms, entry.age(now), &wish);
        if way != Use::Ask {
            let cached = if way == Use::Fresh { Cached::Hit } else { Cached::Stale };
            let again = if way == Use::Stale { ", and asked for again in the background" } else { "" };
            let (age, status) = (entry.age(now).as_secs(), entry.status);
            exchange.note(|trail| {
                let detail = format!("an answer {age} s old is given{again}");
                let more = json!({ "result": cached.label(), "age_s": age, "status": status });
                trail.step(Stage::Cache, Verdict::Ok, detail, more);
            });
            return give(exchange, shelf, entry.clone(), cached, Status::default(), now).map(Some);
        }
    }
    if wish.only_if_cached {
        return Err(Reject::new(Reason::NotCached, "no answer is kept that the request allows"));
    }
    let holds = |entry: &crate::live::cache::Entry| cache.stamps.holds(key.url(), entry.begun);
    let why = forward(&found, now, |entry| of_others(entry, holds(entry), headers));
    if let Found::Answer(entry) = &found {
        exchange.validators = Some(validators(exchange, entry));
    }
    asks(exchange, why, "the service is asked");
    Ok(None)
}

fn asks(exchange: &Exchange<'_>, why: Forward, what: &str) {
    exchange.note(|trail| {
        let word = why.as_str();
        let reason = match why {
            Forward::Bypass => "by what it carries",
            Forward::Method => "by its method",
            Forward::Request => "the client wants it",
            Forward::UriMiss => "nothing is kept for this URL",
            Forward::VaryMiss => "what is kept is for other headers",
            Forward::Stale => "what is kept is not fresh any more",
        };
        let more = json!({ "result": "miss", "forward": word });
        trail.step(Stage::Cache, Verdict::Ok, format!("{what}: {reason}"), more);
    });
}
