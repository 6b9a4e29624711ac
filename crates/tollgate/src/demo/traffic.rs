//! A little traffic for the demo, so that its log and its metrics show life.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::issuer::Issuer;
use super::setup::API_KEY;

/// Between two requests: enough to see, not so much that one's own requests are lost in it.
const PAUSE: Duration = Duration::from_secs(2);
/// An answer that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked, in turn.
const STEPS: [(&str, Credential); 14] = [
    ("/users", Credential::None),
    ("/account", Credential::Token),
    ("/users/1", Credential::None),
    ("/orders/7", Credential::None),
    ("/account", Credential::Garbage),
    ("/hello/visitor", Credential::None),
    ("/partner/orders/7", Credential::Key),
    ("/users/99", Credential::None),
    ("/account", Credential::None),
    ("/limited", Credential::None),
    ("/old/2", Credential::None),
    ("/account", Credential::WeakToken),
    ("/nothing/here", Credential::None),
    ("/health", Credential::None),
];

/// What a request brings along.
#[derive(Clone, Copy)]
enum Credential {
    None,
    /// A fresh token that may do what it is for.
    Token,
    /// A fresh token that may not.
    WeakToken,
    /// What looks like a token.
    Garbage,
    /// The demo's API key.
    Key,
}

/// Sends requests until the process ends, on a thread of its own.
pub(crate) fn start(gateway: SocketAddr, issuer: Issuer) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("demo-traffic".to_owned()).spawn(move || {
        runtime.block_on(async {
            for (path, credential) in STEPS.iter().cycle() {
                let line = credential.line(&issuer);
                // The gateway logs what became of it.
                let _ = tokio::time::timeout(PATIENCE, request(gateway, path, &line)).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
    })?;
    Ok(())
}

impl Credential {
    /// A header line, or nothing.
    fn line(self, issuer: &Issuer) -> String {
        let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
        match self {
            Credential::None => String::new(),
            Credential::Token => bearer(&issuer.token("account:read").unwrap_or_default()),
            Credential::WeakToken => bearer(&issuer.token("something:else").unwrap_or_default()),
            Credential::Garbage => bearer("not.a.token"),
            Credential::Key => format!("X-Api-Key: {API_KEY}\r\n"),
        }
    }
}

async fn request(gateway: SocketAddr, path: &str, line: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(gateway).await?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {gateway}\r\nUser-Agent: tollgate-demo\r\n{line}Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut scratch = [0; 4096];
    while stream.read(&mut scratch).await? > 0 {}
    Ok(())
}
