//! Parameters: what an operation takes beside its body (OpenAPI 3.1 section 4.8.12).

use std::borrow::Cow;
use std::sync::Arc;

use super::Given;
use super::documents::{At, Fault, shown};
use super::meant::Meant;
use super::schemas::Schemas;
use super::style::{Style, Writing};
use super::text::Pairs;
use crate::schema::Schema;

/// Where a parameter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
    Cookie,
}

/// One parameter.
pub(super) struct Parameter {
    pub(super) place: Place,
    required: bool,
    /// A query parameter without a value is none to look at.
    may_be_empty: bool,
    writing: Writing,
    schema: Option<Arc<Schema>>,
}

/// Headers that a description says elsewhere: parameters of these names mean nothing.
const ELSEWHERE: [&str; 3] = ["accept", "authorization", "content-type"];

impl Parameter {
    /// Reads a parameter; none for a header that is described elsewhere.
    pub(super) fn compile<'a>(at: &At<'a>, schemas: &mut Schemas<'a>) -> Result<Option<Parameter>, Fault> {
        let name = at.text("name")?.ok_or_else(|| at.fault("a parameter needs a `name`"))?;
        let place = match at.text("in")? {
            Some("path") => Place::Path,
            Some("query") => Place::Query,
            Some("header") => Place::Header,
            Some("cookie") => Place::Cookie,
            _ => return Err(at.fault("a parameter needs `in`: `path`, `query`, `header` or `cookie`")),
        };
        let name = match place {
            Place::Header => Cow::Owned(name.to_ascii_lowercase()),
            _ => Cow::Borrowed(name),
        };
        if place == Place::Header && ELSEWHERE.contains(&&*name) {
            return Ok(None);
        }
        if place == Place::Header && !is_token(&name) {
            return Err(at.fault(format!("`{}` is no name of a header", shown(&name))));
        }
        let content = at.member("content").and_then(|content| content.members().next());
        let json =
            content.as_ref().is_some_and(|(kind, _)| is_json(kind.split(';').next().unwrap_or_default()));
        let schema = match content {
            Some((_, content)) if json => content.target()?.member("schema"),
            // What another notation means is not known.
            Some(_) => None,
            None => at.member("schema"),
        };
        let style = style(at, place)?;
        let explode = at.flag("explode")?.unwrap_or(style == Style::Form);
        let meant = schema.as_ref().map(Meant::of).unwrap_or_default();
        let schema = schema.map(|schema| schemas.compile(&schema)).transpose()?.flatten();
        let required = place == Place::Path || at.flag("required")?.unwrap_or(false);
        let may_be_empty = place == Place::Query && at.flag("allowEmptyValue")?.unwrap_or(false);
        let writing = Writing { name: name.into(), style, explode, json, meant };
        // Which of the names of a request are its members is not known.
        let free = writing.is_spread() && writing.meant.members.is_empty() && !writing.meant.is_single();
        let (required, schema) = if free { (false, None) } else { (required, schema) };
        Ok(Some(Parameter { place, required, may_be_empty, writing, schema }))
    }

    pub(super) fn name(&self) -> &str {
        &self.writing.name
    }

    /// Whether both are the same parameter: an operation replaces one of its path.
    pub(super) fn is(&self, other: &Parameter) -> bool {
        self.place == other.place && self.name() == other.name()
    }

    /// Checks what a request has of it.
    pub(super) fn check(&self, given: &Given<'_>) -> Result<(), String> {
        self.verdict(given).map_err(|why| format!("{} `{}`: {why}", self.place.told(), shown(self.name())))
    }

    fn verdict(&self, given: &Given<'_>) -> Result<(), String> {
        let name = self.name();
        let value = match self.place {
            Place::Path => match given.path.iter().find(|(known, _)| *known == name) {
                Some((_, text)) => Some(self.writing.of_text(text, true)?),
                None => None,
            },
            Place::Header => match (given.header)(name) {
                Some(text) => Some(self.writing.of_text(&text, false)?),
                None => None,
            },
            Place::Cookie => self.writing.of_pairs(given.cookies, false)?,
            Place::Query if self.may_be_empty && is_empty(given.query, name) => return Ok(()),
            Place::Query => self.writing.of_pairs(given.query, true)?,
        };
        match (value, &self.schema) {
            (None, _) if self.required => Err("it is required".to_owned()),
            (Some(value), Some(schema)) => schema.check_value(&value),
            _ => Ok(()),
        }
    }
}

impl Place {
    fn told(self) -> &'static str {
        match self {
            Place::Path => "path parameter",
            Place::Query => "query parameter",
            Place::Header => "header",
            Place::Cookie => "cookie",
        }
    }
}

/// Whether a media type without its parameters is that of JSON, or of something written in it (RFC 6839 section 3.1).
pub(super) fn is_json(kind: &str) -> bool {
    let kind = kind.trim().to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json")
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn is_empty(query: &Pairs<'_>, name: &str) -> bool {
    let mut named = query.all().iter().filter(|pair| pair.name == name);
    named.next().is_some_and(|pair| pair.value.is_empty()) && named.next().is_none()
}

fn style(at: &At<'_>, place: Place) -> Result<Style, Fault> {
    let (default, allowed): (Style, &[Style]) = match place {
        Place::Path => (Style::Simple, &[Style::Simple, Style::Label, Style::Matrix]),
        Place::Query => (Style::Form, &[Style::Form, Style::Space, Style::Pipe, Style::Deep]),
        Place::Header => (Style::Simple, &[Style::Simple]),
        Place::Cookie => (Style::Form, &[Style::Form]),
    };
    let Some(name) = at.text("style")? else { return Ok(default) };
    let style = Style::named(name).filter(|style| allowed.contains(style));
    style.ok_or_else(|| at.fault(format!("there is no style `{}` for a {}", shown(name), place.told())))
}
