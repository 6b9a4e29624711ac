//! What became of each element of the source.

use std::fmt::Write;

use serde_json::{Value, json};

use super::secrets::Variable;

/// How much of an element was carried over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing: the note says what to do.
    NotCarried,
    /// Nearly: the note says what differs.
    Approximated,
    /// All of it.
    Exact,
}

/// One element and what became of it. Secrets never stand here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it stands in the source, such as `services.orders.plugins.jwt`.
    pub element: String,
    /// How much was carried over.
    pub outcome: Outcome,
    /// Whether it protects something.
    pub security: bool,
    /// What differs, or what to do.
    pub note: String,
}

/// All of them, in the order of the source.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    list: Vec<Finding>,
    /// Variables that have to be set, and where the secret of each stands in the source.
    variables: Vec<(String, String)>,
}

impl Outcome {
    /// `exact`, `approximated` or `not carried over`.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Exact => "exact",
            Outcome::Approximated => "approximated",
            Outcome::NotCarried => "not carried over",
        }
    }
}

impl Findings {
    /// The findings.
    pub fn list(&self) -> &[Finding] {
        &self.list
    }

    /// Whether something that protects is not exact: then the answer is no.
    pub fn weaker(&self) -> bool {
        self.list.iter().any(|one| one.security && one.outcome != Outcome::Exact)
    }

    /// For people: what needs a decision first.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        for (security, outcome) in [
            (true, Outcome::NotCarried),
            (true, Outcome::Approximated),
            (false, Outcome::NotCarried),
            (false, Outcome::Approximated),
        ] {
            let mut fits =
                self.list.iter().filter(|one| one.security == security && one.outcome == outcome).peekable();
            if fits.peek().is_some() {
                let _ = writeln!(out, "{}{}:", outcome.as_str(), if security { ", security" } else { "" });
            }
            for one in fits {
                let _ = writeln!(out, "  {}: {}", one.element, one.note);
            }
        }
        let exact: Vec<&Finding> = self.list.iter().filter(|one| one.outcome == Outcome::Exact).collect();
        if !exact.is_empty() {
            let _ = writeln!(out, "exact:");
        }
        for one in &exact {
            let note = if one.note.is_empty() { String::new() } else { format!(": {}", one.note) };
            let _ = writeln!(out, "  {}{note}", one.element);
        }
        if !self.variables.is_empty() {
            let _ =
                writeln!(out, "to be set in the environment of the gateway (`--secrets FILE` writes them):");
        }
        for (name, element) in &self.variables {
            let _ = writeln!(out, "  {name}: {element}");
        }
        let count = |outcome| self.list.iter().filter(|one| one.outcome == outcome).count();
        let weaker = self.list.iter().filter(|one| one.security && one.outcome != Outcome::Exact).count();
        let _ = writeln!(
            out,
            "{} exact, {} approximated, {} not carried over; {weaker} about security to look at",
            exact.len(),
            count(Outcome::Approximated),
            count(Outcome::NotCarried),
        );
        out
    }

    /// For machines.
    pub fn to_json(&self) -> Value {
        let list = self.list.iter().map(|one| {
            json!({
                "element": one.element,
                "outcome": one.outcome.as_str(),
                "security": one.security,
                "note": one.note,
            })
        });
        let variables =
            self.variables.iter().map(|(name, element)| json!({ "name": name, "element": element }));
        json!({
            "ok": !self.weaker(),
            "findings": list.collect::<Vec<_>>(),
            "variables": variables.collect::<Vec<_>>(),
        })
    }

    /// What has to be set before the configuration can be used.
    pub(super) fn need(&mut self, variables: &[Variable]) {
        self.variables = variables.iter().map(|one| (one.name.clone(), one.element.clone())).collect();
    }

    pub(super) fn exact(&mut self, element: impl Into<String>) {
        self.push(element.into(), Outcome::Exact, false, String::new());
    }

    pub(super) fn near(&mut self, element: impl Into<String>, note: impl Into<String>) {
        self.push(element.into(), Outcome::Approximated, false, note.into());
    }

    pub(super) fn lost(&mut self, element: impl Into<String>, note: impl Into<String>) {
        self.push(element.into(), Outcome::NotCarried, false, note.into());
    }

    /// Protects otherwise than it did, but not less.
    pub(super) fn guarded(&mut self, element: impl Into<String>, note: impl Into<String>) {
        self.push(element.into(), Outcome::Approximated, true, note.into());
    }

    /// Protected, and is not here: what it protected is refused.
    pub(super) fn unsafe_(&mut self, element: impl Into<String>, note: impl Into<String>) {
        self.push(element.into(), Outcome::NotCarried, true, note.into());
    }

    /// The same about the same is told once: plugins of a service are met on each of its routes.
    fn push(&mut self, element: String, outcome: Outcome, security: bool, note: String) {
        let finding = Finding { element: one_line(&element), outcome, security, note: one_line(&note) };
        let worse = |one: &Finding| one.element == finding.element && one.outcome < Outcome::Exact;
        if self.list.contains(&finding) || (outcome == Outcome::Exact && self.list.iter().any(worse)) {
            return;
        }
        self.list.retain(|one| one.element != finding.element || one.outcome != Outcome::Exact);
        self.list.push(finding);
    }
}

/// Names are the source's: none may begin a line of its own, or move a terminal's cursor.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
