//! Values of HTTP: header names, methods, address blocks, host and path patterns, templates, conditions.
//!
//! Each is parsed where it is read, so that what is left of a block is known to be well formed.

use std::fmt::Display;

use serde_json::{Value, json};
use tollgate_plan::cidr::{Cidr, CidrError};
use tollgate_plan::host::HostPattern;
use tollgate_plan::secret::CREDENTIAL_HEADERS;
use tollgate_plan::table::{PathPattern, ValueMatch};
use tollgate_plan::template::{Part, Template, TemplateError, fixed_names};
use tollgate_wire::{Method, Name as WireName, name};

use super::collection::Key;
use super::scalar::text;
use super::{Catalogue, Description, Shape};
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::source_map::{Span, visible};
use crate::suggest;
use crate::yaml::{Core, NodeRef, Scalar};

/// A header name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct HeaderName(pub(crate) WireName);

/// A header that an edit may write: not one by which the gateway frames or routes messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct EditedHeader(pub(crate) WireName);

/// A header whose value may stand in a log: none that carries credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LoggedHeader(pub(crate) WireName);

/// A request method.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verb(pub(crate) Method);

/// An address block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network(pub(crate) Cidr);

/// A host pattern.
#[derive(Debug, Clone)]
pub(crate) struct HostName(pub(crate) HostPattern);

/// A path pattern, and its text.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    pub(crate) pattern: PathPattern,
    pub(crate) text: String,
}

/// A text with placeholders.
#[derive(Debug, Clone)]
pub(crate) struct Text(pub(crate) Template);

/// A text with placeholders that has to stay on one line: it becomes a header's value.
#[derive(Debug, Clone)]
pub(crate) struct HeaderText(pub(crate) Template);

/// A path with placeholders, beginning with a slash.
#[derive(Debug, Clone)]
pub(crate) struct PathText(pub(crate) Template);

/// What a header or a query parameter must be.
#[derive(Debug, Clone)]
pub(crate) struct Condition(pub(crate) ValueMatch);

/// What a user agent calls itself.
#[derive(Debug, Clone)]
pub(crate) struct AgentMatch(pub(crate) ValueMatch);

/// Headers by which the gateway itself frames, routes or describes a message.
const OWNED: &[WireName] = &[
    name::CONNECTION,
    name::CONTENT_LENGTH,
    name::HOST,
    name::KEEP_ALIVE,
    name::PROXY_CONNECTION,
    name::SEC_WEBSOCKET_ACCEPT,
    name::SEC_WEBSOCKET_KEY,
    name::SEC_WEBSOCKET_VERSION,
    name::TE,
    name::TRAILER,
    name::TRANSFER_ENCODING,
    name::UPGRADE,
];

/// `shown` is the text as it may be told: what a variable stood for may not.
fn header_name(text: &str, shown: &str, span: Span) -> Result<WireName, Box<Finding>> {
    WireName::new(text).map_err(|_| {
        let message = format!("`{shown}` is no header name");
        let hint = text.ends_with(':').then(|| "write the name without the colon".to_owned());
        Box::new(Finding::error(Code::BadValue, span, message).maybe_hint(hint))
    })
}

impl Key for HeaderName {
    const LABEL: &'static str = "header";

    fn parse(text: &str, span: Span) -> Result<Self, Box<Finding>> {
        header_name(text, &visible(text), span).map(HeaderName)
    }
}

impl Key for EditedHeader {
    const LABEL: &'static str = "header";

    fn parse(text: &str, span: Span) -> Result<Self, Box<Finding>> {
        edited_header(text, &visible(text), span)
    }
}

fn edited_header(text: &str, shown: &str, span: Span) -> Result<EditedHeader, Box<Finding>> {
    let header = header_name(text, shown, span)?;
    if !is_owned(&header) {
        return Ok(EditedHeader(header));
    }
    let message = format!("`{shown}` belongs to the gateway and cannot be edited");
    let hint = match header == name::HOST {
        true => "the upstream's `host:` decides what is sent: `upstream`, `preserve`, or a fixed name",
        false => "the gateway frames each connection itself; remove it",
    };
    Err(Box::new(Finding::error(Code::BadValue, span, message).hint(hint)))
}

/// Whether the gateway frames, routes or describes messages by a header.
pub(crate) fn is_owned(header: &WireName) -> bool {
    OWNED.contains(header)
}

impl Shape for HeaderName {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let name = header_name(&scalar.text, &shown(node, report), node.span()).map(HeaderName);
        name.map_err(|finding| report.push(*finding)).ok()
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("header name", json!({ "type": "string", "minLength": 1 }))
    }

    fn show(&self) -> Value {
        self.0.as_str().into()
    }
}

impl Shape for EditedHeader {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let name = edited_header(&scalar.text, &shown(node, report), node.span());
        name.map_err(|finding| report.push(*finding)).ok()
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        HeaderName::describe(catalogue)
    }
}

impl Shape for LoggedHeader {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let HeaderName(header) = HeaderName::read(node, what, report)?;
        if !CREDENTIAL_HEADERS.contains(&header.as_str()) {
            return Some(LoggedHeader(header));
        }
        let message = format!("`{}` carries credentials, which are never logged", shown(node, report));
        report.push(Finding::error(Code::BadValue, node.span(), message));
        None
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        HeaderName::describe(catalogue)
    }
}

impl Shape for Verb {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let upper = scalar.text.to_ascii_uppercase();
        let (message, hint) = match Method::parse(scalar.text.as_bytes()) {
            None => ("is no method".to_owned(), None),
            Some(Method::Connect | Method::Trace) => {
                ("is never served: the answer is 501".to_owned(), Some("remove it".to_owned()))
            }
            Some(Method::Extension(_))
                if !matches!(Method::parse(upper.as_bytes()), Some(Method::Extension(_)) | None) =>
            {
                ("is no method: methods are case-sensitive".to_owned(), Some(format!("write `{upper}`")))
            }
            Some(method) => return Some(Verb(method)),
        };
        let shown = shown(node, report);
        report.push(
            Finding::error(Code::BadValue, node.span(), format!("`{shown}` {message}")).maybe_hint(hint),
        );
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("method", json!({ "type": "string", "minLength": 1 }))
    }
}

impl Shape for Network {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let hint = match scalar.text.parse::<Cidr>() {
            Ok(network) => return Some(Network(network)),
            Err(CidrError::HostBits { network }) if !scalar.rewritten => Some(format!("write `{network}`")),
            Err(error) => Some(error.to_string()),
        };
        let message = format!("`{}` is no address block", shown(node, report));
        report.push(Finding::error(Code::BadValue, node.span(), message).maybe_hint(hint));
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("address block", json!({ "type": "string", "minLength": 1 }))
    }
}

impl Shape for HostName {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        match scalar.text.parse() {
            Ok(pattern) => Some(HostName(pattern)),
            Err(error) => {
                let error: tollgate_plan::host::HostPatternError = error;
                bad(node, "host pattern", error, 0..scalar.text.len(), report)
            }
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("host", json!({ "type": "string", "minLength": 1 }))
    }
}

impl Shape for Pattern {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        match PathPattern::parse(&scalar.text) {
            Ok(pattern) => Some(Pattern { pattern, text: scalar.text.to_string() }),
            Err(error) => bad(node, "path pattern", error, error.offset..scalar.text.len(), report),
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("path pattern", super::or_expansion(json!({ "type": "string", "pattern": "^/" })))
    }
}

impl Shape for Text {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        template(node, scalar, Template::parse, report).map(Text)
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("template", json!({ "type": "string" }))
    }
}

impl Shape for HeaderText {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let Text(template) = Text::read(node, what, report)?;
        let one_line = |part: &Part| match part {
            Part::Text(text) => !text.chars().any(|letter| letter.is_control() && letter != '\t'),
            Part::Var(_) => true,
        };
        if template.parts().iter().all(one_line) {
            return Some(HeaderText(template));
        }
        let message = format!("`{what}` holds a line break or another control character");
        report
            .push(Finding::error(Code::BadValue, node.span(), message).hint("a header's value is one line"));
        None
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        Text::describe(catalogue)
    }
}

impl Shape for PathText {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        template(node, scalar, Template::parse_path, report).map(PathText)
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("path template", json!({ "type": "string", "minLength": 1 }))
    }
}

impl Shape for Condition {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let typed = node.scalar().filter(|scalar| !scalar.rewritten).map(Scalar::core);
        match typed {
            Some(Core::Bool(true)) => return Some(Condition(ValueMatch::Present)),
            Some(Core::Bool(false)) => return Some(Condition(ValueMatch::Absent)),
            _ => {}
        }
        value_match(node, what, report).map(Condition)
    }

    fn describe(_: &mut Catalogue) -> Description {
        let schema: Value = json!({ "type": ["string", "boolean"] });
        Description::new("text, `~regex`, or `true` (present) or `false` (absent)", schema)
    }
}

impl Shape for AgentMatch {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let value = value_match(node, what, report)?;
        if !matches!(&value, ValueMatch::Exact(text) if text.is_empty()) {
            return Some(AgentMatch(value));
        }
        let message = format!("`{what}` holds an empty name");
        let hint = "`empty: deny` refuses requests without a `User-Agent`";
        report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("text or `~regex`", json!({ "type": "string", "minLength": 1 }))
    }
}

fn value_match(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<ValueMatch> {
    let scalar = text(node, what, report)?;
    match ValueMatch::parse(&scalar.text) {
        Ok(value) => Some(value),
        Err(error) => {
            // The library draws the pattern over several lines; its last one says what is wrong.
            let words = error.to_string();
            let why = words.lines().last().unwrap_or_default().trim_start_matches("error: ");
            let message = format!("`{what}` is no regular expression: {why}");
            report.push(Finding::error(Code::BadValue, node.span(), message));
            None
        }
    }
}

/// Parses a template. What came from outside is text, whatever braces it holds.
pub(crate) fn template(
    node: NodeRef<'_>,
    scalar: &Scalar<'_>,
    parse: fn(&str) -> Result<Template, TemplateError>,
    report: &mut Report,
) -> Option<Template> {
    match parse(&scalar.braces_escaped()) {
        Ok(template) => Some(template),
        Err(error) => {
            let at = error.offset.min(scalar.text.len());
            let span = scalar.part(node.span(), report.sources.text(node.span()), at..scalar.text.len());
            // What stands between the braces may be a part of a secret.
            let whole = !scalar.rewritten && report.sources.public_text(node.span()).is_some();
            let public = whole || error.name.is_empty();
            let hint =
                if public { error.to_string() } else { "a literal brace is written `{{` or `}}`".to_owned() };
            report.push(Finding::error(Code::BadValue, span, "this is no template").hint(hint));
            None
        }
    }
}

fn bad<T>(
    node: NodeRef<'_>,
    what: &str,
    error: impl Display,
    part: std::ops::Range<usize>,
    report: &mut Report,
) -> Option<T> {
    let written = shown(node, report);
    let span = match node.scalar() {
        Some(scalar) => scalar.part(node.span(), report.sources.text(node.span()), part),
        None => node.span(),
    };
    let message = format!("`{written}` is no {what}");
    report.push(Finding::error(Code::BadValue, span, message).hint(error.to_string()));
    None
}

/// A value as it may be shown: as written, without its quotes, and `***` for a secret.
pub(crate) fn shown(node: NodeRef<'_>, report: &Report) -> String {
    report.sources.shown(node.span())
}

/// What `wanted` in a template may have been meant for, of what belongs to every request and of the path's parameters.
pub(crate) fn names_hint(wanted: &str, pattern: &PathPattern) -> String {
    let mut names: Vec<&str> = pattern.params().collect();
    fixed_names().for_each(|name| names.push(name));
    suggest::did_you_mean(wanted, names).unwrap_or_else(|| params_hint(wanted, pattern))
}

/// The parameters that a pattern has, for hints.
pub(crate) fn params_hint(wanted: &str, pattern: &PathPattern) -> String {
    let names: Vec<&str> = pattern.params().collect();
    match (suggest::did_you_mean(wanted, names.iter().copied()), names.as_slice()) {
        (Some(hint), _) => hint,
        (None, []) => "the path has no parameters; a literal brace is written `{{`".to_owned(),
        (None, _) => format!("the path's parameters are {}", suggest::listing(names)),
    }
}
