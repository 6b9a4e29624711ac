//! Shapes: what may stand at a place of the file, how it is read, and how it is described.
//!
//! One declaration per block (see [`block!`]) gives the typed walk, the JSON Schema and the reference.

#[macro_use]
mod block;
#[macro_use]
mod choice;
mod collection;
mod http;
mod scalar;

mod catalogue;

pub(crate) use block::{missing_key, read_block, unknown_key, wrong_type};
pub(crate) use catalogue::{
    BlockDoc, Catalogue, Description, FieldDoc, block_schema, expansion, or_expansion,
};
pub(crate) use choice::{choose, describe_choice};
pub(crate) use collection::{Dict, Key, List, OneOrMany, Pair, Rows};
pub(crate) use http::{
    AgentMatch, Condition, EditedHeader, HeaderName, HeaderText, HostName, LoggedHeader, Network, PathText,
    Pattern, Text, Verb, is_owned, names_hint, params_hint, shown, template,
};
pub(crate) use scalar::{Int, Name, Percent, Seconds, Size, content_of, path_text, plain_name, text};

use serde_json::Value;

use crate::report::Report;
use crate::source_map::Span;
use crate::yaml::{Entry, NodeRef};

/// Something that may stand at a place of the file.
pub(crate) trait Shape: Sized {
    /// Reads a node; `what` names it in messages. `None` means that the report has an error about it.
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self>;

    /// Reads the value of a key.
    fn read_entry(entry: Entry<'_>, report: &mut Report) -> Option<Self> {
        Self::read(entry.value, entry.key, report)
    }

    /// Describes it for the schema and the reference.
    fn describe(catalogue: &mut Catalogue) -> Description;

    /// The value as it would be written, for defaults in the schema and the reference.
    fn show(&self) -> Value {
        Value::Null
    }
}

/// A value with its places.
#[derive(Debug, Clone)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
    /// Its key, or itself in a list.
    pub(crate) key: Span,
}

/// What became of one key of a block.
#[derive(Debug, Clone, Default)]
pub(crate) enum Slot<T> {
    /// Not written.
    #[default]
    Absent,
    /// Written, and the report says what is wrong with it. Holds the key.
    Faulty(Span),
    /// Written and read. Boxed: a route has some forty keys, and ten thousand routes write five of them.
    Given(Box<At<T>>),
}

impl<T> Slot<T> {
    pub(crate) fn given(&self) -> Option<&At<T>> {
        match self {
            Slot::Given(at) => Some(at),
            Slot::Absent | Slot::Faulty(_) => None,
        }
    }

    pub(crate) fn value(&self) -> Option<&T> {
        self.given().map(|at| &at.value)
    }

    /// The key, when it was written at all.
    pub(crate) fn key(&self) -> Option<Span> {
        match self {
            Slot::Absent => None,
            Slot::Faulty(key) => Some(*key),
            Slot::Given(at) => Some(at.key),
        }
    }
}

/// Reads the value of a block's key.
pub(crate) fn slot<T: Shape>(entry: Entry<'_>, report: &mut Report) -> Slot<T> {
    match T::read_entry(entry, report) {
        Some(value) => Slot::Given(Box::new(At { value, span: entry.value.span(), key: entry.key_span })),
        None => Slot::Faulty(entry.key_span),
    }
}
