//! What the answers of the metadata services mean.
//!
//! Sources: "Spot Instance interruption notices" of the EC2 user guide; "Preemptible VM instances" of Compute Engine;
//! "Scheduled Events for Linux VMs" of Azure.

use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::when::{http_date, rfc3339};

/// What is left when the source does not say when: what it promises at least.
const GCP_LEAVES: Duration = Duration::from_secs(30);
const AZURE_LEAVES: Duration = Duration::from_secs(30);

/// The machine is about to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Notice {
    /// What happens to it, in the source's words.
    pub(super) what: String,
    /// When it goes, or how long it stays; none: nobody says.
    when: Option<When>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    At(SystemTime),
    In(Duration),
}

impl Notice {
    /// The time that is left; none: nobody says.
    pub(super) fn left(&self, now: SystemTime) -> Option<Duration> {
        self.when.map(|when| match when {
            When::At(at) => at.duration_since(now).unwrap_or_default(),
            When::In(left) => left,
        })
    }
}

/// `spot/instance-action`: 404 while there is none.
pub(super) fn aws(status: u16, body: &[u8]) -> Result<Option<Notice>, String> {
    match status {
        404 => Ok(None),
        200 => {
            let value = json(body)?;
            let action = value["action"].as_str().ok_or("no `action` in it")?;
            let when = value["time"].as_str().and_then(rfc3339).map(When::At);
            Ok(Some(Notice { what: action.to_owned(), when }))
        }
        status => Err(format!("answered {status}")),
    }
}

/// `instance/preempted`: `TRUE` or `FALSE`.
pub(super) fn gcp(status: u16, body: &[u8]) -> Result<Option<Notice>, String> {
    match (status, body.trim_ascii()) {
        (200, b"FALSE") => Ok(None),
        (200, b"TRUE") => Ok(Some(Notice { what: "preempted".to_owned(), when: Some(When::In(GCP_LEAVES)) })),
        (200, _) => Err("neither TRUE nor FALSE".to_owned()),
        (status, _) => Err(format!("answered {status}")),
    }
}

/// `scheduledevents`: those that end this machine; the list may hold events of its neighbours.
pub(super) fn azure(status: u16, body: &[u8], machine: &str) -> Result<Option<Notice>, String> {
    if status != 200 {
        return Err(format!("answered {status}"));
    }
    let value = json(body)?;
    let events = value["Events"].as_array().ok_or("no `Events` in it")?;
    let ends_this = |event: &&Value| {
        let of_this =
            |resource: &Value| resource.as_str().is_some_and(|name| name.eq_ignore_ascii_case(machine));
        let resources = event["Resources"].as_array().map(Vec::as_slice).unwrap_or_default();
        matches!(event["EventType"].as_str(), Some("Preempt" | "Terminate")) && resources.iter().any(of_this)
    };
    Ok(events.iter().find(ends_this).map(|event| {
        let at = event["NotBefore"].as_str().and_then(http_date).map(When::At);
        let when = Some(at.unwrap_or(When::In(AZURE_LEAVES)));
        Notice { what: event["EventType"].as_str().unwrap_or_default().to_owned(), when }
    }))
}

/// A URL of the operator's own.
pub(super) fn url(status: u16, body: &[u8]) -> Result<Option<Notice>, String> {
    match status {
        204 | 404 => Ok(None),
        200 => {
            let time = serde_json::from_slice::<Value>(body).ok();
            let at = time.and_then(|value| value["time"].as_str().and_then(rfc3339));
            Ok(Some(Notice { what: "answered 200".to_owned(), when: at.map(When::At) }))
        }
        status => Err(format!("answered {status}")),
    }
}

fn json(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| format!("its answer is no JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    /// 2026-01-31T12:00:00Z.
    const NOW: u64 = 1_769_860_800;

    /// What happens and how many seconds are left; none where nobody says.
    type Seen = Result<Option<(String, Option<u64>)>, ()>;

    fn seen(outcome: Result<Option<Notice>, String>) -> Seen {
        let now = UNIX_EPOCH + Duration::from_secs(NOW);
        let tell = |notice: Notice| (notice.what.clone(), notice.left(now).map(|left| left.as_secs()));
        outcome.map(|notice| notice.map(tell)).map_err(drop)
    }

    fn told(what: &str, left: Option<u64>) -> Seen {
        Ok(Some((what.to_owned(), left)))
    }

    #[test]
    fn instance_actions() {
        for (status, body, expect) in [
            (404, "", Ok(None)),
            (200, r#"{"action": "terminate", "time": "2026-01-31T12:02:00Z"}"#, told("terminate", Some(120))),
            (200, r#"{"action": "stop", "time": "2026-01-31T11:59:00Z"}"#, told("stop", Some(0))),
            (200, r#"{"action": "hibernate", "time": "soon"}"#, told("hibernate", None)),
            (200, "{}", Err(())),
            (200, "<html>", Err(())),
            (401, "", Err(())),
            (503, "", Err(())),
        ] {
            assert_eq!(seen(aws(status, body.as_bytes())), expect, "{status} {body}");
        }
    }

    #[test]
    fn preemption() {
        for (status, body, expect) in [
            (200, "FALSE", Ok(None)),
            (200, "TRUE\n", told("preempted", Some(30))),
            (200, "maybe", Err(())),
            (404, "", Err(())),
        ] {
            assert_eq!(seen(gcp(status, body.as_bytes())), expect, "{status} {body}");
        }
    }

    #[test]
    fn scheduled_events() {
        let event = |kind: &str, at: &str, of: &str| {
            format!(
                r#"{{"DocumentIncarnation":1,"Events":[{{"EventId":"e","EventType":"{kind}","ResourceType":"VirtualMachine",
                "Resources":["other","{of}"],"EventStatus":"Scheduled","NotBefore":"{at}","EventSource":"Platform"}}]}}"#
            )
        };
        let soon = "Sat, 31 Jan 2026 12:00:40 GMT";
        for (body, expect) in [
            (r#"{"DocumentIncarnation":1,"Events":[]}"#.to_owned(), Ok(None)),
            (event("Preempt", soon, "me"), told("Preempt", Some(40))),
            (event("Preempt", "", "ME"), told("Preempt", Some(30))),
            (event("Terminate", soon, "me"), told("Terminate", Some(40))),
            (event("Freeze", soon, "me"), Ok(None)),
            (event("Reboot", soon, "me"), Ok(None)),
            (event("Preempt", soon, "neighbour"), Ok(None)),
            ("{}".to_owned(), Err(())),
        ] {
            assert_eq!(seen(azure(200, body.as_bytes(), "me")), expect, "{body}");
        }
        assert_eq!(seen(azure(429, b"", "me")), Err(()));
    }

    #[test]
    fn notices_of_ones_own() {
        for (status, body, expect) in [
            (204, "", Ok(None)),
            (404, "nothing", Ok(None)),
            (200, "", told("answered 200", None)),
            (200, r#"{"time":"2026-01-31T12:01:00Z"}"#, told("answered 200", Some(60))),
            (500, "", Err(())),
            (302, "", Err(())),
        ] {
            assert_eq!(seen(url(status, body.as_bytes())), expect, "{status} {body}");
        }
    }
}
