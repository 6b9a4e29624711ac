//! The parser's events become a tree, within bounds.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span as CharSpan, Tag};

use super::input::Text;
use super::position::Positions;
use super::{Kind, Node, NodeId, Pair, Scalar, Tree};
use crate::bounds;
use crate::diagnostic::Code;
use crate::report::Finding;
use crate::source_map::{FileId, Span};

/// Parses one file. `Ok(None)` means that it has no content. A finding is a fault after which the rest of the
/// file cannot be trusted, so there is one at most.
pub(crate) fn parse(file: FileId, text: &str) -> Result<Option<Tree<'_>>, Box<Finding>> {
    let mut builder = Builder {
        file,
        text,
        positions: Positions::new(text),
        nodes: Vec::new(),
        costs: Vec::new(),
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
    };
    let mut parser = Parser::new(Text::new(text));
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| Box::new(builder.syntax(&error)))?;
        builder.event(event, span).map_err(Box::new)?;
    }
    let nodes = builder.nodes;
    Ok(builder.root.map(|root| Tree { nodes, root }))
}

struct Builder<'t> {
    file: FileId,
    text: &'t str,
    positions: Positions<'t>,
    nodes: Vec<Node<'t>>,
    /// What each node costs with its aliases written out, index by index with `nodes`.
    costs: Vec<Cost>,
    open: Vec<Open<'t>>,
    anchors: HashMap<usize, NodeId>,
    root: Option<NodeId>,
}

/// A list or map whose end was not seen yet.
struct Open<'t> {
    span: Span,
    anchor: usize,
    cost: Cost,
    kind: OpenKind<'t>,
}

enum OpenKind<'t> {
    List(Vec<NodeId>),
    Map { pairs: Vec<Pair<'t>>, key: Option<(Cow<'t, str>, Span)> },
}

#[derive(Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

impl<'t> Builder<'t> {
    fn event(&mut self, event: Event<'_>, at: CharSpan) -> Result<(), Finding> {
        let span = self.span(at);
        match event {
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(Finding::error(Code::YamlFeature, span, "the file holds more than one YAML document")
                    .hint("remove the `---` and merge the documents, or use `include`"))
            }
            Event::Scalar(text, style, anchor, tag) => self.scalar(text, style, anchor, tag, span),
            Event::SequenceStart(anchor, tag) => self.start(OpenKind::List(Vec::new()), anchor, tag, span),
            Event::MappingStart(anchor, tag) => {
                self.start(OpenKind::Map { pairs: Vec::new(), key: None }, anchor, tag, span)
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        mut span: Span,
    ) -> Result<(), Finding> {
        refuse_tag(tag, span)?;
        let source = self.text;
        if let Some(OpenKind::Map { key, .. }) = self.open.last_mut().map(|open| &mut open.kind) {
            match key {
                None if text == "<<" && style == ScalarStyle::Plain => {
                    return Err(Finding::error(
                        Code::YamlFeature,
                        span,
                        "merge keys (`<<`) are not supported",
                    )
                    .hint("use `defaults`, or write the keys out"));
                }
                None => {
                    *key = Some((as_written(text, source, span), span));
                    return Ok(());
                }
                // A value that is not there has no place of its own.
                Some((_, key_span)) if text.is_empty() && style == ScalarStyle::Plain => span = *key_span,
                Some(_) => {}
            }
        }
        // Inside brackets the parser counts the space behind a quoted scalar to it.
        span.end -= (written(source, span).len() - written(source, span).trim_end().len()) as u32;
        let plain = style == ScalarStyle::Plain;
        let cost = Cost { nodes: 1, bytes: text.len(), depth: 0 };
        let kind = Kind::Scalar(Scalar::new(as_written(text, source, span), plain));
        let id = self.push(Node { span, kind }, cost, anchor);
        self.attach(id, span)
    }

    fn start(
        &mut self,
        kind: OpenKind<'t>,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        span: Span,
    ) -> Result<(), Finding> {
        refuse_tag(tag, span)?;
        self.refuse_as_key(span)?;
        if self.open.len() >= bounds::DEPTH {
            return Err(too_deep(span));
        }
        self.open.push(Open { span, anchor, cost: Cost { nodes: 1, bytes: 0, depth: 1 }, kind });
        Ok(())
    }

    fn end(&mut self, end: Span) -> Result<(), Finding> {
        let Some(Open { mut span, anchor, cost, kind }) = self.open.pop() else { return Ok(()) };
        let (kind, last) = match kind {
            OpenKind::List(items) => {
                let last = items.last().copied();
                (Kind::List(items), last)
            }
            OpenKind::Map { pairs, .. } => {
                let last = pairs.last().map(|pair| pair.value);
                (Kind::Map(pairs), last)
            }
        };
        // A bracket ends a flow collection; a block ends with its last value, unless that is an alias.
        let last =
            last.map(|id| self.nodes[id.0 as usize].span.end).filter(|at| *at > span.start && *at <= end.end);
        span.end = if end.start < end.end { end.end } else { last.unwrap_or(span.end).max(span.end) };
        let id = self.push(Node { span, kind }, cost, anchor);
        self.attach(id, span)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Finding> {
        self.refuse_as_key(span)?;
        match self.anchors.get(&anchor).copied() {
            Some(id) => self.attach(id, span),
            None => Err(Finding::error(Code::YamlSyntax, span, "the alias stands inside its own anchor")),
        }
    }

    fn push(&mut self, node: Node<'t>, cost: Cost, anchor: usize) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        self.costs.push(cost);
        if anchor != 0 {
            self.anchors.insert(anchor, id);
        }
        id
    }

    /// Puts a finished node where it belongs, and its cost on the account of what holds it.
    fn attach(&mut self, id: NodeId, span: Span) -> Result<(), Finding> {
        let cost = self.costs[id.0 as usize];
        let depth = self.open.len();
        let Some(open) = self.open.last_mut() else {
            self.root = Some(id);
            return Ok(());
        };
        open.cost.nodes = open.cost.nodes.saturating_add(cost.nodes);
        open.cost.bytes = open.cost.bytes.saturating_add(cost.bytes);
        open.cost.depth = open.cost.depth.max(cost.depth + 1);
        if open.cost.nodes > bounds::NODES || open.cost.bytes > bounds::NODE_BYTES {
            let message = "with its aliases written out, the file is too large";
            return Err(Finding::error(Code::TooLarge, span, message).hint(format!(
                "at most {} values and {} bytes",
                bounds::NODES,
                bounds::NODE_BYTES
            )));
        }
        if depth + cost.depth > bounds::DEPTH {
            return Err(too_deep(span));
        }
        match &mut open.kind {
            OpenKind::List(items) => items.push(id),
            OpenKind::Map { pairs, key } => {
                if let Some((key, key_span)) = key.take() {
                    open.cost.bytes = open.cost.bytes.saturating_add(key.len());
                    pairs.push(Pair { key, key_span, value: id });
                }
            }
        }
        Ok(())
    }

    fn refuse_as_key(&self, span: Span) -> Result<(), Finding> {
        match self.open.last().map(|open| &open.kind) {
            Some(OpenKind::Map { key: None, .. }) => {
                Err(Finding::error(Code::YamlFeature, span, "a key must be plain text"))
            }
            _ => Ok(()),
        }
    }

    fn span(&self, span: CharSpan) -> Span {
        Span {
            file: self.file,
            start: self.positions.byte(span.start.index()),
            end: self.positions.byte(span.end.index()),
        }
    }

    fn syntax(&self, error: &ScanError) -> Finding {
        let start = self.at(*error.marker());
        let rest = self.text.get(start as usize..).unwrap_or_default();
        let end = start + rest.chars().next().map_or(0, char::len_utf8) as u32;
        let span = Span { file: self.file, start, end };
        // The scanner's own bound, on brackets that it has not even made into values yet.
        if error.info().contains("recursion limit") {
            return too_deep(span);
        }
        let finding = Finding::error(Code::YamlSyntax, span, sentence(error.info()));
        finding.maybe_hint(advice(error.info(), rest))
    }

    fn at(&self, marker: Marker) -> u32 {
        self.positions.byte(marker.index())
    }
}

/// Borrowed where the source says the same: most often it does, and a copy would be one more thing to free.
fn as_written<'t>(text: Cow<'_, str>, source: &'t str, span: Span) -> Cow<'t, str> {
    let written = written(source, span);
    let inner = match written.as_bytes() {
        [b'"', .., b'"'] | [b'\'', .., b'\''] => written.get(1..written.len() - 1).unwrap_or_default(),
        _ => written,
    };
    if *inner == *text { Cow::Borrowed(inner) } else { Cow::Owned(text.into_owned()) }
}

fn written(source: &str, span: Span) -> &str {
    source.get(span.start as usize..span.end as usize).unwrap_or_default()
}

fn refuse_tag(tag: Option<Cow<'_, Tag>>, span: Span) -> Result<(), Finding> {
    match tag {
        None => Ok(()),
        Some(_) => Err(Finding::error(Code::YamlFeature, span, "YAML tags are not supported")
            .hint("remove the tag; quote the value if it has to be text")),
    }
}

fn too_deep(span: Span) -> Finding {
    let message = format!("more than {} maps and lists stand inside each other", bounds::DEPTH);
    Finding::error(Code::TooDeep, span, message)
}

/// The parser's words, without its habit of telling what it was doing.
fn sentence(info: &str) -> String {
    format!("not valid YAML: {}", info.replace('`', "'"))
}

fn advice(info: &str, rest: &str) -> Option<String> {
    let quote = |what: &str| Some(format!("quote the value: a plain one cannot start with `{what}`"));
    if info.contains("tabs") || rest.starts_with('\t') {
        return Some("indent with spaces: YAML allows no tabs there".to_owned());
    }
    if info.contains("anchor") && rest.starts_with('*') {
        return Some(
            "`*` starts an alias; quote the value if it is a pattern, such as \"*.example.com\"".to_owned(),
        );
    }
    match rest.chars().next() {
        Some('{') if info.contains("flow") => {
            Some("inside `{ }` and `[ ]`, quote what holds braces: \"/v2/{id}\", \"${NAME}\"".to_owned())
        }
        Some('@') => quote("@"),
        Some('%') => quote("%"),
        Some(':') if info.contains("mapping values") => {
            Some("quote the value if it holds `: `, or put the key on a line of its own".to_owned())
        }
        _ => None,
    }
}
