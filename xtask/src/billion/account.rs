//! What came of the requests: in all, while nothing happened, and around each event.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::ask::{Kind, Verdict};
use super::events::{Event, Happened, What};
use super::load::{Outcome, quantile_ms};
use super::zones::ZONES;

/// A request that is sent so soon after something was noticed may still have been lost by it: on a busy machine HAProxy, which ends
/// connections one by one, and the client, which reads its clock before it writes, wait for their turn.
const SOON: Duration = Duration::from_millis(100);

/// All outcomes and what happened meanwhile.
pub(super) struct Account {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) happened: Happened,
}

impl Outcome {
    /// Whether an answer came, good or bad.
    pub(super) fn is_answered(&self) -> bool {
        match &self.verdict {
            Verdict::Right | Verdict::Limited | Verdict::Wrong(_) => true,
            // An error with a status.
            Verdict::Failed(how) => how.starts_with(|first: char| first.is_ascii_digit()),
        }
    }

    fn is_failed(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_) | Verdict::Wrong(_))
    }

    fn was_under_way(&self, at: Duration) -> bool {
        self.sent <= at && at < self.ended
    }
}

impl Event {
    /// A request belongs to the event in whose time it ended: each to one, and what an event cut short to that one.
    fn has(&self, outcome: &Outcome) -> bool {
        (self.begun..self.over).contains(&outcome.ended)
    }
}

impl Account {
    pub(super) fn new(outcomes: Vec<Outcome>, happened: Happened) -> Account {
        Account { outcomes, happened }
    }

    /// Requests whose sending fell into a time.
    pub(super) fn sent(&self, (from, to): (Duration, Duration)) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(move |outcome| (from..to).contains(&outcome.sent))
    }

    /// Of all requests.
    pub(super) fn totals(&self) -> Value {
        let count =
            |of: &dyn Fn(&Outcome) -> bool| self.outcomes.iter().filter(|outcome| of(outcome)).count();
        let (all, failed) = (self.outcomes.len(), count(&Outcome::is_failed));
        let last = self.outcomes.iter().map(|outcome| outcome.ended).max().unwrap_or_default();
        let wrong = self.outcomes.iter().filter_map(|outcome| match &outcome.verdict {
            Verdict::Wrong(what) => Some(json!({ "number": outcome.number, "what": what })),
            _ => None,
        });
        json!({
            "all": all,
            "seconds": seconds(last),
            "failed": failed,
            "wrong": count(&|outcome| matches!(outcome.verdict, Verdict::Wrong(_))),
            "availability": 1.0 - failed as f64 / all.max(1) as f64,
            "with a known token": count(&|outcome| outcome.kind == Kind::Known),
            "with a new token": count(&|outcome| outcome.kind == Kind::Fresh),
            "refused with 401": count(&|outcome| {
                matches!(outcome.kind, Kind::Missing | Kind::Forged) && outcome.verdict == Verdict::Right
            }),
            "refused with 429": count(&|outcome| outcome.verdict == Verdict::Limited),
            "on a new connection": count(&|outcome| outcome.opened),
            "examples of wrong ones": wrong.take(10).collect::<Vec<_>>(),
        })
    }

    /// From sending to the end of the answer, as clients see it while nothing happens, in milliseconds.
    pub(super) fn latencies(&self) -> Value {
        let of = |kind: Kind, opened: bool| {
            let quiet = self.sent(self.happened.quiet);
            let fit = quiet.filter(|outcome| {
                outcome.kind == kind && outcome.opened == opened && outcome.verdict == Verdict::Right
            });
            percentiles(fit.map(|outcome| outcome.ended - outcome.sent).collect())
        };
        let (from, to) = self.happened.quiet;
        let requests = self.sent(self.happened.quiet).count();
        json!({
            "known token, kept connection": of(Kind::Known, false),
            "known token, new connection": of(Kind::Known, true),
            "new token, kept connection": of(Kind::Fresh, false),
            "requests": requests,
            "seconds": seconds(to - from),
            "gateways_cpu_us_per_request": self.happened.gateways_cpu_seconds * 1e6 / requests.max(1) as f64,
            "machine_idle": self.happened.idle_share,
        })
    }

    /// Requests that each zone answered while nothing happened.
    pub(super) fn shares(&self) -> Value {
        let each = ZONES.iter().map(|zone| {
            let count = self.sent(self.happened.quiet).filter(|outcome| outcome.zone == Some(zone)).count();
            ((*zone).to_owned(), json!(count))
        });
        Value::Object(each.collect())
    }

    /// Each event with what failed around it; at the end the time in which nothing happened.
    pub(super) fn events(&self) -> Value {
        let events = &self.happened.events;
        let mut told: Vec<Value> = events.iter().map(|event| self.event(event)).collect();
        let outside = |outcome: &&Outcome| !events.iter().any(|event| event.has(outcome));
        let quiet: Vec<&Outcome> = self.outcomes.iter().filter(outside).collect();
        let failed: Vec<&&Outcome> = quiet.iter().filter(|outcome| outcome.is_failed()).collect();
        told.push(json!({
            "name": "nothing", "zone": null, "requests": quiet.len(), "failed": failed.len(),
            "unexplained": failed.len(), "failures": tell(failed.iter().map(|outcome| **outcome), Duration::ZERO),
            "examples_unexplained": examples(failed.iter().map(|outcome| **outcome), Duration::ZERO),
        }));
        Value::Array(told)
    }

    fn event(&self, event: &Event) -> Value {
        let of: Vec<&Outcome> = self.outcomes.iter().filter(|outcome| event.has(outcome)).collect();
        let failed = || of.iter().filter(|outcome| outcome.is_failed());
        let there = |outcome: &&&Outcome| outcome.zone.is_none() || outcome.zone == event.zone;
        let under_way = of.iter().filter(|outcome| outcome.was_under_way(event.done));
        let since = |time: Option<Duration>| time.map(|time| millis(time.saturating_sub(event.done)));
        json!({
            "name": event.what.name(),
            "zone": event.zone,
            "at_s": seconds(event.begun),
            "noticed_ms": since(event.noticed.map(|(time, _)| time)),
            "balancer_said": event.noticed.map(|(_, said)| said),
            "ended_ms": since(event.ended),
            "back_s": seconds(event.back - event.begun),
            "requests": of.len(),
            "under_way": under_way.filter(there).count(),
            "failed": failed().count(),
            "unexplained": failed().filter(|outcome| !explains(event, outcome)).count(),
            "failures": tell(failed().copied(), event.done),
            "examples_unexplained": examples(failed().copied().filter(|outcome| !explains(event, outcome)), event.done),
        })
    }

    /// The owner who asks for more than a limit allows: what passed in a second, with Redis and without.
    pub(super) fn limit(&self) -> Value {
        let greedy = |windows: &[(Duration, Duration)]| {
            let all: Vec<&Outcome> = windows
                .iter()
                .flat_map(|window| self.sent(*window))
                .filter(|outcome| outcome.kind == Kind::Greedy)
                .collect();
            let time: Duration = windows.iter().map(|(from, to)| *to - *from).sum();
            let passed = all.iter().filter(|outcome| outcome.verdict == Verdict::Right).count();
            let each = |count: usize| count as f64 / time.as_secs_f64().max(1e-9);
            json!({ "seconds": seconds(time), "asked_per_second": each(all.len()), "passed_per_second": each(passed) })
        };
        let lost: Vec<_> = self.happened.events.iter().filter(|event| event.what == What::Redis).collect();
        let windows = |from: fn(&Event) -> Duration, to: fn(&Event) -> Duration| {
            lost.iter().map(|event| (from(event), to(event))).collect::<Vec<_>>()
        };
        json!({
            "allowed_per_second": 30,
            "while nothing happens": greedy(&[self.happened.quiet]),
            "while Redis is gone": greedy(&windows(|event| event.done, |event| event.back)),
            "after it came back": greedy(&windows(|event| event.back, |event| event.over)),
        })
    }
}

/// Whether an event is why a request failed. Only what breaks without a word may: a gateway that dies and a zone that is cut off
/// take with them what is sent there until the balancer has noticed. An answer with an error is never explained, nor
/// anything around a drain, Redis or the store.
fn explains(event: &Event, outcome: &Outcome) -> bool {
    let until = match event.what {
        What::Kill | What::Cut => event.noticed.map_or(event.done, |(time, _)| time),
        What::Notice | What::Redis | What::Store => return false,
    };
    !outcome.is_answered() && outcome.sent <= until + SOON && outcome.ended >= event.begun
}

/// How requests failed: kinds with counts, and when the first and the last of them were sent, by an event.
fn tell<'a>(failed: impl Iterator<Item = &'a Outcome>, since: Duration) -> Value {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut first, mut last) = (None, None);
    for outcome in failed {
        if let Verdict::Failed(how) | Verdict::Wrong(how) = &outcome.verdict {
            *kinds.entry(how).or_default() += 1;
        }
        let at = millis(outcome.sent) - millis(since);
        first = Some(first.map_or(at, |first: f64| first.min(at)));
        last = Some(last.map_or(at, |last: f64| last.max(at)));
    }
    json!({ "kinds": kinds, "first_sent_ms": first, "last_sent_ms": last })
}

/// The first of them, with what may tell why; times are in milliseconds since something was done.
fn examples<'a>(failed: impl Iterator<Item = &'a Outcome>, since: Duration) -> Vec<Value> {
    let told = failed.take(10).map(|outcome| {
        json!({
            "number": outcome.number, "sent_ms": millis(outcome.sent) - millis(since),
            "ended_ms": millis(outcome.ended) - millis(since), "opened": outcome.opened, "zone": outcome.zone,
        })
    });
    told.collect()
}

/// Count, median, 99%, 99.9% and the most, in milliseconds.
pub(super) fn percentiles(mut times: Vec<Duration>) -> Value {
    times.sort_unstable();
    let at = |share| (quantile_ms(&times, share) * 1e3).round() / 1e3;
    let under = times.iter().filter(|time| **time < Duration::from_millis(5)).count();
    json!({
        "count": times.len(), "p50_ms": at(0.5), "p99_ms": at(0.99), "p999_ms": at(0.999), "most_ms": at(1.0),
        "under_5_ms": under as f64 / times.len().max(1) as f64,
    })
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e3).round() / 1e3
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn outcome(sent: u64, ended: u64, verdict: Verdict) -> Outcome {
        Outcome {
            number: sent,
            kind: Kind::Known,
            sent: at(sent),
            ended: at(ended),
            opened: false,
            zone: Some("a"),
            verdict,
        }
    }

    fn event(what: What) -> Event {
        Event {
            what,
            zone: Some("a"),
            begun: at(1000),
            done: at(1010),
            noticed: Some((at(1500), "DOWN")),
            ended: None,
            back: at(3000),
            over: at(4000),
        }
    }

    fn failed(how: &str) -> Verdict {
        Verdict::Failed(how.to_owned())
    }

    #[test]
    fn only_what_breaks_without_a_word_explains_a_failure() {
        for (what, sent, ended, how, expect) in [
            (What::Kill, 1005, 1012, "closed", true),
            (What::Kill, 1590, 1591, "reset", true),
            (What::Kill, 1610, 1611, "closed", false),
            (What::Kill, 900, 950, "closed", false),
            (What::Kill, 1005, 1012, "502 upstream_connect", false),
            (What::Cut, 1400, 1501, "closed", true),
            (What::Cut, 1610, 1611, "closed", false),
            (What::Notice, 1005, 1012, "closed", false),
            (What::Redis, 1005, 1012, "closed", false),
            (What::Store, 1005, 1012, "timeout", false),
        ] {
            let outcome = outcome(sent, ended, failed(how));
            assert_eq!(explains(&event(what), &outcome), expect, "{what:?} {sent} {how}");
        }
    }

    #[test]
    fn every_request_is_counted_once_and_what_is_outside_of_events_too() {
        let outcomes = vec![
            outcome(10, 11, failed("closed")),
            outcome(990, 1012, failed("closed")),
            outcome(2000, 2001, Verdict::Right),
            outcome(2002, 2003, Verdict::Wrong("200".into())),
            outcome(3999, 4001, failed("closed")),
            outcome(5000, 5001, Verdict::Right),
        ];
        let happened = Happened { events: vec![event(What::Kill)], ..Happened::default() };
        let account = Account::new(outcomes, happened);
        let events = account.events();
        let told = |at: usize| {
            ["requests", "failed", "unexplained"].map(|name| events[at][name].as_u64().unwrap_or_default())
        };
        assert_eq!((told(0), told(1)), ([3, 2, 1], [3, 2, 2]));
        assert_eq!(events[0]["under_way"], 1);
        let totals = account.totals();
        assert_eq!((totals["all"].as_u64(), totals["failed"].as_u64()), (Some(6), Some(4)));
        assert_eq!(totals["wrong"], 1);
    }

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let told = percentiles((1..=1000).map(|number| Duration::from_micros(number * 10)).collect());
        assert_eq!(
            [&told["p50_ms"], &told["p99_ms"], &told["p999_ms"], &told["most_ms"], &told["under_5_ms"]],
            [&json!(5.0), &json!(9.9), &json!(9.99), &json!(10.0), &json!(0.499)]
        );
    }
}
