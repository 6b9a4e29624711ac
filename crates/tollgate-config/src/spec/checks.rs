//! What a request must be like: `guard` and `validate`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::report::Report;
use crate::shape::{At, Catalogue, Description, Int, Later, Shape, Slot, or_expansion, path_text};
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
    /// What a request must look like, in JSON Schema, else it is 400 `schema_invalid`.
    "validate" Validate {
        /// The body, which must be JSON.
        body: SchemaSource;
        /// The query parameters: an object of texts, or of lists where a name is repeated.
        query: SchemaSource;
        /// The headers: an object of texts by lower-case names.
        headers: SchemaSource;
        /// A description of the interface.
        openapi: Later;
    }
}

impl Validate {
    /// Every schema, with its key.
    pub(crate) fn sources(&self) -> [(&'static str, &Slot<SchemaSource>); 3] {
        [("body", &self.body), ("query", &self.query), ("headers", &self.headers)]
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
