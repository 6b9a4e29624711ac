//! Two ends of one connection in one task, with a socket between them that holds little.

use std::os::fd::OwnedFd;

use rcgen::{CertificateParams, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::runtime::{Builder, LocalOptions};

use super::*;

/// Runs a test on both ends of a fresh connection.
fn check<F: Future<Output = ()>>(test: impl FnOnce(Tls, Tls) -> F) {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(async {
        let (server, client) = ends();
        let (server_config, client_config) = configs();
        let (room, name) = (Room::default(), "a.example".try_into().expect("a name"));
        let accepting = Tls::accept(server, server_config, room.clone());
        let connecting = Tls::connect(client, client_config, name, vec![b"x".to_vec()], room);
        let (server, client) = tokio::join!(accepting, connecting);
        let (server, client) = (server.expect("the server's side"), client.expect("the client's side"));
        assert_eq!((server.version(), client.version()), ("TLSv1.3", "TLSv1.3"));
        assert!(server.is_alpn(b"x") && client.is_alpn(b"x") && !client.is_alpn(b"y"));
        test(server, client).await;
    });
}

fn ends() -> (Socket, Socket) {
    let (one, other) = std::os::unix::net::UnixStream::pair().expect("a pair of sockets");
    let socket = |end: std::os::unix::net::UnixStream| {
        end.set_nonblocking(true).expect("no blocking");
        socket2::SockRef::from(&end).set_send_buffer_size(8 * 1024).expect("a small buffer");
        Socket::new(OwnedFd::from(end)).expect("a socket")
    };
    (socket(one), socket(other))
}

fn configs() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["a.example".to_owned()]).expect("parameters");
    let certificate: CertificateDer<'static> = params.self_signed(&key).expect("a certificate").into();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).expect("a root");
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let server = ServerConfig::builder_with_provider(provider.clone());
    let server = server.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let mut server = server.with_single_cert(vec![certificate], key).expect("a server");
    server.alpn_protocols = vec![b"x".to_vec()];
    let client = ClientConfig::builder_with_provider(provider);
    let client = client.with_safe_default_protocol_versions().expect("versions");
    (Arc::new(server), Arc::new(client.with_root_certificates(roots).with_no_client_auth()))
}

/// Writes all of it, as the pumps do: what is pending is repeated.
async fn write(tls: &Tls, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let written = poll_fn(|cx| tls.poll_write(cx, bytes)).await.expect("it takes bytes");
        bytes = &bytes[written..];
    }
}

/// Reads `length` bytes, at most `piece` at once.
async fn read(tls: &Tls, length: usize, piece: usize) -> Vec<u8> {
    let (mut all, mut buf) = (Vec::new(), vec![0; piece]);
    while all.len() < length {
        let read = poll_fn(|cx| tls.poll_read(cx, &mut buf)).await.expect("bytes");
        assert!(read > 0, "it ended after {} bytes", all.len());
        all.extend_from_slice(&buf[..read]);
    }
    all
}

async fn until_readable(tls: &Tls) {
    poll_fn(|cx| tls.socket.poll_peek(cx, &mut [0])).await.expect("bytes, or the end");
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

#[test]
fn bytes_arrive_as_they_were_sent_in_both_directions() {
    for (length, piece) in [(1, 1), (5, 100_000), (16_384, 3), (70_000, 64 * 1024), (1_000_000, 300_000)] {
        check(async |server, client| {
            let sent = pattern(length);
            let ((), got) = tokio::join!(write(&client, &sent), read(&server, length, piece));
            assert!(got == sent, "{length} bytes up, {piece} at once");
            let ((), got) = tokio::join!(write(&server, &sent), read(&client, length, piece));
            assert!(got == sent, "{length} bytes down, {piece} at once");
            assert!(server.is_idle() && client.is_idle(), "an idle connection holds nothing");
        });
    }
}

#[test]
fn what_the_socket_does_not_take_is_not_told_as_written() {
    check(async |server, client| {
        let sent = pattern(300_000);
        let mut written = 0;
        poll_fn(|cx| {
            while let Poll::Ready(more) = client.poll_write(cx, &sent[written..]) {
                written += more.expect("it takes bytes");
            }
            Poll::Ready(())
        })
        .await;
        assert!(written < sent.len() && written.is_multiple_of(PIECE_BYTES), "{written}");
        let held = client.session.borrow().unsent.len();
        assert!((1..PIECE_BYTES + 512).contains(&held), "{held} bytes are held");
        let rest = &sent[written..];
        let ((), got) = tokio::join!(write(&client, rest), read(&server, sent.len(), 10_000));
        assert!(got == sent);
    });
}

#[test]
fn an_end_is_told_apart_from_a_cut() {
    check(async |server, client| {
        write(&client, b"last words").await;
        client.end().expect("it ends");
        assert_eq!(read(&server, 10, 100).await, b"last words");
        assert_eq!(poll_fn(|cx| server.poll_gone(cx)).await, Gone::End);
        let end = poll_fn(|cx| server.poll_read(cx, &mut [0; 10])).await;
        assert_eq!(end.expect("an end in order"), 0);
        // The other direction goes on.
        write(&server, b"answer").await;
        assert_eq!(read(&client, 6, 100).await, b"answer");
        assert!(client.poll_write_once(b"more").await.is_err(), "it said that it sends no more");
    });
    check(async |server, client| {
        write(&client, b"last words").await;
        // The server's tickets: closing with unread bytes would be a reset.
        until_readable(&client).await;
        assert!(client.is_quiet());
        drop(client);
        assert_eq!(read(&server, 10, 100).await, b"last words");
        let cut = poll_fn(|cx| server.poll_read(cx, &mut [0; 10])).await;
        assert_eq!(cut.expect_err("a cut").kind(), io::ErrorKind::UnexpectedEof);
    });
}

#[test]
fn tickets_are_no_answer_that_nobody_asked_for() {
    check(async |server, client| {
        until_readable(&client).await;
        assert!(client.is_quiet(), "the server's tickets are there");
        assert!(client.is_quiet() && server.is_quiet());
        write(&server, b"x").await;
        until_readable(&client).await;
        assert!(!client.is_quiet() && !client.is_quiet());
        assert!(poll_fn(|cx| Poll::Ready(client.poll_gone(cx).is_pending())).await, "data is no end");
        assert_eq!(read(&client, 1, 10).await, b"x");
        assert!(client.is_quiet());
        server.end().expect("it ends");
        until_readable(&client).await;
        assert!(!client.is_quiet());
    });
}

#[test]
fn what_is_no_tls_is_refused_with_an_alert() {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    runtime.expect("a runtime").block_on(async {
        let (server, client) = ends();
        let accepting = Tls::accept(server, configs().0, Room::default());
        let talking = async {
            let mut answer = [0; 100];
            poll_fn(|cx| client.poll_write(cx, b"SSH-2.0-OpenSSH_9.2\r\n")).await.expect("it is sent");
            let got = poll_fn(|cx| client.poll_read(cx, &mut answer)).await.expect("an answer");
            // The server reads on until the client has gone.
            client.end().expect("it ends");
            answer[..got].to_vec()
        };
        let (refused, answer) = tokio::join!(accepting, talking);
        assert!(matches!(refused, Err(HandshakeError::Tls(_))));
        assert_eq!(answer.first(), Some(&21), "an alert (RFC 8446 section 5.1): {answer:?}");
    });
}

impl Tls {
    async fn poll_write_once(&self, bytes: &[u8]) -> io::Result<usize> {
        poll_fn(|cx| self.poll_write(cx, bytes)).await
    }

    fn is_idle(&self) -> bool {
        let session = self.session.borrow();
        session.plain.is_empty() && session.unsent.is_empty() && session.partial.capacity() == 0
    }
}
