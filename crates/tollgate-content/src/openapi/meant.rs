//! What a text means where a schema says that it is a number, a list or an object.

use serde_json::{Map, Number, Value};

use super::documents::At;

/// Schemas that are looked at for one value: those of texts are small.
const SCHEMAS_MAX: usize = 500;

/// Schemas inside of each other.
const DEPTH_MAX: usize = 8;

/// The types that a schema allows, as far as they decide how a text is read.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Meant {
    text: bool,
    integer: bool,
    boolean: bool,
    list: bool,
    object: bool,
    elements: Option<Box<Meant>>,
    pub(super) members: Vec<(String, Meant)>,
}

impl Meant {
    /// Looks at a schema and at those that it is put together from.
    pub(super) fn of(schema: &At<'_>) -> Meant {
        let mut meant = Meant::default();
        let mut left = SCHEMAS_MAX;
        meant.add(schema, DEPTH_MAX, &mut left);
        meant
    }

    pub(super) fn is_list(&self) -> bool {
        self.list
    }

    pub(super) fn is_object(&self) -> bool {
        self.object
    }

    /// Whether it may be one value, in one text.
    pub(super) fn is_single(&self) -> bool {
        self.text || self.integer || self.boolean || !(self.list || self.object)
    }

    /// What an element of a list is.
    pub(super) fn element(&self) -> &Meant {
        self.elements.as_deref().unwrap_or(&TEXT)
    }

    /// What a member of an object is.
    pub(super) fn member(&self, name: &str) -> &Meant {
        self.members.iter().find(|(known, _)| known == name).map_or(&TEXT, |(_, meant)| meant)
    }

    /// A text as the value that it means; itself where it means none of its kind, which is then the fault.
    pub(super) fn value(&self, text: String) -> Value {
        if self.text {
            return text.into();
        }
        let number = self.integer && text.starts_with(|first: char| first == '-' || first.is_ascii_digit());
        if number && let Ok(number) = serde_json::from_str::<Number>(&text) {
            return Value::Number(number);
        }
        match text.as_str() {
            "true" if self.boolean => true.into(),
            "false" if self.boolean => false.into(),
            _ => text.into(),
        }
    }

    fn add(&mut self, schema: &At<'_>, depth: usize, left: &mut usize) {
        let Some(rest) = left.checked_sub(1).filter(|_| depth > 0) else { return };
        *left = rest;
        if let Some(Ok(target)) = schema.value.get("$ref").and_then(Value::as_str).map(|to| schema.follow(to))
        {
            self.add(&target, depth - 1, left);
        }
        for together in ["allOf", "anyOf", "oneOf"] {
            let parts =
                schema.member(together).into_iter().flat_map(|list| list.elements().collect::<Vec<_>>());
            for part in parts {
                self.add(&part, depth - 1, left);
            }
        }
        let Value::Object(object) = schema.value else { return };
        self.types(object);
        for (name, property) in schema.member("properties").iter().flat_map(plain_members) {
            let mut meant = Meant::default();
            meant.add(&property, depth - 1, left);
            self.members.push((name, meant));
        }
        if let Some(items) = schema.member("items") {
            self.elements.get_or_insert_default().add(&items, depth - 1, left);
        }
    }

    fn types(&mut self, schema: &Map<String, Value>) {
        match schema.get("type") {
            Some(Value::String(name)) => self.named(name),
            Some(Value::Array(names)) => {
                names.iter().filter_map(Value::as_str).for_each(|name| self.named(name))
            }
            _ => {
                let listed = schema.get("enum").and_then(Value::as_array).into_iter().flatten();
                for value in listed.chain(schema.get("const")) {
                    match value {
                        Value::Number(_) => self.integer = true,
                        Value::Bool(_) => self.boolean = true,
                        Value::String(_) => self.text = true,
                        _ => {}
                    }
                }
                self.list |= schema.contains_key("items");
                self.object |= schema.contains_key("properties");
            }
        }
    }

    fn named(&mut self, name: &str) {
        match name {
            "string" => self.text = true,
            "integer" | "number" => self.integer = true,
            "boolean" => self.boolean = true,
            "array" => self.list = true,
            "object" => self.object = true,
            _ => {}
        }
    }
}

/// What nothing is known about.
static TEXT: Meant = Meant {
    text: true,
    integer: false,
    boolean: false,
    list: false,
    object: false,
    elements: None,
    members: Vec::new(),
};

/// Members whose names are free: what begins with `x-` is none the less a property.
fn plain_members<'a>(all: &At<'a>) -> Vec<(String, At<'a>)> {
    let names = all.value.as_object().into_iter().flat_map(Map::keys);
    names.filter_map(|name| Some((name.clone(), all.member(name)?))).collect()
}
