//! The operator's log: human text on standard error. Access records never pass through here.

use std::io;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::output;

/// The variable that says how much is logged.
const VARIABLE: &str = "TOLLGATE_LOG";

/// Starts the log. A filter that cannot be read costs a warning, not the start.
pub(crate) fn init() {
    let wanted = std::env::var(VARIABLE).unwrap_or_default();
    let filter = filter(&wanted);
    let layer = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(output::err_colour())
        .with_target(false);
    // A second start in one process (never in the binary) keeps the first log.
    let _ = tracing_subscriber::registry()
        .with(layer)
        .with(filter.clone().unwrap_or_else(|| all(LevelFilter::INFO)))
        .try_init();
    if filter.is_none() {
        tracing::warn!("{VARIABLE}={wanted} is not a level; logging at `info`");
    }
}

fn filter(wanted: &str) -> Option<Targets> {
    match wanted.trim() {
        "" => Some(all(LevelFilter::INFO)),
        // Alone, a word is a level; Targets would take a misspelt one for the name of a module.
        word if !word.contains(['=', ',']) => word.parse::<LevelFilter>().ok().map(all),
        list => list.parse().ok(),
    }
}

fn all(level: LevelFilter) -> Targets {
    Targets::new().with_default(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_lists_are_read_and_misspellings_are_not() {
        for (wanted, readable) in [
            ("", true),
            ("debug", true),
            ("WARN", true),
            ("off", true),
            ("info,tollgate_proxy=debug", true),
            ("debgu", false),
            ("tollgate_proxy=loud", false),
        ] {
            assert_eq!(filter(wanted).is_some(), readable, "{wanted}");
        }
    }
}
