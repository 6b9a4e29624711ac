//! Bytes that a socket did not take yet.

use std::io;
use std::task::{Context, Poll, ready};

use crate::io::Stream;

/// Bytes to be written before anything else. Empty storage is given back at once, because most never fill it.
#[derive(Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    written: usize,
}

impl Pending {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Writes until everything is out. Ready(Ok) means that it is; progress is added to `moved`.
    pub(crate) fn poll_flush(
        &mut self,
        io: &Stream,
        cx: &mut Context<'_>,
        moved: &mut u64,
    ) -> Poll<io::Result<()>> {
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            let written = ready!(io.poll_write(cx, rest))?;
            self.written += written;
            *moved += written as u64;
        }
        if !self.bytes.is_empty() {
            *self = Pending::default();
        }
        Poll::Ready(Ok(()))
    }

    /// Writes what the socket takes and keeps the rest. Nothing may be pending from before.
    pub(crate) fn write_or_keep(
        &mut self,
        io: &Stream,
        cx: &mut Context<'_>,
        bytes: &[u8],
        moved: &mut u64,
    ) -> io::Result<()> {
        debug_assert!(self.is_empty(), "order would be lost");
        let written = match io.poll_write(cx, bytes) {
            Poll::Ready(written) => written?,
            Poll::Pending => 0,
        };
        *moved += written as u64;
        if written < bytes.len() {
            self.keep(bytes.get(written..).unwrap_or_default());
        }
        Ok(())
    }

    /// What is still to be written.
    pub(crate) fn unwritten(&self) -> &[u8] {
        self.bytes.get(self.written..).unwrap_or_default()
    }

    /// Adds bytes to be written later.
    pub(crate) fn keep(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }
}
