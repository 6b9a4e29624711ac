//! What came of a day's requests: in all, around each event, and of one who asks for more than a limit allows.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::day::Outcome;
use super::events::{Event, Happened, What};
use super::mix::{Kind, Verdict};
use crate::replay::due::micros;
use crate::replay::process::load_average;
use crate::replay::samples::percentile_ms;
use crate::say;

/// Names of the samples.
pub(super) const DAY: &str = "day";
pub(super) const EVENT: &str = "event";
pub(super) const LIMIT: &str = "limit";
pub(super) const NOTHING: &str = "nothing of these";

/// The limits of the example that are reached: of `orders` for one owner over both instances, of `reports` for one address at each.
const ORDERS: Bucket = Bucket { burst: 100.0, per_s: 100.0 / 60.0 };
const REPORTS: Bucket = Bucket { burst: 20.0, per_s: 10.0 };

struct Bucket {
    burst: f64,
    per_s: f64,
}

/// All outcomes and what happened meanwhile.
pub(super) struct Account {
    outcomes: Vec<Outcome>,
    happened: Happened,
}

/// Counts of some requests.
#[derive(Debug, Default, PartialEq)]
struct Count {
    requests: u64,
    limited: u64,
    failed: u64,
    /// Failures that no event explains.
    unexplained: u64,
    wrong: u64,
    kinds: BTreeMap<String, u64>,
}

impl Event {
    /// A request belongs to the event in whose time it ended: each to one, and what an event cut short to that one.
    fn has(&self, outcome: &Outcome) -> bool {
        (self.begun..self.over).contains(&outcome.ended)
    }

    /// Whether it is why a request failed. Only a service that is gone may be: what needs it is 502 until the circuits are open,
    /// then 503, until they are closed again; and health says so. Of no other event a client may notice anything.
    fn explains(&self, outcome: &Outcome) -> bool {
        let Verdict::Failed(how) = &outcome.verdict else { return false };
        let of_it = match outcome.kind {
            Kind::Health => how == "200 degraded",
            kind => {
                kind.needs_stock()
                    && matches!(&how[..], "502 upstream_connect" | "502 upstream_reset" | "503 circuit_open")
            }
        };
        self.what == What::Service && of_it && outcome.ended >= self.begun && outcome.sent <= self.well
    }
}

impl Count {
    fn of<'a>(outcomes: impl Iterator<Item = &'a Outcome>, event: Option<&Event>) -> Count {
        let mut count = Count::default();
        for outcome in outcomes {
            count.requests += 1;
            let how = match &outcome.verdict {
                Verdict::Right => continue,
                Verdict::Limited => {
                    count.limited += 1;
                    continue;
                }
                Verdict::Failed(how) => {
                    count.failed += 1;
                    count.unexplained += u64::from(!event.is_some_and(|event| event.explains(outcome)));
                    how.clone()
                }
                Verdict::Wrong(how) => {
                    count.wrong += 1;
                    format!("wrong: {how}")
                }
            };
            *count.kinds.entry(how).or_default() += 1;
        }
        count
    }

    fn told(&self, more: Value) -> Value {
        let mut told = json!({
            "requests": self.requests, "limited": self.limited, "failed": self.failed, "unexplained": self.unexplained,
            "wrong": self.wrong, "how": self.kinds,
        });
        if let (Some(told), Value::Object(more)) = (told.as_object_mut(), more) {
            told.extend(more);
        }
        told
    }
}

impl Account {
    pub(super) fn new(outcomes: Vec<Outcome>, happened: Happened) -> Account {
        Account { outcomes, happened }
    }

    /// Puts it into the samples.
    pub(super) fn tell(&self, load_before: Option<f64>, samples: &mut Vec<Value>) {
        samples.push(self.day(load_before));
        for (event, count) in self.around() {
            let told = event.map_or_else(|| json!({}), Event::told);
            let name = event.map_or(NOTHING, |event| event.what.name());
            let mut sample = json!({ "work": EVENT, "round": 1, "name": name });
            if let (Some(sample), Value::Object(more)) = (sample.as_object_mut(), count.told(told)) {
                sample.extend(more);
            }
            samples.push(sample);
        }
        samples.extend([self.limit(Kind::Greedy), self.limit(Kind::Reports)]);
    }

    /// What must not be.
    pub(super) fn complaints(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (event, count) in self.around() {
            let name = event.map_or(NOTHING, |event| event.what.name());
            if count.wrong + count.unexplained > 0 {
                found.push(format!(
                    "{name}: {} wrong answers, {} failures without a cause: {:?}",
                    count.wrong, count.unexplained, count.kinds
                ));
            }
        }
        for kind in [Kind::Greedy, Kind::Reports] {
            let told = self.limit(kind);
            if told["passed"].as_f64() > told["most"].as_f64() {
                found.push(format!("more passed than a limit allows: {told}"));
            }
        }
        let last = self.outcomes.iter().map(|outcome| outcome.due).max().unwrap_or_default();
        if self.happened.events.last().is_none_or(|event| event.over > last) {
            found.push("the events took longer than the day: give it more seconds".to_owned());
        }
        found
    }

    /// Each event with what failed around it; at the end the time in which nothing happened.
    fn around(&self) -> Vec<(Option<&Event>, Count)> {
        let events = &self.happened.events;
        let of = |event| {
            let around = self.outcomes.iter().filter(|outcome| Event::has(event, outcome));
            (Some(event), Count::of(around, Some(event)))
        };
        let outside = |outcome: &&Outcome| !events.iter().any(|event| event.has(outcome));
        let quiet = (None, Count::of(self.outcomes.iter().filter(outside), None));
        events.iter().map(of).chain([quiet]).collect()
    }

    fn day(&self, load_before: Option<f64>) -> Value {
        let count = Count::of(self.outcomes.iter(), None);
        let unexplained: u64 = self.around().iter().map(|(_, count)| count.unexplained).sum();
        let last = self.outcomes.iter().map(|outcome| outcome.ended).max().unwrap_or_default();
        let (from, to) = self.happened.quiet;
        let quiet = |outcome: &&Outcome| (from..to).contains(&outcome.due);
        let in_quiet = self.outcomes.iter().filter(quiet).count();
        let kinds: BTreeMap<&str, usize> = Kind::ALL
            .iter()
            .map(|kind| {
                let of = self.outcomes.iter().filter(|outcome| outcome.kind == *kind).count();
                (kind.name_and_share().0, of)
            })
            .collect();
        let memory = self.happened.memory;
        say::line(format_args!(
            "{} requests in {:.0} s: {} limited, {} failed, {unexplained} of them without a cause, {} wrong; at most {:.1} and {:.1} MiB",
            count.requests,
            last.as_secs_f64(),
            count.limited,
            count.failed,
            count.wrong,
            memory[0],
            memory[1]
        ));
        let mut told = json!({
            "work": DAY, "round": 1, "seconds": last.as_secs_f64(), "kinds": kinds,
            "all": latencies(self.outcomes.iter()), "quiet": latencies(self.outcomes.iter().filter(quiet)),
            "quiet_us_per_request": self.happened.quiet_cpu_s * 1e6 / in_quiet.max(1) as f64,
            "quiet_seconds": (to - from).as_secs_f64(), "most_mib": memory,
            "load_average_before": load_before, "load_average": load_average(),
        });
        if let (Some(told), Value::Object(more)) =
            (told.as_object_mut(), count.told(json!({ "unexplained": unexplained })))
        {
            told.extend(more);
        }
        told
    }

    /// What passed of a kind that asks too often, and the most that its limit allows in the time.
    fn limit(&self, kind: Kind) -> Value {
        let of: Vec<&Outcome> = self.outcomes.iter().filter(|outcome| outcome.kind == kind).collect();
        let passed = of.iter().filter(|outcome| outcome.verdict == Verdict::Right).count();
        let seconds = of.iter().map(|outcome| outcome.ended).max().unwrap_or_default().as_secs_f64();
        json!({
            "work": LIMIT, "round": 1, "kind": kind.name_and_share().0, "asked": of.len(), "passed": passed,
            "most": most(kind, seconds, self.happened.redis_losses).floor(), "seconds": seconds,
            "redis_losses": self.happened.redis_losses,
        })
    }
}

/// The shared limit: a full bucket at first; both halves when Redis goes, and a full one when it comes back empty; and half of one in each
/// of two processes that come after others, until they have reached Redis. An instance that loses Redis once more has what has come
/// back of its half since. The other limit is each instance's own, and full again
/// in each process that comes after another.
fn most(kind: Kind, seconds: f64, losses: usize) -> f64 {
    match kind {
        Kind::Reports => {
            let processes = 4.0;
            processes * REPORTS.burst + 2.0 * REPORTS.per_s * seconds
        }
        _ => {
            let halves = (losses as f64 * ORDERS.burst / 2.0).min(ORDERS.per_s * seconds);
            4.0 * ORDERS.burst + ORDERS.per_s * seconds + halves
        }
    }
}

/// From when requests were due, and from when they were sent.
fn latencies<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> Value {
    let (mut due, mut sent): (Vec<u32>, Vec<u32>) = outcomes
        .map(|outcome| {
            let since = |time: Duration| micros(outcome.ended.saturating_sub(time));
            (since(outcome.due), since(outcome.sent))
        })
        .unzip();
    due.sort_unstable();
    sent.sort_unstable();
    let of = |sorted: &[u32]| {
        json!({
            "p50_ms": percentile_ms(sorted, 50.0), "p95_ms": percentile_ms(sorted, 95.0),
            "p99_ms": percentile_ms(sorted, 99.0), "most_ms": percentile_ms(sorted, 100.0),
        })
    };
    json!({ "requests": due.len(), "due": of(&due), "sent": of(&sent) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn outcome(kind: Kind, sent: u64, ended: u64, verdict: Verdict) -> Outcome {
        Outcome { kind, due: at(sent), sent: at(sent), ended: at(ended), verdict }
    }

    fn event(what: What) -> Event {
        Event { what, begun: at(1000), noticed: None, back: None, well: at(3000), over: at(4000) }
    }

    fn failed(how: &str) -> Verdict {
        Verdict::Failed(how.to_owned())
    }

    #[test]
    fn only_a_service_that_is_gone_explains_a_failure() {
        for (what, kind, sent, how, expect) in [
            (What::Service, Kind::Rs256, 1500, "503 circuit_open", true),
            (What::Service, Kind::Es256, 1500, "502 upstream_connect", true),
            (What::Service, Kind::Health, 1500, "200 degraded", true),
            (What::Service, Kind::Rs256, 3100, "503 circuit_open", false),
            (What::Service, Kind::Orders, 1500, "503 circuit_open", false),
            (What::Service, Kind::Rs256, 1500, "504 upstream_timeout", false),
            (What::Service, Kind::Rs256, 1500, "closed before the end of a head", false),
            (What::Redis, Kind::Rs256, 1500, "503 circuit_open", false),
            (What::Drain, Kind::Rs256, 1500, "closed before the end of a head", false),
        ] {
            let outcome = outcome(kind, sent, sent + 1, failed(how));
            assert_eq!(event(what).explains(&outcome), expect, "{what:?} {kind:?} {sent} {how}");
        }
    }

    #[test]
    fn every_request_is_counted_once_and_what_is_outside_of_events_too() {
        let outcomes = vec![
            outcome(Kind::Rs256, 10, 11, failed("503 circuit_open")),
            outcome(Kind::Rs256, 990, 1012, failed("502 upstream_reset")),
            outcome(Kind::Rs256, 2000, 2001, Verdict::Right),
            outcome(Kind::Greedy, 2002, 2003, Verdict::Limited),
            outcome(Kind::Orders, 2004, 2005, Verdict::Wrong("200".into())),
            outcome(Kind::Orders, 5000, 5001, Verdict::Right),
        ];
        let happened = Happened { events: vec![event(What::Service)], ..Happened::default() };
        let account = Account::new(outcomes, happened);
        let around: Vec<[u64; 5]> = account
            .around()
            .iter()
            .map(|(_, count)| [count.requests, count.limited, count.failed, count.unexplained, count.wrong])
            .collect();
        assert_eq!(around, [[4, 1, 1, 0, 1], [2, 0, 1, 1, 0]]);
        assert_eq!(account.complaints().len(), 2, "{:?}", account.complaints());
        let mut samples = Vec::new();
        account.tell(None, &mut samples);
        let day = &samples[0];
        assert_eq!([&day["requests"], &day["failed"], &day["unexplained"], &day["wrong"]], [6, 2, 1, 1]);
    }

    #[test]
    fn more_than_a_limit_allows_is_a_complaint() {
        let with = |passed: u64| {
            let outcomes = (0..passed).map(|at| outcome(Kind::Greedy, at, at + 1, Verdict::Right));
            let last = outcome(Kind::Rs256, 6000, 6001, Verdict::Right);
            let happened = Happened { events: vec![event(What::Redis)], ..Happened::default() };
            Account::new(outcomes.chain([last]).collect(), happened).complaints()
        };
        assert_eq!(with(400), Vec::<String>::new());
        assert_eq!(with(410).len(), 1);
        assert_eq!(most(Kind::Greedy, 60.0, 0), 500.0);
        assert_eq!(most(Kind::Greedy, 60.0, 1), 550.0);
        assert_eq!(most(Kind::Greedy, 60.0, 9), 600.0);
    }
}
