//! The numbers of one look at a gateway: its metrics, read from the text that Prometheus reads.

use std::collections::BTreeMap;

/// The metrics of one look.
#[derive(Debug, Default)]
pub(in crate::commands) struct Numbers {
    /// By name of the metric.
    samples: BTreeMap<String, Vec<Sample>>,
}

#[derive(Debug)]
pub(super) struct Sample {
    labels: Vec<(String, String)>,
    value: f64,
}

/// Counts of a histogram, by the upper end of the bucket in seconds; each bucket holds those before it, too.
pub(super) type Buckets = BTreeMap<u64, f64>;

impl Numbers {
    /// Reads the text; lines that are no samples are left out.
    pub(in crate::commands) fn parse(text: &str) -> Numbers {
        let mut numbers = Numbers::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, sample)) = sample(line) {
                numbers.samples.entry(name).or_default().push(sample);
            }
        }
        numbers
    }

    /// The sum over all samples. Of none it is 0, not the -0 that `Iterator::sum` begins with.
    pub(in crate::commands) fn sum(&self, name: &str) -> f64 {
        self.of(name).map(|sample| sample.value).fold(0.0, std::ops::Add::add)
    }

    /// A metric without labels, where it is there.
    pub(in crate::commands) fn get(&self, name: &str) -> Option<f64> {
        self.of(name).next().map(|sample| sample.value)
    }

    /// The sums for each value of a label, of those samples that fit.
    pub(super) fn by(
        &self,
        name: &str,
        label: &str,
        fits: impl Fn(&Sample) -> bool,
    ) -> BTreeMap<String, f64> {
        let mut sums = BTreeMap::new();
        for sample in self.of(name).filter(|sample| fits(sample)) {
            *sums.entry(sample.label(label).to_owned()).or_default() += sample.value;
        }
        sums
    }

    /// The buckets of a histogram for each value of a label; all together under the empty one where it has no such label.
    pub(super) fn buckets(&self, name: &str, label: &str) -> BTreeMap<String, Buckets> {
        let mut all: BTreeMap<String, Buckets> = BTreeMap::new();
        for sample in self.of(&format!("{name}_bucket")) {
            let buckets = all.entry(sample.label(label).to_owned()).or_default();
            let end = sample.label("le").parse().unwrap_or(f64::INFINITY);
            *buckets.entry(key(end)).or_default() += sample.value;
        }
        all
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Sample> {
        self.samples.get(name).into_iter().flatten()
    }
}

impl Sample {
    /// The value of a label; empty where there is none.
    pub(super) fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// Nanoseconds, so that ends can be ordered; the last bucket has no end.
fn key(seconds: f64) -> u64 {
    if seconds.is_finite() { (seconds * 1e9).round() as u64 } else { u64::MAX }
}

/// The time in seconds within which this share of what came between two looks was done: linear within its bucket, as
/// PromQL's `histogram_quantile` has it. None where nothing came; beyond the last end it is that end.
pub(super) fn quantile(before: &Buckets, after: &Buckets, share: f64) -> Option<f64> {
    let counts: Vec<(u64, f64)> = after
        .iter()
        .map(|(end, count)| (*end, (count - before.get(end).copied().unwrap_or(0.0)).max(0.0)))
        .collect();
    let total = counts.last()?.1;
    if total <= 0.0 {
        return None;
    }
    let rank = share * total;
    let (mut start, mut below) = (0.0, 0.0);
    for (end, count) in counts {
        if count >= rank {
            if end == u64::MAX {
                return Some(start);
            }
            let end = end as f64 / 1e9;
            let inside = count - below;
            let part = if inside > 0.0 { (rank - below) / inside } else { 1.0 };
            return Some(start + (end - start) * part);
        }
        (start, below) = (end as f64 / 1e9, count);
    }
    None
}

/// `name{label="value",…} number`.
fn sample(line: &str) -> Option<(String, Sample)> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some((name.to_owned(), Sample { labels, value }))
}

/// What stands between the braces, and what follows them.
fn labels(mut rest: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (key, quoted) = rest.split_once("=\"")?;
        let (value, after) = value(quoted)?;
        labels.push((key.to_owned(), value));
        rest = after;
    }
}

/// A value up to its closing quote, without its escapes.
fn value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP x y\nup 1\nhits_total{route=\"a\",status=\"200\"} 7\nhits_total{route=\"a\",status=\"500\"} 2\n\
        hits_total{route=\"b \\\"q\\\" }\\\\\",status=\"200\"} 1 1700000000\nbroken{ 1\nnothing\n\
        took_bucket{route=\"a\",le=\"0.1\"} 5\ntook_bucket{route=\"a\",le=\"1\"} 9\ntook_bucket{route=\"a\",le=\"+Inf\"} 10\n";

    #[test]
    fn samples_are_read_and_summed() {
        let numbers = Numbers::parse(TEXT);
        assert_eq!((numbers.get("up"), numbers.get("down")), (Some(1.0), None));
        assert_eq!(numbers.sum("hits_total"), 10.0);
        let by_route = numbers.by("hits_total", "route", |sample| sample.label("status") == "200");
        assert_eq!(by_route, BTreeMap::from([("a".to_owned(), 7.0), ("b \"q\" }\\".to_owned(), 1.0)]));
        let buckets = Buckets::from([(100_000_000, 5.0), (1_000_000_000, 9.0), (u64::MAX, 10.0)]);
        assert_eq!(numbers.buckets("took", "route"), BTreeMap::from([("a".to_owned(), buckets.clone())]));
        assert_eq!(numbers.buckets("took", ""), BTreeMap::from([(String::new(), buckets)]));
    }

    #[test]
    fn quantiles_are_linear_in_their_bucket() {
        let buckets = |counts: [f64; 3]| -> Buckets {
            [100_000_000, 200_000_000, u64::MAX].into_iter().zip(counts).collect()
        };
        let (none, before) = (Buckets::new(), buckets([10.0, 10.0, 10.0]));
        for (before, after, share, expect) in [
            (&none, [10.0, 20.0, 20.0], 0.5, Some(0.1)),
            (&none, [10.0, 20.0, 20.0], 0.75, Some(0.15)),
            (&none, [10.0, 20.0, 20.0], 0.25, Some(0.05)),
            (&none, [0.0, 0.0, 5.0], 0.5, Some(0.2)),
            (&none, [0.0, 0.0, 0.0], 0.5, None),
            (&before, [10.0, 20.0, 20.0], 0.5, Some(0.15)),
            (&before, [10.0, 10.0, 10.0], 0.5, None),
            // The gateway was started anew.
            (&before, [1.0, 1.0, 1.0], 0.5, None),
        ] {
            let found = quantile(before, &buckets(after), share);
            let near = match (found, expect) {
                (Some(found), Some(expect)) => (found - expect).abs() < 1e-9,
                (found, expect) => found == expect,
            };
            assert!(near, "{after:?} {share}: {found:?}, not {expect:?}");
        }
        assert_eq!(quantile(&none, &none, 0.5), None);
    }
}
