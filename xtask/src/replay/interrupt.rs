//! Waits that end when the run is interrupted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Set by SIGINT and SIGTERM: the run ends with an error, so that what it started ends with it.
static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Makes SIGINT and SIGTERM end the run by way of its guards.
pub(crate) fn watch() -> Result<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, INTERRUPTED.clone()).context("watching signals")?;
    }
    Ok(())
}

/// An error once the run shall end.
pub(crate) fn not_interrupted() -> Result<()> {
    if INTERRUPTED.load(Ordering::Relaxed) {
        bail!("interrupted");
    }
    Ok(())
}

/// Lets some time pass.
pub(crate) fn pause(time: Duration) {
    until(Instant::now() + time);
}

/// Waits for a moment.
pub(crate) fn until(moment: Instant) {
    while let Some(rest) = moment.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
        std::thread::park_timeout(rest);
    }
}
