//! The JSON Schema of the configuration file.

use serde_json::{Map, Value, json};

use crate::shape::{Catalogue, block_schema, expansion};

/// JSON Schema (draft 2020-12) of the main file: what this version accepts.
pub fn schema() -> Value {
    let catalogue = Catalogue::whole();
    let mut definitions = Map::new();
    definitions.insert("expansion".to_owned(), expansion());
    for block in catalogue.blocks() {
        definitions.insert(block.title.to_owned(), block_schema(block));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tollgate configuration",
        "description": "An included file has the shape of `#/$defs/included`.",
        "$ref": "#/$defs/root",
        "$defs": definitions,
    })
}
