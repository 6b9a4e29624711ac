//! The same bytes through this crate and through hyper, as a server and as a client.
//!
//! Whatever is accepted here, hyper must read as the same messages: method, target, headers, body, and how
//! many. What is refused here hyper may take; it is the more lenient.

mod properties;

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use properties::mutate::Random;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tollgate_wire::{
    BodyDecoder, BodyLength, ChunkLimits, HeadLimits, HeadProgress, HeaderBlock, Method, Parsed, RequestHead,
    ResponseHead, Step, parse_request, parse_response,
};

/// `TOLLGATE_SEED` and `TOLLGATE_CASES` try others, and more.
const SEED: u64 = 0x5eed_1e55;
const CASES: u64 = 10_000;

/// One message, as either side saw it.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    /// Method and target, or status.
    start: String,
    headers: Vec<(String, Vec<u8>)>,
    /// `None` when it was refused or cut short.
    body: Option<Vec<u8>>,
}

#[test]
fn hyper_reads_the_same_requests() {
    let (seed, cases) = (number("TOLLGATE_SEED", SEED), number("TOLLGATE_CASES", CASES));
    let (runtime, mut random, mut whole) = (runtime(), Random(seed), 0);
    for case in 0..cases {
        let bytes = random.message(&requests());
        let ours = our_requests(&bytes);
        if ours.is_empty() {
            continue;
        }
        let theirs = runtime.block_on(hyper_requests(bytes.clone()));
        let place = format!("case {case} of seed {seed}: {}", bytes.escape_ascii());
        for (index, our) in ours.iter().enumerate() {
            let Some(their) = theirs.get(index) else { panic!("hyper has no message {index}, {place}") };
            compare(our, their, &place);
            whole += u64::from(our.body.is_some());
        }
    }
    assert!(whole > cases / 10, "only {whole} requests were compared");
}

#[test]
fn hyper_reads_the_same_responses() {
    let (seed, cases) = (number("TOLLGATE_SEED", SEED), number("TOLLGATE_CASES", CASES));
    let (runtime, mut random, mut whole) = (runtime(), Random(seed), 0);
    for case in 0..cases {
        let bytes = random.message(&responses());
        let method = random.pick(&[Method::Get, Method::Head]).clone();
        let Some(our) = our_response(&method, &bytes) else { continue };
        let their = runtime.block_on(hyper_response(&method, bytes.clone()));
        let place = format!("case {case} of seed {seed}, {method}: {}", bytes.escape_ascii());
        let Some(their) = their else { panic!("hyper has no response, {place}") };
        compare(&our, &their, &place);
        whole += u64::from(our.body.is_some());
    }
    assert!(whole > cases / 10, "only {whole} responses were compared");
}

fn compare(our: &Seen, their: &Seen, place: &str) {
    assert_eq!(our.start, their.start, "{place}");
    assert_eq!(our.headers, rewritten(their), "{place}");
    // A body that is refused or cut short here may be whole there, never the other way round.
    if our.body.is_some() {
        assert_eq!(our.body, their.body, "{place}");
    }
}

/// The headers with what this crate rewrites: zeros before a length, and the length that a 204 should not have.
fn rewritten(their: &Seen) -> Vec<(String, Vec<u8>)> {
    let mut headers = their.headers.clone();
    headers.retain(|(name, _)| !(their.start == "204" && name == "content-length"));
    for (name, value) in &mut headers {
        if name == "content-length" {
            let zeros = value.iter().take_while(|b| **b == b'0').count().min(value.len() - 1);
            value.drain(..zeros);
        }
    }
    headers
}

/// Requests one after the other, as a server would read them from one connection.
fn our_requests(bytes: &[u8]) -> Vec<Seen> {
    let (mut seen, mut at) = (vec![], 0);
    let mut head = RequestHead::default();
    while let Ok(Parsed::Complete(length)) =
        parse_request(&bytes[at..], &mut HeadProgress::default(), &HeadLimits::default(), &mut head)
    {
        // What follows CONNECT is no HTTP. A target that is no URI (a backtick, a backslash, UTF-8) is left
        // here to the normal form of paths, and refused by hyper.
        let uri = std::str::from_utf8(head.target()).map(str::parse::<hyper::Uri>);
        let (false, Ok(Ok(uri))) = (head.method == Method::Connect, uri) else { break };
        at += length;
        let body = our_body(head.body, &bytes[at..]);
        seen.push(Seen {
            start: format!("{} {uri}", head.method),
            headers: lines(&head.headers),
            body: body.as_ref().map(|(payload, _)| payload.clone()),
        });
        let Some((_, consumed)) = body else { break };
        at += consumed;
        if !head.persistent {
            break;
        }
    }
    seen
}

/// The first response that is not informational.
fn our_response(method: &Method, bytes: &[u8]) -> Option<Seen> {
    let (mut at, mut head) = (0, ResponseHead::default());
    loop {
        let mut progress = HeadProgress::default();
        let parsed = parse_response(&bytes[at..], &mut progress, &HeadLimits::default(), method, &mut head);
        let Ok(Parsed::Complete(length)) = parsed else { return None };
        at += length;
        if !head.is_interim() {
            break;
        }
    }
    let body = our_body(head.body, &bytes[at..]);
    Some(Seen {
        start: head.status.to_string(),
        headers: lines(&head.headers),
        body: body.map(|(payload, _)| payload),
    })
}

fn our_body(length: BodyLength, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut decoder = BodyDecoder::new(length, &ChunkLimits::default());
    let (mut payload, mut at) = (vec![], 0);
    loop {
        match decoder.step(&bytes[at..]).ok()? {
            Step::Data { start, end, consumed } => {
                payload.extend_from_slice(&bytes[at + start..at + end]);
                at += consumed;
            }
            Step::End { consumed } => return Some((payload, at + consumed)),
            Step::More { .. } => return decoder.finish_at_eof().ok().map(|()| (payload, bytes.len())),
        }
    }
}

/// Names in lower case, each with its values in order; names in order of the alphabet, as hyper's map has no
/// order between them.
fn lines(headers: &HeaderBlock) -> Vec<(String, Vec<u8>)> {
    let name = |name: &[u8]| String::from_utf8_lossy(name).to_ascii_lowercase();
    let mut lines: Vec<_> = headers.iter().map(|(n, value)| (name(n), value.to_vec())).collect();
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    lines
}

fn hyper_lines(headers: &hyper::HeaderMap) -> Vec<(String, Vec<u8>)> {
    let mut lines: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    lines.sort_by(|a, b| a.0.cmp(&b.0));
    lines
}

async fn hyper_requests(bytes: Vec<u8>) -> Vec<Seen> {
    let seen = Arc::new(Mutex::new(vec![]));
    let (client, server) = tokio::io::duplex(1 << 20);
    let service = service_fn(|request: Request<Incoming>| {
        let seen = seen.clone();
        async move {
            let (head, body) = request.into_parts();
            let mut this = Seen {
                start: format!("{} {}", head.method, head.uri),
                headers: hyper_lines(&head.headers),
                body: None,
            };
            this.body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            seen.lock().unwrap().push(this);
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .serve_connection(TokioIo::new(server), service);
    let _ = tokio::join!(serving, say(client, bytes));
    seen.lock().unwrap().clone()
}

async fn hyper_response(method: &Method, bytes: Vec<u8>) -> Option<Seen> {
    let (client, server) = tokio::io::duplex(1 << 20);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client)).await.unwrap();
    let request = Request::builder().method(method.as_str()).uri("/").header("host", "a");
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let asking = async {
        let response = sender.send_request(request).await.ok()?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
        Some(Seen { start: head.status.as_str().to_string(), headers: hyper_lines(&head.headers), body })
    };
    let answering = async {
        let mut server = server;
        // hyper takes bytes that come before its request for an answer to nothing.
        let mut buf = [0; 1024];
        let _ = server.read(&mut buf).await;
        say(server, bytes).await
    };
    let (seen, _, _) = tokio::join!(asking, connection, answering);
    seen
}

/// Sends everything, then nothing more, and reads until the other side is done too.
async fn say(mut io: tokio::io::DuplexStream, bytes: Vec<u8>) -> io::Result<()> {
    io.write_all(&bytes).await?;
    io.shutdown().await?;
    let mut rest = vec![];
    io.read_to_end(&mut rest).await?;
    Ok(())
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

fn requests() -> Vec<Vec<u8>> {
    [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /a/b?c=d HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\nAccept: text/html\r\n\r\n",
        "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "PUT /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n1\r\n!\r\n0\r\nX: y\r\n\r\n",
        "GET http://a/b?c HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n!",
        "DELETE /x HTTP/1.1\r\nHost: a\r\nX: \t b \r\nY:\r\nConnection: close\r\n\r\n",
        "HEAD /x HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, x\r\n\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn responses() -> Vec<Vec<u8>> {
    [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nServer: a\r\n\r\nall that comes",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nX: y\r\n\r\n",
        "HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc",
        "HTTP/1.0 200 OK\r\n\r\nall that comes",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\nX: y\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 500\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 0\r\n\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}
