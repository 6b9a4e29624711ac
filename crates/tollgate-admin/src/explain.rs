//! `/api/v1/explain`: what would become of a request. Nothing of it is sent, counted or kept.

use std::net::IpAddr;

use axum::extract::rejection::StringRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tollgate_proxy::{Asked, EXPLAINED_BODY_BYTES_MAX, ExplainError};

use crate::Admin;
use crate::problem::Problem;

/// The description: a body in JSON, some of it escaped, and the rest of the request.
const BODY_BYTES_MAX: usize = 2 * EXPLAINED_BODY_BYTES_MAX;
/// How many are explained at the same time: each takes a worker's time that clients wait for.
static TURNS: Semaphore = Semaphore::const_new(4);

pub(crate) fn routes() -> Router<Admin> {
    Router::new().route("/api/v1/explain", post(explain).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
}

async fn explain(
    State(admin): State<Admin>,
    body: Result<String, StringRejection>,
) -> Result<Json<Value>, Problem> {
    let text = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let detail = format!("a description has {BODY_BYTES_MAX} bytes at most");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
        }
        status => Problem::new(status, "bad_body", "the body is JSON, in UTF-8"),
    })?;
    let asked = read(&text).map_err(bad)?;
    let _turn = TURNS.try_acquire().map_err(|_| {
        let detail = "others are being explained";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail)
    })?;
    let explained = admin.control.explain(&asked).await.map_err(|error| match error {
        ExplainError::BadRequest(fault) => bad(fault),
        ExplainError::Unanswered => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", error.to_string())
        }
    })?;
    // Thousands of routes take a while, and others ask whether the gateway lives.
    let told = tokio::task::spawn_blocking(move || explained.to_json()).await;
    told.map(Json).map_err(|_| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "this did not come to its end")
    })
}

fn bad(fault: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad_body", fault)
}

/// `{"method", "url", "headers", "body", "ip"}`; says what is wrong with anything else.
fn read(text: &str) -> Result<Asked, String> {
    let document: Value =
        serde_json::from_str(text).map_err(|error| format!("the body is no JSON: {error}"))?;
    let Value::Object(members) = document else {
        return Err("the body is an object: {\"method\", \"url\", \"headers\", \"body\", \"ip\"}".to_owned());
    };
    let mut asked = Asked { method: "GET".to_owned(), ..Asked::default() };
    let mut has_url = false;
    for (key, value) in members {
        match key.as_str() {
            _ if value.is_null() => {}
            "method" => asked.method = word(&key, value)?,
            "url" => {
                asked.url = word(&key, value)?;
                has_url = true;
            }
            "headers" => asked.headers = headers(value)?,
            "body" => asked.body = word(&key, value)?.into_bytes(),
            "ip" => {
                let ip = word(&key, value)?;
                let parsed: IpAddr = ip.parse().map_err(|_| "`ip` must be an address".to_owned())?;
                asked.ip = Some(parsed);
            }
            _ => return Err(format!("there is no `{key}`; there are method, url, headers, body, ip")),
        }
    }
    if has_url { Ok(asked) } else { Err("`url` is missing".to_owned()) }
}

fn word(key: &str, value: Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(format!("`{key}` must be a text")),
    }
}

/// Names to a text, or to a list of texts: a line for each.
fn headers(value: Value) -> Result<Vec<(String, String)>, String> {
    let wrong = || "`headers` must be an object of texts or lists of texts".to_owned();
    let Value::Object(members) = value else { return Err(wrong()) };
    let mut lines = Vec::new();
    for (name, value) in Map::into_iter(members) {
        match value {
            Value::String(text) => lines.push((name, text)),
            Value::Array(all) => {
                for one in all {
                    let Value::String(text) = one else { return Err(wrong()) };
                    lines.push((name.clone(), text));
                }
            }
            _ => return Err(wrong()),
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        let seen = read(text).map(|asked| {
            let lines: Vec<String> =
                asked.headers.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let ip = asked.ip.map(|ip| ip.to_string()).unwrap_or_default();
            let body = String::from_utf8_lossy(&asked.body).into_owned();
            format!("{} {} [{}] {body:?} {ip}", asked.method, asked.url, lines.join(" "))
        });
        match (seen, expect) {
            (Ok(seen), Ok(expect)) => assert_eq!(seen, expect),
            (Err(fault), Err(expect)) => assert!(fault.contains(expect), "{fault}"),
            (seen, expect) => panic!("{text}: {seen:?}, expected {expect:?}"),
        }
    }

    #[test]
    fn descriptions_are_read_strictly() {
        check(r#"{"url": "/a"}"#, Ok("GET /a [] \"\" "));
        check(
            r#"{"method": "PUT", "url": "http://h/", "headers": {"a": "1", "b": ["2", "3"]}, "body": "x", "ip": "::1"}"#,
            Ok("PUT http://h/ [a=1 b=2 b=3] \"x\" ::1"),
        );
        check(r#"{"url": "/a", "body": null, "ip": null}"#, Ok("GET /a [] \"\" "));
        check("{", Err("no JSON"));
        check("[]", Err("an object"));
        check("{}", Err("`url` is missing"));
        check(r#"{"url": 1}"#, Err("`url` must be a text"));
        check(r#"{"url": "/", "body": {}}"#, Err("`body` must be a text"));
        check(r#"{"url": "/", "headers": []}"#, Err("`headers` must be"));
        check(r#"{"url": "/", "headers": {"a": 1}}"#, Err("`headers` must be"));
        check(r#"{"url": "/", "headers": {"a": [1]}}"#, Err("`headers` must be"));
        check(r#"{"url": "/", "ip": "here"}"#, Err("`ip` must be an address"));
        check(r#"{"url": "/", "uri": "/"}"#, Err("there is no `uri`"));
    }
}
