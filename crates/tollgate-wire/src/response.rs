//! Response heads.

use std::fmt;

use crate::block::HeaderBlock;
use crate::diagnose::Side;
use crate::error::HeadError;
use crate::facts::Facts;
use crate::framing::{self, BodyLength, Declared};
use crate::head::{self, HeadLimits, Parsed};
use crate::method::Method;
use crate::name;
use crate::search::HeadProgress;
use crate::version::Version;

/// The head of a response. [`Default`] is an empty one to parse into; it keeps its memory when it is used
/// again.
#[derive(Clone, Default)]
pub struct ResponseHead {
    /// Three digits, 100 to 999.
    pub status: u16,
    /// The version of the message.
    pub version: Version,
    /// The header lines.
    pub headers: HeaderBlock,
    /// How long the body is. Of an informational response (1xx, 101 too) `None`.
    pub body: BodyLength,
    /// Whether the connection can be used again after the body, by version, `Connection` and framing.
    pub persistent: bool,
    reason: Vec<u8>,
}

/// Parses the head of a response to `request_method` at the start of `buf` into `out`.
///
/// Informational responses are heads like any other. `out` is meaningful only when the head is complete.
/// `progress` begins as [`Default`] for every head and is that again when the head is complete.
pub fn parse_response(
    buf: &[u8],
    progress: &mut HeadProgress,
    limits: &HeadLimits,
    request_method: &Method,
    out: &mut ResponseHead,
) -> Result<Parsed, HeadError> {
    if !progress.should_parse(buf) {
        head::check_partial(buf, limits, Side::Response, false)?;
        return Ok(Parsed::Partial);
    }
    let parsed = head::with_lines(limits, |lines| {
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        match config.parse_response_with_uninit_headers(&mut response, buf, lines) {
            Ok(httparse::Status::Complete(end)) => {
                fill(buf, end, &response, limits, request_method, out)?;
                Ok(Parsed::Complete(end))
            }
            Ok(httparse::Status::Partial) => {
                head::check_partial(buf, limits, Side::Response, true)?;
                Ok(Parsed::Partial)
            }
            Err(error) => Err(head::refusal(buf, limits, Side::Response, error)),
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
    response: &httparse::Response<'_, '_>,
    limits: &HeadLimits,
    request_method: &Method,
    out: &mut ResponseHead,
) -> Result<(), HeadError> {
    // Nothing stands before a status line. An empty line there is the rest of another message.
    if !buf.starts_with(b"H") {
        return Err(if buf.starts_with(b"\n") { HeadError::BareLfInStartLine } else { HeadError::EmptyLine });
    }
    if end > limits.header_bytes {
        return Err(HeadError::HeadTooLong);
    }
    let facts = head::load(&mut out.headers, buf, end, response.headers)?;
    out.status = response.code.filter(|code| *code >= 100).ok_or(HeadError::BadStatus)?;
    out.version = if response.version == Some(0) { Version::Http10 } else { Version::Http11 };
    out.reason.clear();
    let line_end = head::lines_at(buf, end, response.headers).saturating_sub(2);
    // Not from httparse, which gives nothing when the phrase is not ASCII.
    out.reason.extend_from_slice(buf.get("HTTP/1.1 200 ".len()..line_end).unwrap_or_default());
    out.judge(&facts, request_method)
}

impl ResponseHead {
    /// The reason phrase as it was sent, perhaps empty.
    pub fn reason(&self) -> &[u8] {
        &self.reason
    }

    /// Puts another status in the place of the one that was sent, whose phrase goes with it.
    pub fn set_status(&mut self, status: u16) {
        self.status = status;
        self.reason.clear();
        self.reason.extend_from_slice(crate::reason_phrase(status).as_bytes());
    }

    /// Whether another head follows for the same request: 1xx other than 101.
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    fn judge(&mut self, facts: &Facts<'_>, method: &Method) -> Result<(), HeadError> {
        let (body, declared) = framing::of_response(self.version, facts, method, self.status)?;
        framing::rewrite_padded_length(facts, &mut self.headers);
        self.body = body;
        self.persistent = !facts.close
            && (self.version == Version::Http11 || facts.keep_alive)
            && body != BodyLength::UntilClose;
        // RFC 9110 section 8.6: no Content-Length in 1xx and 204. Servers do send it, mostly as 0.
        if self.status < 200 || self.status == 204 {
            self.headers.remove(&name::CONTENT_LENGTH);
            // A server that means it sends bytes that would be taken for the next response.
            self.persistent &= !matches!(declared, Declared::Length(1..));
        }
        Ok(())
    }
}

impl fmt::Debug for ResponseHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead")
            .field("status", &self.status)
            .field("reason", &String::from_utf8_lossy(&self.reason))
            .field("version", &self.version)
            .field("headers", &self.headers)
            .field("body", &self.body)
            .field("persistent", &self.persistent)
            .finish_non_exhaustive()
    }
}
