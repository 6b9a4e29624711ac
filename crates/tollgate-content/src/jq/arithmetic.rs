//! What operators make of two values.

use std::collections::BTreeSet;
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};
use std::rc::Rc;

use jaq_core::ValR;
use jaq_core::ops::Math;

use super::meter;
use super::number::Num;
use super::value::{Error, Object, Val, own_list, own_object};

impl Add for Val {
    type Output = ValR<Val>;

    fn add(self, other: Val) -> ValR<Val> {
        meter::spend(1);
        match (self, other) {
            (Val::Null, value) | (value, Val::Null) => Ok(value),
            (Val::Num(left), Val::Num(right)) => {
                Ok(Val::Num(left.count(&right, i64::checked_add, |left, right| left + right)))
            }
            (Val::Text(mut left), Val::Text(right)) => {
                meter::fits(left.len() + right.len(), 0);
                meter::copy(right.len());
                if Rc::get_mut(&mut left).is_none() {
                    meter::copy(left.len());
                }
                Rc::make_mut(&mut left).push_str(&right);
                Ok(Val::Text(left))
            }
            (Val::List(left), Val::List(right)) => {
                let mut list = own_list(left);
                right.items().iter().for_each(|item| list.push(item.clone()));
                Ok(Val::List(list.into()))
            }
            (Val::Object(left), Val::Object(right)) => {
                let mut object = own_object(left);
                for (name, value) in right.members() {
                    object.set(name.clone(), value.clone());
                }
                Ok(Val::Object(object.into()))
            }
            (left, right) => Err(Error::math(left, Math::Add, right)),
        }
    }
}

impl Sub for Val {
    type Output = ValR<Val>;

    fn sub(self, other: Val) -> ValR<Val> {
        meter::spend(1);
        match (self, other) {
            (Val::Num(left), Val::Num(right)) => {
                Ok(Val::Num(left.count(&right, i64::checked_sub, |left, right| left - right)))
            }
            (Val::List(left), Val::List(right)) => {
                let gone: BTreeSet<&Val> = right.items().iter().collect();
                let mut list = own_list(left);
                list.retain(|item| !gone.contains(item));
                Ok(Val::List(list.into()))
            }
            (left, right) => Err(Error::math(left, Math::Sub, right)),
        }
    }
}

impl Mul for Val {
    type Output = ValR<Val>;

    fn mul(self, other: Val) -> ValR<Val> {
        meter::spend(1);
        match (self, other) {
            (Val::Num(left), Val::Num(right)) => {
                Ok(Val::Num(left.count(&right, i64::checked_mul, |left, right| left * right)))
            }
            (Val::Text(text), Val::Num(times)) | (Val::Num(times), Val::Text(text)) => {
                let times = times.real();
                if times.is_nan() || times <= 0.0 {
                    return Ok(Val::Null);
                }
                let times = times.ceil() as usize;
                let bytes = text.len().saturating_mul(times);
                meter::fits(bytes, 0);
                meter::copy(bytes);
                // Nothing, ever so often.
                Ok(if text.is_empty() { Val::Text(text) } else { Val::text(text.repeat(times)) })
            }
            (Val::Object(left), Val::Object(right)) => Ok(Val::Object(deep(left, &right).into())),
            (left, right) => Err(Error::math(left, Math::Mul, right)),
        }
    }
}

/// Objects of one name become one.
fn deep(left: Rc<Object>, right: &Object) -> Object {
    let mut object = own_object(left);
    for (name, value) in right.members() {
        let value = match (object.lend(name), value) {
            (Some(Val::Object(left)), Val::Object(right)) => Val::Object(deep(left, right).into()),
            (_, value) => value.clone(),
        };
        object.set(name.clone(), value);
    }
    object
}

impl Div for Val {
    type Output = ValR<Val>;

    fn div(self, other: Val) -> ValR<Val> {
        meter::spend(1);
        match (self, other) {
            (Val::Num(_), Val::Num(right)) if right.real() == 0.0 => Err(zero()),
            (Val::Num(left), Val::Num(right)) => {
                let whole = |left: i64, right| (left.checked_rem(right)? == 0).then(|| left / right);
                Ok(Val::Num(left.count(&right, whole, |left, right| left / right)))
            }
            (Val::Text(text), Val::Text(between)) => Ok(split(&text, &between)),
            (left, right) => Err(Error::math(left, Math::Div, right)),
        }
    }
}

impl Rem for Val {
    type Output = ValR<Val>;

    fn rem(self, other: Val) -> ValR<Val> {
        meter::spend(1);
        match (self, other) {
            // The language counts in whole numbers here.
            (Val::Num(left), Val::Num(right)) => {
                let (left, right) = (left.real() as i64, right.real() as i64);
                if right == 0 {
                    return Err(zero());
                }
                Ok(Val::Num(Num::Whole(left.checked_rem(right.saturating_abs()).unwrap_or(0))))
            }
            (left, right) => Err(Error::math(left, Math::Rem, right)),
        }
    }
}

fn zero() -> Error {
    Error::str("the divisor is zero")
}

impl Neg for Val {
    type Output = ValR<Val>;

    fn neg(self) -> ValR<Val> {
        match self {
            Val::Num(number) => Ok(Val::Num(number.negate())),
            other => Err(Error::typ(other, "a number")),
        }
    }
}

/// The pieces of a text; its letters when nothing is between them.
fn split(text: &str, between: &str) -> Val {
    meter::copy(text.len());
    if text.is_empty() {
        return std::iter::empty().collect();
    }
    match between {
        "" => text.chars().map(Val::text).collect(),
        between => text.split(between).map(Val::text).collect(),
    }
}

/// Where a value stands in another one: elements of an array, runs of them, or pieces of a text, counted in letters.
pub(super) fn indices(value: &Val, part: &Val) -> ValR<Val> {
    match (value, part) {
        (Val::Null, _) => Ok(Val::Null),
        (Val::Text(_), Val::Text(part)) if part.is_empty() => Ok(Val::Null),
        (Val::Text(text), Val::Text(part)) => {
            let (mut found, mut letters, mut from) = (Vec::new(), 0, 0);
            while let Some(at) = text.get(from..).and_then(|rest| rest.find(part.as_str())) {
                meter::copy(at);
                letters += text.get(from..from + at).unwrap_or_default().chars().count();
                found.push(Val::whole(letters));
                // They may lie over each other.
                from +=
                    at + text.get(from + at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
                letters += 1;
            }
            Ok(found.into_iter().collect())
        }
        (Val::List(_), Val::List(part)) if part.items().is_empty() => Ok(Val::Null),
        (Val::List(list), Val::List(part)) => {
            let runs = list.items().windows(part.items().len()).enumerate();
            Ok(runs.filter(|(_, run)| *run == part.items()).map(|(at, _)| Val::whole(at)).collect())
        }
        (Val::List(list), part) => {
            let items = list.items().iter().enumerate();
            Ok(items.filter(|(_, item)| *item == part).map(|(at, _)| Val::whole(at)).collect())
        }
        (value, part) => Err(Error::index(value.clone(), part.clone())),
    }
}

/// Whether a value contains another one: a text in a text, each element in some element, each member in its like.
pub(super) fn contains(value: &Val, part: &Val) -> ValR<Val> {
    let same_kind = std::mem::discriminant(value) == std::mem::discriminant(part);
    if same_kind {
        Ok(Val::Bool(holds(value, part)))
    } else {
        Err(Error::str("values of two kinds contain each other never"))
    }
}

fn holds(value: &Val, part: &Val) -> bool {
    meter::spend(1);
    match (value, part) {
        (Val::Text(text), Val::Text(part)) => {
            meter::copy(text.len());
            text.contains(part.as_str())
        }
        (Val::List(list), Val::List(part)) => {
            part.items().iter().all(|part| list.items().iter().any(|item| holds(item, part)))
        }
        (Val::Object(object), Val::Object(part)) => {
            part.members().iter().all(|(name, part)| object.get(name).is_some_and(|value| holds(value, part)))
        }
        _ => value == part,
    }
}
