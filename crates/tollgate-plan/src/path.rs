//! The one normal form of a path, made once and used to match, to decide, to rewrite and to forward.

use std::borrow::Cow;

/// Why a path has no normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// Does not start with a slash.
    NotAbsolute,
    /// NUL, control character, backslash, `#`, or a byte from 0x80 up.
    ForbiddenByte,
    /// `%` without two hexadecimal digits.
    BadPercentEncoding,
    /// `..` climbs over the root.
    AboveRoot,
}

/// Brings the path part of a request target (no query) into normal form. Borrows when it already is.
pub fn normalize(_raw: &[u8]) -> Result<Cow<'_, str>, PathError> {
    Err(PathError::NotAbsolute)
}
