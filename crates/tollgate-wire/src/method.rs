//! Request methods (RFC 9110 section 9). Case-sensitive: `get` is another method than `GET`.

use std::fmt;

use crate::ascii;

/// A request method.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    #[default]
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `PATCH` (RFC 5789)
    Patch,
    /// `OPTIONS`
    Options,
    /// `CONNECT`
    Connect,
    /// `TRACE`
    Trace,
    /// Any other token.
    Extension(ExtensionMethod),
}

/// The name of a method outside the enumeration: a token that [`Method::parse`] has checked, so that nothing
/// else can reach a request line.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ExtensionMethod(Box<str>);

impl Method {
    /// Longest method that is accepted, in bytes. The longest registered one, `UPDATEREDIRECTREF`, has 17.
    pub const MAX_BYTES: usize = 32;

    /// Reads a method. `None` when it is empty, too long, or not a token.
    pub fn parse(text: &[u8]) -> Option<Method> {
        Some(match text {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"PATCH" => Method::Patch,
            b"OPTIONS" => Method::Options,
            b"CONNECT" => Method::Connect,
            b"TRACE" => Method::Trace,
            other if other.len() <= Method::MAX_BYTES && ascii::is_token_text(other) => {
                Method::Extension(ExtensionMethod(std::str::from_utf8(other).ok()?.into()))
            }
            _ => return None,
        })
    }

    /// The method as it stands in a request line.
    pub fn as_str(&self) -> &str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Patch => "PATCH",
            Method::Options => "OPTIONS",
            Method::Connect => "CONNECT",
            Method::Trace => "TRACE",
            Method::Extension(name) => &name.0,
        }
    }

    /// Whether sending the request twice is the same as sending it once (RFC 9110 section 9.2.2). Unknown
    /// methods are taken not to be.
    pub fn is_idempotent(&self) -> bool {
        self.is_safe() || matches!(self, Method::Put | Method::Delete)
    }

    /// Whether the request asks for no change of state (RFC 9110 section 9.2.1).
    pub fn is_safe(&self) -> bool {
        matches!(self, Method::Get | Method::Head | Method::Options | Method::Trace)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_tokens_and_case_sensitive() {
        for (text, expect) in [
            ("GET", Some(Method::Get)),
            ("TRACE", Some(Method::Trace)),
            ("", None),
            ("GE T", None),
            ("GET\r", None),
            ("G\u{e9}T", None),
            ("A23456789012345678901234567890123", None),
        ] {
            assert_eq!(Method::parse(text.as_bytes()), expect, "{text:?}");
        }
        for text in ["get", "PROPFIND", "M-SEARCH", "A2345678901234567890123456789012"] {
            let method = Method::parse(text.as_bytes()).unwrap();
            assert!(matches!(method, Method::Extension(_)), "{text}");
            assert_eq!(method.as_str(), text);
            assert!(!method.is_idempotent() && !method.is_safe());
        }
    }
}
