//! What all shapes say about themselves: the source of the schema and of the reference.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::shape::Shape;
use crate::spec;

/// Every block with its keys, in the order in which the file's shape reaches them.
#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    blocks: Vec<BlockDoc>,
    /// Titles of blocks whose keys are being collected.
    open: Vec<&'static str>,
}

/// One block.
#[derive(Debug)]
pub(crate) struct BlockDoc {
    pub(crate) title: &'static str,
    pub(crate) about: String,
    pub(crate) fields: Vec<FieldDoc>,
}

/// One key of a block.
#[derive(Debug)]
pub(crate) struct FieldDoc {
    pub(crate) key: &'static str,
    pub(crate) about: &'static [&'static str],
    pub(crate) description: Description,
    pub(crate) default: Option<Value>,
    pub(crate) required: bool,
}

/// A shape in words and as JSON Schema.
#[derive(Debug, Clone)]
pub(crate) struct Description {
    /// "duration", "list of text".
    pub(crate) label: String,
    pub(crate) schema: Value,
}

impl Description {
    pub(crate) fn new(label: impl Into<String>, schema: Value) -> Self {
        Description { label: label.into(), schema }
    }
}

impl FieldDoc {
    /// The documentation as one line.
    pub(crate) fn about(&self) -> String {
        join(self.about)
    }
}

impl Catalogue {
    /// The catalogue of everything. It never changes, so it is made once: hints for many unknown keys need it.
    pub(crate) fn whole() -> &'static Self {
        static WHOLE: LazyLock<Catalogue> = LazyLock::new(|| {
            let mut catalogue = Catalogue::default();
            spec::Root::describe(&mut catalogue);
            spec::Included::describe(&mut catalogue);
            catalogue
        });
        &WHOLE
    }

    pub(crate) fn blocks(&self) -> &[BlockDoc] {
        &self.blocks
    }

    /// Registers a block once and gives a reference to it. A block comes before the blocks that it holds.
    pub(crate) fn block(
        &mut self,
        title: &'static str,
        about: &[&str],
        fields: impl FnOnce(&mut Catalogue) -> Vec<FieldDoc>,
    ) -> Description {
        if !self.open.contains(&title) && !self.blocks.iter().any(|block| block.title == title) {
            self.open.push(title);
            let place = self.blocks.len();
            self.blocks.push(BlockDoc { title, about: join(about), fields: Vec::new() });
            self.blocks[place].fields = fields(self);
            self.open.pop();
        }
        Description::new(
            format!("[`{title}`](#{title}) block"),
            json!({ "$ref": format!("#/$defs/{title}") }),
        )
    }
}

/// The schema of a scalar whose value comes from the environment or a file.
pub(crate) fn expansion() -> Value {
    json!({
        "type": "string",
        "pattern": r"\$\{[^}]*\}",
        "description": "`${NAME}`, `${NAME:-default}` or `${file:/path}`",
    })
}

/// A schema, or an expansion that becomes such a value.
pub(crate) fn or_expansion(schema: Value) -> Value {
    json!({ "anyOf": [schema, { "$ref": "#/$defs/expansion" }] })
}

/// A block as JSON Schema.
pub(crate) fn block_schema(block: &BlockDoc) -> Value {
    let mut properties = Map::new();
    for field in &block.fields {
        let mut schema = field.description.schema.clone();
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".to_owned(), field.about().into());
            if let Some(default) = &field.default {
                object.insert("default".to_owned(), default.clone());
            }
        }
        properties.insert(field.key.to_owned(), schema);
    }
    let required: Vec<_> =
        block.fields.iter().filter(|field| field.required).map(|field| field.key).collect();
    let mut schema = json!({
        "type": "object",
        "description": block.about,
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = required.into();
    }
    schema
}

fn join(lines: &[&str]) -> String {
    lines.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}
