//! Waits that end when the run is interrupted.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Set by SIGINT and SIGTERM: the run ends with an error, so that what it started ends with it.
static INTERRUPTED: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Between two looks.
const LOOKING: Duration = Duration::from_millis(20);

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

/// Looks every so often whether it is done, for at most `limit`.
pub(crate) fn wait_for(what: &str, limit: Duration, mut done: impl FnMut() -> Result<bool>) -> Result<()> {
    let begun = Instant::now();
    while !done()? {
        not_interrupted()?;
        if begun.elapsed() > limit {
            bail!("waited {limit:?} for {what}");
        }
        pause(LOOKING);
    }
    Ok(())
}

/// Lets some time pass, unless the run is interrupted.
pub(crate) fn hold(time: Duration) -> Result<()> {
    let end = Instant::now() + time;
    wait_for("the time to pass", time + Duration::from_secs(5), || Ok(Instant::now() >= end))
}
