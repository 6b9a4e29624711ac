//! `/api/v1/requests`: the last access records, those that fit a filter, as a list or as they come.

use std::time::Duration;

use serde_json::Value;
use tollgate_plan::query;
use tollgate_proxy::Records;

use crate::problem::Problem;
use axum::http::StatusCode;

/// Records of one answer, when nothing is said and at most.
const LIMIT: (usize, usize) = (100, 1_000);

/// Fields that are compared as they are.
const EXACT: &[&str] =
    &["id", "client", "method", "host", "route", "reason", "upstream", "target", "consumer", "cache", "http"];

/// What the query of a request asks for.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Filter {
    exact: Vec<(&'static str, String)>,
    /// The first and the last status that fit.
    status: Option<(u64, u64)>,
    /// How the path begins.
    path: Option<String>,
    /// The shortest duration.
    min: Option<Duration>,
    /// How many records are told at most.
    pub(crate) limit: usize,
    /// Whether they are told as they come.
    pub(crate) follow: bool,
}

impl Filter {
    /// Reads a query: `status=5xx&route=orders&min_ms=100&limit=10`. What it does not know is an error: a filter that
    /// is ignored would show what was not asked for.
    pub(crate) fn parse(raw: &str) -> Result<Filter, Problem> {
        let mut filter = Filter { limit: LIMIT.0, ..Filter::default() };
        for pair in query::pairs(raw.as_bytes()) {
            let (name, value) = (pair.decoded_name(), pair.decoded());
            let name = String::from_utf8_lossy(&name).into_owned();
            let value = String::from_utf8_lossy(&value).into_owned();
            let bad = |wanted: &str| Err(bad_query(format!("`{name}` must be {wanted}")));
            match name.as_str() {
                "follow" => match value.as_str() {
                    "" | "1" | "true" => filter.follow = true,
                    "0" | "false" => filter.follow = false,
                    _ => return bad("true or false"),
                },
                "limit" => match value.parse() {
                    Ok(limit) if (1..=LIMIT.1).contains(&limit) => filter.limit = limit,
                    _ => return bad("from 1 to 1000"),
                },
                "status" => match statuses(&value) {
                    Some(range) => filter.status = Some(range),
                    None => {
                        return bad("a status such as 404, a class such as 5xx, or a range such as 400-499");
                    }
                },
                "min_ms" => match value.parse::<u32>() {
                    Ok(milliseconds) => filter.min = Some(Duration::from_millis(milliseconds.into())),
                    Err(_) => return bad("a whole number of milliseconds"),
                },
                "path" => filter.path = Some(value),
                name => match EXACT.iter().find(|field| **field == name) {
                    Some(field) => filter.exact.push((field, value)),
                    None => {
                        let known = EXACT.join(", ");
                        let detail = format!(
                            "unknown parameter; there are status, path, min_ms, limit, follow, {known}"
                        );
                        return Err(bad_query(detail));
                    }
                },
            }
        }
        Ok(filter)
    }

    /// Whether a line of the access log is asked for.
    pub(crate) fn fits(&self, line: &str) -> bool {
        if self.exact.is_empty() && self.status.is_none() && self.path.is_none() && self.min.is_none() {
            return true;
        }
        let Ok(record) = serde_json::from_str::<Value>(line) else { return false };
        let text = |field: &str| record.get(field).and_then(Value::as_str).unwrap_or_default();
        let status = record.get("status").and_then(Value::as_u64).unwrap_or_default();
        let duration = record.get("duration_ms").and_then(Value::as_f64).unwrap_or_default();
        self.exact.iter().all(|(field, wanted)| text(field) == wanted)
            && self.status.is_none_or(|(first, last)| (first..=last).contains(&status))
            && self.path.as_ref().is_none_or(|path| text("path").starts_with(path))
            && self.min.is_none_or(|min| duration >= min.as_secs_f64() * 1e3)
    }
}

/// The records of all workers that fit, the latest first: `{"workers_missing": 0, "requests": […]}`.
pub(crate) fn list(records: &Records, filter: &Filter) -> String {
    let Records { workers, missing } = records;
    let lines = workers.iter().flat_map(|lines| str::from_utf8(lines).unwrap_or_default().lines());
    let mut lines: Vec<&str> = lines.collect();
    // Every line begins with its time, of always the same length. Of one millisecond, a worker's last one is the latest.
    lines.reverse();
    lines.sort_by(|a, b| time(b).cmp(time(a)));
    let found: Vec<&str> = lines.into_iter().filter(|line| filter.fits(line)).take(filter.limit).collect();
    format!("{{\"workers_missing\":{missing},\"requests\":[{}]}}", found.join(",\n"))
}

/// `{"time":"2026-11-22T11:30:19.123Z"`.
fn time(line: &str) -> &str {
    line.split(',').next().unwrap_or_default()
}

/// `404`, `5xx` or `400-499`.
fn statuses(text: &str) -> Option<(u64, u64)> {
    if let Some(class) = text.strip_suffix("xx") {
        let class: u64 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last <= 999).then_some((first, last))
}

fn bad_query(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_query", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = concat!(
        "{\"time\":\"2026-11-22T11:30:19.100Z\",\"id\":\"a\",\"method\":\"GET\",\"path\":\"/orders/1\",\"route\":\"orders\",\"status\":200,\"duration_ms\":1.500}\n",
        "{\"time\":\"2026-11-22T11:30:19.300Z\",\"id\":\"c\",\"method\":\"POST\",\"path\":\"/orders\",\"route\":\"orders\",\"status\":502,\"duration_ms\":250.000}\n",
    );
    const OTHERS: &str = "{\"time\":\"2026-11-22T11:30:19.200Z\",\"id\":\"b\",\"method\":\"GET\",\"path\":\"/x\",\"route\":null,\"status\":404,\"duration_ms\":0.100}\n";

    fn ids(query: &str) -> Vec<String> {
        let filter = Filter::parse(query).unwrap_or_else(|problem| panic!("{query}: {problem:?}"));
        let records = Records { workers: vec![LINES.into(), OTHERS.into()], missing: 1 };
        let found: Value = serde_json::from_str(&list(&records, &filter)).expect("the list is JSON");
        assert_eq!(found["workers_missing"], 1);
        let records = found["requests"].as_array().expect("a list");
        records.iter().map(|record| record["id"].as_str().expect("an id").to_owned()).collect()
    }

    #[test]
    fn the_latest_come_first_and_filters_hold_all_together() {
        for (query, expect) in [
            ("", "cba"),
            ("limit=2", "cb"),
            ("status=404", "b"),
            ("status=4xx", "b"),
            ("status=400-599", "cb"),
            ("route=orders", "ca"),
            ("route=orders&method=GET", "a"),
            ("path=%2Forders", "ca"),
            ("min_ms=2", "c"),
            ("id=a&id=b", ""),
            ("follow=false", "cba"),
        ] {
            assert_eq!(ids(query).concat(), expect, "{query}");
        }
    }

    #[test]
    fn what_it_does_not_know_is_an_error() {
        for query in [
            "stauts=404",
            "status=x",
            "status=9xx",
            "status=5-4",
            "limit=0",
            "limit=1001",
            "min_ms=-1",
            "follow=no",
        ] {
            assert!(Filter::parse(query).is_err(), "{query}");
        }
    }

    #[test]
    fn it_may_be_followed() {
        assert!(Filter::parse("follow").is_ok_and(|filter| filter.follow));
        assert!(Filter::parse("follow=1&status=5xx").is_ok_and(|filter| filter.follow));
    }
}
