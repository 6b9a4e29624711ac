//! Writes metrics as Prometheus text 0.0.4 or as OpenMetrics 1.0.
//!
//! The two differ little: OpenMetrics names a counter's family without `_total` and ends with `# EOF`.
//! Sources: Prometheus "Exposition formats"; OpenMetrics 1.0, section "Text format".

use std::fmt::{Display, Write};

use tollgate_proxy::Histogram;

use super::{Kind, Metric};

/// One of the two text formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Prometheus,
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header prefers; Prometheus text when it does not care.
    pub(crate) fn from_accept(accept: &str) -> Format {
        let (mut open, mut plain) = (0.0, 0.0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts
                .find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")))
                .map_or(1.0, |text| text.parse::<f64>().unwrap_or(0.0));
            match kind.as_str() {
                "application/openmetrics-text" => open = quality.max(open),
                "text/plain" | "text/*" => plain = quality.max(plain),
                _ => {}
            }
        }
        if open > plain { Format::OpenMetrics } else { Format::Prometheus }
    }

    /// The answer's `Content-Type`.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes one answer, family by family.
pub(super) struct Writer {
    format: Format,
    out: String,
    metric: Option<&'static Metric>,
}

impl Writer {
    pub(super) fn new(format: Format) -> Writer {
        Writer { format, out: String::with_capacity(16 * 1024), metric: None }
    }

    /// Begins a family; the samples that follow belong to it.
    pub(super) fn family(&mut self, metric: &'static Metric) -> &mut Writer {
        let name = match self.format {
            Format::OpenMetrics if metric.kind == Kind::Counter => {
                metric.name.strip_suffix("_total").unwrap_or(metric.name)
            }
            _ => metric.name,
        };
        let help = escape(metric.help, self.format == Format::OpenMetrics);
        // Writing into a String cannot fail, here and below.
        let _ = writeln!(self.out, "# HELP {name} {help}\n# TYPE {name} {}", metric.kind.as_str());
        self.metric = Some(metric);
        self
    }

    /// One sample; `values` are those of the metric's labels, in order.
    pub(super) fn sample(&mut self, values: &[&str], value: impl Display) -> &mut Writer {
        self.line("", values, None, value);
        self
    }

    /// The samples of one histogram.
    pub(super) fn histogram(&mut self, values: &[&str], histogram: &Histogram) {
        for (bound, count) in histogram.cumulative() {
            self.line("_bucket", values, Some(bound), count);
        }
        self.line("_sum", values, None, histogram.sum_seconds());
        self.line("_count", values, None, histogram.count());
    }

    pub(super) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }

    fn line(&mut self, suffix: &str, values: &[&str], bound: Option<&str>, value: impl Display) {
        let Some(metric) = self.metric else { return };
        debug_assert_eq!(metric.labels.len(), values.len(), "labels of {}", metric.name);
        self.out.push_str(metric.name);
        self.out.push_str(suffix);
        let labels = metric.labels.iter().copied().zip(values.iter().copied());
        let mut separator = '{';
        for (label, value) in labels.chain(bound.map(|bound| ("le", bound))) {
            let _ = write!(self.out, "{separator}{label}=\"{}\"", escape(value, true));
            separator = ',';
        }
        if separator == ',' {
            self.out.push('}');
        }
        let _ = writeln!(self.out, " {value}");
    }
}

/// Escapes backslash and line feed, and the quote where a quote would end the text.
fn escape(text: &str, quotes: bool) -> std::borrow::Cow<'_, str> {
    if !text.contains(['\\', '\n', '"']) {
        return text.into();
    }
    let escaped = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quotes { escaped.replace('"', "\\\"").into() } else { escaped.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_that_accept_prefers() {
        use Format::{OpenMetrics, Prometheus};
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;\
                            q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, expect) in [
            ("", Prometheus),
            ("*/*", Prometheus),
            ("text/plain", Prometheus),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Prometheus),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; version=1.0.0; charset=utf-8", OpenMetrics),
            (prometheus_2, OpenMetrics),
            ("application/openmetrics-text;q=0.4,text/plain;q=0.6", Prometheus),
            ("application/openmetrics-text;q=0", Prometheus),
            ("application/openmetrics-text;q=nonsense", Prometheus),
        ] {
            assert_eq!(Format::from_accept(accept), expect, "{accept}");
        }
    }

    #[test]
    fn label_values_and_help_are_escaped() {
        assert_eq!(escape("plain", true), "plain");
        assert_eq!(escape("a\\b\n\"c\"", true), "a\\\\b\\n\\\"c\\\"");
        assert_eq!(escape("a\\b\n\"c\"", false), "a\\\\b\\n\"c\"");
    }
}
