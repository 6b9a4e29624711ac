//! Where a batch of access records goes: a stream that somebody reads, or a file that somebody rotates.
//!
//! Only the writer thread writes here, so waiting for a slow disk or reader holds up nobody else.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// How long to wait before a full non-blocking stream is tried again: at first, and at most.
const FULL_WAIT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// An open sink.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    /// `None` for a stream.
    path: Option<PathBuf>,
    /// The last write ended inside a line.
    torn: bool,
}

/// A batch was not written whole.
#[derive(Debug)]
pub(super) struct WriteError {
    /// Bytes of the batch that were written before.
    pub(super) written: usize,
    pub(super) source: io::Error,
}

impl Output {
    /// Standard output, by a descriptor of its own: no buffer and no lock that the rest of the process shares.
    pub(super) fn stdout() -> io::Result<Output> {
        let descriptor = io::stdout().as_fd().try_clone_to_owned();
        descriptor
            .map(|descriptor| Output::stream(descriptor.into()))
            .map_err(|e| named(e, "standard output"))
    }

    /// Anything that is already open.
    pub(super) fn stream(file: File) -> Output {
        Output { file, path: None, torn: false }
    }

    /// A file, made when it is not there, readable by owner and group only: records hold addresses and paths.
    pub(super) fn file(path: &Path) -> io::Result<Output> {
        let file = open(path).map_err(|e| named(e, &path.display().to_string()))?;
        Ok(Output { file, path: Some(path.to_owned()), torn: false })
    }

    /// Whether a file now stands elsewhere than where it was opened: rotated, or removed.
    pub(super) fn moved_away(&self) -> bool {
        let Some(path) = &self.path else { return false };
        let identity = |found: io::Result<std::fs::Metadata>| found.map(|meta| (meta.dev(), meta.ino())).ok();
        identity(std::fs::metadata(path)) != identity(self.file.metadata())
    }

    /// Opens the path anew. On error the old file stays in use: a record in a rotated file is better than none.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        if let Some(path) = &self.path {
            *self = Output::file(path)?;
        }
        Ok(())
    }

    /// Writes whole lines, waiting as long as the sink takes.
    pub(super) fn write(&mut self, lines: &[u8]) -> Result<(), WriteError> {
        if self.torn {
            // The half line is lost either way; the ones after it must not be.
            write_all(&mut self.file, b"\n").map_err(|error| WriteError { written: 0, ..error })?;
            self.torn = false;
        }
        write_all(&mut self.file, lines).inspect_err(|error| {
            let end = error.written.checked_sub(1).and_then(|last| lines.get(last));
            self.torn = end.is_some_and(|byte| *byte != b'\n');
        })
    }
}

fn write_all(file: &mut File, bytes: &[u8]) -> Result<(), WriteError> {
    let mut written = 0;
    let mut wait = FULL_WAIT.0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match file.write(rest) {
            Ok(0) => return Err(WriteError { written, source: ErrorKind::WriteZero.into() }),
            Ok(count) => {
                written += count;
                wait = FULL_WAIT.0;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                // Whoever shares the descriptor made it non-blocking; taking that back would surprise them.
                thread::park_timeout(wait);
                wait = (wait * 2).min(FULL_WAIT.1);
            }
            Err(source) => return Err(WriteError { written, source }),
        }
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<File> {
    // Opening a named pipe waits for its reader, which would hang the start of the gateway.
    if std::fs::metadata(path).is_ok_and(|meta| meta.file_type().is_fifo()) {
        return Err(io::Error::new(ErrorKind::InvalidInput, "a named pipe cannot be an access log"));
    }
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

fn named(error: io::Error, what: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

#[cfg(test)]
mod tests;
