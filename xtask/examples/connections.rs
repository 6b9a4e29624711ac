//! Holds connections over TLS open, for the measurement of memory: each has answered one request and is idle then. The
//! bench driver runs it; it is an example so that the tasks do not link a TLS library.
//!
//! `connections PORT COUNT CERTIFICATE` prints `open` when all of them are, and ends with its standard input.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: bench.example\r\n\r\n";

/// The name in the certificate.
const HOST: &str = "bench.example";

/// Any single wait on a socket. Everything is on one machine, so this is generous.
const IO_LIMIT: Duration = Duration::from_secs(10);

type Connection = StreamOwned<ClientConnection, TcpStream>;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [port, count, certificate] = words.as_slice() else {
        return Err("connections PORT COUNT CERTIFICATE".into());
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
    let (port, count): (u16, usize) = (port.parse()?, count.parse()?);
    let mut open = Vec::with_capacity(count);
    for at in 0..count {
        let connection = connect(port, &config).map_err(|error| format!("connection {at}: {error}"))?;
        open.push(connection);
    }
    writeln!(std::io::stdout(), "open")?;
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn connect(port: u16, config: &Arc<ClientConfig>) -> Result<Connection, Box<dyn Error>> {
    let tcp = TcpStream::connect(("127.0.0.1", port))?;
    tcp.set_read_timeout(Some(IO_LIMIT))?;
    tcp.set_write_timeout(Some(IO_LIMIT))?;
    let mut stream = StreamOwned::new(ClientConnection::new(config.clone(), HOST.try_into()?)?, tcp);
    stream.write_all(REQUEST)?;
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    // Answers are a kilobyte of `k` behind their head.
    while !answer.ends_with(b"kkkk") {
        match stream.read(&mut piece)? {
            0 => return Err("closed before the end of the answer".into()),
            read => answer.extend_from_slice(&piece[..read]),
        }
    }
    Ok(stream)
}
