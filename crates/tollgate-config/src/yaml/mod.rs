//! YAML as a tree that keeps its spans, its duplicate keys and the text of its scalars.
//!
//! The tree is an arena: an alias is the same node in two places, so an alias bomb costs nothing but its text.
//! What means just what is written is borrowed from the text.

mod core;
mod input;
mod parse;
mod position;

pub(crate) use self::core::{Core, core};
pub(crate) use parse::parse;

use std::borrow::Cow;
use std::ops::Range;

use crate::source_map::Span;

/// A parsed document.
#[derive(Debug, Clone)]
pub(crate) struct Tree<'t> {
    nodes: Vec<Node<'t>>,
    root: NodeId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct NodeId(u32);

#[derive(Debug, Clone)]
struct Node<'t> {
    span: Span,
    kind: Kind<'t>,
}

#[derive(Debug, Clone)]
enum Kind<'t> {
    Scalar(Scalar<'t>),
    List(Vec<NodeId>),
    Map(Vec<Pair<'t>>),
}

/// A scalar's text after YAML's own unquoting.
#[derive(Debug, Clone)]
pub(crate) struct Scalar<'t> {
    /// The text, expansions done.
    pub(crate) text: Cow<'t, str>,
    /// Neither quoted nor a block: the text may mean a number, a boolean or null.
    pub(crate) plain: bool,
    /// The text differs from what is written: an expansion, or `$$`.
    pub(crate) rewritten: bool,
    /// The parts of the text that came from the environment or a file: never shown, never syntax.
    pub(crate) foreign: Box<[Range<u32>]>,
    /// The expansion failed and was reported: the text means nothing.
    pub(crate) unknown: bool,
}

#[derive(Debug, Clone)]
struct Pair<'t> {
    key: Cow<'t, str>,
    key_span: Span,
    value: NodeId,
}

/// A node of a tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NodeRef<'t> {
    tree: &'t Tree<'t>,
    id: NodeId,
}

/// A key of a map with its value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'t> {
    pub(crate) key: &'t str,
    pub(crate) key_span: Span,
    pub(crate) value: NodeRef<'t>,
}

impl<'t> Tree<'t> {
    pub(crate) fn root(&self) -> NodeRef<'_> {
        NodeRef { tree: self, id: self.root }
    }

    /// Every scalar that is a value (keys are none), once, in the order of the text.
    pub(crate) fn scalars_mut(&mut self) -> impl Iterator<Item = (Span, &mut Scalar<'t>)> {
        self.nodes.iter_mut().filter_map(|node| match &mut node.kind {
            Kind::Scalar(scalar) => Some((node.span, scalar)),
            Kind::List(_) | Kind::Map(_) => None,
        })
    }

    /// Every map entry, once, in the order of the text.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.nodes
            .iter()
            .flat_map(|node| match &node.kind {
                Kind::Map(pairs) => pairs.as_slice(),
                Kind::Scalar(_) | Kind::List(_) => &[],
            })
            .map(|pair| self.entry(pair))
    }

    /// Every node, once.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = NodeRef<'_>> {
        (0..self.nodes.len() as u32).map(|id| NodeRef { tree: self, id: NodeId(id) })
    }

    fn entry<'a>(&'a self, pair: &'a Pair<'_>) -> Entry<'a> {
        let value = NodeRef { tree: self, id: pair.value };
        Entry { key: &pair.key, key_span: pair.key_span, value }
    }
}

impl<'t> NodeRef<'t> {
    fn node(self) -> &'t Node<'t> {
        &self.tree.nodes[self.id.0 as usize]
    }

    pub(crate) fn span(self) -> Span {
        self.node().span
    }

    pub(crate) fn scalar(self) -> Option<&'t Scalar<'t>> {
        match &self.node().kind {
            Kind::Scalar(scalar) => Some(scalar),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }

    pub(crate) fn items(self) -> Option<impl ExactSizeIterator<Item = NodeRef<'t>>> {
        match &self.node().kind {
            Kind::List(items) => Some(items.iter().map(move |id| NodeRef { tree: self.tree, id: *id })),
            Kind::Scalar(_) | Kind::Map(_) => None,
        }
    }

    pub(crate) fn entries(self) -> Option<impl ExactSizeIterator<Item = Entry<'t>>> {
        match &self.node().kind {
            Kind::Map(pairs) => Some(pairs.iter().map(move |pair| self.tree.entry(pair))),
            Kind::Scalar(_) | Kind::List(_) => None,
        }
    }

    /// Whether it is a plain scalar that means null, such as a key without a value.
    pub(crate) fn is_null(self) -> bool {
        self.scalar().is_some_and(|scalar| scalar.core() == Core::Null)
    }

    /// What the node is, for messages: "a list", "a number".
    pub(crate) fn kind(self) -> &'static str {
        match &self.node().kind {
            Kind::List(_) => "a list",
            Kind::Map(_) => "a map",
            Kind::Scalar(scalar) => match scalar.core() {
                Core::Null => "nothing",
                Core::Bool(_) => "a boolean",
                Core::Int(_) => "a number",
                Core::Float(_) => "a fraction",
                Core::Text => "text",
            },
        }
    }
}

impl<'t> Scalar<'t> {
    pub(super) fn new(text: Cow<'t, str>, plain: bool) -> Self {
        Scalar { text, plain, rewritten: false, foreign: Box::default(), unknown: false }
    }

    /// What the text means as a plain scalar; quoted text is always text.
    pub(crate) fn core(&self) -> Core {
        match self.plain {
            // An expansion to nothing is empty text: a value from outside never removes a key.
            true if self.rewritten && self.text.is_empty() => Core::Text,
            true => core(&self.text),
            false => Core::Text,
        }
    }

    /// The text with the braces doubled that came from outside, so that they stay text in a template.
    pub(crate) fn braces_escaped(&self) -> Cow<'_, str> {
        let text = &*self.text;
        if self.foreign.is_empty() || !text.contains(['{', '}']) {
            return Cow::Borrowed(text);
        }
        let mut out = String::with_capacity(text.len() + 8);
        let mut from = 0;
        for foreign in &self.foreign {
            let (start, end) = (foreign.start as usize, foreign.end as usize);
            out.push_str(&text[from..start]);
            out.push_str(&text[start..end].replace('{', "{{").replace('}', "}}"));
            from = end;
        }
        out.push_str(&text[from..]);
        Cow::Owned(out)
    }

    /// What a compiler says of the text. It quotes pieces of what it was given, and so of what came from outside.
    pub(crate) fn fault<'a>(&self, said: &'a str) -> &'a str {
        let hidden = "it is not told what is wrong, since `${…}` stands in it";
        if self.foreign.is_empty() { said } else { hidden }
    }

    /// The span of a part of the text; `span` and `written` are the whole scalar's.
    pub(crate) fn part(&self, span: Span, written: &str, part: Range<usize>) -> Span {
        // Escapes, folding and expansions move text: then the whole scalar is meant.
        let inner = match written.as_bytes() {
            [b'"', .., b'"'] | [b'\'', .., b'\''] => &written[1..written.len() - 1],
            _ => written,
        };
        if self.rewritten || *inner != *self.text || part.is_empty() || part.end > inner.len() {
            return span;
        }
        let start = span.start + u32::from(inner.len() != written.len());
        Span { file: span.file, start: start + part.start as u32, end: start + part.end as u32 }
    }
}
