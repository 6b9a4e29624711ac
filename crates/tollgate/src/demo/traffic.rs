//! A little traffic for the demo, so that its log and its metrics show life.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Between two requests: enough to see, not so much that one's own requests are lost in it.
const PAUSE: Duration = Duration::from_secs(2);
/// An answer that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked, in turn.
const PATHS: [&str; 8] =
    ["/users", "/users/1", "/orders/7", "/hello/visitor", "/users/99", "/old/2", "/nothing/here", "/health"];

/// Sends requests until the process ends, on a thread of its own.
pub(crate) fn start(gateway: SocketAddr) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("demo-traffic".to_owned()).spawn(move || {
        runtime.block_on(async {
            for path in PATHS.iter().cycle() {
                // The gateway logs what became of it.
                let _ = tokio::time::timeout(PATIENCE, request(gateway, path)).await;
                tokio::time::sleep(PAUSE).await;
            }
        });
    })?;
    Ok(())
}

async fn request(gateway: SocketAddr, path: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(gateway).await?;
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: {gateway}\r\nUser-Agent: tollgate-demo\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    let mut scratch = [0; 4096];
    while stream.read(&mut scratch).await? > 0 {}
    Ok(())
}
