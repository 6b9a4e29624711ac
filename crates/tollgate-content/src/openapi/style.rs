//! How a value is written into the texts of a request (OpenAPI 3.1 section 4.8.12.3, RFC 6570).

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::meant::Meant;
use super::text::{Pairs, decoded};
use crate::schema::strict;

/// The ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Simple,
    Label,
    Matrix,
    Form,
    Space,
    Pipe,
    Deep,
}

/// How one value is written.
#[derive(Debug, Clone)]
pub(super) struct Writing {
    pub(super) name: Box<str>,
    pub(super) style: Style,
    pub(super) explode: bool,
    /// It is JSON in one text.
    pub(super) json: bool,
    pub(super) meant: Meant,
}

impl Style {
    pub(super) fn named(name: &str) -> Option<Style> {
        Some(match name {
            "simple" => Style::Simple,
            "label" => Style::Label,
            "matrix" => Style::Matrix,
            "form" => Style::Form,
            "spaceDelimited" => Style::Space,
            "pipeDelimited" => Style::Pipe,
            "deepObject" => Style::Deep,
            _ => return None,
        })
    }
}

impl Writing {
    /// Whether it is an object whose members stand among the others, under their own names.
    pub(super) fn is_spread(&self) -> bool {
        let among = !matches!(self.style, Style::Simple | Style::Label | Style::Deep);
        among && self.explode && self.meant.is_object() && !self.json
    }

    /// The value in one text: a segment of a path, or the lines of a header. `encoded` says whether percent-encodings
    /// stand for bytes.
    pub(super) fn of_text(&self, text: &str, encoded: bool) -> Result<Value, String> {
        let bytes = text.as_bytes();
        match self.style {
            Style::Matrix => {
                let pairs = Pairs::of_matrix(bytes)?;
                self.of_pairs(&pairs, false)?.ok_or_else(|| "it is not written as a matrix".to_owned())
            }
            Style::Label => {
                let bytes = bytes.strip_prefix(b".").ok_or("it does not begin with a dot")?;
                let separator: Separator = if self.explode { &[b"."] } else { &[b","] };
                self.of_parts(bytes, separator, encoded, false)
            }
            _ => self.of_parts(bytes, &[b","], encoded, false),
        }
    }

    /// The value among pairs; none where it is not there. `plus` says whether `+` is a space.
    pub(super) fn of_pairs(&self, pairs: &Pairs<'_>, plus: bool) -> Result<Option<Value>, String> {
        if self.style == Style::Deep {
            return self.of_members(pairs, plus);
        }
        let values = pairs.take(&self.name);
        if self.is_spread() && (values.is_empty() || !self.meant.is_single()) {
            return self.of_exploded(pairs, plus);
        }
        let several = self.explode && self.meant.is_list() && !self.json;
        match values.as_slice() {
            [] => Ok(None),
            [one] if !several || self.meant.is_single() => match self.explode {
                true => self.one(one, true, plus).map(Some),
                false => self.of_parts(one, self.separator(), true, plus).map(Some),
            },
            values if several => elements(&self.meant, values.iter().copied(), true, plus).map(Some),
            _ => Err("it is given more than once".to_owned()),
        }
    }

    /// A value whose parts stand in one text.
    fn of_parts(
        &self,
        text: &[u8],
        separator: Separator,
        encoded: bool,
        plus: bool,
    ) -> Result<Value, String> {
        let parts = split(text, separator);
        if self.json || !(self.meant.is_list() || self.meant.is_object()) {
            return self.one(text, encoded, plus);
        }
        if self.meant.is_list() {
            return match parts.len() {
                0 | 1 if self.meant.is_single() => self.one(text, encoded, plus),
                _ => elements(&self.meant, parts.into_iter(), encoded, plus),
            };
        }
        let mut object = Map::new();
        let mut parts = parts.into_iter();
        while let Some(part) = parts.next() {
            let (name, value) = if self.explode && self.style != Style::Form {
                let end = part.iter().position(|byte| *byte == b'=').ok_or("a member has no `=`")?;
                (part.get(..end).unwrap_or_default(), part.get(end + 1..).unwrap_or_default())
            } else {
                (part, parts.next().ok_or("a member has no value")?)
            };
            let name = utf8(name, encoded, plus)?;
            let value = self.meant.member(&name).value(utf8(value, encoded, plus)?);
            insert(&mut object, name, value)?;
        }
        Ok(Value::Object(object))
    }

    /// An object whose members stand among the others.
    fn of_exploded(&self, pairs: &Pairs<'_>, plus: bool) -> Result<Option<Value>, String> {
        let mut object = Map::new();
        for (name, meant) in &self.meant.members {
            let values = pairs.take(name);
            if let Some(value) = several(meant, &values, plus)? {
                object.insert(name.clone(), value);
            }
        }
        Ok((!object.is_empty()).then_some(Value::Object(object)))
    }

    /// `name[member]=value`.
    fn of_members(&self, pairs: &Pairs<'_>, plus: bool) -> Result<Option<Value>, String> {
        let mut found: Vec<(&str, Vec<&[u8]>)> = Vec::new();
        for pair in pairs.all() {
            let member = pair.name.strip_prefix(&*self.name).and_then(|rest| rest.strip_prefix('['));
            let Some(member) = member else { continue };
            let Some(member) = member.strip_suffix(']').filter(|member| !member.contains(['[', ']'])) else {
                return Err("a member is nested deeper than `deepObject` goes".to_owned());
            };
            pair.taken.set(true);
            match found.iter_mut().find(|(name, _)| *name == member) {
                Some((_, values)) => values.push(pair.value),
                None => found.push((member, vec![pair.value])),
            }
        }
        let mut object = Map::new();
        for (name, values) in found {
            if let Some(value) = several(self.meant.member(name), &values, plus)? {
                object.insert(name.to_owned(), value);
            }
        }
        Ok((!object.is_empty()).then_some(Value::Object(object)))
    }

    /// A value that is one text.
    fn one(&self, text: &[u8], encoded: bool, plus: bool) -> Result<Value, String> {
        let text = utf8(text, encoded, plus)?;
        match self.json {
            true => strict::read(text.as_bytes()).map_err(|why| format!("it is no JSON: {why}")),
            false => Ok(self.meant.value(text)),
        }
    }

    fn separator(&self) -> Separator {
        match self.style {
            Style::Space => &[b"%20", b"+", b" "],
            Style::Pipe => &[b"|", b"%7C", b"%7c"],
            _ => &[b","],
        }
    }
}

/// What stands between parts, in each of its spellings.
type Separator = &'static [&'static [u8]];

/// The values under one name: a list where that is meant, else one.
fn several(meant: &Meant, values: &[&[u8]], plus: bool) -> Result<Option<Value>, String> {
    match values {
        [] => Ok(None),
        [one] if meant.is_single() => utf8(one, true, plus).map(|text| Some(meant.value(text))),
        values if meant.is_list() => elements(meant, values.iter().copied(), true, plus).map(Some),
        [one] => utf8(one, true, plus).map(|text| Some(text.into())),
        _ => Err("a member is given more than once".to_owned()),
    }
}

fn elements<'a>(
    meant: &Meant,
    parts: impl Iterator<Item = &'a [u8]>,
    encoded: bool,
    plus: bool,
) -> Result<Value, String> {
    let element = meant.element();
    parts.map(|part| utf8(part, encoded, plus).map(|text| element.value(text))).collect()
}

/// The parts of a text; none of an empty one. White space around them is dropped, as it is around elements of headers.
fn split(text: &[u8], separator: Separator) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        match separator.iter().find(|spelling| rest.starts_with(spelling)) {
            Some(spelling) => {
                parts.push(text.get(start..at).unwrap_or_default().trim_ascii());
                at += spelling.len();
                start = at;
            }
            None => at += 1,
        }
    }
    if !text.is_empty() {
        parts.push(text.get(start..).unwrap_or_default().trim_ascii());
    }
    parts
}

fn insert(object: &mut Map<String, Value>, name: String, value: Value) -> Result<(), String> {
    match object.insert(name, value) {
        None => Ok(()),
        Some(_) => Err("a member is given more than once".to_owned()),
    }
}

fn utf8(text: &[u8], encoded: bool, plus: bool) -> Result<String, String> {
    let text = if encoded { decoded(text, plus) } else { Cow::Borrowed(text) };
    String::from_utf8(text.into_owned()).map_err(|_| "it is not UTF-8".to_owned())
}
