//! Consumers of all files: each name, key and user once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tollgate_plan::consumer::{Consumer, ConsumerId, Consumers, KeyHash, Password};

use super::File;
use super::names::RENAME;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, List, Rows, Slot};
use crate::source_map::Span;
use crate::spec;

/// The consumers, and what routes are checked against.
#[derive(Default)]
pub(super) struct People {
    pub(super) consumers: Consumers,
    /// Groups that somebody is in.
    pub(super) groups: HashSet<Arc<str>>,
    /// Whether all of every consumer is known: only then what nobody has is missing.
    pub(super) complete: bool,
}

/// Where each name, key and user was first written.
#[derive(Default)]
struct Places {
    names: HashMap<String, Span>,
    keys: HashMap<KeyHash, Span>,
    users: HashMap<String, Span>,
}

/// Collects the consumers of all files.
pub(super) fn collect(files: &[File<'_>], report: &mut Report) -> People {
    let mut people = People { complete: true, ..People::default() };
    let mut places = Places::default();
    for file in files {
        people.complete &= !matches!(file.consumers, Slot::Faulty(_));
        for consumer in file.consumers.value().into_iter().flat_map(|Rows(rows)| rows) {
            people.add(consumer, &mut places, report);
        }
    }
    people
}

impl People {
    fn add(&mut self, at: &At<spec::Consumer>, places: &mut Places, report: &mut Report) {
        let block = &at.value;
        let faulty = [
            is_faulty(&block.name),
            is_faulty(&block.keys),
            is_faulty(&block.basic),
            is_faulty(&block.groups),
        ];
        self.complete &= !faulty.contains(&true);
        let Some(name) = block.name.given() else { return };
        if let Some(first) = places.names.insert(name.value.0.clone(), name.span) {
            let message = format!("two consumers are named `{}`", report.sources.shown(name.span));
            report.push(
                Finding::error(Code::DuplicateName, name.span, message)
                    .related(first, "the first one")
                    .hint(RENAME),
            );
        }
        let id = ConsumerId(self.consumers.list.len() as u32);
        for At { value: hash, span, .. } in block.keys.value().into_iter().flat_map(|List(keys)| keys) {
            if let Some(first) = places.keys.insert(hash.0, *span) {
                let finding = Finding::error(Code::DuplicateName, *span, "the key stands here twice");
                let hint = "a key belongs to one consumer: `tollgate key create` makes another";
                report.push(finding.related(first, "first here").hint(hint));
            }
            self.consumers.by_key.insert(hash.0, id);
        }
        if let Some(basic) = block.basic.value() {
            self.password(basic, id, places, report);
        }
        let groups = block.groups.value().into_iter().flat_map(|List(groups)| groups);
        let groups: Vec<Arc<str>> = groups.map(|group| self.group(&group.value.0)).collect();
        self.consumers.list.push(Consumer { name: name.value.0.as_str().into(), groups });
        let keys = block.keys.key().filter(|_| block.keys.value().is_none_or(|List(keys)| !keys.is_empty()));
        if keys.is_none() && block.basic.key().is_none() {
            let message = "the consumer has neither `keys` nor `basic`: nobody can be it";
            report.push(Finding::warning(Code::NoEffect, at.key, message));
        }
    }

    fn password(&mut self, basic: &spec::Basic, id: ConsumerId, places: &mut Places, report: &mut Report) {
        let (Some(user), Some(password)) = (basic.user.given(), basic.password.value()) else { return };
        let name = &user.value.0;
        if let Some(first) = places.users.insert(name.clone(), user.span) {
            let message = format!("two consumers have the user `{}`", report.sources.shown(user.span));
            report.push(
                Finding::error(Code::DuplicateName, user.span, message)
                    .related(first, "the first one")
                    .hint(RENAME),
            );
        }
        let password = Password { phc: password.0.as_str().into(), consumer: id };
        self.consumers.by_user.insert(name.as_str().into(), password);
    }

    /// The group's name, held once.
    fn group(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.groups.get(name) {
            return known.clone();
        }
        let name: Arc<str> = name.into();
        self.groups.insert(name.clone());
        name
    }
}

fn is_faulty<T>(slot: &Slot<T>) -> bool {
    matches!(slot, Slot::Faulty(_))
}
