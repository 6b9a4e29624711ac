use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

use super::*;

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

fn run<F: Future>(test: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test)
}

fn url(text: &str) -> HttpUrl {
    HttpUrl::parse(text).unwrap()
}

/// An authority, and a certificate of it for `name`.
struct Authority {
    root: Box<[u8]>,
    server: Arc<ServerConfig>,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let server =
        builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key).unwrap();
    Authority { root: authority.der().to_vec().into(), server: Arc::new(server) }
}

fn trusting_only(root: &[u8]) -> Reach {
    Reach { roots: Some(Arc::from([Box::from(root)])), allow_http: false }
}

async fn serve_tls(server: Arc<ServerConfig>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = TlsAcceptor::from(server.clone()).accept(stream).await else { continue };
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(GOOD.as_bytes()).await;
        }
    });
    port
}

#[test]
fn only_whom_the_configuration_trusts_is_believed() {
    run(async {
        let rim = Rc::new(Rim::default());
        let (ours, theirs) = (authority("localhost"), authority("localhost"));
        let port = serve_tls(ours.server).await;
        let elsewhere = serve_tls(authority("other.example").server).await;
        let get = async |reach: Reach, port: u16| {
            Http::new(&rim, &reach).get(&url(&format!("https://localhost:{port}/jwks"))).await
        };
        assert_eq!(get(trusting_only(&ours.root), port).await.as_deref(), Ok(&b"{}"[..]));
        for (what, reach, port) in [
            ("another authority", trusting_only(&theirs.root), port),
            ("the system's", Reach::default(), port),
            ("another name", trusting_only(&ours.root), elsewhere),
        ] {
            let fetched = get(reach, port).await;
            assert!(matches!(fetched, Err(Fault::Tls(_))), "{what}: {fetched:?}");
        }
    });
}

/// Answers each connection with the next of `answers`, and then closes it.
async fn serve(answers: &'static [&'static str]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn_local(async move {
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    port
}

#[test]
fn answers_that_are_none() {
    run(async {
        let http = Http::new(&Rc::new(Rim::default()), &Reach::default());
        let check = async |answer: &'static [&'static str], expect: fn(&Result<Bytes, Fault>) -> bool| {
            let port = serve(answer).await;
            let fetched = http.get(&url(&format!("http://127.0.0.1:{port}/"))).await;
            assert!(expect(&fetched), "{answer:?}: {fetched:?}");
        };
        check(&[GOOD], |fetched| fetched.as_deref() == Ok(b"{}")).await;
        check(&["HTTP/1.1 200 OK\r\n\r\n{}"], |fetched| fetched.as_deref() == Ok(b"{}")).await;
        let status = |fetched: &Result<Bytes, Fault>| matches!(fetched, Err(Fault::Status(302 | 204 | 500)));
        check(&["HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"], status)
            .await;
        check(&["HTTP/1.1 204 No Content\r\n\r\n"], status).await;
        check(&["HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"], status).await;
        let protocol = |fetched: &Result<Bytes, Fault>| matches!(fetched, Err(Fault::Protocol(_)));
        check(&["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}"], protocol).await;
        check(&["SSH-2.0-OpenSSH\r\n"], protocol).await;
        check(&[""], protocol).await;
        let gone = http.get(&url("http://127.0.0.1:1/")).await;
        assert_eq!(gone, Err(Fault::Connect(std::io::ErrorKind::ConnectionRefused)));
    });
}

#[test]
fn an_answer_has_an_end() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        spawn_local(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b' '; 65536]).await.is_ok() {}
        });
        let http = Http::new(&Rc::new(Rim::default()), &Reach::default());
        assert_eq!(
            http.get(&url(&format!("http://127.0.0.1:{port}/"))).await,
            Err(Fault::TooLong(MAX_KEY_TEXT_BYTES))
        );
    });
}

/// Connections are kept; one that died meanwhile is no failure.
#[test]
fn a_connection_that_died_is_replaced() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = url(&format!("http://127.0.0.1:{}/", listener.local_addr().unwrap().port()));
        let connections = Rc::new(std::cell::Cell::new(0));
        let counted = connections.clone();
        spawn_local(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                counted.set(counted.get() + 1);
                // Two questions on each connection; then it is closed without a word.
                for _ in 0..2 {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let _ = stream.write_all(GOOD.as_bytes()).await;
                }
                let _ = stream.read(&mut [0; 4096]).await;
            }
        });
        let http = Http::new(&Rc::new(Rim::default()), &Reach::default());
        for at in 0..6 {
            let answer = http.post(&endpoint, "Basic x", "token=t".to_owned()).await;
            assert_eq!(answer.as_deref(), Ok(&b"{}"[..]), "question {at}");
            // The connection's task has to run before it can be used again.
            tokio::task::yield_now().await;
        }
        assert_eq!(connections.get(), 3);
    });
}
