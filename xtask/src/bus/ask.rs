//! What is asked of a bus and of the central, and what must come back.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::stack::Stack;
use crate::replay::client::{Answer, Client};
use crate::replay::interrupt::{not_interrupted, pause};

/// People who ask, each with a token of their own.
const TOKENS: usize = 8;

/// How long it may take until an answer is what it has to be, after something was started or ended.
const PATIENCE: Duration = Duration::from_secs(20);

/// What stands in the answer of bus 1, of each of its four devices; and what must not, which the route takes out.
const HELD: [&str; 9] = [
    "\"position\":{",
    "\"speed_kmh\":31",
    "\"vehicle\":{",
    "\"plate\":\"W-101 FW\"",
    "\"seats\":{",
    "\"all\":40",
    "\"driver\":{",
    "\"name\":\"Ada\"",
    "\"since\":\"06:00\"",
];
const WITHHELD: [&str; 2] = ["phone", "driver_id"];

/// The buses as the central calls them, with their drivers.
const BUSES: [(&str, &str); 3] = [
    ("http://127.0.0.1:8100", "Ada"),
    ("http://127.0.0.1:8200", "Grace"),
    ("http://127.0.0.1:8300", "Barbara"),
];

/// GET of a path with each of some tokens.
pub(super) fn requests(stack: &Stack, path: &str) -> Result<Vec<Vec<u8>>> {
    let with =
        |token: String| format!("GET {path} HTTP/1.1\r\nHost: bus\r\nAuthorization: Bearer {token}\r\n\r\n");
    Ok(stack.tokens(TOKENS)?.into_iter().map(|token| with(token).into_bytes()).collect())
}

/// Waits until an answer is right.
pub(super) fn wait_right(
    what: &str,
    port: u16,
    requests: &[Vec<u8>],
    right: fn(&Answer) -> bool,
) -> Result<()> {
    let begun = Instant::now();
    let mut client = Client::new(port);
    for request in requests.iter().cycle() {
        not_interrupted()?;
        if client.send(request).is_ok_and(|answer| right(&answer)) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            break;
        }
        pause(Duration::from_millis(50));
    }
    bail!("{what} is not as it has to be after {PATIENCE:?}")
}

/// Whether it is bus 1, with all four devices in it.
pub(super) fn bus_is_whole(answer: &Answer) -> bool {
    let body = std::str::from_utf8(&answer.body).unwrap_or_default();
    answer.status == 200
        && is_completed(answer)
        && HELD.iter().all(|held| body.contains(held))
        && !WITHHELD.iter().any(|word| body.contains(word))
}

/// Whether all three buses are there, with their devices.
pub(super) fn fleet_is_whole(answer: &Answer) -> bool {
    is_completed(answer) && fleet_has(answer, |_| None)
}

/// Whether bus 3 does not answer in time, and the others are there.
pub(super) fn third_is_silent(answer: &Answer) -> bool {
    !is_completed(answer) && fleet_has(answer, |bus| (bus == 2).then_some("upstream_timeout"))
}

/// Whether nobody is where bus 3 was, and the others are there.
pub(super) fn third_is_gone(answer: &Answer) -> bool {
    !is_completed(answer) && fleet_has(answer, |bus| (bus == 2).then_some("upstream_connect"))
}

fn is_completed(answer: &Answer) -> bool {
    answer.header("x-tollgate-completed") == Some("true")
}

/// Whether each bus has its driver and its seats, or the error that it has to have.
fn fleet_has(answer: &Answer, error: impl Fn(usize) -> Option<&'static str>) -> bool {
    let seen: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    answer.status == 200
        && seen["operator"] == "Foggy Whale Lines"
        && BUSES.iter().enumerate().all(|(at, (url, driver))| {
            let bus = &seen["buses"][*url];
            match error(at) {
                Some(error) => bus["error"] == error,
                None => {
                    let body = &bus["body"];
                    bus["status"] == 200 && body["driver"]["name"] == *driver && body["seats"]["all"] == 40
                }
            }
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const BUS: &str = "{\"position\":{\"lat\":48.2,\"lon\":16.3,\"speed_kmh\":31},\"vehicle\":{\"name\":\"Bus 1\",\
        \"plate\":\"W-101 FW\"},\"seats\":{\"all\":40,\"taken\":7},\"driver\":{\"name\":\"Ada\",\"since\":\"06:00\"}}";

    fn answer(status: u16, completed: bool, body: &str) -> Answer {
        let head = format!("HTTP/1.1 {status} X\r\nX-Tollgate-Completed: {completed}\r\n\r\n");
        Answer { status, head, bytes: body.len() as u64, body: body.as_bytes().to_vec() }
    }

    #[test]
    fn a_bus_is_whole_or_it_is_not() {
        assert!(bus_is_whole(&answer(200, true, BUS)));
        assert!(!bus_is_whole(&answer(401, true, BUS)));
        assert!(!bus_is_whole(&answer(200, false, BUS)));
        assert!(!bus_is_whole(&answer(200, true, &BUS.replace("\"seats\"", "\"places\""))));
        assert!(!bus_is_whole(&answer(200, true, &BUS.replace("\"lat\"", "\"driver_id\":101,\"lat\""))));
    }

    #[test]
    fn a_fleet_is_whole_or_says_who_is_not_there() {
        let bus = |driver: &str| json!({ "status": 200, "body": { "driver": { "name": driver }, "seats": { "all": 40 } } });
        let fleet = |third: Value| {
            let buses = json!({ BUSES[0].0: bus("Ada"), BUSES[1].0: bus("Grace"), BUSES[2].0: third });
            json!({ "operator": "Foggy Whale Lines", "buses": buses }).to_string()
        };
        let (whole, gone) = (fleet(bus("Barbara")), fleet(json!({ "error": "upstream_connect" })));
        let silent = fleet(json!({ "error": "upstream_timeout" }));
        assert!(fleet_is_whole(&answer(200, true, &whole)));
        assert!(!fleet_is_whole(&answer(200, true, &gone)) && !fleet_is_whole(&answer(200, false, &whole)));
        assert!(third_is_gone(&answer(200, false, &gone)) && !third_is_gone(&answer(200, true, &gone)));
        assert!(
            third_is_silent(&answer(200, false, &silent)) && !third_is_silent(&answer(200, false, &whole))
        );
        assert!(!fleet_is_whole(&answer(200, true, &whole.replace("Grace", "Ada"))));
        assert!(!fleet_is_whole(&answer(200, true, "")));
    }
}
