//! A scrape of `/metrics` as a map.

use std::collections::BTreeMap;

/// Samples by name and labels as written, and the type of each family.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

impl Metrics {
    /// Reads the Prometheus text format; panics on a line that is not of it.
    #[track_caller]
    pub fn parse(text: &str) -> Metrics {
        let mut metrics = Metrics::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("bad TYPE: {line}"));
                let before = metrics.types.insert(name.to_owned(), kind.to_owned());
                assert!(before.is_none(), "two TYPE lines for {name}");
            } else if !line.starts_with('#') {
                let (key, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("bad sample: {line}"));
                let value = value.parse().unwrap_or_else(|_| panic!("bad value: {line}"));
                assert!(metrics.samples.insert(key.to_owned(), value).is_none(), "{key} stands twice");
            }
        }
        metrics
    }

    /// The sample with exactly these labels (in any order), written as `name{a="1",b="2"}`; 0 when there is none.
    pub fn get(&self, key: &str) -> f64 {
        let wanted = parts(key);
        self.samples.iter().find(|(k, _)| parts(k) == wanted).map_or(0.0, |(_, value)| *value)
    }

    /// The sum over all samples of that name whose labels include those given as `a="1"`.
    pub fn sum(&self, name: &str, labels: &[&str]) -> f64 {
        let fits = |key: &str| {
            let (n, have) = parts(key);
            n == name && labels.iter().all(|label| have.iter().any(|h| h == label))
        };
        self.samples.iter().filter(|(key, _)| fits(key)).map(|(_, value)| value).sum()
    }

    /// The type of a family, or the empty string.
    pub fn kind(&self, name: &str) -> &str {
        self.types.get(name).map_or("", String::as_str)
    }

    /// Every sample key, as written.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(String::as_str)
    }
}

/// Name and sorted labels. Values with a comma in quotes stay whole.
fn parts(key: &str) -> (&str, Vec<String>) {
    let Some((name, rest)) = key.split_once('{') else { return (key, Vec::new()) };
    let mut labels = Vec::new();
    let (mut current, mut quoted, mut escaped) = (String::new(), false, false);
    for c in rest.trim_end_matches('}').chars() {
        match c {
            ',' if !quoted => labels.push(std::mem::take(&mut current)),
            _ => {
                quoted ^= c == '"' && !escaped;
                current.push(c);
            }
        }
        escaped = c == '\\' && !escaped;
    }
    if !current.is_empty() {
        labels.push(current);
    }
    labels.sort();
    (name, labels)
}
