//! Reading a body, however its end is found. Holds no payload: it says where payload stands in the input.

use crate::block::HeaderBlock;
use crate::chunked::{ChunkLimits, ChunkedDecoder, Progress};
use crate::error::{ChunkError, Truncated};
use crate::framing::BodyLength;
use crate::trailer::TrailersOf;

/// Finds the payload of one body in the bytes of a connection.
#[derive(Debug, Clone)]
pub struct BodyDecoder(Kind);

#[derive(Debug, Clone)]
enum Kind {
    Length { left: u64 },
    Chunked(ChunkedDecoder),
    UntilClose,
}

/// What the next bytes of a body are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `input[start..end]` is payload, at least one byte. The first `consumed` bytes of the input are done.
    Data {
        /// Offset of the first byte of payload.
        start: usize,
        /// Offset after the last byte of payload.
        end: usize,
        /// How many bytes of the input are done with.
        consumed: usize,
    },
    /// More input is needed; `consumed` bytes were framing.
    More {
        /// How many bytes of the input are done with: all.
        consumed: usize,
    },
    /// The body is complete. What stands after `consumed` bytes is not part of it.
    End {
        /// How many bytes of the input are done with.
        consumed: usize,
    },
}

static NO_TRAILERS: HeaderBlock = HeaderBlock::new();

impl BodyDecoder {
    /// A decoder at the start of a request's body.
    pub fn new(length: BodyLength, limits: &ChunkLimits) -> BodyDecoder {
        BodyDecoder::with(length, limits, TrailersOf::Request)
    }

    /// A decoder at the start of a response's body. It differs in what may stand in its trailers.
    pub fn of_response(length: BodyLength, limits: &ChunkLimits) -> BodyDecoder {
        BodyDecoder::with(length, limits, TrailersOf::Response)
    }

    fn with(length: BodyLength, limits: &ChunkLimits, of: TrailersOf) -> BodyDecoder {
        BodyDecoder(match length {
            BodyLength::None => Kind::Length { left: 0 },
            BodyLength::Length(left) => Kind::Length { left },
            BodyLength::Chunked => Kind::Chunked(ChunkedDecoder::new(limits, of)),
            BodyLength::UntilClose => Kind::UntilClose,
        })
    }

    /// Looks at the next bytes of the body. Framing is read over until payload comes, and a step gives as
    /// much contiguous payload as there is.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, ChunkError> {
        match &mut self.0 {
            Kind::Length { left: 0 } => Ok(Step::End { consumed: 0 }),
            Kind::Length { .. } | Kind::UntilClose if input.is_empty() => Ok(Step::More { consumed: 0 }),
            Kind::Length { left } => {
                let n = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= n as u64;
                Ok(Step::Data { start: 0, end: n, consumed: n })
            }
            Kind::UntilClose => Ok(Step::Data { start: 0, end: input.len(), consumed: input.len() }),
            Kind::Chunked(decoder) => Ok(match decoder.step(input)? {
                Progress::Data(start, end) => Step::Data { start, end, consumed: end },
                Progress::More => Step::More { consumed: input.len() },
                Progress::End(consumed) => Step::End { consumed },
            }),
        }
    }

    /// Whether the body is complete. A chunked body is once its last byte was consumed.
    pub fn is_done(&self) -> bool {
        match &self.0 {
            Kind::Length { left } => *left == 0,
            Kind::Chunked(decoder) => decoder.is_done(),
            Kind::UntilClose => false,
        }
    }

    /// How much payload is still to come, in bytes, when that is known.
    pub fn remaining(&self) -> Option<u64> {
        match &self.0 {
            Kind::Length { left } => Some(*left),
            Kind::Chunked(decoder) => decoder.is_done().then_some(0),
            Kind::UntilClose => None,
        }
    }

    /// Says that the connection ended. Only a body that is complete, or that ends so, ends well.
    pub fn finish_at_eof(&self) -> Result<(), Truncated> {
        if self.is_done() || matches!(self.0, Kind::UntilClose) { Ok(()) } else { Err(Truncated) }
    }

    /// The trailers, once the body is complete.
    pub fn trailers(&self) -> &HeaderBlock {
        match &self.0 {
            Kind::Chunked(decoder) => decoder.trailers(),
            Kind::Length { .. } | Kind::UntilClose => &NO_TRAILERS,
        }
    }

    /// Takes the trailers, once the body is complete.
    pub fn take_trailers(&mut self) -> HeaderBlock {
        match &mut self.0 {
            Kind::Chunked(decoder) => decoder.take_trailers(),
            Kind::Length { .. } | Kind::UntilClose => HeaderBlock::default(),
        }
    }
}
