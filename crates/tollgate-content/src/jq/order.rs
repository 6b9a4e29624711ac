//! Which value comes first: null, false, true, numbers, strings, arrays, objects. An object by its names first.

use std::cmp::Ordering;

use super::meter;
use super::value::{Object, Val};

impl Ord for Val {
    fn cmp(&self, other: &Val) -> Ordering {
        meter::spend(1);
        match (self, other) {
            (Val::Bool(left), Val::Bool(right)) => left.cmp(right),
            (Val::Num(left), Val::Num(right)) => left.order(right),
            (Val::Text(left), Val::Text(right)) => {
                meter::copy(left.len().min(right.len()) / 8);
                left.cmp(right)
            }
            (Val::List(left), Val::List(right)) => left.items().cmp(right.items()),
            (Val::Object(left), Val::Object(right)) => objects(left, right),
            _ => rank(self).cmp(&rank(other)),
        }
    }
}

impl PartialOrd for Val {
    fn partial_cmp(&self, other: &Val) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Val {
    fn eq(&self, other: &Val) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Val {}

fn rank(value: &Val) -> u8 {
    match value {
        Val::Null => 0,
        Val::Bool(_) => 1,
        Val::Num(_) => 2,
        Val::Text(_) => 3,
        Val::List(_) => 4,
        Val::Object(_) => 5,
    }
}

fn objects(left: &Object, right: &Object) -> Ordering {
    let sorted = |object: &Object| {
        meter::spend(object.members().len());
        let mut names: Vec<_> = object.members().keys().cloned().collect();
        names.sort_unstable();
        names
    };
    let (names, others) = (sorted(left), sorted(right));
    names.cmp(&others).then_with(|| {
        // The names are the same.
        let mut values = names.iter().map(|name| left.get(name).cmp(&right.get(name)));
        values.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    })
}
