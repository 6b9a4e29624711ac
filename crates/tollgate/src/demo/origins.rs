//! Two small services in this process, with the latency of real ones.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Time that a service takes for most requests.
const LATENCY: Duration = Duration::from_millis(5);
/// Time that `/report` takes: longer than the demo's configuration waits.
const REPORT: Duration = Duration::from_secs(3);
/// To the complete head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Where the services listen.
pub(crate) struct Origins {
    pub(crate) users: SocketAddr,
    pub(crate) orders: SocketAddr,
}

/// Starts both services on free ports of the loopback, on a thread of their own that ends with the process.
pub(crate) fn start() -> std::io::Result<Origins> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (users, orders) = runtime.block_on(async {
        std::io::Result::Ok((
            TcpListener::bind("127.0.0.1:0").await?,
            TcpListener::bind("127.0.0.1:0").await?,
        ))
    })?;
    let origins = Origins { users: users.local_addr()?, orders: orders.local_addr()? };
    std::thread::Builder::new().name("demo-origins".to_owned()).spawn(move || {
        runtime.block_on(async { tokio::join!(serve(users, "users"), serve(orders, "orders")) });
    })?;
    Ok(origins)
}

async fn serve(listener: TcpListener, service: &'static str) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(LATENCY).await;
            continue;
        };
        tokio::spawn(async move {
            let answer = hyper::service::service_fn(move |request| answer(service, request));
            // A connection that fails is the demo's user trying things out.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIMEOUT)
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}

async fn answer(
    service: &'static str,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    tokio::time::sleep(if path == "/report" { REPORT } else { LATENCY }).await;
    let (status, body) = body(service, path);
    let seen =
        |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut body = body;
    body["seen"] = json!({
        "path": request.uri().to_string(),
        "host": seen("host"),
        "x-source": seen("x-source"),
        "x-user": seen("x-user"),
        "x-forwarded-for": seen("x-forwarded-for"),
        "x-request-id": seen("x-request-id"),
    });
    let mut response = Response::new(Full::new(Bytes::from(format!("{body:#}\n"))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("content-type", hyper::header::HeaderValue::from_static("application/json"));
    headers.insert("server", hyper::header::HeaderValue::from_static("demo-origin"));
    Ok(response)
}

fn body(service: &str, path: &str) -> (StatusCode, Value) {
    const PEOPLE: [&str; 3] = ["Ada", "Grace", "Barbara"];
    let last = path.rsplit('/').next().unwrap_or_default();
    let id = last.parse::<usize>().ok();
    match (service, path) {
        ("users", "/users" | "/users/") => (StatusCode::OK, json!({ "users": PEOPLE })),
        ("users", _) => match id.and_then(|id| PEOPLE.get(id.checked_sub(1)?)) {
            Some(name) => (StatusCode::OK, json!({ "id": id, "name": name })),
            None => (StatusCode::NOT_FOUND, json!({ "error": "no such user" })),
        },
        (_, "/report") => (StatusCode::OK, json!({ "report": "too late for the gateway" })),
        _ => match (path.strip_prefix("/v2/orders/"), id) {
            (Some(_), Some(id)) => (StatusCode::OK, json!({ "id": id, "total": id * 10 })),
            _ => (StatusCode::NOT_FOUND, json!({ "error": "no such order" })),
        },
    }
}
