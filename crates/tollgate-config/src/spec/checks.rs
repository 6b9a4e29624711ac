//! What a request must be like: `guard` and `validate`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, Catalogue, Description, Int, Shape, Slot, or_expansion, path_text};
use crate::yaml::NodeRef;

use super::lua::With;
use super::shaping::Condition;

block! {
    /// An expression that every request must satisfy, else it is refused as `guard_failed`.
    "guard" Guard {
        /// The expression, in CEL over `request`, `params`, `claims`, `consumer`, `client_ip` and `now`.
        if_ as "if": Condition, required;
        /// The status of the refusal.
        status: Int<400, 599> = Int(403);
        /// What the refusal tells people. Left out: that the request does not meet a condition.
        detail: String;
    }
}

block! {
    /// A description of an interface.
    "openapi" InterfaceBlock {
        /// The file, in YAML or JSON. What it refers to must be in its folder, or below.
        file: PathBuf, required;
        /// The path in front of the paths of the description, as clients see it. Left out: what its `servers` say.
        base: String;
    }
}

block! {
    /// What a request must look like, by schemas or by a description of the interface, else it is 400 `schema_invalid`.
    "validate" Validate {
        /// The body, which must be JSON.
        body: SchemaSource;
        /// The query parameters: an object of texts, or of lists where a name is repeated.
        query: SchemaSource;
        /// The headers: an object of texts by lower-case names.
        headers: SchemaSource;
        /// A description of the interface in OpenAPI 3.0 or 3.1: method, path, parameters and body must be as it says.
        openapi: Interface;
    }
}

impl Validate {
    /// Every schema, with its key.
    pub(crate) fn sources(&self) -> [(&'static str, &Slot<SchemaSource>); 3] {
        [("body", &self.body), ("query", &self.query), ("headers", &self.headers)]
    }
}

/// A description of an interface, and where its paths begin.
#[derive(Debug, Clone)]
pub(crate) struct Interface {
    pub(crate) file: At<PathBuf>,
    pub(crate) base: Option<String>,
}

impl Shape for Interface {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if node.entries().is_none() {
            let (span, key) = (node.span(), node.span());
            let file = At { value: path_text(node, what, report)?, span, key };
            return Some(Interface { file, base: None });
        }
        let block = InterfaceBlock::read(node, what, report)?;
        let base = match block.base {
            Slot::Given(base)
                if !base.value.starts_with('/') || base.value.contains(['{', '}', '?', '#', '*']) =>
            {
                let finding =
                    Finding::error(Code::BadValue, base.span, "`base` must be a path, without placeholders");
                report.push(finding.hint("the path in front of those of the description, such as `/api/v1`"));
                return None;
            }
            Slot::Given(base) => Some(base.value),
            Slot::Absent => None,
            Slot::Faulty(_) => return None,
        };
        match block.file {
            Slot::Given(file) => Some(Interface { file: *file, base }),
            Slot::Absent | Slot::Faulty(_) => None,
        }
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let block = InterfaceBlock::describe(catalogue);
        let file = or_expansion(json!({ "type": "string", "minLength": 1 }));
        let label = format!("path, or {}", block.label);
        Description::new(label, json!({ "anyOf": [file, block.schema] }))
    }
}

/// A schema: a file in JSON or YAML, or the schema itself.
#[derive(Debug, Clone)]
pub(crate) enum SchemaSource {
    File(At<PathBuf>),
    Inline(Value),
}

impl Shape for SchemaSource {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if node.entries().is_some() {
            return With::read(node, what, report).map(|With(map)| SchemaSource::Inline(Value::Object(map)));
        }
        let (span, key) = (node.span(), node.span());
        Some(SchemaSource::File(At { value: path_text(node, what, report)?, span, key }))
    }

    fn describe(_: &mut Catalogue) -> Description {
        let file = or_expansion(json!({ "type": "string", "minLength": 1 }));
        Description::new("path, or JSON Schema", json!({ "anyOf": [file, { "type": "object" }] }))
    }
}
