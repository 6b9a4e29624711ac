//! A process between the old one and the new one, until the new one is ready.
//!
//! systemd treats a main process that is not its own child as a stranger: it does not wait for its end, so that a stop would
//! kill it at once instead of letting it drain. A process whose parent has ended is the supervisor's child (credentials(7)),
//! so the old process starts this one, this one starts the new one, and ends before the new one is named as the main one.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use super::successor::Program;
use crate::output;

/// The variable that asks for such a process: it holds the old one's process id. A version that does not know it takes over
/// as the old one's child.
pub(super) const VARIABLE: &str = "TOLLGATE_HANDOVER_BETWEEN";

/// Starts the new process and waits for it, where this one was started for that: how the new one ended.
pub(crate) fn stand_between(program: &Program) -> Option<ExitCode> {
    let parent = rustix::process::getppid()?.as_raw_nonzero().to_string();
    if std::env::var(VARIABLE).ok()? != parent {
        return None;
    }
    let started = program.spawn(|command| {
        command.env_remove(VARIABLE);
        Ok(())
    });
    let ended = started.and_then(|mut child| {
        // As long as the channel is open here as well, the end of the new process would not be seen.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        child.wait()
    });
    Some(ended.map_or_else(
        |error| {
            output::error(format!("the new process cannot be started: {error}"));
            ExitCode::FAILURE
        },
        |status| ExitCode::from(code(status)),
    ))
}

/// As a shell tells it: 128 and the signal's number, where it was one.
fn code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}
