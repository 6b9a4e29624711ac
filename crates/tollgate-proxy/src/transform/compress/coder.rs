//! Coding a body piece by piece, with bounded memory.
//!
//! A coder holds what its window needs, measured with long bodies: gzip 0.4 MiB, zstd 0.75 MiB, brotli 0.85 MiB; for short
//! bodies less. A slow client can hold one for as long as it reads, so there are a few at a time.

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::Compression;
use flate2::write::GzEncoder;
use tollgate_plan::Reason;
use zstd::stream::raw::CParameter;

use super::accept::Coding;
use crate::worker::Worker;

/// Answers that a worker compresses at the same time; those beyond it go out as they are. Together they hold less than
/// 64 MiB.
const CODERS_MAX: usize = 64;

/// How far back zstd and brotli look, as a power of two: 128 KiB. Twice as much saves a percent or two of what is
/// served here, and costs twice the memory.
const WINDOW_LOG: u32 = 17;

/// The smallest window of both.
const WINDOW_LOG_MIN: u32 = 10;

/// The tables of zstd, each entry four bytes. Twice as long they take a quarter of a MiB more, for nothing that shows.
const ZSTD_TABLE_LOG: u32 = 15;

const ZSTD_LEVEL: i32 = 3;
const GZIP_LEVEL: u32 = 5;
/// From 4 on the tables alone take half a MiB more, for 4% less.
const BROTLI_QUALITY: i32 = 3;

/// What a coder writes in one go, at the least.
const PIECE_BYTES: usize = 4096;

/// A body being coded.
pub(crate) struct Coder {
    /// None behind the end.
    writer: Option<Writer>,
    /// Something went in that may not have come out.
    unflushed: bool,
    _place: Place,
}

enum Writer {
    Zstd(Box<zstd::Encoder<'static, Vec<u8>>>),
    Br(Box<CompressorWriter<Vec<u8>>>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

impl Coder {
    /// A coder for a body of this length, where that is known; none when there are too many at work.
    pub(crate) fn begin(worker: &Worker, coding: Coding, length: Option<u64>) -> Option<Box<Coder>> {
        let place = Place::take(&worker.coders)?;
        let writer = Writer::new(coding, length).ok()?;
        Some(Box::new(Coder { writer: Some(writer), unflushed: false, _place: place }))
    }

    /// Codes the next bytes of the body; what came out of that is appended.
    pub(crate) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Reason> {
        self.unflushed |= !bytes.is_empty();
        self.with(out, |writer| writer.write_all(bytes))
    }

    /// Whether there may be something that only a flush brings out.
    pub(crate) fn is_unflushed(&self) -> bool {
        self.unflushed
    }

    /// Brings everything out that went in.
    pub(crate) fn flush(&mut self, out: &mut Vec<u8>) -> Result<(), Reason> {
        self.unflushed = false;
        self.with(out, |writer| writer.flush())
    }

    /// Ends the coded body. Without this it is not whole, and its reader sees that.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Reason> {
        self.unflushed = false;
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let ended = match writer {
            Writer::Zstd(writer) => writer.finish(),
            Writer::Br(writer) => Ok(writer.into_inner()),
            Writer::Gzip(writer) => writer.finish(),
        };
        out.append(&mut ended.map_err(|_| Reason::Internal)?);
        Ok(())
    }

    fn with(
        &mut self,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), Reason> {
        let Some(writer) = &mut self.writer else { return Err(Reason::Internal) };
        // Into memory nothing fails but by a fault of the coder's.
        write(writer.as_write()).map_err(|_| Reason::Internal)?;
        out.append(writer.coded());
        Ok(())
    }
}

impl Writer {
    fn new(coding: Coding, length: Option<u64>) -> std::io::Result<Writer> {
        let window_log = window_log(length);
        Ok(match coding {
            Coding::Zstd => {
                let mut writer = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                writer.set_parameter(CParameter::WindowLog(window_log))?;
                writer.set_parameter(CParameter::HashLog(window_log.min(ZSTD_TABLE_LOG)))?;
                writer.set_parameter(CParameter::ChainLog(window_log.min(ZSTD_TABLE_LOG)))?;
                writer.set_pledged_src_size(length)?;
                Writer::Zstd(Box::new(writer))
            }
            Coding::Br => {
                let params = BrotliEncoderParams {
                    quality: BROTLI_QUALITY,
                    lgwin: window_log as i32,
                    size_hint: length.unwrap_or(0) as usize,
                    ..BrotliEncoderParams::default()
                };
                Writer::Br(Box::new(CompressorWriter::with_params(Vec::new(), PIECE_BYTES, &params)))
            }
            Coding::Gzip => Writer::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL)))),
        })
    }

    fn as_write(&mut self) -> &mut dyn Write {
        match self {
            Writer::Zstd(writer) => writer,
            Writer::Br(writer) => writer,
            Writer::Gzip(writer) => writer,
        }
    }

    /// What came out and was not taken yet.
    fn coded(&mut self) -> &mut Vec<u8> {
        match self {
            Writer::Zstd(writer) => writer.get_mut(),
            Writer::Br(writer) => writer.get_mut(),
            Writer::Gzip(writer) => writer.get_mut(),
        }
    }
}

/// No wider than the body is long.
fn window_log(length: Option<u64>) -> u32 {
    let needed = length.map_or(WINDOW_LOG, |length| u64::BITS - length.leading_zeros());
    needed.clamp(WINDOW_LOG_MIN, WINDOW_LOG)
}

/// A place among the coders of a worker, given up when dropped.
struct Place(Rc<Cell<usize>>);

impl Place {
    fn take(coders: &Rc<Cell<usize>>) -> Option<Place> {
        let taken = coders.get();
        (taken < CODERS_MAX).then(|| {
            coders.set(taken + 1);
            Place(coders.clone())
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}
