//! What is done to a document: the keys that a route's `response.body` and the parts of an aggregate share.

use serde_json::json;
use tollgate_content::Path;
use tollgate_content::expr::Expr;
use tollgate_content::jq::Jq;

use crate::diagnostic::Code;
use crate::mask;
use crate::report::{Finding, Report};
use crate::shape::{Catalogue, Description, Dict, Key, List, Shape, Slot, shown, text};
use crate::source_map::{Span, visible};
use crate::suggest;
use crate::yaml::NodeRef;

choice! {
    /// What a body is written in.
    Notation {
        /// JSON.
        "json" => Json,
        /// XML without a document type.
        "xml" => Xml,
        /// YAML, one document.
        "yaml" => Yaml,
        /// Comma-separated values with a header line.
        "csv" => Csv,
        /// Plain text.
        "text" => Text,
    }
}

choice! {
    /// What an answer is written in.
    Encode {
        /// JSON.
        "json" => Json,
        /// XML.
        "xml" => Xml,
        /// YAML.
        "yaml" => Yaml,
        /// What the client's `Accept` asks for.
        "negotiate" => Negotiate,
    }
}

block! {
    /// Shaping of a service's answer: decoded, then `from`, `pick`, `drop`, `rename`, `wrap`, in this order.
    "body" Body {
        /// What the service's answer is written in.
        decode: Notation = Notation::Json;
        /// Go on with what stands at this path, such as `data.items`.
        from: JsonPath;
        /// Keep only these, such as `[id, owner.name, items[].sku]`.
        pick: List<JsonPath>;
        /// Take these away.
        drop: List<JsonPath>;
        /// Other names for members: their path, and the name.
        rename: Dict<JsonPath, String>;
        /// Put the result under this name.
        wrap: String;
        /// A filter in the language of jq, in the place of the others.
        jq: Filter;
    }
}

/// The keys that shape, by reference.
pub(crate) struct Shaping<'a> {
    pub(crate) from: &'a Slot<JsonPath>,
    pub(crate) pick: &'a Slot<List<JsonPath>>,
    pub(crate) drop: &'a Slot<List<JsonPath>>,
    pub(crate) rename: &'a Slot<Dict<JsonPath, String>>,
    pub(crate) wrap: &'a Slot<String>,
    pub(crate) jq: &'a Slot<Filter>,
}

impl Body {
    pub(crate) fn shaping(&self) -> Shaping<'_> {
        let Body { from, pick, drop, rename, wrap, jq, .. } = self;
        Shaping { from, pick, drop, rename, wrap, jq }
    }
}

/// A path into a document.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct JsonPath(pub(crate) Path);

impl Shape for JsonPath {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        match Path::parse(&scalar.text) {
            Ok(path) => Some(JsonPath(path)),
            Err(error) => {
                let at = error.offset.min(scalar.text.len());
                let span = scalar.part(node.span(), report.sources.text(node.span()), at..scalar.text.len());
                let message = format!("`{}` is no path into a document", shown(node, report));
                report.push(Finding::error(Code::BadValue, span, message).hint(error.message));
                None
            }
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("path into a document", json!({ "type": "string", "minLength": 1 }))
    }
}

impl Key for JsonPath {
    const LABEL: &'static str = "path into a document";

    fn parse(text: &str, span: Span) -> Result<Self, Box<Finding>> {
        Path::parse(text).map(JsonPath).map_err(|error| {
            let message = format!("`{}` is no path into a document", visible(text));
            Box::new(Finding::error(Code::BadValue, span, message).hint(error.message))
        })
    }
}

/// A filter in the language of jq.
#[derive(Debug, Clone)]
pub(crate) struct Filter(pub(crate) std::sync::Arc<Jq>);

impl Shape for Filter {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        match Jq::parse(&scalar.text) {
            Ok(jq) => Some(Filter(jq.into())),
            Err(error) => {
                let at = error.offset.min(scalar.text.len());
                let span = scalar.part(node.span(), report.sources.text(node.span()), at..scalar.text.len());
                let message = format!("`{what}` is no filter: {}", scalar.fault(&error.message));
                // Names that a variable brought are its own.
                let unknown = error.unknown.filter(|_| !scalar.rewritten);
                let hint = unknown.as_ref().and_then(suggest::nearest);
                report.push(Finding::error(Code::BadValue, span, message).maybe_hint(hint));
                None
            }
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("jq filter", json!({ "type": "string", "minLength": 1 }))
    }
}

/// An expression over what is known of a request.
#[derive(Debug, Clone)]
pub(crate) struct Condition(pub(crate) std::sync::Arc<Expr>);

impl Shape for Condition {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        match Expr::parse(&scalar.text) {
            Ok(expr) => Some(Condition(expr.into())),
            Err(error) => {
                let at = error.offset.min(scalar.text.len());
                let span = scalar.part(node.span(), report.sources.text(node.span()), at..scalar.text.len());
                let hint = error.unknown.as_ref().map(|unknown| {
                    let near = (!scalar.rewritten).then(|| suggest::nearest(unknown)).flatten();
                    let known = unknown.known.iter().map(String::as_str);
                    near.unwrap_or_else(|| format!("there are {}", suggest::listing(known)))
                });
                let fault = mask::cel::masked_message(&error.message);
                let message = format!("`{what}` is no expression: {}", scalar.fault(&fault));
                report.push(Finding::error(Code::BadValue, span, message).maybe_hint(hint));
                None
            }
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("expression", json!({ "type": "string", "minLength": 1 }))
    }
}
