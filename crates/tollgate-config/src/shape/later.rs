//! Keys of the contract that this version does not have yet: refused by name, never ignored.

use std::marker::PhantomData;

use serde_json::{Value, json};

use super::{Catalogue, Description, Shape};
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::source_map::Span;
use crate::yaml::{Core, Entry, NodeRef};

/// A key that is refused unless its value asks for what is there anyway, as `N` tells.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Later<N = neutral::Nothing>(PhantomData<N>);

/// Which written values of a [`Later`] key ask for nothing.
pub(crate) trait Neutral {
    const SCHEMA: fn() -> Value;
    fn accepts(node: NodeRef<'_>) -> bool;
}

impl<N: Neutral> Shape for Later<N> {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let span = report.head(node.span());
        later(node, what, span, report)
    }

    fn read_entry(entry: Entry<'_>, report: &mut Report) -> Option<Self> {
        later(entry.value, entry.key, entry.key_span, report)
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description { label: "not supported yet".to_owned(), schema: N::SCHEMA(), later: true }
    }
}

fn later<N: Neutral>(node: NodeRef<'_>, what: &str, span: Span, report: &mut Report) -> Option<Later<N>> {
    if node.scalar().is_some_and(|scalar| scalar.unknown) {
        return None;
    }
    if N::accepts(node) {
        return Some(Later(PhantomData));
    }
    let message = match N::SCHEMA().get("const") {
        Some(neutral) => {
            let neutral = neutral.as_str().map_or_else(|| neutral.to_string(), str::to_owned);
            format!("`{what}` other than `{neutral}` is not supported yet by this version")
        }
        None => format!("`{what}` is not supported yet by this version"),
    };
    report.push(Finding::error(Code::NotSupportedYet, span, message));
    None
}

macro_rules! neutrals {
    ($($(#[doc = $doc:literal])+ $name:ident $schema:tt $accepts:expr;)*) => {
        /// The values that ask for nothing.
        pub(crate) mod neutral {
            use super::*;
            $(
                $(#[doc = $doc])+
                #[derive(Debug, Clone, Copy, Default)]
                pub(crate) struct $name;

                impl Neutral for $name {
                    const SCHEMA: fn() -> Value = || json!($schema);
                    fn accepts(node: NodeRef<'_>) -> bool {
                        let accepts: fn(NodeRef<'_>) -> bool = $accepts;
                        accepts(node)
                    }
                }
            )*
        }
    };
}

neutrals! {
    /// None: any value is refused.
    Nothing false |_| false;
    /// `false`.
    False { "const": false } |node| is(node, Core::Bool(false));
    /// An empty list.
    EmptyList { "type": "array", "maxItems": 0 } |node| node.items().is_some_and(|items| items.len() == 0);
}

fn is(node: NodeRef<'_>, value: Core) -> bool {
    node.scalar().is_some_and(|scalar| scalar.core() == value)
}
