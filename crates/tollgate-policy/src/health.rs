//! What checks say of a target: some in a row must agree before anything changes.

use tollgate_plan::resilience::HealthCheck;

/// A target as its checks see it. A new one is healthy until they say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    healthy: bool,
    /// Checks in a row that said the opposite.
    against: u32,
}

impl Default for Health {
    fn default() -> Self {
        Health { healthy: true, against: 0 }
    }
}

impl Health {
    /// Whether requests may be sent to the target.
    pub fn is_healthy(&self) -> bool {
        self.healthy
    }

    /// Takes the outcome of a check. Whether it changed anything.
    pub fn observed(&mut self, good: bool, rules: &HealthCheck) -> bool {
        if good == self.healthy {
            self.against = 0;
            return false;
        }
        self.against = self.against.saturating_add(1);
        let enough = if good { rules.healthy_after } else { rules.unhealthy_after };
        if self.against < enough {
            return false;
        }
        *self = Health { healthy: good, against: 0 };
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tollgate_plan::resilience::Probe;

    use super::*;

    /// `+` a good check, `-` a bad one; `u` healthy (up) after it, `d` not.
    #[track_caller]
    fn check(healthy_after: u32, unhealthy_after: u32, checks: &str, expect: &str) {
        let time = Duration::from_secs(1);
        let rules =
            HealthCheck { probe: Probe::Tcp, every: time, timeout: time, healthy_after, unhealthy_after };
        let mut health = Health::default();
        let mut last = true;
        let got: String = checks
            .chars()
            .map(|check| {
                let changed = health.observed(check == '+', &rules);
                assert_eq!(changed, health.is_healthy() != last, "a change is told once");
                last = health.is_healthy();
                if last { 'u' } else { 'd' }
            })
            .collect();
        assert_eq!(got, expect, "{checks}");
    }

    #[test]
    fn so_many_in_a_row_change_it() {
        check(2, 3, "+++", "uuu");
        check(2, 3, "---", "uud");
        check(2, 3, "--+---", "uuuuud");
        check(2, 3, "---++", "uuddu");
        check(2, 3, "---+-++", "uuddddu");
        check(1, 1, "-+-+", "dudu");
    }

    #[test]
    fn rules_that_become_stricter_count_from_where_they_are() {
        check(3, 1, "-++-+++", "ddddddu");
    }
}
