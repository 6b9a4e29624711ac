//! The body of a request: which media types it may have, and what it must be (OpenAPI 3.1 sections 4.8.13 to 4.8.15).

use std::sync::Arc;

use serde_json::{Map, Value};

use super::documents::{At, Fault, shown};
use super::meant::Meant;
use super::parameter::is_json;
use super::schemas::Schemas;
use super::style::{Style, Writing};
use super::text::{Pairs, decoded};
use crate::media::is_utf8;
use crate::schema::Schema;

/// Pairs of a form, in the words of its media type.
const FORM: &str = "application/x-www-form-urlencoded";

/// What an operation takes as its body.
pub(super) struct Body {
    required: bool,
    content: Vec<Content>,
}

/// A body of one media type.
struct Content {
    /// In lower case, without parameters: `type/subtype`, `type/*` or `*/*`.
    range: String,
    schema: Option<Arc<Schema>>,
    /// How the members of a form are written; none where it cannot be one.
    fields: Vec<Writing>,
}

/// What is left to check once all of a body is there.
pub struct BodyCheck<'a> {
    required: bool,
    schema: &'a Schema,
    /// The members of a form; none where the body is JSON.
    fields: Option<&'a [Writing]>,
}

impl Body {
    pub(super) fn compile<'a>(at: &At<'a>, schemas: &mut Schemas<'a>) -> Result<Body, Fault> {
        let content = at.member("content").ok_or_else(|| at.fault("a body needs `content`"))?;
        let mut all = Vec::new();
        for (range, media) in content.members() {
            all.push(Content::compile(range, &media.target()?, schemas)?);
        }
        if all.is_empty() {
            return Err(content.fault("a body needs at least one media type"));
        }
        // The nearest range first; the order of the rest is that of the description.
        all.sort_by_key(|content| content.range.matches('*').count());
        Ok(Body { required: at.flag("required")?.unwrap_or(false), content: all })
    }

    /// What is to be checked of a body of this type; none where its type alone is.
    pub(super) fn check(&self, kind: Option<&str>) -> Result<Option<BodyCheck<'_>>, String> {
        let whole = kind.unwrap_or_default();
        let kind = kind.and_then(|kind| kind.split(';').next()).map(|kind| kind.trim().to_ascii_lowercase());
        let content = kind.as_ref().and_then(|kind| self.content.iter().find(|content| content.has(kind)));
        let (Some(kind), Some(content)) = (kind, content) else {
            let ranges: Vec<String> =
                self.content.iter().map(|content| format!("`{}`", shown(&content.range))).collect();
            return Err(format!("body: its `Content-Type` must be {}", ranges.join(" or ")));
        };
        let Some(schema) = content.schema.as_deref() else { return Ok(None) };
        let fields = match kind.as_str() {
            FORM => Some(content.fields.as_slice()),
            kind if is_json(kind) => None,
            _ => return Ok(None),
        };
        if !is_utf8(whole) {
            return Err("body: its `charset` must be UTF-8".to_owned());
        }
        Ok(Some(BodyCheck { required: self.required, schema, fields }))
    }

    pub(super) fn is_required(&self) -> bool {
        self.required
    }
}

impl Content {
    fn compile<'a>(range: &str, at: &At<'a>, schemas: &mut Schemas<'a>) -> Result<Content, Fault> {
        let range = range.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if !range.contains('/') {
            return Err(at.fault("the key of a content must be a media type"));
        }
        let schema = at.member("schema");
        let compiled = schema.as_ref().map(|schema| schemas.compile(schema)).transpose()?.flatten();
        let fields = match schema {
            Some(schema) if covers(&range, FORM) => fields(&schema, at)?,
            _ => Vec::new(),
        };
        Ok(Content { range, schema: compiled, fields })
    }

    fn has(&self, kind: &str) -> bool {
        covers(&self.range, kind)
    }
}

impl BodyCheck<'_> {
    /// Checks the whole body.
    pub fn check(&self, body: &[u8]) -> Result<(), String> {
        let verdict = match (body, self.fields) {
            ([], _) if self.required => Err("there is none".to_owned()),
            ([], _) => Ok(()),
            (body, None) => self.schema.check(body),
            (body, Some(fields)) => form(body, fields).and_then(|value| self.schema.check_value(&value)),
        };
        verdict.map_err(|why| format!("body: {why}"))
    }
}

/// The object that a form means.
fn form(body: &[u8], fields: &[Writing]) -> Result<Value, String> {
    let pairs = Pairs::of_form(body)?;
    let mut object = Map::new();
    for field in fields {
        let value =
            field.of_pairs(&pairs, true).map_err(|why| format!("at /{}: {why}", shown(&field.name)))?;
        if let Some(value) = value {
            object.insert(field.name.to_string(), value);
        }
    }
    // What the schema does not name is text, or a list of texts.
    for pair in pairs.all().iter().filter(|pair| !pair.taken.get()) {
        let text =
            String::from_utf8(decoded(pair.value, true).into_owned()).map_err(|_| "it is not UTF-8")?;
        match object.get_mut(&*pair.name) {
            None => {
                object.insert(pair.name.to_string(), text.into());
            }
            Some(Value::Array(list)) => list.push(text.into()),
            Some(one) => *one = Value::Array(vec![one.take(), text.into()]),
        }
    }
    Ok(Value::Object(object))
}

/// How the members of a form are written: objects as JSON, unless `encoding` says a style.
fn fields(schema: &At<'_>, at: &At<'_>) -> Result<Vec<Writing>, Fault> {
    let encoding = at.member("encoding");
    let mut fields = Vec::new();
    for (name, meant) in Meant::of(schema).members {
        let own = encoding.as_ref().and_then(|encoding| encoding.member(&name));
        let style = match own.as_ref().map(|own| own.text("style")).transpose()?.flatten() {
            Some(name) => Some(
                Style::named(name).ok_or_else(|| at.fault(format!("there is no style `{}`", shown(name))))?,
            ),
            None => None,
        };
        let explode = own.as_ref().map(|own| own.flag("explode")).transpose()?.flatten();
        let json = style.is_none() && meant.is_object() && !meant.is_single();
        let style = style.unwrap_or(Style::Form);
        let explode = explode.unwrap_or(style == Style::Form);
        fields.push(Writing { name: name.into(), style, explode, json, meant });
    }
    Ok(fields)
}

/// Whether a media type is within a range.
fn covers(range: &str, kind: &str) -> bool {
    let all =
        |kind: &str| range.strip_suffix("/*").is_some_and(|prefix| kind.split('/').next() == Some(prefix));
    range == kind || range == "*/*" || all(kind)
}
