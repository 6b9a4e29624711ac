//! The access records, read back from the object store: each answer has one.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::account::{Account, percentiles};
use super::ask::{Kind, Verdict};
use super::crowd::Crowd;
use super::events::What;
use super::load::Outcome;
use super::zones::Zones;

/// Workers hand records over every tenth of a second (docs/logs.md); twice that, for a machine that has other things to do.
const IN_MEMORY: Duration = Duration::from_millis(200);

/// Between the kill and the client's clock.
const SKEW: Duration = Duration::from_millis(50);

/// What the store has.
#[derive(Default)]
pub(super) struct Kept {
    /// By the number of the request: how many records, and how long it was in the gateway by the last one.
    by_number: HashMap<u64, (u32, Duration)>,
    /// Records of the crowd with 200.
    slow: u64,
    all: u64,
}

/// Reads all of them, by the gateway's own command.
pub(super) fn read(zones: &Zones) -> Result<Kept> {
    let mut child =
        zones.tollgate(&["logs", "--last", "1d"]).stdout(Stdio::piped()).spawn().context("tollgate logs")?;
    let mut kept = Kept::default();
    for line in BufReader::new(child.stdout.take().context("its output")?).lines() {
        let record: Value = serde_json::from_str(&line?).context("a record")?;
        kept.take(&record);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("tollgate logs ended with {status}");
    }
    Ok(kept)
}

impl Kept {
    fn take(&mut self, record: &Value) {
        self.all += 1;
        let path = record["path"].as_str().unwrap_or_default();
        let number = path.strip_prefix("/orders/").or_else(|| path.strip_prefix("/reports/"));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            let millis = record["duration_ms"].as_f64().unwrap_or_default();
            let entry = self.by_number.entry(number).or_default();
            *entry = (entry.0 + 1, Duration::from_secs_f64(millis.max(0.0) / 1e3));
        } else if path.starts_with("/slow/") && record["status"] == 200 {
            self.slow += 1;
        }
    }
}

/// Answers beside records. Only a process that was killed may have lost some: those that it had not yet written to its spool.
pub(super) fn compare(kept: &Kept, account: &Account, crowd: &Crowd, dropped: u64) -> Value {
    let kills: Vec<_> = account.happened.events.iter().filter(|event| event.what == What::Kill).collect();
    let age = |outcome: &Outcome| {
        let killed = kills.iter().filter(|kill| outcome.zone.is_none() || outcome.zone == kill.zone);
        let mut ages = killed.filter_map(|kill| (kill.done + SKEW).checked_sub(outcome.ended));
        ages.find(|age| *age <= IN_MEMORY + SKEW)
    };
    let (mut answered, mut twice, mut without_answer) = (0_u64, 0_u64, 0_u64);
    let (mut lost, mut oldest, mut unexplained) = (0_u64, Duration::ZERO, Vec::new());
    for outcome in &account.outcomes {
        let records = kept.by_number.get(&outcome.number).map_or(0, |(count, _)| *count);
        twice += u64::from(records > 1);
        if !outcome.is_answered() {
            without_answer += u64::from(records > 0);
            continue;
        }
        answered += 1;
        if records == 0 {
            match age(outcome) {
                Some(age) => {
                    lost += 1;
                    oldest = oldest.max(age.saturating_sub(SKEW));
                }
                None => unexplained.push(outcome.number),
            }
        }
    }
    json!({
        "in_the_store": kept.all,
        "answered": answered,
        "with_a_record": answered - lost - unexplained.len() as u64,
        "kills": kills.len(),
        "lost_to_kills": lost,
        "oldest_lost_ms": oldest.as_millis() as u64,
        "missing_unexplained": unexplained.len() + crowd.answered.saturating_sub(kept.slow) as usize,
        "examples_unexplained": unexplained.iter().take(10).collect::<Vec<_>>(),
        "twice": twice,
        "without_an_answer": without_answer,
        "crowd_answered": crowd.answered,
        "crowd_with_a_record": kept.slow,
        "dropped": dropped,
    })
}

/// Time in the gateway while nothing happens, from the first byte of the head to the last of the answer, in milliseconds. What
/// the service takes is in it: the gateway reads its clock once for all that it does at a time, so the two cannot be told apart
/// to the microsecond.
pub(super) fn in_gateway(kept: &Kept, account: &Account) -> Value {
    let of = |kind: Kind| {
        let right = account
            .sent(account.happened.quiet)
            .filter(|outcome| outcome.kind == kind && outcome.verdict == Verdict::Right);
        let times = right.filter_map(|outcome| Some(kept.by_number.get(&outcome.number)?.1));
        percentiles(times.collect())
    };
    json!({
        "known token": of(Kind::Known),
        "new token": of(Kind::Fresh),
        "no token": of(Kind::Missing),
        "forged token": of(Kind::Forged),
    })
}

#[cfg(test)]
mod tests {
    use super::super::events::{Event, Happened};
    use super::*;

    fn outcome(number: u64, ended: u64, zone: &'static str, verdict: Verdict) -> Outcome {
        let (sent, ended) = (Duration::from_millis(ended - 1), Duration::from_millis(ended));
        Outcome { number, kind: Kind::Known, sent, ended, opened: false, zone: Some(zone), verdict }
    }

    #[test]
    fn a_missing_record_is_explained_by_a_kill_in_its_zone_a_moment_later_and_by_nothing_else() {
        let killed = Duration::from_millis(1000);
        let kill = Event {
            what: What::Kill,
            zone: Some("a"),
            begun: killed,
            done: killed,
            noticed: None,
            ended: None,
            back: killed * 2,
            over: killed * 3,
        };
        let right = || Verdict::Right;
        let outcomes = vec![
            outcome(1, 950, "a", right()),
            outcome(2, 950, "b", right()),
            outcome(3, 700, "a", right()),
            outcome(4, 2000, "a", right()),
            outcome(5, 999, "a", Verdict::Failed("closed".into())),
            outcome(6, 500, "a", right()),
            outcome(7, 500, "a", Verdict::Failed("502 upstream_connect".into())),
        ];
        let account = Account::new(outcomes, Happened { events: vec![kill], ..Happened::default() });
        let mut kept = Kept::default();
        for path in ["/orders/6", "/reports/6", "/slow/1", "/orders/5", "/"] {
            kept.take(&json!({ "path": path, "status": 200, "duration_ms": 0.5 }));
        }
        let crowd = Crowd { measured: Value::Null, answered: 2 };
        let told = compare(&kept, &account, &crowd, 0);
        let number = |name: &str| told[name].as_u64();
        assert_eq!((number("answered"), number("with_a_record")), (Some(6), Some(1)));
        assert_eq!((number("lost_to_kills"), number("oldest_lost_ms")), (Some(1), Some(50)));
        assert_eq!(told["examples_unexplained"], json!([2, 3, 4, 7]));
        assert_eq!(number("missing_unexplained"), Some(5), "one of the crowd too");
        assert_eq!((number("twice"), number("without_an_answer")), (Some(1), Some(1)));
        assert_eq!(kept.by_number[&6].1, Duration::from_micros(500));
    }
}
