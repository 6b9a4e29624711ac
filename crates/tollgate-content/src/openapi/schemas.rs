//! The schemas of a description, each compiled once, with what it refers to in any of the files.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jsonschema::{Draft, Registry};
use serde_json::Value;

use super::documents::{At, Documents, Fault};
use crate::schema::Schema;

/// Values of all schemas that are compiled. Each is compiled with all that it reaches, so that a description in which
/// everything refers to everything grows with the square of its length.
const VALUES_MAX: usize = 5_000_000;

/// References from one schema to others.
const REFERENCES_MAX: usize = 100_000;

type Place = (usize, String);

/// What is compiled so far.
pub(super) struct Schemas<'a> {
    registry: Registry<'a>,
    /// None where a fault was told.
    compiled: HashMap<Place, Option<Arc<Schema>>>,
    /// How many values stand in a schema that is sound by itself, and where it refers to.
    sound: HashMap<Place, (usize, Vec<At<'a>>)>,
    left: usize,
}

impl<'a> Schemas<'a> {
    pub(super) fn new(documents: &'a Documents) -> Result<Schemas<'a>, Fault> {
        let resources =
            documents.readable().map(|(uri, value)| (uri, Draft::Draft202012.create_resource_ref(value)));
        let registry = Registry::new().extend(resources).and_then(|builder| builder.prepare());
        let registry = registry.map_err(|error| documents.root().fault(error.to_string()))?;
        let (compiled, sound) = (HashMap::new(), HashMap::new());
        Ok(Schemas { registry, compiled, sound, left: VALUES_MAX })
    }

    /// Compiles the schema at a place. None where another place has told the fault.
    pub(super) fn compile(&mut self, at: &At<'a>) -> Result<Option<Arc<Schema>>, Fault> {
        let at = named(at);
        let place = (at.file, at.pointer.clone());
        if let Some(known) = self.compiled.get(&place) {
            return Ok(known.clone());
        }
        let made = self.look_through(&at).and_then(|()| {
            Schema::within(&self.registry, &at.uri())
                .map_err(|why| at.fault(format!("no schema that works: {why}")))
        });
        let made = made.map(Arc::new);
        self.compiled.insert(place, made.as_ref().ok().cloned());
        made.map(Some)
    }

    /// Looks at the schema and at all that it reaches: each must be one, and all of them together within bounds.
    fn look_through(&mut self, start: &At<'a>) -> Result<(), Fault> {
        let mut seen: HashSet<Place> = HashSet::new();
        let mut open = vec![start.clone()];
        while let Some(at) = open.pop() {
            let place = (at.file, at.pointer.clone());
            if !seen.insert(place.clone()) {
                continue;
            }
            if seen.len() > REFERENCES_MAX {
                return Err(start.fault(format!("the schema reaches more than {REFERENCES_MAX} others")));
            }
            if !self.sound.contains_key(&place) {
                sound(&at)?;
                let mut references = Vec::new();
                let values = gather(&at, &mut references);
                self.sound.insert(place.clone(), (values, references));
            }
            let Some((values, references)) = self.sound.get(&place) else { continue };
            let left = self.left.checked_sub(*values);
            self.left = left.ok_or_else(|| {
                start.fault(format!("all schemas with what they reach are more than {VALUES_MAX} values"))
            })?;
            open.extend(references.iter().cloned());
        }
        Ok(())
    }
}

/// The place that a schema of nothing but a reference names, so that it is compiled once for all who refer to it.
fn named<'a>(at: &At<'a>) -> At<'a> {
    let only = at.value.as_object().is_some_and(|schema| schema.len() == 1 && schema.contains_key("$ref"));
    if !only { at.clone() } else { at.clone().target().unwrap_or_else(|_| at.clone()) }
}

/// Whether the schema says what a schema can say.
fn sound(at: &At<'_>) -> Result<(), Fault> {
    let Err(error) = jsonschema::meta::validate(at.value) else { return Ok(()) };
    let mut fault = at.fault(error.to_string());
    fault.pointer.push_str(error.instance_path().as_str());
    Err(fault)
}

/// Counts the values of a schema, and gathers what it refers to. References that lead nowhere are left to the compiler,
/// which knows anchors too.
fn gather<'a>(at: &At<'a>, references: &mut Vec<At<'a>>) -> usize {
    fn walk<'a>(from: &At<'a>, value: &Value, references: &mut Vec<At<'a>>) -> usize {
        match value {
            Value::Object(object) => {
                if let Some(Value::String(reference)) = object.get("$ref") {
                    references.extend(from.follow(reference).ok());
                }
                1 + object.values().map(|value| walk(from, value, references)).sum::<usize>()
            }
            Value::Array(list) => 1 + list.iter().map(|value| walk(from, value, references)).sum::<usize>(),
            _ => 1,
        }
    }
    walk(at, at.value, references)
}
