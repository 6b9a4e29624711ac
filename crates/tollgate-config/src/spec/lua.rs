//! Scripts as a route names them, and what one call of them may use.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::json::literal;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{
    At, Catalogue, Description, Seconds, Shape, Size, Slot, or_expansion, path_text, text, wrong_type,
};
use crate::yaml::{Core, NodeRef};

block! {
    /// A script: exactly one of `file` and `inline`.
    "script" ScriptBlock {
        /// A file; `require "name"` in it finds `name.lua` beside it.
        file: PathBuf;
        /// The script itself.
        inline: String;
        /// What the script sees as `config`, read-only. No placeholders.
        with: With;
    }
}

block! {
    /// What one call of a script may use; past one of them the request is 500 `script_error`. What is left out here is
    /// as at the top level of the main file.
    "lua_limits" LuaLimits {
        /// Memory that the call adds to what is there; a body counts each time it becomes a text or values.
        memory: Size<{ 64 << 10 }, { 1 << 30 }> = Size(8 << 20);
        /// Time on the wall.
        time: Seconds<1, 60_000> = Seconds::millis(20);
    }
}

/// A script, and what it is handed.
#[derive(Debug, Clone)]
pub(crate) struct Lua {
    pub(crate) text: ScriptText,
    pub(crate) with: Map<String, Value>,
}

/// Where the text of a script is.
#[derive(Debug, Clone)]
pub(crate) enum ScriptText {
    File(At<PathBuf>),
    Inline(At<String>),
}

impl Shape for Lua {
    /// Text of one line is a path; what has a line break is the script.
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if node.entries().is_some() {
            return of_block(ScriptBlock::read(node, what, report)?, report);
        }
        let Some(scalar) = node.scalar().filter(|scalar| scalar.core() == Core::Text) else {
            wrong_type(node, what, "a path, a script behind `|`, or a map with `file` or `inline`", report);
            return None;
        };
        let (span, key) = (node.span(), node.span());
        let text = match scalar.text.contains('\n') {
            true => {
                let value = text(node, what, report)?.text.to_string();
                ScriptText::Inline(At { value, span, key })
            }
            false => ScriptText::File(At { value: path_text(node, what, report)?, span, key }),
        };
        Some(Lua { text, with: Map::new() })
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let block = ScriptBlock::describe(catalogue);
        let text = or_expansion(json!({ "type": "string", "minLength": 1 }));
        let label = format!("path, script behind `|`, or {}", block.label);
        Description::new(label, json!({ "anyOf": [text, block.schema] }))
    }
}

fn of_block(block: ScriptBlock, report: &mut Report) -> Option<Lua> {
    let keys = (block.file.key(), block.inline.key());
    if let (Some(file), Some(inline)) = keys {
        let finding = Finding::error(Code::Conflict, inline, "`file` and `inline` exclude each other");
        report.push(finding.related(file, "the other one"));
        return None;
    }
    if keys == (None, None) {
        let span = report.head(block.span);
        let finding = Finding::error(Code::MissingKey, span, "`script` needs `file` or `inline`");
        report.push(finding);
        return None;
    }
    let with = match block.with {
        Slot::Given(with) => with.value.0,
        Slot::Absent => Map::new(),
        Slot::Faulty(_) => return None,
    };
    let text = match (block.file, block.inline) {
        (Slot::Given(file), _) => ScriptText::File(*file),
        (_, Slot::Given(inline)) => ScriptText::Inline(*inline),
        _ => return None,
    };
    Some(Lua { text, with })
}

/// Values for a script, as they are written.
#[derive(Debug, Clone)]
pub(crate) struct With(pub(crate) Map<String, Value>);

impl Shape for With {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if node.entries().is_none() {
            wrong_type(node, what, "a map", report);
            return None;
        }
        match literal(node, report)? {
            Value::Object(map) => Some(With(map)),
            _ => None,
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("map of names to any value", json!({ "type": "object" }))
    }
}
