//! What can be wrong with bytes from the network, one variant per offence.
//!
//! Every variant names what the sender did, so that a test, a log line and an operator mean the same thing.
//! The groups in [`Offence`] are what a gateway answers by.

use std::fmt;

/// The group an offence belongs to; each group is one answer to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Offence {
    /// The request line, or the status line of a response (RFC 9112 sections 3 and 4).
    RequestLine,
    /// A header line or a trailer line (RFC 9112 section 5).
    Header,
    /// The path of the request target.
    Path,
    /// The length of the body (RFC 9112 sections 6 and 7).
    Framing,
    /// The Host header and the authority of the target (RFC 9112 section 3.2).
    Host,
    /// The target is longer than the limit.
    UriTooLong,
    /// The head is longer, or has more lines, than the limit.
    HeadersTooLarge,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    Version,
    /// A method that makes a tunnel (RFC 9110 section 9.3.6).
    Method,
    /// An expectation other than `100-continue` (RFC 9110 section 10.1.1).
    Expectation,
}

macro_rules! head_errors {
    ($($(#[doc = $doc:literal])* $name:ident = $offence:ident, $text:literal;)*) => {
        /// Why a head was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum HeadError { $($(#[doc = $doc])* $name,)* }

        impl HeadError {
            /// The group of this offence.
            pub const fn offence(self) -> Offence {
                match self { $(HeadError::$name => Offence::$offence,)* }
            }

            /// One plain sentence for the sender; it repeats no byte of what was sent.
            pub const fn text(self) -> &'static str {
                match self { $(HeadError::$name => $text,)* }
            }
        }
    };
}

head_errors! {
    /// More than one empty line before a request line, or any before a status line.
    EmptyLine = RequestLine, "an empty line stands where a start line should";
    /// The method is empty or has bytes that are not token characters.
    BadMethod = RequestLine, "the method is not a token";
    /// The method is longer than [`Method::MAX_BYTES`](crate::Method::MAX_BYTES).
    MethodTooLong = RequestLine, "the method is too long";
    /// The target has none of the four forms, or bytes that no target has.
    BadTarget = RequestLine, "the request target is malformed";
    /// The target has control characters, or bytes from 0x80 up that are no UTF-8.
    BadTargetByte = Path, "the request target has bytes that no path has";
    /// What stands after the target is no `HTTP/x.y`.
    BadVersion = RequestLine, "the protocol version is malformed";
    /// The status is not three digits from 100 up.
    BadStatus = RequestLine, "the status code is malformed";
    /// The reason phrase has control characters.
    BadReason = RequestLine, "the reason phrase has control characters";
    /// A carriage return in the start line that no line feed follows.
    BareCrInStartLine = RequestLine, "a carriage return in the start line stands without a line feed";
    /// A line feed in or before the start line that no carriage return precedes.
    BareLfInStartLine = RequestLine, "a line feed in the start line stands without a carriage return";
    /// A NUL byte in the start line.
    NulByteInStartLine = RequestLine, "the start line has a NUL byte";
    /// A well-formed version that is neither HTTP/1.0 nor HTTP/1.1.
    UnsupportedVersion = Version, "only HTTP/1.0 and HTTP/1.1 are spoken here";
    /// CONNECT whose target or host is not as that method has them. With those it has it is a head like any other.
    MalformedConnect = Method, "the method is not served";
    /// The target is longer than `HeadLimits::uri_bytes`.
    UriTooLong = UriTooLong, "the request target is too long";
    /// The head is longer than `HeadLimits::header_bytes`.
    HeadTooLong = HeadersTooLarge, "the head is too long";
    /// More header lines than `HeadLimits::header_count`.
    TooManyHeaders = HeadersTooLarge, "the head has too many lines";
    /// A carriage return in a header line that no line feed follows.
    BareCr = Header, "a carriage return in a header line stands without a line feed";
    /// A line feed in or after a header line that no carriage return precedes.
    BareLf = Header, "a line feed in a header line stands without a carriage return";
    /// A NUL byte in a header line.
    NulByte = Header, "a header line has a NUL byte";
    /// A header line that begins with white space (RFC 9112 section 5.2).
    ObsFold = Header, "a header line is folded";
    /// White space before the first header line (RFC 9112 section 2.2).
    LeadingWhitespace = Header, "white space stands before the first header line";
    /// White space between a header name and its colon.
    SpaceBeforeColon = Header, "white space stands before a colon";
    /// A header line that begins with the colon.
    EmptyName = Header, "a header name is empty";
    /// A header line without a colon.
    MissingColon = Header, "a header line has no colon";
    /// A header name with bytes that are not token characters.
    BadName = Header, "a header name is not a token";
    /// A header value with control characters.
    BadValue = Header, "a header value has control characters";
    /// A trailer that may only stand in a head (RFC 9110 section 6.5.1).
    ForbiddenTrailer = Header, "a trailer field may only stand in the head";
    /// `Content-Length` together with `Transfer-Encoding`.
    LengthAndTransferEncoding = Framing, "Content-Length and Transfer-Encoding exclude each other";
    /// `Content-Length` more than once, with different values.
    DifferingLengths = Framing, "Content-Length is given twice and differs";
    /// `Content-Length` more than once, with one value.
    RepeatedLength = Framing, "Content-Length is given twice";
    /// `Content-Length` is not a number.
    MalformedLength = Framing, "Content-Length is not a number";
    /// `Content-Length` is more than 2^63 - 1, or has more than 19 digits.
    LengthOverflow = Framing, "Content-Length is too large";
    /// A length where no body can be: in an informational response.
    LengthWithoutBody = Framing, "a response that has no body declares a length";
    /// A transfer coding that is not `chunked`.
    UnknownTransferCoding = Framing, "only the transfer coding chunked is understood";
    /// `chunked` is not the last coding, or is applied twice.
    ChunkedNotFinal = Framing, "chunked is not the one final transfer coding";
    /// `Transfer-Encoding` on more than one line.
    RepeatedTransferEncoding = Framing, "Transfer-Encoding is given twice";
    /// `Transfer-Encoding` in an HTTP/1.0 message.
    TransferEncodingInHttp10 = Framing, "HTTP/1.0 has no Transfer-Encoding";
    /// `Transfer-Encoding` in a 1xx or 204 response.
    TransferEncodingWithoutBody = Framing, "a response that has no body declares a transfer coding";
    /// `Content_Length`, `Transfer_Encoding`: what some servers read as the real thing.
    DisguisedFraming = Framing, "a framing header is spelled with an underscore";
    /// An HTTP/1.1 request without Host.
    MissingHost = Host, "the Host header is missing";
    /// Host more than once.
    RepeatedHost = Host, "the Host header is given twice";
    /// Host is not a name or address with an optional port.
    MalformedHost = Host, "the Host header is malformed";
    /// Host and the authority in the target are not the same.
    HostMismatch = Host, "the Host header contradicts the request target";
    /// An expectation that is not `100-continue`.
    UnknownExpectation = Expectation, "only the expectation 100-continue is understood";
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for HeadError {}

/// Why a chunked body was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkError {
    /// A chunk size without a digit.
    EmptySize,
    /// A byte in or after a chunk size that is no hexadecimal digit, `;` or CRLF.
    BadSize,
    /// More than 16 digits, or a size over 2^63 - 1.
    SizeOverflow,
    /// A control character in a chunk extension, or a quoted text that does not end in its line.
    BadExtension,
    /// The extensions of one chunk are longer than `ChunkLimits::extension_bytes`.
    ExtensionTooLong,
    /// The extensions of all chunks are longer than the payload by `ChunkLimits::extension_excess_bytes`.
    ExtensionsOutweighData,
    /// A carriage return that no line feed follows.
    BareCr,
    /// A line feed that no carriage return precedes.
    BareLf,
    /// The data of a chunk is longer than its size: no CRLF follows.
    DataNotTerminated,
    /// The trailer section is longer than `ChunkLimits::trailer_bytes`.
    TrailersTooLong,
    /// A trailer line is malformed or forbidden.
    Trailer(HeadError),
}

impl ChunkError {
    /// The group of this offence.
    pub const fn offence(self) -> Offence {
        match self {
            ChunkError::EmptySize
            | ChunkError::BadSize
            | ChunkError::SizeOverflow
            | ChunkError::BadExtension
            | ChunkError::ExtensionTooLong
            | ChunkError::ExtensionsOutweighData
            | ChunkError::BareCr
            | ChunkError::BareLf
            | ChunkError::DataNotTerminated => Offence::Framing,
            ChunkError::TrailersTooLong => Offence::HeadersTooLarge,
            ChunkError::Trailer(inner) => inner.offence(),
        }
    }
}

impl fmt::Display for ChunkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChunkError::EmptySize => "a chunk has no size",
            ChunkError::BadSize => "a chunk size is malformed",
            ChunkError::SizeOverflow => "a chunk size is too large",
            ChunkError::BadExtension => {
                "a chunk extension has control characters, or a quote that is not closed"
            }
            ChunkError::ExtensionTooLong => "a chunk extension is too long",
            ChunkError::ExtensionsOutweighData => "the chunk extensions outweigh the data",
            ChunkError::BareCr => "a carriage return stands without a line feed",
            ChunkError::BareLf => "a line feed stands without a carriage return",
            ChunkError::DataNotTerminated => "a chunk is longer than its size",
            ChunkError::TrailersTooLong => "the trailer section is too long",
            ChunkError::Trailer(inner) => inner.text(),
        })
    }
}

impl std::error::Error for ChunkError {}

/// The connection ended before the body did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Truncated;

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection ended before the body did")
    }
}

impl std::error::Error for Truncated {}
