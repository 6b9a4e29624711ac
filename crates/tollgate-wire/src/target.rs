//! The request target and its four forms (RFC 9112 section 3.2).
//!
//! Backslash, bytes from 0x80 up and `#` in a path are left to whoever brings the path into normal form,
//! which has the better answer for them. Spaces and control characters never get here.

use crate::authority::Authority;
use crate::error::HeadError;
use crate::method::Method;

/// How a target is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `*`, with OPTIONS only.
    Asterisk,
    /// `host:port`, with CONNECT only.
    Authority,
}

/// A target, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) form: TargetForm,
    /// In authority form empty; never empty otherwise.
    pub(crate) path: &'a [u8],
    /// What follows the first `?`.
    pub(crate) query: Option<&'a [u8]>,
    /// As sent, in absolute and authority form.
    pub(crate) authority: Option<&'a [u8]>,
    /// What a missing port means, in absolute form.
    pub(crate) default_port: Option<u16>,
}

impl<'a> Target<'a> {
    pub(crate) fn parse(method: &Method, text: &'a [u8]) -> Result<Target<'a>, HeadError> {
        if *method == Method::Connect {
            let authority = Authority::parse(text).ok_or(HeadError::BadTarget)?;
            authority.port.ok_or(HeadError::BadTarget)?;
            return Ok(Target {
                form: TargetForm::Authority,
                path: b"",
                query: None,
                authority: Some(text),
                default_port: None,
            });
        }
        match text {
            [b'/', ..] => Target::with_path(TargetForm::Origin, text),
            b"*" if *method == Method::Options => {
                Ok(Target { path: text, ..Target::with_path(TargetForm::Asterisk, b"")? })
            }
            _ => Target::absolute(text),
        }
    }

    fn absolute(text: &'a [u8]) -> Result<Target<'a>, HeadError> {
        let (rest, default_port) = match (strip_scheme(text, b"http://"), strip_scheme(text, b"https://")) {
            (Some(rest), _) => (rest, 80),
            (_, Some(rest)) => (rest, 443),
            _ => return Err(HeadError::BadTarget),
        };
        let end = memchr::memchr3(b'/', b'?', b'#', rest).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at_checked(end).ok_or(HeadError::BadTarget)?;
        Authority::parse(authority).ok_or(HeadError::BadTarget)?;
        if path_and_query.starts_with(b"#") {
            return Err(HeadError::BadTarget);
        }
        let target = Target::with_path(TargetForm::Absolute, path_and_query)?;
        Ok(Target { authority: Some(authority), default_port: Some(default_port), ..target })
    }

    fn with_path(form: TargetForm, text: &'a [u8]) -> Result<Target<'a>, HeadError> {
        let (path, query) = match memchr::memchr(b'?', text) {
            Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
            None => (text, None),
        };
        // A fragment is never sent; servers differ in whether it ends the query.
        if query.is_some_and(|query| memchr::memchr(b'#', query).is_some()) {
            return Err(HeadError::BadTarget);
        }
        let path = if path.is_empty() { b"/" } else { path };
        Ok(Target { form, path, query, authority: None, default_port: None })
    }
}

/// `text` after `scheme`, which is compared in any case (RFC 3986 section 3.1).
fn strip_scheme<'a>(text: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = text.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(method: &str, text: &str) -> Option<String> {
        let target = Target::parse(&Method::parse(method.as_bytes()).unwrap(), text.as_bytes()).ok()?;
        let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let query = target.query.map_or("-".to_string(), lossy);
        let authority = target.authority.map_or("-".to_string(), lossy);
        Some(format!("{:?} {} {} {}", target.form, lossy(target.path), query, authority))
    }

    #[test]
    fn targets() {
        for (method, text, expect) in [
            ("GET", "/", Some("Origin / - -")),
            ("GET", "/a/b?c=d?e", Some("Origin /a/b c=d?e -")),
            ("GET", "/?", Some("Origin /  -")),
            ("GET", "//a/b", Some("Origin //a/b - -")),
            ("GET", "/a\\b", Some("Origin /a\\b - -")),
            ("GET", "/a#b", Some("Origin /a#b - -")),
            ("GET", "/\u{e9}", Some("Origin /\u{e9} - -")),
            ("GET", "http://a", Some("Absolute / - a")),
            ("GET", "HTTPS://a:1/b?c", Some("Absolute /b c a:1")),
            ("GET", "http://a?b", Some("Absolute / b a")),
            ("GET", "http://[::1]/b", Some("Absolute /b - [::1]")),
            ("OPTIONS", "*", Some("Asterisk * - -")),
            ("OPTIONS", "/a", Some("Origin /a - -")),
            ("CONNECT", "a:443", Some("Authority  - a:443")),
            ("GET", "*", None),
            ("OPTIONS", "*?a", None),
            ("OPTIONS", "**", None),
            ("CONNECT", "a", None),
            ("CONNECT", "/a", None),
            ("CONNECT", "http://a:1/", None),
            ("GET", "a:443", None),
            ("GET", "a/b", None),
            ("GET", "?a", None),
            ("GET", "#a", None),
            ("GET", "/a?b#c", None),
            ("GET", "http://a#b", None),
            ("GET", "http://a/?b#c", None),
            ("GET", "http:///a", None),
            ("GET", "http://", None),
            ("GET", "http://u@a/", None),
            ("GET", "http://a,b/", None),
            ("GET", "http:/a", None),
            ("GET", "ftp://a/", None),
            ("GET", "ws://a/", None),
            ("GET", "http//a", None),
        ] {
            assert_eq!(show(method, text).as_deref(), expect, "{method} {text}");
        }
    }
}
