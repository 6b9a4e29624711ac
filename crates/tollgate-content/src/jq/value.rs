//! Values of filters. Lists and objects know how much they hold: one that would be too large is not made, however few
//! steps that takes and however much of it is shared.

use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use indexmap::IndexMap;
use jaq_core::box_iter::{BoxIter, box_once};
use jaq_core::path::Opt;
use jaq_core::{ValR, ValT, ValX};

use super::meter;
use super::number::Num;
use super::{arithmetic, json};

pub(super) type Error = jaq_core::Error<Val>;

/// A value.
#[derive(Debug, Clone, Default)]
pub(super) enum Val {
    #[default]
    Null,
    Bool(bool),
    Num(Num),
    Text(Rc<String>),
    List(Rc<List>),
    Object(Rc<Object>),
}

#[derive(Debug, Clone, Default)]
pub(super) struct List {
    items: Vec<Val>,
    size: Size,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Object {
    members: IndexMap<Rc<str>, Val>,
    size: Size,
}

/// How much a list or an object holds, as if nothing of it was shared.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// About the bytes of its text.
    weight: usize,
    depth: u16,
}

impl Size {
    fn hold(&mut self, value: &Val, beside: usize) {
        meter::spend(1);
        self.weight = self.weight.saturating_add(value.weight()).saturating_add(beside);
        self.depth = self.depth.max(value.depth() + 1);
        meter::fits(self.weight, self.depth);
    }

    fn release(&mut self, value: &Val, beside: usize) {
        self.weight = self.weight.saturating_sub(value.weight() + beside);
    }

    /// Null stands in the place of a value.
    fn lend(&mut self, value: &Val) {
        self.weight = self.weight.saturating_sub(value.weight()) + Val::Null.weight();
    }
}

/// Quotes and colon of a name, and the comma.
const BESIDE_MEMBER: usize = 4;

impl List {
    pub(super) fn items(&self) -> &[Val] {
        &self.items
    }

    pub(super) fn push(&mut self, value: Val) {
        self.size.hold(&value, 1);
        self.items.push(value);
    }

    pub(super) fn retain(&mut self, keep: impl Fn(&Val) -> bool) {
        let size = &mut self.size;
        self.items.retain(|item| {
            let stays = keep(item);
            if !stays {
                size.release(item, 1);
            }
            stays
        });
    }

    /// Takes an element out of its place for a moment: behind it comes [`List::put`].
    fn lend(&mut self, at: usize) -> Option<Val> {
        let value = std::mem::take(self.items.get_mut(at)?);
        self.size.lend(&value);
        Some(value)
    }

    /// Puts another value at a place that is there; none takes it out.
    fn put(&mut self, at: usize, value: Option<Val>) {
        match value {
            Some(value) => {
                self.size.hold(&value, 1);
                if let Some(there) = self.items.get_mut(at) {
                    let before = std::mem::replace(there, value);
                    self.size.release(&before, 1);
                }
            }
            None => {
                meter::spend(self.items.len());
                let before = self.items.remove(at);
                self.size.release(&before, 1);
            }
        }
    }
}

impl Object {
    pub(super) fn members(&self) -> &IndexMap<Rc<str>, Val> {
        &self.members
    }

    pub(super) fn get(&self, name: &str) -> Option<&Val> {
        self.members.get(name)
    }

    pub(super) fn set(&mut self, name: Rc<str>, value: Val) {
        let beside = name.len() + BESIDE_MEMBER;
        self.size.hold(&value, beside);
        if let Some(before) = self.members.insert(name, value) {
            self.size.release(&before, beside);
        }
    }

    /// Takes a member out of its place for a moment: behind it comes [`Object::set`] or [`Object::remove`].
    pub(super) fn lend(&mut self, name: &str) -> Option<Val> {
        let value = std::mem::take(self.members.get_mut(name)?);
        self.size.lend(&value);
        Some(value)
    }

    fn remove(&mut self, name: &str) {
        meter::spend(self.members.len());
        if let Some(before) = self.members.shift_remove(name) {
            self.size.release(&before, name.len() + BESIDE_MEMBER);
        }
    }
}

impl Val {
    pub(super) fn text(text: impl Into<String>) -> Val {
        let text = text.into();
        meter::copy(text.len());
        meter::fits(text.len(), 0);
        Val::Text(text.into())
    }

    pub(super) fn whole(number: usize) -> Val {
        Val::Num(Num::Whole(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    fn weight(&self) -> usize {
        match self {
            Val::Null | Val::Bool(_) => 4,
            Val::Num(number) => number.weight(),
            Val::Text(text) => text.len() + 2,
            Val::List(list) => list.size.weight + 1,
            Val::Object(object) => object.size.weight + 1,
        }
    }

    fn depth(&self) -> u16 {
        match self {
            Val::List(list) => list.size.depth,
            Val::Object(object) => object.size.depth,
            _ => 0,
        }
    }

    /// What it is called when an error speaks of it.
    fn kind(&self) -> &'static str {
        match self {
            Val::Null => "null",
            Val::Bool(_) => "a boolean",
            Val::Num(_) => "a number",
            Val::Text(_) => "a string",
            Val::List(_) => "an array",
            Val::Object(_) => "an object",
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Val::Text(text) = self { Some(text) } else { None }
    }

    fn into_list(self) -> Result<Rc<List>, Error> {
        if let Val::List(list) = self { Ok(list) } else { Err(Error::typ(self, "an array")) }
    }

    /// Where a range begins and ends in something of `length`.
    fn place(range: Range<Option<&Val>>, length: usize) -> Result<(usize, usize), Error> {
        let bound = |bound: Option<&Val>, default: usize, round: fn(f64) -> f64| match bound {
            None | Some(Val::Null) => Ok(default),
            Some(Val::Num(number)) => {
                let at = round(number.real());
                let at = if at < 0.0 { at + length as f64 } else { at };
                // The cast keeps what is out of range at its end, and makes 0 of NaN.
                Ok((at as usize).min(length))
            }
            Some(other) => Err(Error::typ(other.clone(), "the end of a range")),
        };
        let start = bound(range.start, 0, f64::floor)?;
        Ok((start, bound(range.end, length, f64::ceil)?.max(start)))
    }
}

/// A list of one's own.
pub(super) fn own_list(list: Rc<List>) -> List {
    Rc::try_unwrap(list).unwrap_or_else(|shared| {
        meter::spend(shared.items.len());
        (*shared).clone()
    })
}

/// An object of one's own.
pub(super) fn own_object(object: Rc<Object>) -> Object {
    Rc::try_unwrap(object).unwrap_or_else(|shared| {
        meter::spend(2 * shared.members.len());
        (*shared).clone()
    })
}

impl ValT for Val {
    fn from_num(text: &str) -> ValR<Val> {
        // A filter may write what JSON does not, such as zeros in front.
        Ok(Val::Num(match text.parse() {
            Ok(whole) => Num::Whole(whole),
            Err(_) => Num::Real(text.parse().unwrap_or(f64::NAN)),
        }))
    }

    fn from_map<I: IntoIterator<Item = (Val, Val)>>(members: I) -> ValR<Val> {
        let mut object = Object::default();
        for (name, value) in members {
            match name {
                Val::Text(name) => object.set(name.as_str().into(), value),
                other => return Err(Error::typ(other, "the name of a member")),
            }
        }
        Ok(Val::Object(object.into()))
    }

    fn key_values(self) -> BoxIter<'static, ValR<(Val, Val), Val>> {
        match self {
            Val::List(list) => {
                let items = own_list(list).items.into_iter().enumerate();
                Box::new(items.map(|(at, item)| Ok((Val::whole(at), item))))
            }
            Val::Object(object) => {
                let members = own_object(object).members.into_iter();
                Box::new(members.map(|(name, value)| Ok((Val::text(&*name), value))))
            }
            other => box_once(Err(Error::typ(other, "an array or an object"))),
        }
    }

    fn values(self) -> Box<dyn Iterator<Item = ValR<Val>>> {
        match self {
            Val::List(list) => Box::new((0..list.items.len()).map(move |at| {
                meter::spend(1);
                Ok(list.items.get(at).cloned().unwrap_or_default())
            })),
            Val::Object(object) => Box::new((0..object.members.len()).map(move |at| {
                meter::spend(1);
                Ok(object.members.get_index(at).map(|(_, value)| value.clone()).unwrap_or_default())
            })),
            other => box_once(Err(Error::typ(other, "an array or an object"))),
        }
    }

    fn index(self, index: &Val) -> ValR<Val> {
        match (&self, index) {
            (Val::Null, Val::Null | Val::Num(_) | Val::Text(_) | Val::Object(_)) => Ok(Val::Null),
            (Val::Object(object), Val::Text(name)) => Ok(object.get(name).cloned().unwrap_or_default()),
            (Val::List(list), Val::Num(at)) => {
                let at = at.place(list.items.len());
                Ok(at.and_then(|at| list.items.get(at)).cloned().unwrap_or_default())
            }
            (Val::List(_) | Val::Text(_), Val::Object(range)) => {
                let range = range.clone();
                self.range(range.get("start")..range.get("end"))
            }
            (Val::List(_), Val::List(_)) => arithmetic::indices(&self, index),
            _ => Err(Error::index(self, index.clone())),
        }
    }

    fn range(self, range: Range<Option<&Val>>) -> ValR<Val> {
        match &self {
            Val::Null => Ok(Val::Null),
            Val::List(list) => {
                let (start, end) = Val::place(range, list.items.len())?;
                Ok(list.items.get(start..end).unwrap_or_default().iter().cloned().collect())
            }
            Val::Text(text) => {
                meter::copy(text.len());
                let (start, end) = Val::place(range, text.chars().count())?;
                Ok(Val::text(text.chars().skip(start).take(end - start).collect::<String>()))
            }
            _ => Err(Error::typ(self, "an array or a string")),
        }
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Val>>>(
        self,
        opt: Opt,
        f: impl Fn(Val) -> I,
    ) -> ValX<'a, Val> {
        match self {
            Val::List(list) => own_list(list).items.into_iter().flat_map(f).collect(),
            Val::Object(object) => {
                let mut made = Object::default();
                for (name, value) in own_object(object).members {
                    if let Some(value) = f(value).next() {
                        made.set(name, value?);
                    }
                }
                Ok(Val::Object(made.into()))
            }
            other => opt.fail(other, |other| Error::typ(other, "an array or an object").into()),
        }
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Val>>>(
        self,
        index: &Val,
        opt: Opt,
        f: impl Fn(Val) -> I,
    ) -> ValX<'a, Val> {
        match (self, index) {
            (list @ (Val::List(_) | Val::Text(_)), Val::Object(range)) => {
                list.map_range(range.get("start")..range.get("end"), opt, f)
            }
            (Val::Object(object), Val::Text(name)) => {
                let mut object = own_object(object);
                let before = object.lend(name).unwrap_or_default();
                match f(before).next().transpose()? {
                    Some(value) => object.set(name.as_str().into(), value),
                    None => object.remove(name),
                }
                Ok(Val::Object(object.into()))
            }
            (Val::Null, Val::Text(name)) => {
                let mut object = Object::default();
                if let Some(value) = f(Val::Null).next().transpose()? {
                    object.set(name.as_str().into(), value);
                }
                Ok(Val::Object(object.into()))
            }
            (Val::List(list), Val::Num(at)) => match at.place(list.items.len()) {
                Some(at) if at < list.items.len() => {
                    let mut list = own_list(list);
                    let before = list.lend(at).unwrap_or_default();
                    let value = f(before).next().transpose()?;
                    list.put(at, value);
                    Ok(Val::List(list.into()))
                }
                _ => opt.fail(Val::List(list), |_| Error::str("the array has no such place").into()),
            },
            (other, _) => opt.fail(other, |other| Error::index(other, index.clone()).into()),
        }
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Val>>>(
        self,
        range: Range<Option<&Val>>,
        opt: Opt,
        f: impl Fn(Val) -> I,
    ) -> ValX<'a, Val> {
        match self {
            Val::List(list) => {
                let (start, end) = match Val::place(range, list.items.len()) {
                    Ok(place) => place,
                    Err(error) => return opt.fail(Val::List(list), |_| error.into()),
                };
                let items = |range: Range<usize>| list.items.get(range).unwrap_or_default().iter().cloned();
                let made = match f(items(start..end).collect()).next().transpose()? {
                    Some(made) => made.into_list()?,
                    None => Rc::default(),
                };
                let rest = items(end..list.items.len());
                Ok(items(0..start).chain(made.items.iter().cloned()).chain(rest).collect())
            }
            other => opt.fail(other, |other| Error::typ(other, "an array").into()),
        }
    }

    fn as_bool(&self) -> bool {
        !matches!(self, Val::Null | Val::Bool(false))
    }

    fn into_string(self) -> Val {
        match self {
            Val::Text(_) => self,
            other => Val::text(json::text(&other)),
        }
    }
}

impl jaq_std::ValT for Val {
    fn into_seq<S: FromIterator<Val>>(self) -> Result<S, Val> {
        match self {
            Val::List(list) => Ok(own_list(list).items.into_iter().collect()),
            other => Err(other),
        }
    }

    fn is_int(&self) -> bool {
        matches!(self, Val::Num(number) if number.whole().is_some())
    }

    fn as_isize(&self) -> Option<isize> {
        let Val::Num(number) = self else { return None };
        number.whole().and_then(|whole| isize::try_from(whole).ok())
    }

    fn as_f64(&self) -> Option<f64> {
        if let Val::Num(number) = self { Some(number.real()) } else { None }
    }

    fn is_utf8_str(&self) -> bool {
        matches!(self, Val::Text(_))
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        self.as_text().map(str::as_bytes)
    }

    fn as_sub_str(&self, part: &[u8]) -> Val {
        Val::text(String::from_utf8_lossy(part))
    }

    fn from_utf8_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Val {
        Val::text(String::from_utf8_lossy(bytes.as_ref()))
    }
}

impl FromIterator<Val> for Val {
    fn from_iter<T: IntoIterator<Item = Val>>(items: T) -> Val {
        let mut list = List::default();
        items.into_iter().for_each(|item| list.push(item));
        Val::List(list.into())
    }
}

impl From<bool> for Val {
    fn from(value: bool) -> Val {
        Val::Bool(value)
    }
}

impl From<isize> for Val {
    fn from(number: isize) -> Val {
        Val::Num(Num::Whole(number as i64))
    }
}

impl From<usize> for Val {
    fn from(number: usize) -> Val {
        Val::whole(number)
    }
}

impl From<f64> for Val {
    fn from(number: f64) -> Val {
        Val::Num(Num::Real(number))
    }
}

impl From<String> for Val {
    fn from(text: String) -> Val {
        Val::text(text)
    }
}

impl From<Range<Option<Val>>> for Val {
    fn from(range: Range<Option<Val>>) -> Val {
        let mut object = Object::default();
        for (name, bound) in [("start", range.start), ("end", range.end)] {
            if let Some(bound) = bound {
                object.set(name.into(), bound);
            }
        }
        Val::Object(object.into())
    }
}

/// As errors name it: by its kind. Values belong to clients and services, and errors to logs.
impl fmt::Display for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}
