//! Functions of the language that are made of nothing else of it.

use jaq_core::box_iter::box_once;
use jaq_core::native::{Filter, Fun, bome, run, unary, v};
use jaq_core::{Cv, Exn, RunPtr, ValR, ValXs};

use super::number::Num;
use super::value::{Error, Val};
use super::{Lang, arithmetic, json, meter};
use crate::raw::{Kind, Raw};
use crate::read::read;

/// What ends a process, makes paths into values that grow without being looked at, or would loop past the meter.
const LEFT_OUT: [&str; 5] = ["halt", "path", "path_value", "range", "escape_sh"];

/// All of them.
pub(super) fn functions() -> impl Iterator<Item = Fun<Lang>> {
    let theirs = jaq_core::funs().chain(jaq_std::base_funs());
    theirs.filter(|(name, ..)| !LEFT_OUT.contains(name)).chain(own().into_vec().into_iter().map(run::<Lang>))
}

fn own() -> Box<[Filter<RunPtr<Lang>>]> {
    Box::new([
        ("range", v(3), range),
        ("length", v(0), |cv| bome(length(cv.1))),
        ("tojson", v(0), |cv| bome(Ok(Val::text(json::text(&cv.1))))),
        ("fromjson", v(0), |cv| bome(from_json(&cv.1))),
        ("tonumber", v(0), |cv| bome(to_number(cv.1))),
        ("toboolean", v(0), |cv| bome(to_boolean(cv.1))),
        ("has", v(1), |cv| unary(cv, |value, name| has(&value, &name))),
        ("contains", v(1), |cv| unary(cv, |value, part| arithmetic::contains(&value, &part))),
        ("indices", v(1), |cv| unary(cv, |value, part| arithmetic::indices(&value, &part))),
        ("join", v(1), |cv| unary(cv, |list, between| join(&list, &between))),
        ("trunc", v(0), |cv| bome(real(cv.1, f64::trunc))),
        ("sqrt", v(0), |cv| bome(real(cv.1, f64::sqrt))),
        ("pow", v(2), |mut cv| {
            let (power, base) = (cv.0.pop_var(), cv.0.pop_var());
            bome(number(&power).and_then(|power| real(base, |base| base.powf(power))))
        }),
        ("escape_html", v(0), |cv| bome(escape_html(&cv.1))),
        ("encode_uri", v(0), |cv| bome(encode_uri(&cv.1))),
    ])
}

/// Numbers from one up to another, by a third. One step each, also where nobody looks at them.
fn range<'a>(mut cv: Cv<'a, Lang>) -> ValXs<'a, Val> {
    let (by, upto, from) = (cv.0.pop_var(), cv.0.pop_var(), cv.0.pop_var());
    let (by, upto, from) = match (by, upto, from) {
        (Val::Num(by), Val::Num(upto), Val::Num(from)) => (by, upto, from),
        _ => return box_once(Err(Exn::from(Error::str("a range goes from number to number")))),
    };
    let step = by.real();
    let mut next = from;
    Box::new(std::iter::from_fn(move || {
        meter::spend(1);
        let order = next.order(&upto);
        let more = if step > 0.0 { order.is_lt() } else { step < 0.0 && order.is_gt() };
        more.then(|| {
            let after = next.count(&by, i64::checked_add, |at, by| at + by);
            Ok(Val::Num(std::mem::replace(&mut next, after)))
        })
    }))
}

fn length(value: Val) -> ValR<Val> {
    Ok(match &value {
        Val::Null => Val::whole(0),
        Val::Num(number) if number.real() < 0.0 => Val::Num(number.negate()),
        Val::Num(_) => value,
        Val::Text(text) => {
            meter::copy(text.len());
            Val::whole(text.chars().count())
        }
        Val::List(list) => Val::whole(list.items().len()),
        Val::Object(object) => Val::whole(object.members().len()),
        Val::Bool(_) => return Err(Error::str("a boolean has no length")),
    })
}

fn from_json(value: &Val) -> ValR<Val> {
    let text = value.as_text().ok_or_else(|| Error::typ(value.clone(), "JSON"))?;
    meter::spend(text.len());
    match Raw::check(text.as_bytes()) {
        Ok(raw) => Ok(read(raw.as_str())),
        Err(_) => Err(Error::str("a string is no JSON")),
    }
}

fn to_number(value: Val) -> ValR<Val> {
    match &value {
        Val::Num(_) => Ok(value),
        // What JSON calls a number, which is less than what Rust does.
        Val::Text(text) if Raw::check(text.as_bytes()).is_ok_and(|raw| raw.kind() == Kind::Number) => {
            Ok(Val::Num(Num::parse(text.trim())))
        }
        _ => Err(Error::str("cannot parse as number")),
    }
}

fn to_boolean(value: Val) -> ValR<Val> {
    match value.as_text() {
        Some("true") => Ok(Val::Bool(true)),
        Some("false") => Ok(Val::Bool(false)),
        None if matches!(value, Val::Bool(_)) => Ok(value),
        _ => Err(Error::str("cannot parse as boolean")),
    }
}

fn has(value: &Val, name: &Val) -> ValR<Val> {
    match (value, name) {
        (Val::Object(object), Val::Text(name)) => Ok(Val::Bool(object.get(name).is_some())),
        (Val::List(list), Val::Num(at)) => {
            Ok(Val::Bool((0.0..list.items().len() as f64).contains(&at.real())))
        }
        _ => Err(Error::index(value.clone(), name.clone())),
    }
}

/// Texts of a list with another one between them; null is nothing, numbers and booleans are as JSON writes them.
fn join(list: &Val, between: &Val) -> ValR<Val> {
    let (Val::List(items), Val::Text(between)) = (list, between) else {
        return Err(Error::str("join needs an array and a string"));
    };
    let mut joined = String::new();
    for (at, item) in items.items().iter().enumerate() {
        if at > 0 {
            joined.push_str(between);
        }
        match item {
            Val::Null => {}
            Val::Text(text) => joined.push_str(text),
            Val::Num(_) | Val::Bool(_) => joined.push_str(&json::text(item)),
            Val::List(_) | Val::Object(_) => return Err(Error::typ(item.clone(), "a string")),
        }
        meter::spend(1);
        meter::fits(joined.len(), 0);
    }
    Ok(Val::text(joined))
}

fn number(value: &Val) -> Result<f64, Error> {
    match value {
        Val::Num(number) => Ok(number.real()),
        other => Err(Error::typ(other.clone(), "a number")),
    }
}

fn real(value: Val, make: impl Fn(f64) -> f64) -> ValR<Val> {
    number(&value).map(|number| Val::Num(Num::Real(make(number))))
}

fn escape_html(value: &Val) -> ValR<Val> {
    let mut out = String::new();
    for letter in value.as_text().unwrap_or_default().chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\'' => out.push_str("&#39;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    Ok(Val::text(out))
}

/// All but the unreserved characters of RFC 3986 section 2.3.
fn encode_uri(value: &Val) -> ValR<Val> {
    let mut out = String::new();
    for byte in value.as_text().unwrap_or_default().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    Ok(Val::text(out))
}
