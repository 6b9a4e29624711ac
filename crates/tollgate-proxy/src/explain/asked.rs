//! A request that somebody describes, as the bytes that a client would send.

use std::net::IpAddr;

/// Bytes of a body that is explained. More than that no schema is tried out with.
pub const EXPLAINED_BODY_BYTES_MAX: usize = 1024 * 1024;

/// A request that nobody sent.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// `https://host/path?query`, or a path.
    pub url: String,
    /// Header lines. `Content-Length` and `Transfer-Encoding` are left out: the body says them.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// The client's address, or that of the proxy in front; none: 127.0.0.1.
    pub ip: Option<IpAddr>,
}

/// What a client would send.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) head: Vec<u8>,
    /// Over TLS.
    pub(super) secure: bool,
}

impl Asked {
    /// Says what is wrong with the description: what no client could send at all. What a gateway refuses is no such
    /// thing.
    pub fn check(&self) -> Result<(), String> {
        self.wire().map(drop)
    }

    pub(super) fn wire(&self) -> Result<Wire, String> {
        if self.method.is_empty() || !self.method.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("the method is a word such as GET".to_owned());
        }
        if self.body.len() > EXPLAINED_BODY_BYTES_MAX {
            return Err(format!("the body has {EXPLAINED_BODY_BYTES_MAX} bytes at most"));
        }
        let (secure, authority, target) = split(&self.url)?;
        let mut head = format!("{} {target} HTTP/1.1\r\n", self.method);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            line(&mut head, "host", authority);
        }
        for (name, value) in &self.headers {
            if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
                return Err(format!("{name:?} is no name of a header"));
            }
            if value.contains(['\r', '\n', '\0']) {
                return Err(format!("the value of the header {name} has a line break or a zero byte"));
            }
            let framing = ["content-length", "transfer-encoding"];
            if !framing.iter().any(|framing| name.eq_ignore_ascii_case(framing)) {
                line(&mut head, name, value);
            }
        }
        if !self.body.is_empty() || matches!(&*self.method, "POST" | "PUT" | "PATCH") {
            line(&mut head, "content-length", &self.body.len().to_string());
        }
        head.push_str("\r\n");
        Ok(Wire { head: head.into_bytes(), secure })
    }
}

fn line(head: &mut String, name: &str, value: &str) {
    head.extend([name, ": ", value, "\r\n"]);
}

/// Whether it is over TLS, the authority, and the target of the request line.
fn split(url: &str) -> Result<(bool, &str, String), String> {
    if !url.bytes().all(|byte| byte > b' ' && byte != 0x7f) {
        return Err("the URL has a space or a control character".to_owned());
    }
    // Clients keep the fragment to themselves.
    let url = url.split('#').next().unwrap_or_default();
    let scheme = |scheme: &str| {
        let start = url.get(..scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then(|| url.get(scheme.len()..)).flatten()
    };
    let (secure, rest) = match (scheme("https://"), scheme("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) if url.starts_with('/') || url == "*" => {
            return Ok((false, "localhost", url.to_owned()));
        }
        (None, None) => return Err("the URL is https://host/path, http://host/path or a path".to_owned()),
    };
    let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if authority.is_empty() || authority.contains('@') {
        return Err("the URL has a host, and no user or password".to_owned());
    }
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    Ok((secure, authority, target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: &str, url: &str, headers: &[(&str, &str)], body: &str, expect: Result<&str, &str>) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let asked = Asked {
            method: method.to_owned(),
            url: url.to_owned(),
            headers: headers.collect(),
            body: body.as_bytes().to_vec(),
            ip: None,
        };
        let seen = asked.wire().map(|wire| {
            let tls = if wire.secure { "TLS " } else { "" };
            format!("{tls}{}", String::from_utf8(wire.head).unwrap().replace("\r\n", "|"))
        });
        match (seen, expect) {
            (Ok(seen), Ok(expect)) => assert_eq!(seen, expect),
            (Err(fault), Err(expect)) => assert!(fault.contains(expect), "{fault}"),
            (seen, expect) => panic!("{method} {url}: {seen:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn what_a_client_sends() {
        check("GET", "https://h.example/a?b=1#c", &[], "", Ok("TLS GET /a?b=1 HTTP/1.1|host: h.example||"));
        check("GET", "HTTP://h:81", &[("X-A", "1")], "", Ok("GET / HTTP/1.1|host: h:81|X-A: 1||"));
        check("GET", "http://h?q", &[], "", Ok("GET /?q HTTP/1.1|host: h||"));
        check("GET", "/a", &[("Host", "x")], "", Ok("GET /a HTTP/1.1|Host: x||"));
        check("OPTIONS", "*", &[], "", Ok("OPTIONS * HTTP/1.1|host: localhost||"));
        check(
            "POST",
            "/a",
            &[("Content-Length", "7")],
            "ab",
            Ok("POST /a HTTP/1.1|host: localhost|content-length: 2||"),
        );
        check("PUT", "/", &[], "", Ok("PUT / HTTP/1.1|host: localhost|content-length: 0||"));
    }

    #[test]
    fn what_no_client_can_send() {
        check("GE T", "/", &[], "", Err("method"));
        check("", "/", &[], "", Err("method"));
        check("GET", "/a b", &[], "", Err("space"));
        check("GET", "/a\r\nx", &[], "", Err("space"));
        check("GET", "h/path", &[], "", Err("https://"));
        check("GET", "ftp://h/", &[], "", Err("https://"));
        check("GET", "http:///x", &[], "", Err("host"));
        check("GET", "http://u:p@h/", &[], "", Err("user"));
        check("GET", "/", &[("a b", "1")], "", Err("name"));
        check("GET", "/", &[("a:", "1")], "", Err("name"));
        check("GET", "/", &[("a", "1\r\nb: 2")], "", Err("line break"));
    }
}
