//! Path patterns: `/a/b`, `/orders/{id}`, `/files/{name}.json`, `/x/*`, `/x/{rest*}`.

use std::fmt;

use super::segment::{Mixed, Segment};
use crate::path::{PathError, normalize_literal};
use crate::template::is_param_name;

/// Longest pattern, in bytes: as long as a request target may be by default.
const PATTERN_BYTES_MAX: usize = 8 * 1024;
/// Most segments of a pattern: the look-up descends one level for each.
const SEGMENTS_MAX: usize = 128;

/// A compiled path pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern {
    pub(super) segments: Vec<Segment>,
    /// Whether it ends in `*` or `{rest*}`.
    pub(super) has_tail: bool,
    /// Names of the parameters in order; a named tail is the last one.
    pub(super) names: Vec<Box<str>>,
}

impl PathPattern {
    /// Parses a pattern. Its literal text is brought into the normal form of paths ([`crate::path`]); a space
    /// and letters outside ASCII are percent-encoded. A literal brace is written `%7B` or `%7D`.
    pub fn parse(text: &str) -> Result<PathPattern, PatternError> {
        let fail = |offset, kind| Err(PatternError { offset, kind });
        if text.len() > PATTERN_BYTES_MAX {
            return fail(PATTERN_BYTES_MAX, PatternErrorKind::TooLong);
        }
        let Some(rest) = text.strip_prefix('/') else {
            return fail(0, PatternErrorKind::NotAbsolute);
        };
        let mut pattern = PathPattern { segments: Vec::new(), has_tail: false, names: Vec::new() };
        let mut offset = 1;
        let mut pieces = rest.split('/').peekable();
        while let Some(piece) = pieces.next() {
            let is_last = pieces.peek().is_none();
            if pattern.segments.len() == SEGMENTS_MAX {
                return fail(offset, PatternErrorKind::TooLong);
            }
            // Repeated slashes are one, as in a request's path; an empty last segment is a slash at the end.
            if !piece.is_empty() || is_last {
                pattern.push(piece, offset, is_last)?;
            }
            offset += piece.len() + 1;
        }
        Ok(pattern)
    }

    /// The names of all parameters, in order.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The name of the tail, when it has one.
    pub fn tail(&self) -> Option<&str> {
        let in_segments: usize = self.segments.iter().map(Segment::param_count).sum();
        self.names.get(in_segments).map(|name| &**name)
    }

    /// The one path that matches, when there are no parameters and no tail.
    pub(super) fn whole_literal(&self) -> Option<String> {
        let is_literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
        if self.has_tail || !self.segments.iter().all(is_literal) {
            return None;
        }
        let mut path = String::new();
        for segment in &self.segments {
            let Segment::Literal(text) = segment else { return None };
            path.push('/');
            path.push_str(text);
        }
        Some(path)
    }

    /// [`PathPattern::ranks`], but empty when no segment holds text and parameters.
    pub(super) fn specificity(&self) -> Vec<usize> {
        let is_mixed = |segment: &Segment| matches!(segment, Segment::Mixed(_));
        if self.segments.iter().any(is_mixed) { self.ranks() } else { Vec::new() }
    }

    /// The greater, the more specific: literal over text with parameters over parameter over the end over a tail.
    pub(super) fn ranks(&self) -> Vec<usize> {
        let segments = self.segments.iter().map(|segment| match segment {
            Segment::Literal(_) => usize::MAX,
            Segment::Mixed(mixed) => mixed.literal_bytes().saturating_add(2),
            Segment::Param => 2,
        });
        segments.chain([usize::from(!self.has_tail)]).collect()
    }

    fn push(&mut self, piece: &str, offset: usize, is_last: bool) -> Result<(), PatternError> {
        if let Some(name) = tail_name(piece) {
            if !is_last {
                return Err(PatternError { offset, kind: PatternErrorKind::TailNotLast });
            }
            self.has_tail = true;
            return match name {
                Some(name) => self.push_name(name, offset + 1),
                None => Ok(()),
            };
        }
        // Before, between and behind the parameters; most segments have one at most.
        let mut literals = Vec::with_capacity(2);
        let mut rest = piece;
        let mut at = offset;
        while let Some(next) = rest.find(['{', '}', '*']) {
            literals.push(normal(&rest[..next], at)?);
            at += next;
            rest = &rest[next..];
            let Some(inner) = rest.strip_prefix('{') else {
                let kind = match rest.starts_with('}') {
                    true => PatternErrorKind::Unopened,
                    false => PatternErrorKind::StarNotAlone,
                };
                return Err(PatternError { offset: at, kind });
            };
            let end = inner.find(['{', '}']).filter(|&end| inner[end..].starts_with('}'));
            let end = end.ok_or(PatternError { offset: at, kind: PatternErrorKind::Unclosed })?;
            self.push_name(&inner[..end], at + 1)?;
            if literals.len() > 1 && literals.last().is_some_and(String::is_empty) {
                return Err(PatternError { offset: at, kind: PatternErrorKind::Adjacent });
            }
            at += end + 2;
            rest = &inner[end + 1..];
        }
        literals.push(normal(rest, at)?);
        self.segments.push(segment(literals, offset)?);
        Ok(())
    }

    fn push_name(&mut self, name: &str, offset: usize) -> Result<(), PatternError> {
        let kind = if name.is_empty() {
            PatternErrorKind::EmptyName
        } else if name.ends_with('*') {
            PatternErrorKind::StarNotAlone
        } else if !is_param_name(name) {
            PatternErrorKind::BadName
        } else if self.names.iter().any(|known| **known == *name) {
            PatternErrorKind::DuplicateName
        } else {
            self.names.push(name.into());
            return Ok(());
        };
        Err(PatternError { offset, kind })
    }
}

/// `Some(None)` for `*`, `Some(Some(name))` for `{name*}`.
fn tail_name(piece: &str) -> Option<Option<&str>> {
    if piece == "*" {
        return Some(None);
    }
    let name = piece.strip_prefix('{')?.strip_suffix("*}")?;
    (!name.contains(['{', '}', '*'])).then_some(Some(name))
}

/// From the literal texts before, between and behind the parameters of a segment.
fn segment(mut literals: Vec<String>, offset: usize) -> Result<Segment, PatternError> {
    let (Some(suffix), has_params) = (literals.pop(), !literals.is_empty()) else {
        return Ok(Segment::Param);
    };
    if !has_params {
        return match &*suffix {
            "." | ".." => Err(PatternError { offset, kind: PatternErrorKind::DotSegment }),
            _ => Ok(Segment::Literal(suffix.into())),
        };
    }
    let mut literals = literals.into_iter();
    let prefix = literals.next().unwrap_or_default();
    let middles: Vec<Box<str>> = literals.map(String::into_boxed_str).collect();
    if prefix.is_empty() && middles.is_empty() && suffix.is_empty() {
        return Ok(Segment::Param);
    }
    Ok(Segment::Mixed(Mixed::new(prefix.into(), middles, suffix.into())))
}

fn normal(literal: &str, offset: usize) -> Result<String, PatternError> {
    normalize_literal(literal).map_err(|error| {
        let kind = match error {
            PathError::BadPercentEncoding => PatternErrorKind::BadPercentEncoding,
            _ => PatternErrorKind::ForbiddenByte,
        };
        PatternError { offset, kind }
    })
}

/// Canonical writing: normal form, parameters by name.
impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.names.iter();
        for segment in &self.segments {
            f.write_str("/")?;
            segment.write(&mut names, f)?;
        }
        match (self.has_tail, names.next()) {
            (false, _) => Ok(()),
            (true, None) => f.write_str("/*"),
            (true, Some(name)) => write!(f, "/{{{name}*}}"),
        }
    }
}

/// Why a text is no path pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatternError {
    /// Where in the text, in bytes.
    pub offset: usize,
    /// The offence.
    pub kind: PatternErrorKind,
}

/// The offences.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatternErrorKind {
    /// Does not start with a slash.
    NotAbsolute,
    /// More than 8 KiB or 128 segments.
    TooLong,
    /// `{` without its `}` in the same segment.
    Unclosed,
    /// `}` without its `{`.
    Unopened,
    /// `{}` or `{*}`.
    EmptyName,
    /// A name that is not made of letters, digits, `_` and `-`, beginning with a letter or `_`.
    BadName,
    /// The same name twice.
    DuplicateName,
    /// Two parameters with no text between them.
    Adjacent,
    /// `*` or `{rest*}` elsewhere than at the end.
    TailNotLast,
    /// `*` or `{rest*}` that is not a whole segment.
    StarNotAlone,
    /// A segment `.` or `..`, which no path in normal form has.
    DotSegment,
    /// A `?`, `#`, backslash or control character, which no path in normal form has.
    ForbiddenByte,
    /// `%` without two hexadecimal digits.
    BadPercentEncoding,
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            PatternErrorKind::NotAbsolute => "a path starts with `/`",
            PatternErrorKind::TooLong => "the path is too long",
            PatternErrorKind::Unclosed => "a `{` is not closed in its segment",
            PatternErrorKind::Unopened => "a `}` has no `{`; a literal one is written %7D",
            PatternErrorKind::EmptyName => "the parameter has no name",
            PatternErrorKind::BadName => {
                "a parameter's name is made of letters, digits, `_` and `-`, and begins with a letter or `_`"
            }
            PatternErrorKind::DuplicateName => "the parameter has the same name as an earlier one",
            PatternErrorKind::Adjacent => "two parameters need text between them",
            PatternErrorKind::TailNotLast => "what matches everything below can only stand at the end",
            PatternErrorKind::StarNotAlone => "`*` stands for everything below and must be a whole segment",
            PatternErrorKind::DotSegment => "no request has a `.` or `..` segment: they are resolved first",
            PatternErrorKind::ForbiddenByte => "no request has this character in its path",
            PatternErrorKind::BadPercentEncoding => {
                "`%` needs two hexadecimal digits that mean no control character"
            }
        })
    }
}

impl std::error::Error for PatternError {}
