//! Lists, one-or-many, and maps with free keys.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::block::{duplicate_key, wrong_type};
use super::scalar::name_fault;
use super::{At, Catalogue, Description, Shape};
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::source_map::Span;
use crate::yaml::NodeRef;

/// A list. One fault in it makes it faulty: a list with a hole could mean the opposite, as in `host: [bad]`.
#[derive(Debug, Clone)]
pub(crate) struct List<T>(pub(crate) Vec<At<T>>);

/// A list whose items stand for themselves: those with faults are reported and left out.
#[derive(Debug, Clone)]
pub(crate) struct Rows<T>(pub(crate) Vec<At<T>>);

/// One value, or a list of them.
#[derive(Debug, Clone)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<At<T>>);

/// A map with free keys, in file order. Values with faults are reported; their keys are kept.
#[derive(Debug, Clone)]
pub(crate) struct Dict<K, T> {
    pub(crate) pairs: Vec<Pair<K, T>>,
    /// Whether neither a key nor a value had a fault.
    pub(crate) complete: bool,
}

/// One entry of a [`Dict`].
#[derive(Debug, Clone)]
pub(crate) struct Pair<K, T> {
    pub(crate) name: K,
    pub(crate) key: Span,
    /// `None` when the report says what is wrong with it.
    pub(crate) value: Option<At<T>>,
}

/// A free key.
pub(crate) trait Key: Sized + Clone + Eq + std::hash::Hash {
    /// The name for schema and reference.
    const LABEL: &'static str;
    /// Reads a key; the error is a finding about it.
    fn parse(text: &str, span: Span) -> Result<Self, Box<Finding>>;
}

/// The items that are well formed, and whether all are; `None` when it is no list.
fn items<T: Shape>(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<(Vec<At<T>>, bool)> {
    let items = node.items()?;
    let count = items.len();
    let mut list = Vec::with_capacity(count);
    for item in items {
        if let Some(value) = T::read(item, what, report) {
            list.push(At { value, span: item.span(), key: report.head(item.span()) });
        }
    }
    let complete = list.len() == count;
    Some((list, complete))
}

impl<T> List<T> {
    /// A list that nobody wrote: a default.
    pub(crate) fn of(values: impl IntoIterator<Item = T>) -> Self {
        List(unwritten(values))
    }
}

impl<T> OneOrMany<T> {
    /// What nobody wrote: a default.
    pub(crate) fn of(values: impl IntoIterator<Item = T>) -> Self {
        OneOrMany(unwritten(values))
    }
}

fn unwritten<T>(values: impl IntoIterator<Item = T>) -> Vec<At<T>> {
    values.into_iter().map(|value| At { value, span: Span::default(), key: Span::default() }).collect()
}

impl<T> Default for List<T> {
    fn default() -> Self {
        List(Vec::new())
    }
}

impl<T: Shape> Shape for List<T> {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let Some((list, complete)) = items(node, what, report) else {
            wrong_type(node, what, "a list", report);
            return None;
        };
        complete.then_some(List(list))
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let item = T::describe(catalogue);
        let plural = if item.label.ends_with(" block") { "s" } else { "" };
        Description::new(
            format!("list of {}{plural}", item.label),
            json!({ "type": "array", "items": item.schema }),
        )
    }

    fn show(&self) -> Value {
        self.0.iter().map(|item| item.value.show()).collect()
    }
}

impl<T: Shape> Shape for Rows<T> {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let Some((list, _)) = items(node, what, report) else {
            wrong_type(node, what, "a list", report);
            return None;
        };
        Some(Rows(list))
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        List::<T>::describe(catalogue)
    }
}

impl<T: Shape> Shape for OneOrMany<T> {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if let Some((list, complete)) = items(node, what, report) {
            return complete.then_some(OneOrMany(list));
        }
        let value = T::read(node, what, report)?;
        Some(OneOrMany(vec![At { value, span: node.span(), key: node.span() }]))
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let item = T::describe(catalogue);
        let list = json!({ "type": "array", "items": item.schema });
        Description::new(format!("{} or a list", item.label), json!({ "anyOf": [item.schema, list] }))
    }

    fn show(&self) -> Value {
        self.0.iter().map(|item| item.value.show()).collect()
    }
}

impl<K: Key, T: Shape> Shape for Dict<K, T> {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let Some(entries) = node.entries() else {
            wrong_type(node, what, "a map", report);
            return None;
        };
        let mut pairs = Vec::with_capacity(entries.len());
        let mut complete = true;
        let mut seen: HashMap<K, Span> = HashMap::with_capacity(entries.len());
        for entry in entries {
            let name = match K::parse(entry.key, entry.key_span) {
                Ok(name) => name,
                Err(finding) => {
                    report.push(*finding);
                    complete = false;
                    continue;
                }
            };
            if let Some(first) = seen.insert(name.clone(), entry.key_span) {
                duplicate_key(entry, first, report);
                continue;
            }
            let value = T::read(entry.value, entry.key, report);
            let value = value.map(|value| At { value, span: entry.value.span(), key: entry.key_span });
            complete &= value.is_some();
            pairs.push(Pair { name, key: entry.key_span, value });
        }
        Some(Dict { pairs, complete })
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let value = T::describe(catalogue);
        Description::new(
            format!("map of {} to {}", K::LABEL, value.label),
            json!({ "type": "object", "additionalProperties": value.schema }),
        )
    }
}

impl<K, T> Default for Dict<K, T> {
    fn default() -> Self {
        Dict { pairs: Vec::new(), complete: true }
    }
}

impl<K, T> Dict<K, T> {
    /// The entries without faults.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &At<T>)> {
        self.pairs.iter().filter_map(|pair| pair.value.as_ref().map(|value| (&pair.name, value)))
    }
}

impl Key for String {
    const LABEL: &'static str = "name";

    fn parse(text: &str, span: Span) -> Result<Self, Box<Finding>> {
        match name_fault(text) {
            None => Ok(text.to_owned()),
            Some(fault) => Err(Box::new(Finding::error(Code::BadValue, span, format!("the name {fault}")))),
        }
    }
}
