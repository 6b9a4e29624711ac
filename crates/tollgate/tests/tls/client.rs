//! A client over TLS: one connection, requests in bytes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, StreamOwned};
use tollgate_testkit::PATIENCE;

use crate::pki::{Authority, Issued};

/// A connection whose handshake is done.
pub(crate) struct Client {
    stream: StreamOwned<ClientConnection, TcpStream>,
}

/// How clients connect; those that share one resume each other's sessions.
#[derive(Clone)]
pub(crate) struct Way(Arc<ClientConfig>);

/// What came back.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Way {
    /// Trusts this authority.
    pub(crate) fn trusting(authority: &Authority) -> Way {
        Way::with(authority, None, rustls::ALL_VERSIONS)
    }

    pub(crate) fn with(
        authority: &Authority,
        identity: Option<&Issued>,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Way {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der()).expect("a root");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
        let builder = builder.expect("versions").with_root_certificates(roots);
        Way(Arc::new(match identity {
            Some(one) => {
                let key = one.key.clone_key();
                builder.with_client_auth_cert(vec![one.certificate.clone()], key).expect("a certificate")
            }
            None => builder.with_no_client_auth(),
        }))
    }

    /// The same, and makes something else of the configuration.
    pub(crate) fn but(&self, change: impl FnOnce(&mut ClientConfig)) -> Way {
        let mut config = (*self.0).clone();
        change(&mut config);
        Way(Arc::new(config))
    }

    /// Connects, asking for `host`.
    pub(crate) fn connect(&self, address: &str, host: &str) -> io::Result<Client> {
        let name = ServerName::try_from(host.to_owned()).expect("a name");
        let connection = ClientConnection::new(self.0.clone(), name).map_err(io::Error::other)?;
        let tcp = TcpStream::connect(address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        let mut stream = StreamOwned::new(connection, tcp);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Client { stream })
    }

    /// One GET on a connection of its own.
    pub(crate) fn get(&self, address: &str, host: &str, path: &str) -> io::Result<Reply> {
        self.connect(address, host)?.get(path, "")
    }
}

impl Client {
    /// One GET with these header lines.
    pub(crate) fn get(&mut self, path: &str, lines: &str) -> io::Result<Reply> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: test\r\n{lines}\r\n").as_bytes())?;
        self.reply()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads an answer with a `content-length`.
    pub(crate) fn reply(&mut self) -> io::Result<Reply> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                break at + 4;
            }
            self.more(&mut bytes)?;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().expect("a length"));
        while bytes.len() < end + length {
            self.more(&mut bytes)?;
        }
        assert_eq!(bytes.len(), end + length, "nothing behind the answer");
        Ok(Reply { status, head, body: bytes.split_off(end) })
    }

    /// Everything up to the end, which must have been announced.
    pub(crate) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes).map(|_| bytes)
    }

    pub(crate) fn is_resumed(&self) -> bool {
        self.stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    pub(crate) fn version(&self) -> Option<ProtocolVersion> {
        self.stream.conn.protocol_version()
    }

    /// Whether the server showed this certificate.
    pub(crate) fn was_shown(&self, issued: &Issued) -> bool {
        self.stream.conn.peer_certificates().is_some_and(|chain| chain[0] == issued.certificate)
    }

    pub(crate) fn stream(&mut self) -> &mut StreamOwned<ClientConnection, TcpStream> {
        &mut self.stream
    }

    fn more(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                bytes.extend_from_slice(&piece[..read]);
                Ok(())
            }
        }
    }
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
