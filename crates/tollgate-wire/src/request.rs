//! Request heads.

use std::fmt;
use std::ops::Range;

use crate::authority::Authority;
use crate::block::HeaderBlock;
use crate::diagnose::Side;
use crate::error::HeadError;
use crate::facts::{Facts, Line};
use crate::framing::{self, BodyLength};
use crate::head::{self, HeadLimits, Parsed};
use crate::method::Method;
use crate::name;
use crate::search::HeadProgress;
use crate::target::{Target, TargetForm};
use crate::version::Version;

/// The head of a request. [`Default`] is an empty one to parse into; it keeps its memory when it is used
/// again.
#[derive(Clone, Default)]
pub struct RequestHead {
    /// The method.
    pub method: Method,
    /// The version of the message.
    pub version: Version,
    /// The header lines.
    pub headers: HeaderBlock,
    /// How long the body is.
    pub body: BodyLength,
    /// Whether the client lets the connection be used again, by version and `Connection`.
    pub persistent: bool,
    /// Whether the client waits for `100 Continue` before it sends the body. Never in HTTP/1.0, where the
    /// expectation is to be ignored (RFC 9110 section 10.1.1), and never without a body.
    pub expect_continue: bool,
    target: Vec<u8>,
    form: TargetForm,
    /// `None` is `/`.
    path: Option<Range<usize>>,
    query: Option<Range<usize>>,
    authority: Option<Range<usize>>,
    upgrade: bool,
    trailers: bool,
}

/// Parses a request head at the start of `buf` into `out`.
///
/// One CRLF before the request line is skipped (RFC 9112 section 2.2 asks for at least that; clients of old
/// send one after a body), more are refused. `out` is meaningful only when the head is complete. `progress`
/// begins as [`Default`] for every head and is that again when the head is complete.
pub fn parse_request(
    buf: &[u8],
    progress: &mut HeadProgress,
    limits: &HeadLimits,
    out: &mut RequestHead,
) -> Result<Parsed, HeadError> {
    if !progress.should_parse(buf) {
        head::check_partial(buf, limits, Side::Request, false)?;
        return Ok(Parsed::Partial);
    }
    let parsed = head::with_lines(limits, |lines| {
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(buf, lines) {
            Ok(httparse::Status::Complete(end)) => {
                fill(buf, end, &request, limits, out)?;
                Ok(Parsed::Complete(end))
            }
            Ok(httparse::Status::Partial) => {
                head::check_partial(buf, limits, Side::Request, true)?;
                Ok(Parsed::Partial)
            }
            Err(error) => Err(head::refusal(buf, limits, Side::Request, error)),
        }
    })?;
    if parsed != Parsed::Partial {
        *progress = HeadProgress::default();
    }
    Ok(parsed)
}

fn fill(
    buf: &[u8],
    end: usize,
    request: &httparse::Request<'_, '_>,
    limits: &HeadLimits,
    out: &mut RequestHead,
) -> Result<(), HeadError> {
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    check_start(buf, head::offset(buf, method.as_bytes()))?;
    if method.len() > Method::MAX_BYTES {
        return Err(HeadError::MethodTooLong);
    }
    if target.len() > limits.uri_bytes {
        return Err(HeadError::UriTooLong);
    }
    if end > limits.header_bytes {
        return Err(HeadError::HeadTooLong);
    }
    let facts = head::load(&mut out.headers, buf, end, request.headers)?;
    out.method = Method::parse(method.as_bytes()).ok_or(HeadError::BadMethod)?;
    out.version = if request.version == Some(0) { Version::Http10 } else { Version::Http11 };
    out.set_target(target.as_bytes(), &facts).map_err(|error| match out.method {
        Method::Connect => HeadError::MalformedConnect,
        _ => error,
    })?;
    out.body = framing::of_request(out.version, &facts)?;
    framing::rewrite_padded_length(&facts, &mut out.headers);
    out.judge(&facts)
}

/// Before the method there is nothing, or one CRLF.
fn check_start(buf: &[u8], method_at: usize) -> Result<(), HeadError> {
    match buf.get(..method_at).unwrap_or_default() {
        b"" | b"\r\n" => Ok(()),
        [b'\n', ..] | [b'\r', b'\n', b'\n', ..] => Err(HeadError::BareLfInStartLine),
        _ => Err(HeadError::EmptyLine),
    }
}

impl RequestHead {
    /// The target as it was sent.
    pub fn target(&self) -> &[u8] {
        &self.target
    }

    /// How the target is written.
    pub fn form(&self) -> TargetForm {
        self.form
    }

    /// The path as it was sent, without the query: `/` when an absolute target has none, `*` in asterisk
    /// form, empty in authority form. It may have bytes that no normal form has.
    pub fn path(&self) -> &[u8] {
        match &self.path {
            Some(range) => self.target.get(range.clone()).unwrap_or_default(),
            None => b"/",
        }
    }

    /// What follows the first `?`, as it was sent; empty when nothing does.
    pub fn query(&self) -> Option<&[u8]> {
        self.target.get(self.query.clone()?)
    }

    /// Puts another query in the place of what was sent. It has no space, `#` or control character.
    pub fn set_query(&mut self, query: Option<&[u8]>) {
        // The query is the last of a target, and the first of it that has this sign.
        let end = self.target.iter().position(|byte| *byte == b'?').unwrap_or(self.target.len());
        self.target.truncate(end);
        self.query = query.map(|query| {
            self.target.push(b'?');
            self.target.extend_from_slice(query);
            end + 1..self.target.len()
        });
    }

    /// The authority the request is for: of the target when it has one, else of Host. As it was sent, and
    /// checked: a name or address, and perhaps a port. `None` only in HTTP/1.0.
    pub fn authority(&self) -> Option<&[u8]> {
        match &self.authority {
            Some(range) => self.target.get(range.clone()),
            None => self.headers.get(&name::HOST),
        }
    }

    /// Whether the client asks to change the protocol: `Upgrade`, named by `Connection`, in HTTP/1.1.
    pub fn wants_upgrade(&self) -> bool {
        self.upgrade
    }

    /// Whether the client takes trailers (`TE: trailers`).
    pub fn trailers_accepted(&self) -> bool {
        self.trailers
    }

    /// Says that the head came over HTTP/2, where framing has other ways: `ended` when no body follows. One that does
    /// follow and has no length runs to the end of its stream ([`BodyLength::UntilClose`]).
    pub fn over_http2(&mut self, ended: bool) {
        self.version = Version::Http2;
        self.body = match self.body {
            _ if ended => BodyLength::None,
            BodyLength::Length(length) => BodyLength::Length(length),
            BodyLength::None | BodyLength::Chunked | BodyLength::UntilClose => BodyLength::UntilClose,
        };
        // Whoever waits says so also where the length is not known.
        self.expect_continue = !ended && self.headers.contains(&name::EXPECT);
    }

    fn set_target(&mut self, text: &[u8], facts: &Facts<'_>) -> Result<(), HeadError> {
        let target = Target::parse(&self.method, text)?;
        check_host(self.version, &target, facts.host)?;
        let range = |part: &[u8]| match part {
            [] => 0..0,
            part => head::offset(text, part)..head::offset(text, part) + part.len(),
        };
        self.form = target.form;
        // The path `/` of an absolute target without one is not in the text.
        self.path = (target.path != b"/").then(|| range(target.path));
        self.query = target.query.map(range);
        self.authority = target.authority.map(range);
        self.target.clear();
        self.target.extend_from_slice(text);
        Ok(())
    }

    fn judge(&mut self, facts: &Facts<'_>) -> Result<(), HeadError> {
        let http11 = self.version == Version::Http11;
        self.persistent = !facts.close && (http11 || facts.keep_alive);
        self.upgrade = http11 && facts.upgrade && facts.connection_upgrade;
        self.trailers = http11 && facts.trailers;
        self.expect_continue = match facts.expect {
            Line::Absent => false,
            Line::Once(value) if value.eq_ignore_ascii_case(b"100-continue") => {
                http11 && self.body != BodyLength::None
            }
            _ => return Err(HeadError::UnknownExpectation),
        };
        Ok(())
    }
}

fn check_host(version: Version, target: &Target<'_>, host: Line<'_>) -> Result<(), HeadError> {
    let host = match host {
        Line::Absent if version == Version::Http10 => return Ok(()),
        Line::Absent => return Err(HeadError::MissingHost),
        Line::Repeated { .. } => return Err(HeadError::RepeatedHost),
        Line::Once(value) => Authority::parse(value).ok_or(HeadError::MalformedHost)?,
    };
    match target.authority.map(Authority::parse) {
        None => Ok(()),
        Some(Some(authority)) if authority.same_as(&host, target.default_port) => Ok(()),
        Some(_) => Err(HeadError::HostMismatch),
    }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("target", &String::from_utf8_lossy(&self.target))
            .field("version", &self.version)
            .field("headers", &self.headers)
            .field("body", &self.body)
            .field("persistent", &self.persistent)
            .field("expect_continue", &self.expect_continue)
            .finish_non_exhaustive()
    }
}
