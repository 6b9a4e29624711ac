//! What to do about targets that fail.

use serde_json::{Value, json};
use tollgate_plan::resilience::RetryMethods;

use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{
    Catalogue, Description, Int, List, OneOrMany, Percent, Seconds, Shape, Verb, choose, or_expansion, shown,
    text, wrong_type,
};
use crate::yaml::{Core, NodeRef};

block! {
    /// Trying again, on another target where one is left. Only what is safe: nothing was sent yet, or the method
    /// allows it; and what was sent of a body is at most 64 KiB, which are kept for this.
    "retry" Retry {
        /// Attempts after the first one.
        attempts: Int<0, 10> = Int(1);
        /// What is worth another attempt: `connect` (no connection, so nothing was sent), `reset`, `timeout`, `protocol`
        /// (the answer is not HTTP), and statuses such as `503` or `502-504`.
        on: List<RetryCause> = List::of(RetryCause::DEFAULT);
        /// Whose requests may be sent twice: `idempotent` (GET, HEAD, OPTIONS, PUT, DELETE), or a list of methods.
        methods: Methods = Methods(RetryMethods::Idempotent);
        /// Share of the last 10 s of requests that may be retries; at least 3 a second are allowed.
        budget: Percent<0> = Percent(20);
        /// About so long before the first retry; it doubles with each.
        backoff: Seconds<0, 60_000> = Seconds::millis(25);
    }
}

block! {
    /// Asking each target how it is. An unhealthy one gets no requests.
    "health_check" HealthCheck {
        /// Path, and query perhaps, of the GET that is sent; behind the path of the target's URL.
        path: CheckedPath = CheckedPath("/health".to_owned());
        /// Only makes a connection, and sends nothing.
        tcp: bool = false;
        /// From one check to the next; it varies by a tenth, so that gateways do not check in step.
        every: Seconds<10> = Seconds::of(5);
        /// For the whole check.
        timeout: Seconds<1> = Seconds::of(1);
        /// Good checks in a row that make a target healthy again.
        healthy_after: Int<1, 1000> = Int(2);
        /// Bad checks in a row that make it unhealthy.
        unhealthy_after: Int<1, 1000> = Int(3);
        /// Answers that are good, such as `200` or `200-399`.
        status: OneOrMany<Statuses> = OneOrMany::of([Statuses(200, 399)]);
    }
}

block! {
    /// Leaving out a target that fails one request after the other.
    "outlier" Outlier {
        /// So many failures in a row are too many.
        consecutive_failures: Int<1, 1_000_000> = Int(5);
        /// For so long it gets no requests.
        eject: Seconds<1> = Seconds::of(30);
        /// Share of the targets that may be left out at the same time, rounded down; the last one never is.
        max_ejected: Percent<1> = Percent(50);
    }
}

block! {
    /// Sparing an upstream that fails as a whole: requests are 503 `circuit_open` at once.
    "circuit_breaker" CircuitBreaker {
        /// Share of failures that opens it.
        failure_rate: Percent<1> = Percent(50);
        /// Fewer attempts than this in the window decide nothing.
        min_requests: Int<1, 1_000_000> = Int(20);
        /// The time over which attempts are counted.
        window: Seconds<100> = Seconds::of(10);
        /// For so long nothing passes.
        open: Seconds<1> = Seconds::of(10);
        /// Then so many may try; when they all succeed it closes, when one fails it opens again.
        half_open_requests: Int<1, 10_000> = Int(3);
    }
}

/// What is worth another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryCause {
    Connect,
    Reset,
    Timeout,
    Protocol,
    Status(Statuses),
}

impl RetryCause {
    const WORDS: &[(&str, RetryCause)] = &[
        ("connect", RetryCause::Connect),
        ("reset", RetryCause::Reset),
        ("timeout", RetryCause::Timeout),
        ("protocol", RetryCause::Protocol),
    ];

    const DEFAULT: [RetryCause; 5] = [
        RetryCause::Connect,
        RetryCause::Reset,
        RetryCause::Status(Statuses(502, 502)),
        RetryCause::Status(Statuses(503, 503)),
        RetryCause::Status(Statuses(504, 504)),
    ];
}

impl Shape for RetryCause {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let digit = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
        if node.scalar().is_some_and(|scalar| digit(&scalar.text)) {
            return Statuses::read(node, what, report).map(RetryCause::Status);
        }
        choose(node, what, Self::WORDS, report)
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let words: Vec<&str> = Self::WORDS.iter().map(|(word, _)| *word).collect();
        let label = format!("`{}` or status", words.join("`, `"));
        let status = Statuses::describe(catalogue).schema;
        Description::new(label, json!({ "anyOf": [{ "enum": words }, status] }))
    }

    fn show(&self) -> Value {
        match self {
            RetryCause::Status(status) => status.show(),
            word => Self::WORDS
                .iter()
                .find(|(_, cause)| cause == word)
                .map_or(Value::Null, |(word, _)| (*word).into()),
        }
    }
}

/// Whose requests may be sent twice.
#[derive(Debug, Clone)]
pub(crate) struct Methods(pub(crate) RetryMethods);

impl Shape for Methods {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if node.items().is_some() {
            let List(verbs) = List::<Verb>::read(node, what, report)?;
            let methods = verbs.into_iter().map(|verb| verb.value.0);
            return Some(Methods(RetryMethods::Listed(methods.collect())));
        }
        let scalar = text(node, what, report)?;
        if &*scalar.text == "idempotent" {
            return Some(Methods(RetryMethods::Idempotent));
        }
        let message =
            format!("`{what}` must be `idempotent` or a list of methods, found `{}`", shown(node, report));
        report.push(
            Finding::error(Code::BadValue, node.span(), message).hint("write `idempotent`, or `[GET, POST]`"),
        );
        None
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let list = List::<Verb>::describe(catalogue);
        let word = or_expansion(json!({ "const": "idempotent" }));
        Description::new("`idempotent` or a list of methods", json!({ "anyOf": [word, list.schema] }))
    }

    fn show(&self) -> Value {
        "idempotent".into()
    }
}

/// Statuses from one to another, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Statuses(pub(crate) u16, pub(crate) u16);

impl Statuses {
    fn parse(text: &str) -> Option<Statuses> {
        let status = |text: &str| {
            let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|status| digits && (100..=599).contains(status))
        };
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let (from, to) = (status(from)?, status(to)?);
        (from <= to).then_some(Statuses(from, to))
    }
}

impl Shape for Statuses {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let Some(scalar) =
            node.scalar().filter(|scalar| !matches!(scalar.core(), Core::Null | Core::Bool(_)))
        else {
            wrong_type(node, what, "a status such as `503`, or a range such as `500-599`", report);
            return None;
        };
        if scalar.unknown {
            return None;
        }
        let parsed = Statuses::parse(&scalar.text);
        if parsed.is_none() {
            let message = format!("`{}` is no status and no range of statuses", shown(node, report));
            let hint = "write `503`, or `500-599`; statuses are from 100 to 599";
            report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        }
        parsed
    }

    fn describe(_: &mut Catalogue) -> Description {
        let one = json!({ "type": "integer", "minimum": 100, "maximum": 599 });
        let range = json!({ "type": "string", "pattern": "^[1-5][0-9][0-9](-[1-5][0-9][0-9])?$" });
        Description::new("status", or_expansion(json!({ "anyOf": [one, range] })))
    }

    fn show(&self) -> Value {
        if self.0 == self.1 { self.0.into() } else { format!("{}-{}", self.0, self.1).into() }
    }
}

/// The path of a health check: sent as it is written.
#[derive(Debug, Clone)]
pub(crate) struct CheckedPath(pub(crate) String);

impl Shape for CheckedPath {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
        if scalar.text.starts_with('/') && scalar.text.bytes().all(plain) {
            return Some(CheckedPath(scalar.text.to_string()));
        }
        let message = format!("`{}` is no path that can be asked for", shown(node, report));
        let hint = "it begins with `/` and holds no spaces; write others percent-encoded";
        report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("path", or_expansion(json!({ "type": "string", "pattern": "^/[!-\"$-~]*$" })))
    }

    fn show(&self) -> Value {
        self.0.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses() {
        for (text, expect) in [
            ("503", Some((503, 503))),
            ("500-599", Some((500, 599))),
            ("100-100", Some((100, 100))),
            ("599-500", None),
            ("99", None),
            ("600", None),
            ("500-600", None),
            ("5xx", None),
            ("+503", None),
            ("0503", None),
            ("500 - 599", None),
            ("500-", None),
            ("-500", None),
            ("", None),
        ] {
            assert_eq!(Statuses::parse(text), expect.map(|(from, to)| Statuses(from, to)), "{text}");
        }
    }
}
