//! The chunked transfer coding, read strictly (RFC 9112 section 7.1).
//!
//! A size is 1 to 16 hexadecimal digits and nothing around them; lines end in CRLF; the data of a chunk is
//! followed by CRLF. Extensions are read over, within bounds. The decoder holds no payload.

use crate::ascii;
use crate::block::HeaderBlock;
use crate::error::ChunkError;
use crate::head::HeadLimits;
use crate::trailer::{self, TrailersOf};

/// Bounds on the framing of a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Extensions of one chunk, from the `;` to the line end, in bytes.
    pub extension_bytes: usize,
    /// By how many bytes the extensions of all chunks may outweigh the payload. A stream of small chunks with
    /// long extensions ends here, and signatures on large chunks (as object stores use) never do.
    pub extension_excess_bytes: u64,
    /// The trailer section, in bytes, with the empty line that ends it.
    pub trailer_bytes: usize,
    /// Trailer lines.
    pub trailer_count: usize,
}

impl Default for ChunkLimits {
    fn default() -> ChunkLimits {
        ChunkLimits {
            extension_bytes: 256,
            extension_excess_bytes: 16 * 1024,
            trailer_bytes: 8 * 1024,
            trailer_count: 32,
        }
    }
}

impl ChunkLimits {
    /// What stands behind a body has the bounds of the head before it.
    pub fn behind(head: &HeadLimits) -> ChunkLimits {
        let (trailer_bytes, trailer_count) = (head.header_bytes, head.header_count);
        ChunkLimits { trailer_bytes, trailer_count, ..ChunkLimits::default() }
    }
}

/// What [`ChunkedDecoder::step`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Payload stands from here to there.
    Data(usize, usize),
    /// All input was framing.
    More,
    /// The body ended before this offset.
    End(usize),
}

#[derive(Debug, Clone)]
pub(crate) struct ChunkedDecoder {
    state: State,
    limits: ChunkLimits,
    of: TrailersOf,
    extension_excess: u64,
    /// Trailer lines so far, as sent.
    section: Vec<u8>,
    trailers: Option<Box<HeaderBlock>>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Size { digits: u8, size: u64 },
    Extension { bytes: usize, size: u64, quote: Quote },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailers,
    End,
    Failed(ChunkError),
}

/// Where in an extension a byte stands. A quoted text that has not ended with its line is refused: who reads such texts
/// would look for its end in what follows (RFC 9112 section 7.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

impl Quote {
    fn next(self, b: u8) -> Quote {
        match (self, b) {
            (Quote::Outside, b'"') | (Quote::Escaped, _) => Quote::Inside,
            (Quote::Inside, b'"') => Quote::Outside,
            (Quote::Inside, b'\\') => Quote::Escaped,
            (same, _) => same,
        }
    }
}

/// From here on no peer can count in a signed 64-bit number.
const TOO_LARGE: u64 = 1 << 63;
const MAX_SIZE_DIGITS: u8 = 16;
const START: State = State::Size { digits: 0, size: 0 };

static NO_TRAILERS: HeaderBlock = HeaderBlock::new();

impl ChunkedDecoder {
    pub(crate) fn new(limits: &ChunkLimits, of: TrailersOf) -> ChunkedDecoder {
        ChunkedDecoder {
            state: START,
            limits: *limits,
            of,
            extension_excess: 0,
            section: Vec::new(),
            trailers: None,
        }
    }

    /// Reads framing up to the next payload, and that. A body that was refused once stays refused.
    pub(crate) fn step(&mut self, input: &[u8]) -> Result<Progress, ChunkError> {
        self.advance(input).inspect_err(|&offence| self.state = State::Failed(offence))
    }

    pub(crate) fn is_done(&self) -> bool {
        matches!(self.state, State::End)
    }

    pub(crate) fn trailers(&self) -> &HeaderBlock {
        self.trailers.as_deref().unwrap_or(&NO_TRAILERS)
    }

    pub(crate) fn take_trailers(&mut self) -> HeaderBlock {
        self.trailers.take().map(|block| *block).unwrap_or_default()
    }

    fn advance(&mut self, input: &[u8]) -> Result<Progress, ChunkError> {
        let mut at = 0;
        loop {
            match self.state {
                State::Failed(offence) => return Err(offence),
                State::End => return Ok(Progress::End(at)),
                State::Data { left } => {
                    let available = input.len() - at;
                    if available == 0 {
                        return Ok(Progress::More);
                    }
                    let taken = usize::try_from(left).unwrap_or(usize::MAX).min(available);
                    let left = left - taken as u64;
                    self.state = if left == 0 { State::DataCr } else { State::Data { left } };
                    return Ok(Progress::Data(at, at + taken));
                }
                State::Trailers => {
                    let rest = input.get(at..).unwrap_or_default();
                    if rest.is_empty() {
                        return Ok(Progress::More);
                    }
                    at += self.trailer_bytes(rest)?;
                }
                _ => {
                    let Some(&b) = input.get(at) else { return Ok(Progress::More) };
                    at += 1;
                    self.framing_byte(b)?;
                }
            }
        }
    }

    fn framing_byte(&mut self, b: u8) -> Result<(), ChunkError> {
        self.state = match (self.state, b) {
            (State::Size { digits, size }, _) if b.is_ascii_hexdigit() => {
                if digits == MAX_SIZE_DIGITS {
                    return Err(ChunkError::SizeOverflow);
                }
                State::Size { digits: digits + 1, size: size << 4 | u64::from(hex_value(b)) }
            }
            (State::Size { size: TOO_LARGE.., .. }, b'\r' | b';') => {
                return Err(ChunkError::SizeOverflow);
            }
            (State::Size { digits: 0, .. }, b'\r' | b'\n' | b';') => return Err(ChunkError::EmptySize),
            (State::Size { size, .. }, b'\r') => State::SizeLf { size },
            (State::Size { size, .. }, b';') => self.extension_byte(0, size, Quote::Outside)?,
            (State::Size { .. }, b'\n') => return Err(ChunkError::BareLf),
            (State::Size { .. }, _) => return Err(ChunkError::BadSize),
            (State::Extension { size, quote: Quote::Outside, .. }, b'\r') => State::SizeLf { size },
            (State::Extension { .. }, b'\n') => return Err(ChunkError::BareLf),
            (State::Extension { .. }, b) if ascii::is_control(b) => return Err(ChunkError::BadExtension),
            (State::Extension { bytes, size, quote }, _) => {
                self.extension_byte(bytes, size, quote.next(b))?
            }
            (State::SizeLf { size }, b'\n') => {
                self.extension_excess = self.extension_excess.saturating_sub(size);
                if size == 0 { State::Trailers } else { State::Data { left: size } }
            }
            (State::SizeLf { .. }, _) => return Err(ChunkError::BareCr),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataCr, _) => return Err(ChunkError::DataNotTerminated),
            (State::DataLf, b'\n') => START,
            (State::DataLf, _) => return Err(ChunkError::DataNotTerminated),
            // These have no framing bytes.
            (state @ (State::Data { .. } | State::Trailers | State::End | State::Failed(_)), _) => state,
        };
        Ok(())
    }

    fn extension_byte(&mut self, bytes: usize, size: u64, quote: Quote) -> Result<State, ChunkError> {
        self.extension_excess += 1;
        if bytes >= self.limits.extension_bytes {
            return Err(ChunkError::ExtensionTooLong);
        }
        if self.extension_excess > self.limits.extension_excess_bytes {
            return Err(ChunkError::ExtensionsOutweighData);
        }
        Ok(State::Extension { bytes: bytes + 1, size, quote })
    }

    /// Takes bytes of the trailer section, a line or a part of one. How many it took.
    fn trailer_bytes(&mut self, input: &[u8]) -> Result<usize, ChunkError> {
        let line_end = memchr::memchr(b'\n', input).map(|at| at + 1);
        let taken = line_end.unwrap_or(input.len());
        if self.section.len() + taken > self.limits.trailer_bytes {
            return Err(ChunkError::TrailersTooLong);
        }
        self.section.extend_from_slice(input.get(..taken).unwrap_or_default());
        if line_end.is_none() {
            return Ok(taken);
        }
        if !self.section.ends_with(b"\r\n") {
            return Err(ChunkError::BareLf);
        }
        if self.section == b"\r\n" {
            self.state = State::End;
        } else if self.section.ends_with(b"\n\r\n") {
            let block = trailer::parse(&self.section, self.limits.trailer_count, self.of);
            self.trailers = Some(Box::new(block.map_err(ChunkError::Trailer)?));
            self.section = Vec::new();
            self.state = State::End;
        }
        Ok(taken)
    }
}

fn hex_value(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        _ => (digit | 0x20) - b'a' + 10,
    }
}
