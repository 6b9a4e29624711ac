//! What to do about targets that fail: trying again, leaving them out, asking them how they are.

use std::time::Duration;

use tollgate_wire::Method;

/// Trying again, elsewhere if possible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Attempts after the first one of a request.
    pub attempts: u32,
    /// What is worth another attempt.
    pub on: RetryOn,
    /// Whose requests may be repeated once they were sent.
    pub methods: RetryMethods,
    /// Share of the requests, in percent, that may be retries.
    pub budget_percent: u32,
    /// About so long before the first retry; it doubles with each.
    pub backoff: Duration,
}

/// What is worth another attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RetryOn {
    /// No connection could be made; nothing was sent.
    pub connect: bool,
    /// The connection ended before the head of an answer.
    pub reset: bool,
    /// No head of an answer in time.
    pub timeout: bool,
    /// The answer is not HTTP.
    pub protocol: bool,
    /// Answers with these.
    pub statuses: StatusSet,
}

/// Whose requests may be sent twice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryMethods {
    /// Those of RFC 9110 section 9.2.2.
    Idempotent,
    /// These.
    Listed(Box<[Method]>),
}

impl RetryMethods {
    /// Whether a request with this method may be sent twice.
    pub fn allow(&self, method: &Method) -> bool {
        match self {
            RetryMethods::Idempotent => method.is_idempotent(),
            RetryMethods::Listed(methods) => methods.contains(method),
        }
    }
}

/// Asking each target how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// What is asked.
    pub probe: Probe,
    /// Between the beginnings of two checks, about.
    pub every: Duration,
    /// For the whole check.
    pub timeout: Duration,
    /// Good checks in a row that make a target healthy again.
    pub healthy_after: u32,
    /// Bad checks in a row that make it unhealthy.
    pub unhealthy_after: u32,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// GET of this path; the head of the answer decides.
    Http {
        /// Behind the target's own prefix; with a query, perhaps.
        path: Box<str>,
        /// Answers that are good.
        success: StatusSet,
    },
    /// A connection can be made.
    Tcp,
}

/// Leaving out a target that fails one request after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlier {
    /// So many failures in a row are too many.
    pub consecutive_failures: u32,
    /// For so long it is left out.
    pub eject: Duration,
    /// Share of the targets, in percent, that may be left out at the same time; rounded down.
    pub max_ejected_percent: u32,
}

/// Sparing an upstream that fails as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Share of failures, in percent, that opens it.
    pub failure_percent: u32,
    /// Fewer attempts than this in the window decide nothing.
    pub min_requests: u32,
    /// The time over which attempts are counted.
    pub window: Duration,
    /// For so long nothing passes.
    pub open: Duration,
    /// Then so many may try; it closes when they all succeed.
    pub half_open_requests: u32,
}

/// A set of statuses: ranges, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusSet(pub Box<[(u16, u16)]>);

impl StatusSet {
    /// One range, both ends included.
    pub fn range(from: u16, to: u16) -> StatusSet {
        StatusSet([(from, to)].into())
    }

    /// Whether `status` is one of them.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_in_one_of_the_ranges_or_in_none() {
        let set = StatusSet([(500, 500), (502, 504)].into());
        let found: Vec<u16> = (0..1000).filter(|status| set.contains(*status)).collect();
        assert_eq!(found, [500, 502, 503, 504]);
        assert!(!StatusSet::default().contains(500));
    }
}
