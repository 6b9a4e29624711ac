//! What to do about targets that fail: each block as it is, off where it is absent.

use tollgate_plan::resilience::{
    CircuitBreaker, HealthCheck, Outlier, Probe, Retry, RetryMethods, RetryOn, StatusSet,
};

use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, OneOrMany, Slot};
use crate::spec::{self, CheckedPath, RetryCause, Statuses};

pub(super) fn retry(slot: &Slot<spec::Retry>, report: &mut Report) -> Option<Retry> {
    let block = slot.value()?;
    for (name, key, none) in [
        ("on", block.on.key(), block.on().0.is_empty()),
        (
            "methods",
            block.methods.key(),
            matches!(&block.methods().0, RetryMethods::Listed(listed) if listed.is_empty()),
        ),
    ] {
        let Some(key) = key.filter(|_| none) else { continue };
        let message = format!("nothing is tried again: `{name}` is empty");
        let finding = Finding::warning(Code::NoEffect, key, message);
        report.push(finding.hint(format!("leave `{name}` out for the default, or leave `retry` out")));
    }
    let mut on = RetryOn::default();
    let mut statuses = Vec::new();
    for At { value, .. } in &block.on().0 {
        match value {
            RetryCause::Connect => on.connect = true,
            RetryCause::Reset => on.reset = true,
            RetryCause::Timeout => on.timeout = true,
            RetryCause::Protocol => on.protocol = true,
            RetryCause::Status(Statuses(from, to)) => statuses.push((*from, *to)),
        }
    }
    on.statuses = StatusSet(statuses.into());
    Some(Retry {
        attempts: block.attempts().0 as u32,
        on,
        methods: block.methods().0,
        budget_percent: block.budget().0,
        backoff: block.backoff().0,
    })
}

pub(super) fn health_check(slot: &Slot<spec::HealthCheck>, report: &mut Report) -> Option<HealthCheck> {
    let block = slot.value()?;
    let probe = if block.tcp() {
        for (name, key) in [("path", block.path.key()), ("status", block.status.key())] {
            let Some(key) = key else { continue };
            let message = format!("`{name}` and `tcp: true` contradict each other");
            let hint = format!("a check by TCP asks for nothing: remove `tcp`, or remove `{name}`");
            report.push(Finding::error(Code::Conflict, key, message).hint(hint));
        }
        Probe::Tcp
    } else {
        let CheckedPath(path) = block.path();
        needs_status(&block.status, "status", "no answer would be a good one", report);
        Probe::Http { path: path.into(), success: status_set(&block.status()) }
    };
    Some(HealthCheck {
        probe,
        every: block.every().0,
        timeout: block.timeout().0,
        healthy_after: block.healthy_after().0 as u32,
        unhealthy_after: block.unhealthy_after().0 as u32,
    })
}

pub(super) fn outlier(slot: &Slot<spec::Outlier>, targets: usize, report: &mut Report) -> Option<Outlier> {
    let block = slot.value()?;
    let percent = block.max_ejected().0;
    if let Some(key) =
        slot.key().filter(|_| targets < 2 || (targets as u64).saturating_mul(percent.into()) < 100)
    {
        let message = match targets {
            1 => "`outlier` changes nothing: the last target is never left out, and there is only one"
                .to_owned(),
            _ => format!("`outlier` changes nothing: {percent}% of {targets} targets, rounded down, is none"),
        };
        report.push(Finding::warning(Code::NoEffect, key, message));
    }
    Some(Outlier {
        consecutive_failures: block.consecutive_failures().0 as u32,
        eject: block.eject().0,
        max_ejected_percent: percent,
    })
}

pub(super) fn circuit_breaker(slot: &Slot<spec::CircuitBreaker>) -> Option<CircuitBreaker> {
    let block = slot.value()?;
    Some(CircuitBreaker {
        failure_percent: block.failure_rate().0,
        min_requests: block.min_requests().0 as u32,
        window: block.window().0,
        open: block.open().0,
        half_open_requests: block.half_open_requests().0 as u32,
    })
}

/// Statuses of which one has to be good.
pub(super) fn needs_status(slot: &Slot<OneOrMany<Statuses>>, name: &str, why: &str, report: &mut Report) {
    if let Some(At { span, .. }) = slot.given().filter(|list| list.value.0.is_empty()) {
        let finding = Finding::error(Code::BadValue, *span, format!("`{name}` is empty: {why}"));
        report.push(finding.hint(format!(
            "write a status or a range such as `200-299`, or leave `{name}` out for the default"
        )));
    }
}

pub(super) fn status_set(OneOrMany(statuses): &OneOrMany<Statuses>) -> StatusSet {
    StatusSet(statuses.iter().map(|At { value: Statuses(from, to), .. }| (*from, *to)).collect())
}
