//! From text to parts.

use std::fmt;

use tollgate_content::Path as JsonPath;
use tollgate_wire::Name;

use super::{FIXED, Template, Var};
use crate::path::{PathError, normalize_literal};

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Where in the text, in bytes.
    pub offset: usize,
    /// The offence.
    pub kind: TemplateErrorKind,
    /// What stands between the braces; empty when the offence is none of a placeholder.
    pub name: Box<str>,
}

/// The offences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateErrorKind {
    /// `{` without its `}`.
    Unclosed,
    /// `}` without its `{`; a literal one is `}}`.
    Unopened,
    /// `{}`, or `{header:}`.
    Empty,
    /// `{x:y}` with an `x` that is none of header, query, cookie, claim.
    UnknownKind,
    /// A name with characters that no such name has.
    BadName,
    /// A path that does not start with a slash (or with `{path}`).
    PathNotAbsolute,
    /// A literal segment `.` or `..` in a path.
    PathDotSegment,
    /// A `?`, `#`, backslash or control character in a path.
    PathForbiddenByte,
    /// `%` without two hexadecimal digits in a path.
    PathBadPercentEncoding,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match self.kind {
            TemplateErrorKind::Unclosed => {
                f.write_str("a `{` is not closed; a literal brace is written `{{`")
            }
            TemplateErrorKind::Unopened => f.write_str("a `}` has no `{`; a literal brace is written `}}`"),
            TemplateErrorKind::Empty => write!(f, "`{{{name}}}` names nothing"),
            TemplateErrorKind::UnknownKind => {
                write!(f, "`{{{name}}}`: only header:, query:, cookie: and claim: may stand before a name")
            }
            // As in the languages that people come from.
            TemplateErrorKind::BadName if name.contains('[') => {
                write!(f, "`{{{name}}}` is no name; an element of a list is written `.0`")
            }
            TemplateErrorKind::BadName => write!(f, "`{{{name}}}` is no name"),
            TemplateErrorKind::PathNotAbsolute => f.write_str("a path starts with `/`"),
            TemplateErrorKind::PathDotSegment => f.write_str("a path here has no `.` or `..` segments"),
            TemplateErrorKind::PathForbiddenByte => {
                f.write_str("a path here has no `?`, `#`, backslash or control character")
            }
            TemplateErrorKind::PathBadPercentEncoding => {
                f.write_str("a `%` in a path needs two hexadecimal digits that mean no control character")
            }
        }
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Parses a text with placeholders. `{{` and `}}` are literal braces.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        Template::parse_with(text, |template, literal, _| {
            template.push_text(literal);
            Ok(())
        })
    }

    /// Parses the template of a path without a query (`rewrite`, a part's path). Its literal text is brought
    /// into normal form: a space and letters outside ASCII are percent-encoded, slashes merged.
    pub fn parse_path(text: &str) -> Result<Template, TemplateError> {
        let whole = |kind| TemplateError { offset: 0, kind, name: "".into() };
        if !text.starts_with('/') && !text.starts_with("{path}") {
            return Err(whole(TemplateErrorKind::PathNotAbsolute));
        }
        if text.split('/').any(|segment| matches!(unescape_dots(segment).as_str(), "." | "..")) {
            return Err(whole(TemplateErrorKind::PathDotSegment));
        }
        Template::parse_with(text, |template, literal, offset| {
            let normal = normalize_literal(literal).map_err(|error| TemplateError {
                offset,
                kind: match error {
                    PathError::BadPercentEncoding => TemplateErrorKind::PathBadPercentEncoding,
                    _ => TemplateErrorKind::PathForbiddenByte,
                },
                name: "".into(),
            })?;
            template.push_text(&normal);
            Ok(())
        })
    }

    fn parse_with(
        text: &str,
        mut push_literal: impl FnMut(&mut Template, &str, usize) -> Result<(), TemplateError>,
    ) -> Result<Template, TemplateError> {
        let mut template = Template::default();
        let mut literal = String::new();
        let mut literal_at = 0;
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let fail = |kind| Err(TemplateError { offset: at, kind, name: "".into() });
            if rest.starts_with("{{") || rest.starts_with("}}") {
                literal.push_str(&rest[..1]);
                at += 2;
            } else if rest.starts_with('}') {
                return fail(TemplateErrorKind::Unopened);
            } else if let Some(inner) = rest.strip_prefix('{') {
                let Some(name) = inner.find(['}', '{']).filter(|&end| inner[end..].starts_with('}')) else {
                    return fail(TemplateErrorKind::Unclosed);
                };
                let name = &inner[..name];
                let var =
                    parse_var(name).map_err(|kind| TemplateError { offset: at, kind, name: name.into() })?;
                push_literal(&mut template, &literal, literal_at)?;
                literal.clear();
                template.push_var(var);
                at += name.len() + 2;
                literal_at = at;
            } else {
                let end = rest.find(['{', '}']).unwrap_or(rest.len());
                literal.push_str(&rest[..end]);
                at += end;
            }
        }
        push_literal(&mut template, &literal, literal_at)?;
        Ok(template)
    }
}

fn unescape_dots(segment: &str) -> String {
    segment.replace("%2e", ".").replace("%2E", ".")
}

fn parse_var(name: &str) -> Result<Var, TemplateErrorKind> {
    if let Some((_, var)) = FIXED.iter().find(|(fixed, _)| *fixed == name) {
        return Ok(var.clone());
    }
    let Some((kind, name)) = name.split_once(':') else {
        return match name {
            "" => Err(TemplateErrorKind::Empty),
            _ if is_param_name(name) => Ok(Var::Param(name.into())),
            _ => parse_answer(name).ok_or(TemplateErrorKind::BadName),
        };
    };
    if !matches!(kind, "header" | "query" | "cookie" | "claim") {
        return Err(TemplateErrorKind::UnknownKind);
    }
    if name.is_empty() {
        return Err(TemplateErrorKind::Empty);
    }
    match kind {
        "header" => Name::new(name).map(Var::Header).map_err(|_| TemplateErrorKind::BadName),
        "query" => Ok(Var::QueryParam(name.into())),
        // A cookie's name is a token, as a header's (RFC 6265 section 4.1.1), but case-sensitive.
        "cookie" if Name::new(name).is_ok() => Ok(Var::Cookie(name.into())),
        "claim" => name.parse().map(Var::Claim).map_err(|_| TemplateErrorKind::BadName),
        _ => Err(TemplateErrorKind::BadName),
    }
}

/// `part.path`
fn parse_answer(name: &str) -> Option<Var> {
    let (part, path) = name.split_once('.').filter(|(part, _)| is_param_name(part))?;
    let path = JsonPath::parse(path).ok().filter(JsonPath::is_single)?;
    Some(Var::Answer(part.into(), path))
}

/// Letters, digits, `_` and `-`, and no digit first: what can be told apart from a quantity in a message.
pub(crate) fn is_param_name(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}
