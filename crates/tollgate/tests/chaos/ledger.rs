//! What was asked and answered, and which errors the sequence of events explains.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What a request needs beside the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Area {
    /// The upstream of two targets.
    Pair,
    /// The upstream that is known by name.
    Named,
    /// The issuer's keys, and the time of day.
    Token,
    /// Everything needs a connection.
    Connection,
}

/// What an answer was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// What it had to be.
    Right,
    /// An error that says so: the code of a problem document, or how the connection failed.
    Error(String),
    /// Anything else: somebody was let in, got another's answer, or a broken one. Nothing explains that.
    Wrong(String),
}

/// For whose errors there is a reason, and when.
struct Excuse {
    name: String,
    areas: Vec<Area>,
    codes: &'static [&'static str],
    since: Instant,
    until: Option<Instant>,
}

/// A handle of an excuse, to end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExcuseId(usize);

/// How many complaints are kept with their text.
const COMPLAINTS_MAX: usize = 25;

/// The account of a run. Written by the clients and by the events.
#[derive(Default)]
pub(crate) struct Ledger(Mutex<Account>);

#[derive(Default)]
struct Account {
    /// By the name of the question and what became of it.
    counts: BTreeMap<(&'static str, String), u64>,
    complaints: Vec<String>,
    bad: u64,
    excuses: Vec<Excuse>,
    /// Requests let pass by key of the limited routes.
    passed: BTreeMap<String, u64>,
    /// Numbers of requests that were answered, where they are to be found in the log.
    answered: Option<HashSet<u64>>,
    slowest: Duration,
}

impl Ledger {
    /// One that remembers the number of every request that was answered.
    pub(crate) fn remembering() -> Ledger {
        Ledger(Mutex::new(Account { answered: Some(HashSet::new()), ..Account::default() }))
    }

    /// From now on errors of these codes are explained where one of these areas is needed.
    pub(crate) fn excuse(
        &self,
        name: impl Into<String>,
        areas: &[Area],
        codes: &'static [&'static str],
    ) -> ExcuseId {
        let mut account = self.lock();
        let (name, areas, since) = (name.into(), areas.to_vec(), Instant::now());
        account.excuses.push(Excuse { name, areas, codes, since, until: None });
        ExcuseId(account.excuses.len() - 1)
    }

    /// No longer for requests that begin after now.
    pub(crate) fn end(&self, id: ExcuseId) {
        self.lock().excuses[id.0].until = Some(Instant::now());
    }

    /// Takes down what became of a request that began at `sent`.
    pub(crate) fn enter(
        &self,
        name: &'static str,
        areas: &[Area],
        number: u64,
        sent: Instant,
        verdict: Verdict,
    ) {
        let now = Instant::now();
        let mut account = self.lock();
        let account = &mut *account;
        account.slowest = account.slowest.max(now - sent);
        let outcome = match &verdict {
            Verdict::Right => "right".to_owned(),
            Verdict::Error(code) => {
                let explained = account.excuses.iter().find(|excuse| {
                    excuse.since <= now
                        && excuse.until.is_none_or(|until| until >= sent)
                        && excuse.codes.contains(&code.as_str())
                        && (excuse.areas.contains(&Area::Connection)
                            || areas.iter().any(|area| excuse.areas.contains(area)))
                });
                match explained {
                    Some(excuse) => format!("{code}, explained by {}", excuse.name),
                    None => {
                        account.complain(format!("unexplained: {name} {number}: {code}"));
                        format!("{code}, UNEXPLAINED")
                    }
                }
            }
            Verdict::Wrong(what) => {
                account.complain(format!("WRONG: {name} {number}: {what}"));
                "WRONG".to_owned()
            }
        };
        *account.counts.entry((name, outcome)).or_default() += 1;
        let from_gateway = match &verdict {
            Verdict::Right => true,
            // A request whose connection failed may or may not have a record.
            Verdict::Error(code) => code.contains('_') || code == "overloaded",
            Verdict::Wrong(_) => false,
        };
        if let Some(answered) = account.answered.as_mut().filter(|_| from_gateway) {
            answered.insert(number);
        }
    }

    /// Something is wrong that no single answer shows.
    pub(crate) fn complain(&self, what: String) {
        self.lock().complain(what);
    }

    /// A limited route let a request pass.
    pub(crate) fn pass(&self, key: &str) {
        *self.lock().passed.entry(key.to_owned()).or_default() += 1;
    }

    /// How often each key was let pass.
    pub(crate) fn passed(&self) -> BTreeMap<String, u64> {
        self.lock().passed.clone()
    }

    /// The numbers of requests that the gateway answered.
    pub(crate) fn answered(&self) -> HashSet<u64> {
        self.lock().answered.clone().unwrap_or_default()
    }

    /// How many requests there were, and how many complaints.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let account = self.lock();
        (account.counts.values().sum(), account.bad)
    }

    /// The account as text.
    pub(crate) fn report(&self) -> String {
        let account = self.lock();
        let mut text = String::new();
        for ((name, outcome), count) in &account.counts {
            text.push_str(&format!("{count:>9}  {name}: {outcome}\n"));
        }
        text.push_str(&format!(
            "{:>9}  requests in all, the slowest took {} ms\n",
            account.counts.values().sum::<u64>(),
            account.slowest.as_millis()
        ));
        for complaint in &account.complaints {
            text.push_str(&format!("  {complaint}\n"));
        }
        text.push_str(&format!("{:>9}  wrong or unexplained\n", account.bad));
        text
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Account {
    fn complain(&mut self, what: String) {
        self.bad += 1;
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(what);
        }
    }
}

/// An error is explained by its area, its code and its time; a wrong answer by nothing.
#[test]
fn what_an_excuse_explains() {
    let ledger = Ledger::default();
    let sent = Instant::now();
    let error = || Verdict::Error("upstream_connect".into());
    let id = ledger.excuse("a death", &[Area::Pair], &["upstream_connect"]);
    let mut bad = 0;
    for (areas, verdict, explained) in [
        (&[Area::Pair][..], error(), true),
        (&[Area::Named, Area::Pair], error(), true),
        (&[Area::Named], error(), false),
        (&[Area::Pair], Verdict::Error("token_missing".into()), false),
        (&[Area::Pair], Verdict::Wrong("let in".into()), false),
        (&[], Verdict::Right, true),
    ] {
        ledger.enter("case", areas, 1, sent, verdict.clone());
        bad += u64::from(!explained);
        assert_eq!(ledger.totals().1, bad, "{areas:?} {verdict:?}");
    }
    ledger.end(id);
    ledger.enter("case", &[Area::Pair], 1, sent, error());
    assert_eq!(ledger.totals().1, bad, "it was sent before the end");
    let later = Instant::now() + Duration::from_millis(1);
    ledger.enter("case", &[Area::Pair], 1, later, error());
    assert_eq!(ledger.totals().1, bad + 1);
}
