//! Live answers as tests: requests go to a gateway that runs, once each, and what it answered is what a test expects.
//!
//! A client sees neither what a service said nor which credential is good: the first is taken for what came through, the
//! second is made anew. What is written was run offline, and what did not hold there is not written.

mod credentials;
mod entry;
mod live;
mod wishes;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use tollgate_config::{Failed, Loaded, OsSources, Sources};
use tollgate_plan::Plan;
use tollgate_plan::issuer::HttpUrl;
use tollgate_plan::proof::Proof;
use tollgate_plan::route::Route;

use super::{Looked, look};
use crate::admin_side::AdminSide;
use crate::reload::Recording;
use crate::source::Source;
use credentials::World;
use entry::{Entry, one_line};
use live::{Answer, Live};

pub(crate) use wishes::{Wish, Wishes};

/// What the tests are called while they are in no file.
const NAME: &str = "recorded tests";

/// Bytes of one file of the configuration that are searched for names of claims.
const SEARCHED_BYTES_MAX: u64 = 4 << 20;

/// What came of it.
pub(crate) struct Recorded {
    entries: Vec<Entry>,
    /// Requests that became no test, and why.
    left: Vec<(String, String)>,
    place: String,
    /// Why the admin side told nothing.
    pub(crate) silent: Option<String>,
}

impl Recorded {
    /// How many tests there are, and how many requests became none.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.entries.len(), self.left.len())
    }

    /// As a file of tests, or without `tests:` as the end of one.
    pub(crate) fn yaml(&self, append: bool) -> String {
        let mut out = String::new();
        let indent = if append { "  " } else { "" };
        let how = match self.silent {
            None => "as its access records say",
            Some(_) => "as the configuration says",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{indent}# Recorded from {}; routes {how}.", self.place);
        let _ = writeln!(
            out,
            "{indent}# Bodies, paths and claims are as they were: look through them before you keep them."
        );
        for (request, why) in &self.left {
            let _ = writeln!(out, "{indent}# Left out: {}: {}.", one_line(request), one_line(why));
        }
        if !append {
            out.push_str(if self.entries.is_empty() { "tests: []\n" } else { "tests:\n" });
        }
        self.entries.iter().for_each(|entry| entry.write(&mut out));
        out
    }
}

/// A request, what came of it, and the route that it took.
struct Take {
    wish: Wish,
    host: String,
    answer: Answer,
    route: Option<String>,
}

/// Records. An error says why nothing could be.
pub(crate) fn record(
    (source, loaded): (&Source, &Loaded),
    url: &HttpUrl,
    admin: AdminSide,
    wishes: Wishes,
) -> Result<Recorded, String> {
    let mut live = Live::open(url, admin)?;
    let mut recorder = Recorder { source, plan: &loaded.plan, left: Vec::new() };
    recorder.left.extend(wishes.left.into_iter().map(|(request, why)| (request, why.to_owned())));
    let takes = recorder.send(wishes.all, &mut live, url);
    let takes = recorder.find_routes(takes)?;
    let world = World { plan: &loaded.plan, text: text(source, loaded) };
    let entries = recorder.write(&takes, &world);
    let entries = recorder.settle(entries)?;
    Ok(Recorded { entries, left: recorder.left, place: live::place(url), silent: live.silent })
}

/// Tests, each with its request in words.
type Named = Vec<(String, Entry)>;

struct Recorder<'a> {
    source: &'a Source,
    plan: &'a Plan,
    left: Vec<(String, String)>,
}

impl Recorder<'_> {
    fn send(&mut self, wishes: Vec<Wish>, live: &mut Live<'_>, url: &HttpUrl) -> Vec<Take> {
        let mut takes = Vec::new();
        for wish in wishes {
            match live.ask(&wish) {
                Ok(answer) => {
                    let host = wish.host.clone().unwrap_or_else(|| url.authority());
                    let known = answer.record.as_ref().and_then(|record| record["route"].as_str());
                    let route = known.map(str::to_owned);
                    takes.push(Take { wish, host, answer, route });
                }
                Err(why) => self.left.push((wish.shown(), format!("no answer: {why}"))),
            }
        }
        takes
    }

    /// Where no record says which route it was, the configuration does.
    fn find_routes(&mut self, mut takes: Vec<Take>) -> Result<Vec<Take>, String> {
        let open: Vec<usize> = (0..takes.len())
            .filter(|at| takes.get(*at).is_some_and(|take| take.answer.record.is_none()))
            .collect();
        let bare = open
            .iter()
            .filter_map(|at| takes.get(*at))
            .map(|take| (take.wish.shown(), entry::bare(&take.wish, &take.host)));
        let bare: Named = bare.collect();
        let mut left = Vec::new();
        let (looked, _) = run(self.source, bare, &mut left)?;
        if !left.is_empty() {
            // Each would be refused again: nothing is lost but the name of a route.
            return Ok(takes);
        }
        for (at, looked) in open.into_iter().zip(looked) {
            if let Some(take) = takes.get_mut(at) {
                take.route = looked.route;
            }
        }
        Ok(takes)
    }

    fn write(&mut self, takes: &[Take], world: &World<'_>) -> Named {
        let mut entries = Vec::new();
        for take in takes {
            let named = |route: &&Route| Some(&*route.name) == take.route.as_deref();
            let route = self.plan.routes.iter().find(named);
            if let (None, Some(name)) = (route, &take.route) {
                let why = format!("the gateway took the route {name}, which the configuration has not");
                self.left.push((take.wish.shown(), why));
                continue;
            }
            match credentials::carry(&take.wish, route, take.answer.reason(), world) {
                Ok(carried) => {
                    let entry = entry::of(&take.wish, &take.host, &take.answer, route, carried, self.plan);
                    entries.push((take.wish.shown(), entry));
                }
                Err(why) => self.left.push((take.wish.shown(), why)),
            }
        }
        entries
    }

    /// Runs them offline, and takes back what does not hold there, until all that is left does.
    fn settle(&mut self, entries: Named) -> Result<Vec<Entry>, String> {
        let (looked, entries) = run(self.source, entries, &mut self.left)?;
        let mut kept = Vec::new();
        for ((request, mut entry), looked) in entries.into_iter().zip(looked) {
            entry.asked(&looked.paths, self.plan);
            match looked.faults.iter().find(|fault| !entry.take_back(&fault.what)) {
                None => kept.push((request, entry)),
                Some(fault) => {
                    let why = match (entry.route(), &looked.route) {
                        (Some(live), Some(here)) if live != here => {
                            format!("the gateway took the route {live}, the configuration takes {here}")
                        }
                        _ => {
                            format!("{} is {} live and {} offline", fault.key(), fault.expected, fault.found)
                        }
                    };
                    self.left.push((request, why));
                }
            }
        }
        // What is not the same each time would fail on some other day.
        for _ in 0..2 {
            let (looked, entries) = run(self.source, kept, &mut self.left)?;
            kept = Vec::new();
            for ((request, entry), looked) in entries.into_iter().zip(looked) {
                match looked.faults.first() {
                    None => kept.push((request, entry)),
                    Some(fault) => {
                        let why = format!("{} is not the same each time offline", fault.key());
                        self.left.push((request, why));
                    }
                }
            }
        }
        Ok(kept.into_iter().map(|(_, entry)| entry).collect())
    }
}

/// What came of each test offline. Tests that the configuration refuses go.
fn run(
    source: &Source,
    mut entries: Named,
    left: &mut Vec<(String, String)>,
) -> Result<(Vec<Looked>, Named), String> {
    loop {
        if entries.is_empty() {
            return Ok((Vec::new(), entries));
        }
        let mut text = String::from("tests:\n");
        let mut starts = Vec::new();
        for (_, entry) in &entries {
            starts.push(text.matches('\n').count() + 1);
            entry.write(&mut text);
        }
        match tollgate_config::load_and(source.path(), &Recording::of(source), (Path::new(NAME), &text)) {
            Ok(loaded) => {
                let all = loaded.proofs.all.iter();
                let proofs: Vec<&Proof> = all.filter(|proof| *proof.file == *NAME).collect();
                return Ok((look(&loaded.plan, &proofs)?, entries));
            }
            Err(failed) => {
                let refused = refused(&failed, &starts);
                if refused.is_empty() {
                    let first = failed.diagnostics.first().map(|one| one.message.clone()).unwrap_or_default();
                    return Err(format!("the tests cannot be read back: {first}"));
                }
                let mut at = 0;
                entries.retain(|(request, _)| {
                    at += 1;
                    let why = refused.iter().find(|(entry, _)| *entry == at - 1);
                    left.extend(why.map(|(_, why)| (request.clone(), why.clone())));
                    why.is_none()
                });
            }
        }
    }
}

/// The tests that have an error, each with its first one.
fn refused(failed: &Failed, starts: &[usize]) -> Vec<(usize, String)> {
    let mut seen = BTreeSet::new();
    let mut refused = Vec::new();
    for one in failed.diagnostics.iter().filter(|one| one.file == NAME) {
        let entry = starts.partition_point(|start| *start <= one.line as usize).checked_sub(1);
        if let Some(entry) = entry.filter(|entry| seen.insert(*entry)) {
            refused.push((entry, one.message.clone()));
        }
    }
    refused
}

/// All text of the configuration, with what it names.
fn text(source: &Source, loaded: &Loaded) -> String {
    let main = source.text().map(|text| String::from_utf8_lossy(&text).into_owned());
    let files = loaded.files.iter().filter_map(|file| OsSources.read(file, SEARCHED_BYTES_MAX).ok());
    let files = files.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    main.into_iter().chain(files).collect::<Vec<_>>().join("\n")
}
