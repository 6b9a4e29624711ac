//! The JSON Schema of the configuration file.

use serde_json::{Value, json};

/// JSON Schema (draft 2020-12) of the configuration file: what this version accepts.
pub fn schema() -> Value {
    json!({ "$schema": "https://json-schema.org/draft/2020-12/schema" })
}
