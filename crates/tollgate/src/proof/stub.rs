//! Services and issuers in tests: they answer what the test says, and remember what they were sent.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tollgate_plan::proof::{Stub, StubAnswer};
use tollgate_plan::upstream::UpstreamId;

use super::stage::shorter;

/// Bytes of one request's body that are kept.
const BODY_BYTES_MAX: usize = 16 << 20;

/// Requests of one test that are remembered: an aggregate asks at most so many services.
const SEEN_MAX: usize = 2_000;

/// To the complete head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// What a service got.
pub(super) struct Seen {
    /// None: one that no test names.
    pub(super) upstream: Option<UpstreamId>,
    pub(super) method: String,
    /// Path and query.
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// What services do in the test that is running, and what they got. The lane writes the first, the services the second.
#[derive(Default)]
pub(super) struct Scene {
    pub(super) stubs: HashMap<UpstreamId, Stub>,
    pub(super) seen: Vec<Seen>,
}

pub(super) type Stubs = Arc<Mutex<Scene>>;

/// What issuers say of opaque tokens.
pub(super) type Words = Arc<Mutex<HashMap<String, Value>>>;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a service; it ends with the runtime.
pub(super) async fn service(stubs: &Stubs, upstream: Option<UpstreamId>) -> std::io::Result<SocketAddr> {
    let stubs = stubs.clone();
    serve(move |request| answer(stubs.clone(), upstream, request)).await
}

/// Starts all issuers; they end with the runtime.
pub(super) async fn issuers(words: Words) -> std::io::Result<SocketAddr> {
    serve(move |request| vouch(words.clone(), request)).await
}

async fn serve<A>(
    answer: impl Fn(Request<Incoming>) -> A + Clone + Send + 'static,
) -> std::io::Result<SocketAddr>
where
    A: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
{
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            tokio::spawn(connection(stream, answer.clone()));
        }
    });
    Ok(address)
}

async fn connection<A>(stream: TcpStream, answer: impl Fn(Request<Incoming>) -> A)
where
    A: Future<Output = Result<Response<Full<Bytes>>, Infallible>>,
{
    // Thousands of tests would leave as many ports behind that wait.
    let _ = stream.set_zero_linger();
    let _ = stream.set_nodelay(true);
    // A connection that fails is one that the gateway gave up.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), hyper::service::service_fn(answer))
        .await;
}

async fn answer(
    stubs: Stubs,
    upstream: Option<UpstreamId>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let stub = {
        let mut scene = lock(&stubs);
        let path = head.uri.path_and_query().map_or_else(String::new, ToString::to_string);
        if scene.seen.len() < SEEN_MAX {
            let method = head.method.to_string();
            scene.seen.push(Seen { upstream, method, path, headers: head.headers, body });
        }
        upstream.and_then(|id| scene.stubs.get(&id).cloned())
    };
    let answer = match stub {
        Some(Stub::Answer(answer)) => answer,
        // A refusal never gets here: nobody listens where it is sent.
        Some(Stub::Silence | Stub::Refuse) => std::future::pending().await,
        None => return Ok(json_response(StatusCode::OK, &json!({}))),
    };
    tokio::time::sleep(shorter(answer.delay)).await;
    Ok(response(&answer))
}

fn response(answer: &StubAnswer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(&answer.body)));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    for (name, value) in &answer.headers {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// RFC 7662 for tokens that tests carry, and for everybody who asks a token of the gateway's own (RFC 6749 section 4.4).
async fn vouch(words: Words, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/token" {
        let token = json!({ "access_token": "token-of-a-test", "token_type": "Bearer", "expires_in": 3600 });
        return Ok(json_response(StatusCode::OK, &token));
    }
    let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let form = String::from_utf8_lossy(&body);
    let token = form.split('&').find_map(|pair| pair.strip_prefix("token=")).unwrap_or_default();
    let said = lock(&words).get(token).cloned();
    Ok(json_response(StatusCode::OK, &said.unwrap_or_else(|| json!({ "active": false }))))
}

fn json_response(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
