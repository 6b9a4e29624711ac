//! What the templates of a part may ask: the client's request, the answers of other parts, the element at hand.

use tollgate_content::Raw;
use tollgate_plan::Reason;
use tollgate_plan::template::{ITEM, Template, Values, Var};

use super::Work;
use super::part::{Came, Failed};

/// What one request of a part knows.
pub(super) struct Known<'a, 'c> {
    pub(super) work: &'a Work<'a, 'c>,
    /// The element of a list that is asked for.
    pub(super) item: Option<Raw<'a>>,
}

impl Known<'_, '_> {
    /// Whether every reference of a template has a value: what is missing fails the part, and never leaves a hole.
    pub(super) fn check(&self, template: &Template) -> Result<(), Failed> {
        let missing = |var: &Var| matches!(var, Var::Answer(..)) && !self.value(var, &mut Vec::new());
        if template.vars().any(missing) { Err(Failed::of(Reason::PartReferenceMissing)) } else { Ok(()) }
    }

    fn document(&self, part: &str) -> Option<Raw<'_>> {
        if part == ITEM && self.item.is_some() {
            return self.item;
        }
        let at = self.work.aggregate.parts.iter().position(|other| *other.name == *part)?;
        match self.work.came(at)? {
            Came::One(document) => Some(Raw::of_checked(document)),
            _ => None,
        }
    }
}

impl Values for Known<'_, '_> {
    fn value(&self, var: &Var, out: &mut Vec<u8>) -> bool {
        let Var::Answer(part, path) = var else { return self.work.exchange.value(var, out) };
        let value = self.document(part).and_then(|document| document.find(path));
        match value.and_then(Raw::scalar) {
            Some(text) => out.extend_from_slice(text.as_bytes()),
            None => return false,
        }
        true
    }
}
