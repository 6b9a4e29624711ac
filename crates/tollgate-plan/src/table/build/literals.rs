//! The children of a node by the text of a segment.
//!
//! Most nodes of a large table have one child. A map for it would take half a kilobyte, and two places in memory
//! for every look at it. Texts of up to 23 bytes stand beside their node, for the same reason.

use std::collections::HashMap;

use smol_str::SmolStr;

use super::{Hashing, Node};

/// Up to so many children are compared one by one.
const FEW: usize = 8;

/// Children by text.
#[derive(Debug, Clone)]
pub(in crate::table) enum Literals {
    Few(Vec<(SmolStr, Node)>),
    Many(HashMap<SmolStr, Node, Hashing>),
}

impl Default for Literals {
    fn default() -> Self {
        Literals::Few(Vec::new())
    }
}

impl Literals {
    pub(in crate::table) fn get(&self, text: &str) -> Option<&Node> {
        match self {
            Literals::Few(few) => few.iter().find(|(known, _)| known == text).map(|(_, node)| node),
            Literals::Many(many) => many.get(text),
        }
    }

    pub(super) fn child(&mut self, text: &str) -> &mut Node {
        if let Literals::Few(few) = self
            && few.len() == FEW
            && !few.iter().any(|(known, _)| known == text)
        {
            *self = Literals::Many(few.drain(..).collect());
        }
        match self {
            Literals::Few(few) => {
                let at = few.iter().position(|(known, _)| known == text).unwrap_or_else(|| {
                    // From one on: a vector would begin with room for four.
                    few.reserve_exact(if few.len() == few.capacity() { few.len().max(1) } else { 0 });
                    few.push((text.into(), Node::default()));
                    few.len() - 1
                });
                &mut few[at].1
            }
            Literals::Many(many) => many.entry(text.into()).or_default(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        let (few, many) = match self {
            Literals::Few(few) => (Some(few), None),
            Literals::Many(many) => (None, Some(many)),
        };
        let few = few.into_iter().flatten().map(|(text, node)| (text.as_str(), node));
        few.chain(many.into_iter().flatten().map(|(text, node)| (text.as_str(), node)))
    }

    pub(super) fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node> {
        let (few, many) = match self {
            Literals::Few(few) => (Some(few), None),
            Literals::Many(many) => (None, Some(many)),
        };
        let few = few.into_iter().flatten().map(|(_, node)| node);
        few.chain(many.into_iter().flat_map(HashMap::values_mut))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_found_however_many_there_are() {
        let text = |at: usize| format!("segment-{at}");
        for count in [0, 1, FEW - 1, FEW, FEW + 1, 100] {
            let mut literals = Literals::default();
            for round in 0..2 {
                for at in 0..count {
                    literals.child(&text(at)).leaf.push((round * count + at) as u32);
                }
            }
            assert_eq!(literals.iter().count(), count);
            assert_eq!(literals.nodes_mut().count(), count);
            for at in 0..count {
                let found = literals.get(&text(at)).unwrap();
                assert_eq!(found.leaf[..], [at as u32, (count + at) as u32], "{at} of {count}");
            }
            assert!(literals.get("segment").is_none() && literals.get("").is_none());
        }
    }
}
