//! Documents as templates see them: each look at a list or an object is charged for.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{DynObject, Enumerator, Object, ObjectRepr, Value, ValueKind};

use super::{Page, meter};
use crate::node::Node;
use crate::raw::{Kind, Raw};
use crate::read::{Build, read};

impl Build for Value {
    fn scalar(raw: Raw<'_>) -> Value {
        match raw.kind() {
            Kind::Text => Value::from(raw.text().unwrap_or_default().into_owned()),
            Kind::Bool => Value::from(raw.as_str() == "true"),
            Kind::Number => number(raw.as_str()),
            Kind::Null | Kind::List | Kind::Object => Value::from(()),
        }
    }

    fn list(items: Vec<Value>) -> Value {
        charged(Value::from(items))
    }

    fn object(members: Vec<(String, Value)>) -> Value {
        charged(Value::from_pairs(members))
    }
}

/// A list or an object, of the document or made of it by a filter. What is in it is charged for when it is handed out.
struct Charged(DynObject);

/// The value, which charges for what is in it.
pub(super) fn charged(value: Value) -> Value {
    let is_some = matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map);
    match value.as_object() {
        Some(object) if is_some && !is_charged(&value) => Value::from_object(Charged(object.clone())),
        _ => value,
    }
}

/// Whether it does so already.
pub(super) fn is_charged(value: &Value) -> bool {
    value.downcast_object_ref::<Charged>().is_some()
}

fn next(value: Value) -> Value {
    meter::turn();
    paid(value)
}

fn member(value: Value) -> Value {
    meter::step();
    paid(value)
}

fn paid(value: Value) -> Value {
    if let Some(text) = value.as_str() {
        meter::text(text.len());
    }
    charged(value)
}

impl Object for Charged {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        self.0.repr()
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get_value(key).map(next).or_else(missing)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.0.get_value_by_str(key).map(member).or_else(missing)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.0.enumerate() {
            Enumerator::NonEnumerable => Enumerator::NonEnumerable,
            Enumerator::Seq(length) => Enumerator::Seq(length),
            _ => match self.0.try_iter() {
                Some(items) => Enumerator::Iter(Box::new(items.map(next))),
                None => Enumerator::Empty,
            },
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        self.0.enumerator_len()
    }
}

fn missing() -> Option<Value> {
    meter::step();
    None
}

/// How lists and objects within others are printed.
impl fmt::Debug for Charged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in self.0.try_iter_pairs().into_iter().flatten() {
            meter::step();
            meter::text(name.as_str().map_or(0, str::len));
            meter::text(value.as_str().map_or(0, str::len));
        }
        fmt::Debug::fmt(&self.0, f)
    }
}

fn number(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(whole), _) => Value::from(whole),
        (_, Ok(whole)) => Value::from(whole),
        _ => Value::from(text.parse::<f64>().unwrap_or(f64::NAN)),
    }
}

/// The variables of a template. Members of the document come before those that are always there.
pub(super) fn context(page: Page<'_>) -> Value {
    let failed = page.failed.iter().map(|(part, reason)| (*part, *reason));
    let document = value(page.document);
    let mut variables = vec![
        (Value::from("failed"), charged(Value::from_pairs(failed))),
        (Value::from("answer"), document.clone()),
    ];
    if document.kind() == ValueKind::Map {
        let names = document.try_iter().into_iter().flatten();
        variables.extend(names.map(|name| {
            let value = document.get_item(&name).unwrap_or_default();
            (name, value)
        }));
    }
    charged(Value::from_pairs(variables))
}

fn value(node: &Node<'_>) -> Value {
    match node {
        Node::Raw(raw) => read(raw.as_str()),
        Node::Own(text) => read(text),
        Node::List(items) => charged(Value::from(items.iter().map(value).collect::<Vec<_>>())),
        Node::Object(object) => charged(Value::from_pairs(
            object.members().iter().map(|(name, member)| (name.as_ref(), value(member))),
        )),
    }
}
