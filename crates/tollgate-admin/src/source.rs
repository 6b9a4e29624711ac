//! `GET` and `PUT /api/v1/config/source`: the text of the configuration file, for who may write it
//! (`admin.allow_write`), as decision 0028 tells.
//!
//! A text is written only where the file is still the one that its writer has read, and only after it was loaded
//! without an error, with all files and variables that it names. When it cannot be put into effect, the old text is
//! put back.

mod file;

use std::path::{Path, PathBuf};

use axum::extract::State;
use axum::extract::rejection::StringRejection;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tollgate_config::{Diagnostic, OsSources, load_text};

use crate::Admin;
use crate::assets::{insert_tag, tag};
use crate::problem::Problem;
use crate::reload::Reloaded;
use crate::router::{posted, reloaded, unfinished};

/// The two, to be merged into the paths that the token guards.
pub(crate) fn routes(bytes_max: usize) -> Router<Admin> {
    let both = axum::routing::get(show).put(replace);
    Router::new().route("/api/v1/config/source", both.layer(axum::extract::DefaultBodyLimit::max(bytes_max)))
}

async fn show(State(admin): State<Admin>) -> Result<Response, Problem> {
    let path = writable(&admin)?;
    let read = path.clone();
    let text = tokio::task::spawn_blocking(move || file::read(&read)).await.map_err(|_| unfinished())?;
    let text = text.map_err(|error| unwritten("read", &error))?;
    let tag = tag(text.as_bytes());
    let mut response = ([(header::CONTENT_TYPE, "application/yaml")], text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_DISPOSITION, named(&path));
    insert_tag(headers, &tag);
    Ok(response)
}

async fn replace(
    State(admin): State<Admin>,
    headers: HeaderMap,
    body: Result<String, StringRejection>,
) -> Result<Response, Problem> {
    let path = writable(&admin)?;
    let Some(expected) = headers.get(header::IF_MATCH).and_then(|value| value.to_str().ok()) else {
        let detail = "say with If-Match which text is replaced: the ETag of what was read";
        return Err(Problem::new(StatusCode::PRECONDITION_REQUIRED, "if_match_missing", detail));
    };
    let (text, expected) = (posted(body)?, expected.trim().to_owned());
    let Some(_turn) = admin.reloads.running().turn() else {
        let detail = "another configuration is being checked";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail));
    };
    let new_tag = tag(text.as_bytes());
    let (write, new) = (path.clone(), text.clone());
    let written = tokio::task::spawn_blocking(move || write_checked(&write, &new, &expected));
    let old = written.await.map_err(|_| unfinished())??;
    match reloaded(&admin).await {
        Ok(outcome) if outcome.ok => {
            tracing::info!(
                generation = outcome.generation,
                "the configuration was written by the admin side"
            );
            let mut response = Json(told(outcome)).into_response();
            insert_tag(response.headers_mut(), &new_tag);
            Ok(response)
        }
        outcome => {
            let back = tokio::task::spawn_blocking(move || file::put_back(&path, &text, &old)).await;
            if !matches!(back, Ok(Ok(()))) {
                tracing::error!("the configuration file holds a text that is not in effect");
            }
            Err(not_in_effect(outcome?))
        }
    }
}

/// The file that may be written.
fn writable(admin: &Admin) -> Result<PathBuf, Problem> {
    let plan = admin.control.plan();
    if !plan.admin.allow_write || plan.admin.token.is_none() {
        let detail = "`admin.allow_write` is off: the file is not given, and not written";
        return Err(Problem::new(StatusCode::FORBIDDEN, "write_not_allowed", detail));
    }
    let conflict = |code, detail: &str| Problem::new(StatusCode::CONFLICT, code, detail);
    let Some(path) = &admin.file else {
        return Err(conflict("not_a_file", "the configuration comes from a URL: it is changed there"));
    };
    let (_, sources) = admin.reloads.running().current();
    if sources.configurations_count() > 1 {
        return Err(conflict(
            "several_files",
            "the configuration has several files: they are changed on the machine",
        ));
    }
    Ok(path.clone())
}

/// Loads the text, then puts it into the place of the one that is expected there, which is given back.
fn write_checked(path: &Path, text: &str, expected: &str) -> Result<String, Problem> {
    let old = file::read(path).map_err(|error| unwritten("read", &error))?;
    let tag = tag(old.as_bytes());
    if !expected.split(',').map(str::trim).any(|one| one == "*" || one == tag) {
        let detail = "the file is not the one that was read: somebody changed it meanwhile";
        return Err(Problem::new(StatusCode::PRECONDITION_FAILED, "stale", detail));
    }
    if let Err(failed) = load_text(&path.display().to_string(), text, &OsSources) {
        let diagnostics: Vec<Value> = failed.diagnostics.iter().map(Diagnostic::to_json).collect();
        let detail = "the configuration has errors; the file stays as it was";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "config_invalid", detail)
            .with("ok", Value::Bool(false))
            .with("diagnostics", diagnostics.into()));
    }
    file::replace(path, text, &old).map_err(|error| match error.kind() {
        // Between the first look and the last one.
        std::io::ErrorKind::WouldBlock => {
            Problem::new(StatusCode::PRECONDITION_FAILED, "stale", "somebody changed the file meanwhile")
        }
        _ => unwritten("written", &error),
    })?;
    Ok(old)
}

fn told(outcome: Reloaded) -> Value {
    let Reloaded { ok, generation, needs_restart, diagnostics } = outcome;
    json!({ "ok": ok, "generation": generation, "needs_restart": needs_restart, "diagnostics": diagnostics })
}

fn not_in_effect(outcome: Reloaded) -> Problem {
    let detail =
        "the configuration could not be put into effect; the old one goes on, and the file is as it was";
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "reload_rejected", detail)
        .with("ok", Value::Bool(false))
        .with("generation", outcome.generation.into())
        .with("diagnostics", outcome.diagnostics.into())
}

fn unwritten(what: &str, error: &std::io::Error) -> Problem {
    tracing::error!(%error, "the configuration file cannot be {what} for the admin side");
    let detail = format!("the configuration file cannot be {what}: {}", error.kind());
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "file_fault", detail)
}

/// The file's name, for who keeps a copy.
fn named(path: &Path) -> HeaderValue {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte));
    let name = if plain { name } else { "tollgate.yaml" };
    HeaderValue::from_str(&format!("inline; filename=\"{name}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("inline"))
}
