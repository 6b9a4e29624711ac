//! A wall clock that jumps, for the gateway alone: libfaketime between it and the C library.
//!
//! The clock of the machine is left alone: it belongs to everybody. A static binary, or a machine without libfaketime, has
//! no such clock, and then no jump is made; the report says so.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

/// Where Debian puts the library.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];

/// A clock that a test sets.
pub(crate) struct Clock {
    library: &'static str,
    dir: TempDir,
}

impl Clock {
    /// One that goes right, where there can be one.
    pub(crate) fn find(binary: &str) -> Option<Clock> {
        let library = LIBRARIES.into_iter().find(|path| fs::exists(path).unwrap_or(false))?;
        if !is_dynamic(binary) {
            return None;
        }
        let clock = Clock { library, dir: tempfile::tempdir().ok()? };
        clock.set(0);
        Some(clock)
    }

    /// For the environment of the gateway. Only what says the time of day is changed: timers go on.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", self.library.to_owned()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_CACHE_DURATION", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }

    /// Seconds that it is ahead of the machine's; seen within about a second.
    pub(crate) fn set(&self, seconds: i64) {
        let fresh = self.dir.path().join("new");
        fs::write(&fresh, format!("{seconds:+}s\n")).expect("a file");
        fs::rename(&fresh, self.file()).expect("it takes the place");
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("offset")
    }
}

/// Whether a program is loaded together with shared libraries: the head of an ELF file names its loader.
fn is_dynamic(binary: &str) -> bool {
    let mut head = [0; 4096];
    let read = fs::File::open(binary).and_then(|mut file| std::io::Read::read(&mut file, &mut head));
    read.is_ok_and(|length| head[..length].windows(7).any(|window| window == b"/ld-lin"))
}
