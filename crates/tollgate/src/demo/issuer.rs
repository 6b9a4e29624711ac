//! A small issuer of tokens in this process, in the shape of the big ones: OIDC discovery, a key set, a token
//! endpoint for client credentials (RFC 6749 section 4.4), and a new key every minute.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tollgate_token::Algorithm;
use tollgate_token::mint::{self, MintError, Signer};

/// Where it listens unless somebody else does: `examples/bus` looks for it there.
const USUAL: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 3003);
/// Whom the demo's tokens are for.
const AUDIENCE: &str = "demo-api";
/// Who gets one, and `Basic` with the two of them (RFC 7617).
const CLIENT: &str = "demo";
const CLIENT_BASIC: &str = "Basic ZGVtbzpkZW1v";
/// What a token may be used for unless its client asks for less.
const SCOPE: &str = "account:read";
/// How long a token is good.
const TOKEN_LIFE: Duration = Duration::from_secs(5 * 60);
/// Between two new keys.
const ROTATION: Duration = Duration::from_secs(60);
/// A key stays in the set while tokens that it signed may still be good.
const KEYS_KEPT: usize = 8;
/// A longer request is not one for a token.
const MAX_BODY_BYTES: usize = 4096;
/// To the complete head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The running issuer.
#[derive(Clone)]
pub(crate) struct Issuer {
    /// Where it listens; its name is made of it.
    pub(crate) address: SocketAddr,
    /// The newest key first; its own thread and the demo's traffic sign with it.
    keys: Arc<Mutex<VecDeque<Signer>>>,
}

/// Starts it on its usual port of the loopback, or on a free one, on a thread of its own that ends with the process.
pub(crate) fn start() -> std::io::Result<Issuer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listener = runtime.block_on(async {
        match TcpListener::bind(USUAL).await {
            Ok(listener) => Ok(listener),
            Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
        }
    })?;
    let issuer = Issuer { address: listener.local_addr()?, keys: Arc::default() };
    issuer.rotate().map_err(std::io::Error::other)?;
    let served = issuer.clone();
    std::thread::Builder::new().name("demo-issuer".to_owned()).spawn(move || {
        runtime.block_on(async { tokio::join!(served.serve(listener), served.rotate_for_ever()) });
    })?;
    Ok(issuer)
}

impl Issuer {
    /// The claim `iss`.
    pub(crate) fn name(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A fresh token of the demo's client.
    pub(crate) fn token(&self, scope: &str) -> Result<String, MintError> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let claims = json!({
            "iss": self.name(), "aud": AUDIENCE, "sub": CLIENT, "scope": scope,
            "iat": now, "exp": now.saturating_add(TOKEN_LIFE.as_secs()),
        });
        let keys = self.keys();
        let newest = keys.front().ok_or(MintError::Library)?;
        newest.sign(&claims, Some(newest.kid()))
    }

    /// A new key, which signs from now on. The others stay in the set for a while.
    fn rotate(&self) -> Result<(), MintError> {
        let fresh = Signer::generate(Algorithm::ES256)?;
        let mut keys = self.keys();
        keys.push_front(fresh);
        keys.truncate(KEYS_KEPT);
        Ok(())
    }

    async fn rotate_for_ever(&self) {
        loop {
            tokio::time::sleep(ROTATION).await;
            if let Err(error) = self.rotate() {
                tracing::warn!(%error, "the demo's issuer goes on with the key it has");
            }
        }
    }

    async fn serve(&self, listener: TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            let issuer = self.clone();
            tokio::spawn(async move {
                let answer = hyper::service::service_fn(|request| issuer.answer(request));
                // A connection that fails is the demo's user trying things out.
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .serve_connection(TokioIo::new(stream), answer)
                    .await;
            });
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let name = self.name();
        let (status, body) = match (request.method(), request.uri().path()) {
            (&Method::GET, "/.well-known/openid-configuration") => {
                let document = json!({
                    "issuer": name,
                    "jwks_uri": format!("{name}/jwks"),
                    "token_endpoint": format!("{name}/token"),
                    "grant_types_supported": ["client_credentials"],
                    "id_token_signing_alg_values_supported": ["ES256"],
                });
                (StatusCode::OK, document)
            }
            (&Method::GET, "/jwks") => {
                let keys = self.keys();
                (StatusCode::OK, mint::public_jwks(&keys.iter().collect::<Vec<_>>()))
            }
            (&Method::POST, "/rotate") => match self.rotate() {
                Ok(()) => (StatusCode::OK, json!({ "keys": self.keys().len() })),
                Err(error) => failed(error),
            },
            (&Method::POST, "/token") => return Ok(self.grant(request).await),
            _ => (StatusCode::NOT_FOUND, json!({ "error": "not_found" })),
        };
        Ok(respond(status, &body))
    }

    /// RFC 6749 section 4.4, and for shells the token alone as text.
    async fn grant(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let is = |name, value: &str| request.headers().get(name).is_some_and(|sent| sent == value);
        let (known, plain) = (is(AUTHORIZATION, CLIENT_BASIC), is(ACCEPT, "text/plain"));
        let body = Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let form = String::from_utf8_lossy(&body);
        let field = |name: &str| {
            form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
        };
        if !known {
            return respond(StatusCode::UNAUTHORIZED, &json!({ "error": "invalid_client" }));
        }
        if field("grant_type").as_deref() != Some("client_credentials") {
            return respond(StatusCode::BAD_REQUEST, &json!({ "error": "unsupported_grant_type" }));
        }
        let scope =
            field("scope").unwrap_or_else(|| SCOPE.to_owned()).replace("%3A", ":").replace(['+'], " ");
        match self.token(&scope) {
            Ok(token) if plain => {
                let mut response = Response::new(Full::new(Bytes::from(token + "\n")));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
                response
            }
            Ok(token) => respond(
                StatusCode::OK,
                &json!({
                    "access_token": token, "token_type": "Bearer", "expires_in": TOKEN_LIFE.as_secs(), "scope": scope,
                }),
            ),
            Err(error) => {
                let (status, body) = failed(error);
                respond(status, &body)
            }
        }
    }

    fn keys(&self) -> MutexGuard<'_, VecDeque<Signer>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(error: MintError) -> (StatusCode, Value) {
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        json!({ "error": "server_error", "error_description": error.to_string() }),
    )
}

fn respond(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{body:#}\n"))));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
