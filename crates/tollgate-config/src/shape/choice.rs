//! One of a few words.

use serde_json::{Value, json};

use super::scalar::text;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::suggest;
use crate::yaml::NodeRef;

/// Declares an enumeration of words.
macro_rules! choice {
    (
        $(#[doc = $doc:literal])+
        $name:ident { $( $(#[doc = $about:literal])+ $word:literal => $variant:ident, )+ }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $( $(#[doc = $about])+ $variant, )+ }

        impl $name {
            pub(crate) const WORDS: &[(&str, $name)] = &[$(($word, $name::$variant)),+];
        }

        impl $crate::shape::Shape for $name {
            fn read(
                node: $crate::yaml::NodeRef<'_>,
                what: &str,
                report: &mut $crate::report::Report,
            ) -> Option<Self> {
                $crate::shape::choose(node, what, $name::WORDS, report)
            }

            fn describe(_: &mut $crate::shape::Catalogue) -> $crate::shape::Description {
                $crate::shape::describe_choice($name::WORDS)
            }

            fn show(&self) -> serde_json::Value {
                match self { $( $name::$variant => $word.into(), )+ }
            }
        }
    };
}

/// Reads one of the words.
pub(crate) fn choose<T: Copy>(
    node: NodeRef<'_>,
    what: &str,
    words: &[(&str, T)],
    report: &mut Report,
) -> Option<T> {
    let scalar = text(node, what, report)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == &*scalar.text) {
        return Some(*value);
    }
    let shown = super::shown(node, report);
    let names = || words.iter().map(|(word, _)| *word);
    let message = format!("`{what}` must be one of {}, found `{shown}`", suggest::listing(names()));
    let hint = (!scalar.rewritten).then(|| suggest::did_you_mean(&scalar.text, names())).flatten();
    report.push(Finding::error(Code::BadValue, node.span(), message).maybe_hint(hint));
    None
}

/// The description of a choice.
pub(crate) fn describe_choice<T>(words: &[(&'static str, T)]) -> super::Description {
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let label = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let schema: Value = json!({ "enum": names });
    super::Description::new(label, super::or_expansion(schema))
}
