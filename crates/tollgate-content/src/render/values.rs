//! Documents as templates see them.

use minijinja::value::{Value, ValueKind};

use super::Page;
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
        Value::from(items)
    }

    fn object(members: Vec<(String, Value)>) -> Value {
        Value::from_pairs(members)
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
    let mut variables =
        vec![(Value::from("failed"), Value::from_pairs(failed)), (Value::from("answer"), document.clone())];
    if document.kind() == ValueKind::Map {
        let names = document.try_iter().into_iter().flatten();
        variables.extend(names.map(|name| {
            let value = document.get_item(&name).unwrap_or_default();
            (name, value)
        }));
    }
    Value::from_pairs(variables)
}

fn value(node: &Node<'_>) -> Value {
    match node {
        Node::Raw(raw) => read(raw.as_str()),
        Node::Own(text) => read(text),
        Node::List(items) => Value::from(items.iter().map(value).collect::<Vec<_>>()),
        Node::Object(object) => {
            Value::from_pairs(object.members().iter().map(|(name, member)| (name.as_ref(), value(member))))
        }
    }
}
