//! The admin side's paths, each with one handler.

use std::time::Duration;

use axum::extract::rejection::StringRejection;
use axum::extract::{DefaultBodyLimit, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::oneshot;

use crate::metrics::{Format, Scrape};
use crate::problem::Problem;
use crate::purge;
use crate::reload::Reloaded;
use crate::requests::Filter;
use crate::{
    Admin, Command, access, assets, config, events, explain, health, inventory, limits, requests, source,
};

/// Most endpoints read no body; a small one is read and ignored.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// A configuration to be checked: as large as one that is read from a file.
const CONFIG_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long a caller waits for a reload, which may itself wait for a file that is being written.
const RELOAD_WAIT: Duration = Duration::from_secs(60);

pub(crate) fn router(admin: Admin) -> Router {
    let probes = Router::new().route("/livez", get(livez)).route("/readyz", get(readyz));
    let guarded = Router::new()
        .route("/", get(assets::page))
        .route("/assets/{name}", get(assets::asset))
        .route("/health", get(health_of_all))
        .route("/metrics", get(metrics))
        .route("/api/v1/routes", get(routes))
        .route("/api/v1/upstreams", get(upstreams))
        .route("/api/v1/limits", get(limits))
        .route("/api/v1/config", get(config))
        .route("/api/v1/schema", get(schema))
        .merge(source::routes(CONFIG_BYTES_MAX))
        .merge(explain::routes())
        .route("/api/v1/requests", get(requests))
        .route("/api/v1/check", post(check).layer(DefaultBodyLimit::max(CONFIG_BYTES_MAX)))
        .route("/api/v1/cache/purge", post(purge::purge))
        .route("/api/v1/reload", post(reload))
        .route("/api/v1/drain", post(drain))
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(admin.clone(), access::guard));
    probes
        .merge(guarded)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn(never_stored))
        .with_state(admin)
}

async fn livez() -> Json<Value> {
    Json(json!({ "live": true }))
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let status = admin.control.status();
    let code = if status.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(health::readiness(&status, &admin.reloads.last()))).into_response()
}

async fn health_of_all(State(admin): State<Admin>) -> Json<Value> {
    let mut body = admin.control.health().to_json(admin.build.version);
    body["issuers"] = health::issuers(&admin.control.issuers());
    body["tokens"] = health::tokens(&admin.control.tokens());
    let on_failure = admin.control.plan().redis.as_ref().map(|redis| redis.on_failure);
    body["redis"] = health::redis(admin.control.store(), on_failure);
    body["last_reload"] = health::last_reload(&admin.reloads.last());
    Json(body)
}

async fn metrics(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let format = Format::from_accept(accept);
    let text = Scrape::take(&admin.control, &admin.reloads).await.render(format, &admin.build);
    ([(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept")], text).into_response()
}

/// Away from those who ask whether the gateway lives: thousands of routes take a while.
async fn routes(State(admin): State<Admin>) -> Result<Json<Value>, Problem> {
    let shown = move || inventory::routes_with_posture(&admin.control.plan());
    tokio::task::spawn_blocking(shown).await.map(Json).map_err(|_| unfinished())
}

async fn upstreams(State(admin): State<Admin>) -> Json<Value> {
    let snapshot = admin.control.snapshot().await;
    Json(inventory::upstreams(&admin.control.plan(), &admin.control.health().upstreams, &snapshot))
}

async fn limits(State(admin): State<Admin>) -> Json<Value> {
    let snapshot = admin.control.snapshot().await;
    Json(limits::limits(&admin.control, &snapshot))
}

/// Away from those who ask whether the gateway lives: thousands of routes take a while.
async fn config(State(admin): State<Admin>) -> Result<Json<Value>, Problem> {
    let shown = move || config::config(admin.reloads.running(), &admin.control.plan());
    tokio::task::spawn_blocking(shown).await.map(Json).map_err(|_| unfinished())
}

async fn requests(State(admin): State<Admin>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let filter = Filter::parse(query.as_deref().unwrap_or_default())?;
    if filter.follow {
        let Some(following) = admin.control.follow().await else {
            let detail = "too many follow the requests already";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail));
        };
        return Ok(events::stream(following, filter));
    }
    let records = admin.control.recent().await;
    let list = requests::list(&records, &filter);
    Ok(([(header::CONTENT_TYPE, "application/json")], list).into_response())
}

/// One at a time, and away from those who ask whether the gateway lives: it may take a while.
async fn check(
    State(admin): State<Admin>,
    body: Result<String, StringRejection>,
) -> Result<Json<Value>, Problem> {
    let text = posted(body)?;
    let Some(turn) = admin.reloads.running().turn() else {
        let detail = "another configuration is being checked";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", detail));
    };
    let checked = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        config::check(&text, admin.reloads.running(), &admin.control.plan())
    });
    checked.await.map(Json).map_err(|_| unfinished())
}

/// The text of a configuration out of a body.
pub(crate) fn posted(body: Result<String, StringRejection>) -> Result<String, Problem> {
    body.map_err(|rejection| {
        let (code, detail) = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "a configuration has 4 MiB at most"),
            _ => ("bad_body", "the body is the text of a configuration, in UTF-8"),
        };
        Problem::new(rejection.status(), code, detail)
    })
}

/// A panic, which the hook has reported, or the end of the process.
pub(crate) fn unfinished() -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "this did not come to its end")
}

/// The JSON Schema of a configuration file.
async fn schema() -> Json<Value> {
    Json(tollgate_config::schema())
}

/// Has the process reload, and waits for what comes of it.
pub(crate) async fn reloaded(admin: &Admin) -> Result<Reloaded, Problem> {
    let (reply, outcome) = oneshot::channel();
    command(admin, Command::Reload(reply))?;
    let waited = tokio::time::timeout(RELOAD_WAIT, outcome).await;
    waited.ok().and_then(Result::ok).ok_or_else(|| {
        let detail = "no result in time, or the gateway is going down; /readyz shows the last reload";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "reload_unfinished", detail)
    })
}

async fn reload(State(admin): State<Admin>) -> Result<Json<Value>, Problem> {
    let outcome = reloaded(&admin).await?;
    if !outcome.ok {
        let detail = "the configuration was refused; the old one goes on";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "reload_rejected", detail)
            .with("ok", Value::Bool(false))
            .with("generation", outcome.generation.into())
            .with("diagnostics", outcome.diagnostics.into()));
    }
    Ok(Json(json!({
        "ok": true,
        "generation": outcome.generation,
        "needs_restart": outcome.needs_restart,
        "diagnostics": outcome.diagnostics,
    })))
}

async fn drain(State(admin): State<Admin>) -> Result<Response, Problem> {
    command(&admin, Command::Drain)?;
    // Who reads the answer may ask for readiness at once.
    admin.control.begin_drain();
    Ok((StatusCode::ACCEPTED, Json(json!({ "draining": true }))).into_response())
}

fn command(admin: &Admin, command: Command) -> Result<(), Problem> {
    admin.commands.try_send(command).map_err(|error| {
        let (code, detail) = match error {
            TrySendError::Full(_) => ("overloaded", "too many commands are waiting"),
            TrySendError::Closed(_) => ("draining", "the gateway is going down"),
        };
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    })
}

async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "no such admin path")
}

async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this path has another method")
}

/// But for the console nothing here is worth a cache, and some of it is a secret to others.
async fn never_stored(request: axum::extract::Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
