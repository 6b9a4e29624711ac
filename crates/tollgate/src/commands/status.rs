//! `tollgate status`: how a running gateway is, as its admin side says.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::StatusArgs;
use crate::{config_file, output};

/// How long the gateway may take for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer: a line for each of a million targets.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where a token is looked for when the address is named.
const TOKEN_VARIABLE: &str = "TOLLGATE_ADMIN_TOKEN";

pub(super) fn status(arguments: &StatusArgs) -> ExitCode {
    let Some((address, token)) = place(arguments) else { return ExitCode::FAILURE };
    let asked = ask(address, "/readyz", None)
        .and_then(|(_, ready)| Ok((ready, ask(address, "/health", token.as_deref())?)));
    let (ready, (code, health)) = match asked {
        Ok(asked) => asked,
        Err(error) => return fail(arguments, &format!("no answer from {address}: {error}")),
    };
    if code != 200 {
        let detail = health["detail"].as_str().unwrap_or("it does not say why");
        return fail(arguments, &format!("{address} answered {code}: {detail}"));
    }
    let well = ready["ready"] == true && health["status"] == "ok";
    if arguments.output.json {
        output::json(&json!({ "ok": well, "ready": ready, "health": health }));
    } else {
        output::out(&summary(&ready, &health));
    }
    if well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn fail(arguments: &StatusArgs, message: &str) -> ExitCode {
    if arguments.output.json {
        output::json(&json!({ "ok": false, "error": message }));
    } else {
        output::error(message);
    }
    ExitCode::FAILURE
}

/// The admin address and its token: as named, or as the configuration says.
fn place(arguments: &StatusArgs) -> Option<(SocketAddr, Option<String>)> {
    if let Some(address) = arguments.address {
        let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
        return Some((reachable(address), token));
    }
    let admin = config_file::load(&arguments.config)?.plan.admin;
    Some((reachable(admin.address), admin.token.map(|token| token.to_string())))
}

/// An address to connect to: who listens on all of them listens on that of this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// One GET: the status and the JSON of the answer.
fn ask(address: SocketAddr, path: &str, token: Option<&str>) -> io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    // As HTTP/1.0, so that the answer ends with the connection and has no framing.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n{token}\r\n")?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    parse(&answer).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "that is no admin side"))
}

fn parse(answer: &[u8]) -> Option<(u16, Value)> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let code = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((code, serde_json::from_str(body).ok()?))
}

fn summary(ready: &Value, health: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let state = match (ready["draining"] == true, ready["ready"] == true) {
        (true, _) => "draining",
        (_, true) => "ready",
        _ => "not ready",
    };
    let mut out = format!(
        "tollgate {}: {state}, {}; configuration {}, up {}\n",
        text(&health["version"]),
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
fn uptime(seconds: u64) -> String {
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
    fn answers_are_read_and_others_are_not() {
        let answer = b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{\"status\":\"ok\"}";
        assert_eq!(parse(answer), Some((200, json!({ "status": "ok" }))));
        for other in [
            &b""[..],
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\n<html>",
            b"HTTP/1.0 200 OK\r\n\r\n{}\xff",
        ] {
            assert_eq!(parse(other), None);
        }
    }

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        for (address, expect) in
            [("0.0.0.0:9900", "127.0.0.1:9900"), ("[::]:9900", "[::1]:9900"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            assert_eq!(reachable(address.parse().unwrap()).to_string(), expect);
        }
    }

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
