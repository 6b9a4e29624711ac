//! The head of an answer on its way to the client: text in HTTP/1, a value of its own in HTTP/2.

use std::io;

use tollgate_wire::{HeaderBlock, write_response_head};

use crate::io::{Ends, H2Stream};

/// What the client is told first.
pub(crate) struct Head<'a> {
    pub(crate) status: u16,
    /// Of the status line; none: the usual one. HTTP/2 has no such thing.
    pub(crate) phrase: Option<&'a [u8]>,
    pub(crate) headers: &'a HeaderBlock,
}

impl Head<'_> {
    /// Appends it as HTTP/1 has it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        write_response_head(out, self.status, self.phrase, self.headers);
    }

    /// Sends it as HTTP/2 has it.
    pub(crate) fn send(&self, stream: &H2Stream, ends: Ends) -> io::Result<()> {
        stream.respond(self.status, self.headers, ends)
    }
}
