//! `tollgate status`: how a running gateway is, as its admin side says.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::admin_side::AdminSide;
use crate::cli::StatusArgs;
use crate::{config_file, output};

pub(super) fn status(arguments: &StatusArgs) -> ExitCode {
    let Some(admin) = AdminSide::of(&arguments.admin) else {
        output::failed_as_told(arguments.output.json);
        return ExitCode::FAILURE;
    };
    if arguments.ready {
        return readiness(arguments, &admin);
    }
    let asked = admin.ready().and_then(|ready| Ok((ready, admin.json("/health")?)));
    let (ready, health) = match asked {
        Ok(asked) => asked,
        Err(message) => return fail(arguments, &message),
    };
    let well = ready["ready"] == true && health["status"] == "ok";
    let written = if arguments.output.json {
        output::json(&json!({ "ok": well, "ready": ready, "health": health }))
    } else {
        output::out(&summary(&ready, &health))
    };
    written.exit(well)
}

/// What `/readyz` says, and nothing else: a target that is out is no reason to end the gateway.
fn readiness(arguments: &StatusArgs, admin: &AdminSide) -> ExitCode {
    let ready = match admin.ready() {
        Ok(ready) => ready,
        Err(message) => return fail(arguments, &message),
    };
    let well = ready["ready"] == true;
    let written = if arguments.output.json {
        output::json(&json!({ "ok": well, "ready": ready }))
    } else {
        output::out(&format!("tollgate: {}\n", state(&ready)))
    };
    written.exit(well)
}

fn fail(arguments: &StatusArgs, message: &str) -> ExitCode {
    output::failed(arguments.output.json, message);
    ExitCode::FAILURE
}

fn state(ready: &Value) -> &'static str {
    match (ready["draining"] == true, ready["ready"] == true) {
        (true, _) => "draining",
        (_, true) => "ready",
        _ => "not ready",
    }
}

fn summary(ready: &Value, health: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut out = format!(
        "tollgate {}: {}, {}; configuration {}, up {}\n",
        text(&health["version"]),
        state(ready),
        text(&health["status"]),
        health["generation"],
        uptime(health["uptime_s"].as_u64().unwrap_or_default()),
    );
    let reload = &health["last_reload"];
    if reload["ok"] == false {
        let errors = reload["errors"].as_array().map_or(0, Vec::len);
        out.push_str(&format!(
            "the last configuration was refused at {}: {}\n",
            text(&reload["at"]),
            config_file::count(errors, "error"),
        ));
    }
    let rows = targets(health);
    if !rows.is_empty() {
        let cells = rows.iter().map(|row| row.each_ref().map(String::as_str));
        out.push_str(&format!("{}\n", output::table(&["upstream", "status", "target", "since"], cells)));
    }
    out
}

/// One row for each target: upstream, how it is, target, since when.
fn targets(health: &Value) -> Vec<[String; 4]> {
    let mut rows = Vec::new();
    for (name, upstream) in health["upstreams"].as_object().into_iter().flatten() {
        for target in upstream["targets"].as_array().into_iter().flatten() {
            let healthy = if target["healthy"] == true { "ok" } else { "out" };
            let text = |key: &str| target[key].as_str().unwrap_or("-").to_owned();
            rows.push([name.clone(), healthy.to_owned(), text("url"), text("since")]);
        }
    }
    rows
}

/// `3d 4h`, `4h 5m`, `5m 6s`, `6s`.
pub(super) fn uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (seconds, expect) in
            [(0, "0s"), (59, "59s"), (61, "1m 1s"), (3_660, "1h 1m"), (90_000, "1d 1h"), (86_399, "23h 59m")]
        {
            assert_eq!(uptime(seconds), expect);
        }
    }

    #[test]
    fn the_summary_tells_what_is_not_well() {
        let ready = json!({ "ready": true, "draining": false });
        let health = json!({
            "version": "1.2.3", "status": "degraded", "generation": 7, "uptime_s": 61,
            "last_reload": { "ok": false, "at": "2026-01-01T00:00:00.000Z", "errors": [{}] },
            "upstreams": { "orders": { "targets": [
                { "url": "http://10.0.0.5:3000", "healthy": false, "since": "2026-01-01T00:00:00.000Z" },
            ] } },
        });
        let text = summary(&ready, &health);
        for part in [
            "tollgate 1.2.3: ready, degraded; configuration 7, up 1m 1s",
            "refused",
            "1 error",
            "out",
            "10.0.0.5",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
