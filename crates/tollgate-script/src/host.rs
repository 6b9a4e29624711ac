//! What a script reaches of the world: the time, and the operator's log.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How loud a line of a script is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// `log.info`, `print`
    Info,
    /// `log.warn`
    Warn,
    /// `log.error`
    Error,
}

/// What the gateway gives to scripts. One call makes at most 32 lines; bounding them over time is the host's part.
pub trait Host {
    /// The time since 1970-01-01T00:00:00Z.
    fn unix_time(&self) -> Duration;

    /// Writes a line of `script` to the operator's log. It has at most 1 KiB and no control characters.
    fn log(&self, script: &str, level: Level, line: &str);
}

/// A host without a log, on the clock of the system: for checking a configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Host for Silent {
    fn unix_time(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn log(&self, _script: &str, _level: Level, _line: &str) {}
}
