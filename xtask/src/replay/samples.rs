//! The raw samples of a run: kept in a file of `bench/results`, from which alone its page is made.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::tree;

/// Reads the record of the last run at a path below the root.
pub(crate) fn read(path: &str) -> Result<Value> {
    let text = fs::read_to_string(tree::root().join(path)).with_context(|| format!("reading {path}"))?;
    serde_json::from_str(&text).with_context(|| format!("reading {path}"))
}

/// Writes a record with one sample a line, so that a difference between two runs can be read.
pub(crate) fn write(path: &str, mut record: Value) -> Result<()> {
    let samples = record["samples"].take();
    if let Some(record) = record.as_object_mut() {
        record.remove("samples");
    }
    let head = serde_json::to_string_pretty(&record)?;
    let lines: Vec<String> =
        samples.as_array().into_iter().flatten().map(|sample| format!("    {sample}")).collect();
    let head = head.trim_end().trim_end_matches('}').trim_end();
    let text = format!("{head},\n  \"samples\": [\n{}\n  ]\n}}\n", lines.join(",\n"));
    fs::write(tree::root().join(path), text).with_context(|| format!("writing {path}"))
}

/// Nearest rank of sorted microseconds, in milliseconds.
pub(crate) fn percentile_ms(sorted_us: &[u32], percent: f64) -> f64 {
    let rank = (percent / 100.0 * sorted_us.len() as f64).ceil() as usize;
    sorted_us.get(rank.saturating_sub(1)).map_or(0.0, |us| f64::from(*us) / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_nearest_rank() {
        let sorted: Vec<u32> = (1..=100).map(|ms| ms * 1000).collect();
        assert_eq!(percentile_ms(&sorted, 50.0), 50.0);
        assert_eq!(percentile_ms(&sorted, 95.0), 95.0);
        assert_eq!(percentile_ms(&sorted, 99.9), 100.0);
        assert_eq!(percentile_ms(&sorted[..1], 95.0), 1.0);
        assert_eq!(percentile_ms(&[], 95.0), 0.0);
    }
}
