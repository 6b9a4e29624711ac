//! Waiting for an example's one command to say that everything is there.

use std::fs;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::interrupt::{not_interrupted, pause};

/// How long everything may take to start; under qemu a gateway alone takes seconds.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the command, whose output goes to `start.log` in the folder, has said that it is `ready`.
pub(crate) fn wait(what: &str, child: &mut Child, folder: &Path, ready: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        not_interrupted()?;
        let said = fs::read_to_string(folder.join("start.log"))?;
        if said.contains(ready) {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            bail!("{what} ended with {status}: {said}");
        }
        if begun.elapsed() > LIMIT {
            bail!("{what} is not ready after {LIMIT:?}: {said}");
        }
        pause(Duration::from_millis(50));
    }
}
