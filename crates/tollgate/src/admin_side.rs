//! Asks the admin side of a running gateway, for commands: where it is, its token, and one answer.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;
use tollgate_plan::plan::Admin;

use crate::cli::AdminArg;
use crate::config_file;

/// How long the gateway may take for its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer: a line for each of a million targets.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Where a token is looked for when the address is named.
const TOKEN_VARIABLE: &str = "TOLLGATE_ADMIN_TOKEN";

/// The admin side of a gateway.
#[derive(Clone)]
pub(crate) struct AdminSide {
    pub(crate) address: SocketAddr,
    token: Option<String>,
}

impl AdminSide {
    /// As named, or as the configuration says, also where the gateway would refuse it; what is wrong with what it says of
    /// the admin side was shown.
    pub(crate) fn of(argument: &AdminArg) -> Option<AdminSide> {
        match argument.address {
            Some(address) => Some(AdminSide::at(address)),
            None => Some(AdminSide::configured(&config_file::admin(&argument.config)?)),
        }
    }

    /// At an address that was named, with the token of the environment.
    pub(crate) fn at(address: SocketAddr) -> AdminSide {
        let token = std::env::var(TOKEN_VARIABLE).ok().filter(|token| !token.is_empty());
        AdminSide { address: reachable(address), token }
    }

    /// As a configuration says.
    pub(crate) fn configured(admin: &Admin) -> AdminSide {
        let token = admin.token.as_ref().map(|token| token.to_string());
        AdminSide { address: reachable(admin.address), token }
    }

    /// The text of an answer; says why there is none, or what another status than 200 means.
    pub(crate) fn text(&self, path: &str) -> Result<String, String> {
        let (code, body) = self.ask(path, true).map_err(|error| self.unheard(&error))?;
        if code == 200 { Ok(body) } else { Err(self.refused(code, &body)) }
    }

    /// The JSON of an answer.
    pub(crate) fn json(&self, path: &str) -> Result<Value, String> {
        read(&self.text(path)?).ok_or_else(|| self.unheard(&no_admin_side()))
    }

    /// The JSON of `/readyz`, which needs no token and is 503 while the gateway is not ready.
    pub(crate) fn ready(&self) -> Result<Value, String> {
        let (_, body) = self.ask("/readyz", false).map_err(|error| self.unheard(&error))?;
        read(&body).ok_or_else(|| self.unheard(&no_admin_side()))
    }

    fn unheard(&self, error: &io::Error) -> String {
        format!("no answer from {}: {error}", self.address)
    }

    fn refused(&self, code: u16, body: &str) -> String {
        let problem = read(body).unwrap_or_default();
        let detail = problem["detail"].as_str().unwrap_or("it does not say why");
        format!("{} answered {code}: {detail}", self.address)
    }

    /// The JSON of the answer to a document.
    pub(crate) fn post(&self, path: &str, document: &Value) -> Result<Value, String> {
        let (code, body) =
            self.exchange("POST", path, true, &document.to_string()).map_err(|error| self.unheard(&error))?;
        if code != 200 {
            return Err(self.refused(code, &body));
        }
        read(&body).ok_or_else(|| self.unheard(&no_admin_side()))
    }

    /// One GET: the status and the body of the answer.
    fn ask(&self, path: &str, with_token: bool) -> io::Result<(u16, String)> {
        self.exchange("GET", path, with_token, "")
    }

    fn exchange(&self, method: &str, path: &str, with_token: bool, body: &str) -> io::Result<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let token = self.token.as_deref().filter(|_| with_token);
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        // As HTTP/1.0, so that the answer ends with the connection and has no framing.
        let length = match method {
            "GET" => String::new(),
            _ => format!("Content-Length: {}\r\n", body.len()),
        };
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: {}\r\n{token}{length}\r\n{body}", self.address)?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
        parse(&answer).ok_or_else(no_admin_side)
    }
}

/// An address to connect to: who listens on all of them listens on that of this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn parse(answer: &[u8]) -> Option<(u16, String)> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let code = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some((code, body.to_owned()))
}

fn read(body: &str) -> Option<Value> {
    serde_json::from_str(body).ok()
}

fn no_admin_side() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "that is no admin side")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_others_are_not() {
        let answer = b"HTTP/1.0 200 OK\r\ncontent-type: application/json\r\n\r\n{\"status\":\"ok\"}";
        assert_eq!(parse(answer), Some((200, "{\"status\":\"ok\"}".to_owned())));
        for other in
            [&b""[..], b"SSH-2.0-x\r\n\r\n", b"HTTP/1.0 OK\r\n\r\n{}", b"HTTP/1.0 200 OK\r\n\r\n{}\xff"]
        {
            assert_eq!(parse(other), None);
        }
        assert_eq!(read("<html>"), None);
    }

    #[test]
    fn who_listens_everywhere_is_asked_here() {
        for (address, expect) in
            [("0.0.0.0:9900", "127.0.0.1:9900"), ("[::]:9900", "[::1]:9900"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            assert_eq!(reachable(address.parse().unwrap()).to_string(), expect);
        }
    }
}
