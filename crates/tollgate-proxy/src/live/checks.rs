//! Health checks: each target is asked how it is, as often as its upstream says, on the background thread.

mod http2;

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tollgate_plan::resilience::{HealthCheck, Probe};
use tollgate_plan::upstream::Address;
use tollgate_wire::{HeadLimits, HeadProgress, Method, Parsed, ResponseHead, parse_response};

use super::lasting;
use super::targets::TargetShared;
use super::tokens::{Token, TokenLive};
use crate::tls::{ClientSide, HTTP_1_1, HTTP_2, server_name};
use crate::upstream::{NameServers, Resolver};
use crate::worker::Random;

/// Bounds on the head of an answer.
const HEAD: HeadLimits = HeadLimits { header_bytes: 64 * 1024, header_count: 128, uri_bytes: 0 };

/// Addresses of one name that are tried for one check.
const ADDRESSES_MAX: usize = 16;

/// The first checks of a start are spread over so much at most.
const FIRST_WITHIN: Duration = Duration::from_millis(500);

/// One target to check, and how.
pub(crate) struct Checked {
    pub(crate) upstream: Arc<str>,
    pub(crate) target: Arc<TargetShared>,
    pub(crate) address: Address,
    /// What the Host header says.
    pub(crate) host: Box<str>,
    /// Stands before the path.
    pub(crate) prefix: Box<str>,
    /// Without TLS: HTTP/2 is spoken, without asking.
    pub(crate) http2: bool,
    /// Over TLS: the name that its certificate must have, and how it is spoken.
    pub(crate) tls: Option<(Box<str>, Arc<ClientSide>)>,
    /// The gateway's own token toward it.
    pub(crate) token: Option<Arc<TokenLive>>,
    pub(crate) rules: HealthCheck,
}

impl Checked {
    /// Whether the other one is this one: then its checks go on as they are.
    pub(crate) fn is(&self, other: &Checked) -> bool {
        let place = |one: &Checked| (one.address.clone(), one.host.clone(), one.prefix.clone(), one.http2);
        let same_tls = match (&self.tls, &other.tls) {
            (None, None) => true,
            (Some((name, side)), Some((other, other_side))) => name == other && Arc::ptr_eq(side, other_side),
            _ => false,
        };
        let same_token = match (&self.token, &other.token) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        let same_target = Arc::ptr_eq(&self.target, &other.target) && place(self) == place(other);
        same_target && same_tls && same_token && self.rules == other.rules
    }
}

/// Checks what is to be checked, until nobody can want it any more.
pub(crate) async fn attend(mut wanted: watch::Receiver<Vec<Arc<Checked>>>, servers: &NameServers) {
    // One that remembers: a name that vanishes keeps its addresses for checks as it does for requests.
    let resolver = Rc::new(Resolver::new(servers));
    let mut running: Vec<(Arc<Checked>, AbortHandle)> = Vec::new();
    loop {
        follow(&wanted.borrow_and_update(), &mut running, &resolver);
        if wanted.changed().await.is_err() {
            return;
        }
    }
}

/// Starts the checks that are missing and ends those that nobody wants any more.
fn follow(wanted: &[Arc<Checked>], running: &mut Vec<(Arc<Checked>, AbortHandle)>, resolver: &Rc<Resolver>) {
    running.retain(|(checked, task)| {
        let stays = wanted.iter().any(|wanted| Arc::ptr_eq(wanted, checked));
        if !stays {
            task.abort();
        }
        stays
    });
    for checked in wanted {
        if !running.iter().any(|(known, _)| Arc::ptr_eq(known, checked)) {
            let (target, resolver) = (checked.clone(), resolver.clone());
            let task =
                lasting::spawn("health check", move || keep_checking(target.clone(), resolver.clone()));
            running.push((checked.clone(), task));
        }
    }
}

async fn keep_checking(checked: Arc<Checked>, resolver: Rc<Resolver>) {
    let (random, rules) = (Random::new(), &checked.rules);
    // From 0 to 1.
    let share = || (random.next() >> 32) as f64 / f64::from(u32::MAX);
    sleep(FIRST_WITHIN.min(rules.every).mul_f64(share())).await;
    loop {
        let begun = Instant::now();
        // Without its token the answer would say nothing of the target, which stays as it is.
        if let Ok(token) = shown(&checked).await {
            let outcome = match timeout(rules.timeout, check(&checked, token.as_deref(), &resolver)).await {
                Ok(outcome) => outcome,
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut)),
            };
            tell(&checked, &outcome);
        }
        // Never in step with other gateways: from nine tenths to eleven tenths of the time.
        sleep_until(begun + rules.every.mul_f64(0.9 + 0.2 * share())).await;
    }
}

fn tell(checked: &Checked, outcome: &io::Result<()>) {
    if !checked.target.checked(outcome.is_ok(), &checked.rules) {
        return;
    }
    let (upstream, target) = (&*checked.upstream, &*checked.target.url);
    match outcome {
        Ok(()) => tracing::info!(upstream, target, "a target is healthy again"),
        Err(error) => {
            tracing::warn!(upstream, target, %error, "a target is unhealthy: its health checks fail")
        }
    }
}

/// The token that the target is to be shown; an error where there is none at the moment.
async fn shown(checked: &Checked) -> Result<Option<Arc<Token>>, ()> {
    let Some(live) = &checked.token else { return Ok(None) };
    match timeout(checked.rules.timeout, live.soon(Instant::now().into_std())).await {
        Ok(Some(token)) => Ok(Some(token)),
        Ok(None) | Err(_) => Err(()),
    }
}

async fn check(checked: &Checked, token: Option<&Token>, resolver: &Resolver) -> io::Result<()> {
    match &checked.address {
        Address::Socket(address) => ask(TcpStream::connect(address).await?, checked, token).await,
        // Its hosts are checked in its place.
        Address::Service { .. } => Err(io::ErrorKind::Unsupported.into()),
        Address::Unix(path) => ask(UnixStream::connect(path).await?, checked, token).await,
        Address::Name { host, port } => {
            let addresses = resolver.lookup(host).await.map_err(io::Error::other)?;
            let addresses = addresses.get(..ADDRESSES_MAX).unwrap_or(&addresses);
            let share = checked.rules.timeout / addresses.len().max(1) as u32;
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for ip in addresses {
                // Requests go to the first address that answers, so that is the one to ask.
                match timeout(share, TcpStream::connect(SocketAddr::new(*ip, *port))).await {
                    Ok(Ok(stream)) => return ask(stream, checked, token).await,
                    Ok(Err(error)) => last = error,
                    Err(_) => last = io::Error::from(io::ErrorKind::TimedOut),
                }
            }
            Err(last)
        }
    }
}

async fn ask(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    checked: &Checked,
    token: Option<&Token>,
) -> io::Result<()> {
    if matches!(checked.rules.probe, Probe::Tcp) {
        return Ok(());
    }
    let Some((name, side)) = &checked.tls else {
        return ask_http(stream, checked, token, ("http", checked.http2)).await;
    };
    let name = server_name(name).ok_or(io::ErrorKind::InvalidInput)?;
    let connector = TlsConnector::from(side.config.clone());
    let connector = connector.with_alpn(vec![HTTP_2.to_vec(), HTTP_1_1.to_vec()]);
    let stream = connector.connect(name, stream).await?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP_2);
    ask_http(stream, checked, token, ("https", http2)).await
}

async fn ask_http(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    checked: &Checked,
    token: Option<&Token>,
    (scheme, http2): (&str, bool),
) -> io::Result<()> {
    let Probe::Http { path, success } = &checked.rules.probe else { return Ok(()) };
    let Checked { host, prefix, .. } = checked;
    let shown = token.map(|token| token.line.expose());
    let status = if http2 {
        http2::ask(stream, (scheme, host, &format!("{prefix}{path}")), shown).await?
    } else {
        let shown = shown.map_or(String::new(), |line| format!("authorization: {line}\r\n"));
        let request = format!(
            "GET {prefix}{path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: tollgate-health-check\r\naccept: */*\r\n\
             {shown}connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        final_status(&mut stream).await?
    };
    if success.contains(status) {
        return Ok(());
    }
    if let (401, Some(live), Some(token)) = (status, &checked.token, token) {
        live.refused(token.generation, Instant::now().into_std());
    }
    Err(io::Error::other(format!("the answer was {status}")))
}

/// The status of the answer, behind interim ones.
async fn final_status(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<u16> {
    let (mut input, mut progress, mut head) = (Vec::new(), HeadProgress::default(), ResponseHead::default());
    loop {
        let parsed = parse_response(&input, &mut progress, &HEAD, &Method::Get, &mut head);
        match parsed.map_err(|_| io::Error::other("the answer is not valid HTTP"))? {
            Parsed::Complete(_) if head.status >= 200 => return Ok(head.status),
            Parsed::Complete(bytes) => {
                input.drain(..bytes);
                progress = HeadProgress::default();
                if !input.is_empty() {
                    continue;
                }
            }
            Parsed::Partial => {}
        }
        // The parser bounds a head; a stream of interim ones ends with the check's time.
        if stream.read_buf(&mut input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &[u8], expect: Option<u16>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let status = runtime.block_on(final_status(&mut &answer[..]));
        assert_eq!(status.ok(), expect, "{}", String::from_utf8_lossy(answer));
    }

    #[test]
    fn the_head_of_the_answer_decides() {
        check(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", Some(200));
        check(b"HTTP/1.0 503 No\r\n\r\nsorry", Some(503));
        check(b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 204 No\r\n\r\n", Some(204));
        check(b"HTTP/1.1 100 Continue\r\n\r\n", None);
        check(b"HTTP/1.1 200 OK\r\nContent-Le", None);
        check(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", None);
        check(b"", None);
    }
}
