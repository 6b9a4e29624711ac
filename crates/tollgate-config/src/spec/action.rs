//! The actions of a route.

use std::path::PathBuf;

use serde_json::{Value, json};
use tollgate_plan::template::{Part, Var};

use super::json::Json;
use super::target::{Parsed, is_url, parse_target};
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{
    At, Catalogue, Description, Dict, EditedHeader, HeaderText, Int, List, Percent, Shape, Slot, Text,
    or_expansion, text, wrong_type,
};
use crate::yaml::{Core, NodeRef};

block! {
    /// One upstream among several of a route.
    "weighted" Weighted {
        /// The upstream: a name or a URL.
        upstream: Destination, required;
        /// Its share; 0: never chosen.
        weight: Int<0, 1_000_000> = Int(1);
    }
}

block! {
    /// A second upstream that gets copies of requests. Nobody waits for them, and their answers are thrown away.
    "mirror" Mirror {
        /// The upstream: a name or a URL.
        to: Destination, required;
        /// Share of the requests that are copied.
        share: Percent<0> = Percent(100);
    }
}

block! {
    /// An answer from the configuration: with `json`, `body` or `file`, or with none of them.
    "respond" Respond {
        /// The status.
        status: Int<200, 599> = Int(200);
        /// Headers. `content-type` is implied by the body unless it stands here.
        headers: Dict<EditedHeader, HeaderText>;
        /// A JSON body; its strings may hold placeholders.
        json: Json;
        /// A text body; it may hold placeholders.
        body: Text;
        /// A file, held in memory, as it is.
        file: PathBuf;
    }
}

block! {
    /// A redirect.
    "redirect" Redirect {
        /// The `Location`; values are percent-encoded, `{path}` and `{query}` are as they came.
        to: Location, required;
        /// 301, 302, 303, 307 or 308.
        status: RedirectStatus = RedirectStatus(308);
    }
}

block! {
    /// The gateway's own health as JSON; 503 when down.
    "health" Health {
        /// `all`, or a list of names.
        upstreams: HealthSet = HealthSet::All;
    }
}

/// Where a route forwards to: at least one upstream.
#[derive(Debug, Clone)]
pub(crate) struct To(pub(crate) Vec<(At<Destination>, u32)>);

/// An upstream as a route names it.
#[derive(Debug, Clone)]
pub(crate) enum Destination {
    /// One of `upstreams`.
    Named(String),
    /// One made from a URL.
    Url(Box<Parsed>),
}

impl Shape for Destination {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        match is_url(&scalar.text) {
            true => parse_target(&scalar.text, node, report).map(|url| Destination::Url(Box::new(url))),
            false => Some(Destination::Named(scalar.text.to_string())),
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("name or URL", json!({ "type": "string", "minLength": 1 }))
    }
}

impl Shape for To {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if node.items().is_none() {
            if node.entries().is_some() {
                wrong_type(node, what, "a name, a URL or a list", report);
                return None;
            }
            let value = Destination::read(node, what, report)?;
            return Some(To(vec![(At { value, span: node.span(), key: node.span() }, 1)]));
        }
        let List(list) = List::<Weighted>::read(node, what, report)?;
        let mut to = Vec::with_capacity(list.len());
        for At { value, .. } in list {
            let weight = value.weight().0 as u32;
            match value.upstream {
                Slot::Given(upstream) => to.push((*upstream, weight)),
                Slot::Absent | Slot::Faulty(_) => return None,
            }
        }
        if to.iter().any(|(_, weight)| *weight > 0) {
            return Some(To(to));
        }
        let message = format!("`{what}` needs at least one upstream with a weight above 0");
        let span = report.head(node.span());
        report.push(Finding::error(Code::BadValue, span, message));
        None
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let (one, weighted) = (Destination::describe(catalogue), Weighted::describe(catalogue));
        let list = json!({ "type": "array", "minItems": 1, "items": weighted.schema });
        let label = "name, URL, or list of [`weighted`](#weighted) blocks";
        Description::new(label, json!({ "anyOf": [one.schema, list] }))
    }
}

/// A redirect's target.
#[derive(Debug, Clone)]
pub(crate) struct Location(pub(crate) HeaderText);

impl Shape for Location {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let location = HeaderText::read(node, what, report)?;
        let outline = outline(location.0.parts());
        // Without a scheme or a slash it would be relative to whatever the client asked for. A value in that place could be
        // a scheme of its own: the rest of a path keeps its `:`.
        let absolute = outline.starts_with('/')
            || outline.split_once("://").is_some_and(|(scheme, _)| is_scheme(scheme));
        let fault = if !absolute {
            (
                "must begin with a scheme or a slash",
                "write `https://example.com/…`, `https://{host}{path}` or `/path`",
            )
        } else if location.0.parts().iter().any(is_foreign) {
            ("holds a character that no URL has", "percent-encode it: a space is %20")
        } else if gives_the_host_away(&outline) {
            (
                "lets the client choose the host that it is sent to",
                "put a `/` in front of the placeholder, or the domain behind it: `https://{name}.example.com/`",
            )
        } else {
            return Some(Location(location));
        };
        let message = format!("`{what}` {}", fault.0);
        report.push(Finding::error(Code::BadValue, node.span(), message).hint(fault.1));
        None
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        HeaderText::describe(catalogue)
    }
}

/// Whether literal text has to be percent-encoded in a URL (RFC 3986 section 2).
fn is_foreign(part: &Part) -> bool {
    match part {
        Part::Text(text) => {
            text.bytes().any(|byte| !byte.is_ascii_graphic() || b"\"<>\\^`{|}".contains(&byte))
        }
        Part::Var(_) => false,
    }
}

/// Whether the host ends with what a client says: `https://example.com{rest}` goes to `example.com.evil.example` too.
/// The host that was asked for is another matter, and so is a name within a domain.
fn gives_the_host_away(url: &str) -> bool {
    const END: [char; 3] = ['/', '?', '#'];
    let absolute = url.split_once("://").filter(|(scheme, _)| !scheme.contains(END));
    let behind = url.strip_prefix("//").or(absolute.map(|(_, behind)| behind));
    let authority = behind.and_then(|behind| behind.split(END).next());
    authority.is_some_and(|authority| authority.ends_with(VALUE))
}

/// What stands for a value of the client's in an outline: no URL has it.
const VALUE: char = '\0';

/// A URL with something of their kind in the place of its placeholders.
fn outline(parts: &[Part]) -> String {
    let mut url = String::new();
    for part in parts {
        match part {
            Part::Text(text) => url.push_str(text),
            Part::Var(Var::Host | Var::Scheme) => url.push('h'),
            Part::Var(Var::Path) => url.push('/'),
            Part::Var(_) => url.push(VALUE),
        }
    }
    url
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// A status that means a redirect with a `Location`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RedirectStatus(pub(crate) u16);

const REDIRECTS: &[u16] = &[301, 302, 303, 307, 308];

impl Shape for RedirectStatus {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let Int(status) = Int::<100, 599>::read(node, what, report)?;
        if let Some(status) = REDIRECTS.iter().find(|allowed| i64::from(**allowed) == status) {
            return Some(RedirectStatus(*status));
        }
        let message = format!("`{what}` must be 301, 302, 303, 307 or 308");
        report.push(Finding::error(Code::BadValue, node.span(), message));
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("301, 302, 303, 307 or 308", or_expansion(json!({ "enum": REDIRECTS })))
    }

    fn show(&self) -> Value {
        self.0.into()
    }
}

/// The upstreams of a health answer.
#[derive(Debug, Clone)]
pub(crate) enum HealthSet {
    /// Every named one.
    All,
    /// These.
    Some(Vec<At<String>>),
}

impl Shape for HealthSet {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        match node.scalar() {
            Some(scalar) if &*scalar.text == "all" => Some(HealthSet::All),
            Some(scalar) if scalar.core() == Core::Text => {
                wrong_type(node, what, "`all` or a list of names", report);
                None
            }
            _ => List::<String>::read(node, what, report).map(|List(names)| HealthSet::Some(names)),
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        let list = json!({ "type": "array", "items": { "type": "string" } });
        Description::new(
            "`all` or a list of names",
            or_expansion(json!({ "anyOf": [{ "const": "all" }, list] })),
        )
    }

    fn show(&self) -> Value {
        "all".into()
    }
}
