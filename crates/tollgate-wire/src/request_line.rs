//! What a request line says for certain, of a head that was refused or never came whole. For the log; off the usual path.

use crate::head::HeadLimits;
use crate::method::Method;
use crate::target::Target;

/// What could be read of a request line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// The method.
    pub method: Method,
    /// The path as it was sent, without the query; none when the target is too long, malformed, or not there to its end.
    pub path: Option<&'a [u8]>,
}

/// Reads the request line at the start of `head`, which may end anywhere. `None` when it is no good request line, whatever
/// its version (RFC 9112 section 3); of one that has not come to its end, the method is known when a space follows it.
pub fn peek_request_line<'a>(head: &'a [u8], limits: &HeadLimits) -> Option<RequestLine<'a>> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let whole = match memchr::memchr(b'\n', head) {
        Some(end) => Some(head.get(..end)?.strip_suffix(b"\r")?),
        None => None,
    };
    let mut parts = whole.unwrap_or(head).splitn(3, |&byte| byte == b' ');
    let method = Method::parse(parts.next()?)?;
    let (target, version) = (parts.next()?, parts.next());
    let path = match (whole, version) {
        (None, _) => None,
        (Some(_), Some(version)) if is_version(version) => path(&method, target, limits),
        (Some(_), _) => return None,
    };
    Some(RequestLine { method, path })
}

fn is_version(text: &[u8]) -> bool {
    matches!(text, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor] if major.is_ascii_digit() && minor.is_ascii_digit())
}

fn path<'a>(method: &Method, target: &'a [u8], limits: &HeadLimits) -> Option<&'a [u8]> {
    let target = Some(target).filter(|target| target.len() <= limits.uri_bytes)?;
    Target::parse(method, target).ok().map(|target| target.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_certain() {
        let limits = HeadLimits { uri_bytes: 8, ..HeadLimits::default() };
        for (head, expect) in [
            ("GET /a?b=c HTTP/1.1\r\nBad Header\r\n", Some(("GET", Some("/a")))),
            ("\r\nPOST /a HTTP/1.1\r\n", Some(("POST", Some("/a")))),
            ("GET /a HTTP/3.0\r\n\r\n", Some(("GET", Some("/a")))),
            ("GET http:// HTTP/1.1\r\n", Some(("GET", None))),
            ("GET /a/too/long HTTP/1.1\r\n", Some(("GET", None))),
            ("GET /a/too/lo", Some(("GET", None))),
            ("GET /a HTTP/1.1\r", Some(("GET", None))),
            ("GET /a b HTTP/1.1\r\n", None),
            ("GET /a\r\n", None),
            ("GET /a HTTP/1.1\n", None),
            ("GE", None),
            ("(GET) /a HTTP/1.1\r\n", None),
            ("\x16\x03\x01 \r\n", None),
            ("", None),
        ] {
            let seen = peek_request_line(head.as_bytes(), &limits);
            let seen = seen.as_ref().map(|line| {
                (line.method.as_str(), line.path.map(|path| std::str::from_utf8(path).expect("text")))
            });
            assert_eq!(seen, expect, "{head:?}");
        }
    }
}
