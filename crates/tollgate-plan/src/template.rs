//! Text with placeholders, compiled: `/v2/orders/{id}`, `{request_id}`, `{header:x-user}`.
//!
//! A template knows how a value must be written where it lands: percent-encoded in a path, escaped in JSON, on
//! one line in a header. It does not know where values come from: that is [`Values`].

use std::fmt;

use tollgate_content::Path as JsonPath;
use tollgate_token::ClaimPath;
use tollgate_wire::Name;

use crate::table::PathPattern;

mod parse;
mod render;

pub(crate) use parse::is_param_name;
pub use parse::{TemplateError, TemplateErrorKind};
pub use render::MissingValue;

/// A compiled template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Template {
    parts: Vec<Part>,
}

/// One piece of a template.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// Inserted as it is. Never empty; two of them never follow each other.
    Text(String),
    /// Replaced by a value.
    Var(Var),
}

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Var {
    /// `{id}`: a parameter of the route's path pattern, one segment or a part of one.
    Param(Box<str>),
    /// `{rest}` where the pattern ends in `{rest*}`: any number of segments. [`Template::bind`] makes it.
    Tail(Box<str>),
    /// `{host}`: as routes match it, without a port.
    Host,
    /// `{path}`: in normal form.
    Path,
    /// `{query}`: as it was sent, without the question mark.
    Query,
    /// `{method}`.
    Method,
    /// `{scheme}`: `http` or `https`, as the client used it.
    Scheme,
    /// `{client_ip}`.
    ClientIp,
    /// `{request_id}`.
    RequestId,
    /// `{consumer}`: the name of a key's or password's owner.
    Consumer,
    /// `{route}`: the route's name.
    Route,
    /// `{header:x}`: a request header.
    Header(Name),
    /// `{query:x}`: a parameter of the query, decoded.
    QueryParam(Box<str>),
    /// `{cookie:x}`.
    Cookie(Box<str>),
    /// `{claim:sub}`: a claim of the verified token; dotted path.
    Claim(ClaimPath),
    /// `{vehicle.driver_id}`: what stands at a path in the answer of an earlier part of an aggregate, or in the element
    /// that a part is asked for (`{item}`, `{item.id}`). Nobody else has it: it is missing.
    Answer(Box<str>, JsonPath),
}

/// Where values come from.
pub trait Values {
    /// Appends the value as bytes and says whether there is one.
    ///
    /// Values are appended decoded, and the template encodes them for the place where they land. [`Var::Path`],
    /// [`Var::Query`] and [`Var::Tail`] are the exceptions: they are appended as they stand in the request
    /// (normal form), because in them a `/` that separates and a `%2F` that is data must stay apart.
    /// [`crate::table::Params::append`] does this for `Param` and `Tail`.
    fn value(&self, var: &Var, out: &mut Vec<u8>) -> bool;
}

impl Template {
    /// A template without placeholders; braces in `text` are text.
    pub fn text(text: &str) -> Template {
        let mut template = Template::default();
        template.push_text(text);
        template
    }

    /// Appends text; braces in it are text.
    pub fn push_text(&mut self, text: &str) {
        match self.parts.last_mut() {
            _ if text.is_empty() => {}
            Some(Part::Text(last)) => last.push_str(text),
            _ => self.parts.push(Part::Text(text.to_owned())),
        }
    }

    /// Appends a placeholder.
    pub fn push_var(&mut self, var: Var) {
        self.parts.push(Part::Var(var));
    }

    /// Appends another template.
    pub fn append(&mut self, other: &mut Template) {
        for part in other.parts.drain(..) {
            match part {
                Part::Text(text) => self.push_text(&text),
                Part::Var(var) => self.push_var(var),
            }
        }
    }

    /// The pieces, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The placeholders, in order.
    pub fn vars(&self) -> impl Iterator<Item = &Var> {
        self.parts.iter().filter_map(|part| match part {
            Part::Var(var) => Some(var),
            Part::Text(_) => None,
        })
    }

    /// The whole text, when there is no placeholder.
    pub fn literal(&self) -> Option<&str> {
        match &*self.parts {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Makes `{item}` the element that a part is asked for, in front of [`Template::bind`].
    pub fn bind_item(&mut self) {
        for part in &mut self.parts {
            if let Part::Var(var) = part
                && *var == Var::Param(ITEM.into())
            {
                *var = Var::Answer(ITEM.into(), JsonPath::default());
            }
        }
    }

    /// Ties the template to the pattern of its route: every `{name}` must be one of its parameters, and the one
    /// that names the tail becomes [`Var::Tail`]. Call it once, after parsing.
    pub fn bind(&mut self, pattern: &PathPattern) -> Result<(), BindError> {
        for part in &mut self.parts {
            let Part::Var(var) = part else { continue };
            if let Var::Param(name) = var {
                if pattern.tail() == Some(&**name) {
                    *var = Var::Tail(std::mem::take(name));
                } else if !pattern.params().any(|param| *param == **name) {
                    return Err(BindError::UnknownParam(name.clone()));
                }
            } else if let Some((name, _)) = FIXED.iter().find(|(_, fixed)| fixed == var)
                && pattern.params().any(|param| param == *name)
            {
                return Err(BindError::Ambiguous(name));
            }
        }
        Ok(())
    }
}

/// Why a template does not fit its route's pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindError {
    /// The pattern has no parameter of that name.
    UnknownParam(Box<str>),
    /// The pattern has a parameter whose name means something else in templates, and the template uses it.
    Ambiguous(&'static str),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::UnknownParam(name) => write!(f, "the route's path has no parameter `{name}`"),
            BindError::Ambiguous(name) => {
                write!(
                    f,
                    "`{{{name}}}` could be the route's parameter or the request's {name}; rename the parameter"
                )
            }
        }
    }
}

impl std::error::Error for BindError {}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A header that is set may carry a credential: a plan may be printed, its secrets may not.
            Part::Text(_) => f.write_str("***"),
            Part::Var(var) => write!(f, "{{{var}}}"),
        }
    }
}

impl fmt::Display for Var {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Var::Param(name) | Var::Tail(name) => f.write_str(name),
            Var::Header(name) => write!(f, "header:{}", name.as_str()),
            Var::QueryParam(name) => write!(f, "query:{name}"),
            Var::Cookie(name) => write!(f, "cookie:{name}"),
            Var::Claim(path) => write!(f, "claim:{path}"),
            Var::Answer(part, path) if path.is_empty() => f.write_str(part),
            Var::Answer(part, path) => write!(f, "{part}.{path}"),
            fixed => {
                let name = FIXED.iter().find(|(_, var)| var == fixed).map_or("?", |(name, _)| name);
                f.write_str(name)
            }
        }
    }
}

/// The name of the element that a part of an aggregate is asked for.
pub const ITEM: &str = "item";

/// Names with a meaning of their own; every other bare name is a route parameter.
const FIXED: &[(&str, Var)] = &[
    ("host", Var::Host),
    ("path", Var::Path),
    ("query", Var::Query),
    ("method", Var::Method),
    ("scheme", Var::Scheme),
    ("client_ip", Var::ClientIp),
    ("request_id", Var::RequestId),
    ("consumer", Var::Consumer),
    ("route", Var::Route),
];

/// The names with a meaning of their own, as they stand in a template.
pub fn fixed_names() -> impl Iterator<Item = &'static str> {
    FIXED.iter().map(|(name, _)| *name)
}

#[cfg(test)]
mod tests;
