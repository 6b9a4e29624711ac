//! What concerns the process as a whole: listeners, limits, workers, shutdown, admin.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use tollgate_plan::listener::ListenAddress;

use super::life::Watch;
use super::tls::ListenerTls;

use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{
    Catalogue, Description, Int, Seconds, Shape, Size, or_expansion, shown, text, wrong_type,
};
use crate::source_map::Span;
use crate::yaml::{Core, NodeRef};

/// The widest head that is accepted: a worker holds it in memory.
const HEAD_MAX: u64 = 16 << 20;

block! {
    /// One listening address.
    "listener" Listener {
        /// `0.0.0.0:8080`, `[::]:8080` or `unix:/run/tollgate.sock`.
        address: Address, required;
        /// Permissions of the file of a unix socket, in octal: `660`. Left out: what the umask of the process leaves of
        /// `777`. Who may write to the file may connect.
        mode: Mode;
        /// TLS on this address. Without it clients are served in clear text.
        tls: ListenerTls;
        /// HTTP/2 on this address, beside HTTP/1.1: chosen in the TLS handshake (ALPN), or by a client that begins
        /// with it (prior knowledge) in clear text.
        http2: bool = true;
        /// Whether a load balancer in front says who connected: `require` wants a PROXY header, of version 1 or 2, at
        /// the beginning of each connection and closes those without; `off` never believes one.
        proxy_protocol: ProxyProtocol = ProxyProtocol::Off;
    }
}

block! {
    /// Bounds on what one client may cost.
    "limits" Limits {
        /// Open client connections of the process; the excess is closed at accept and counted.
        connections: Int<1, 10_000_000> = Int(20_000);
        /// Bytes of a request head, and of what stands behind its body. It grows with a `uri_bytes` that is larger.
        header_bytes: Size<512, HEAD_MAX> = Size(32 << 10);
        /// Header lines of a request head, and of what stands behind its body.
        header_count: Int<1, 10_000> = Int(100);
        /// Bytes of a request target. It shrinks with a `header_bytes` that is smaller; where both are written, that
        /// is an error.
        uri_bytes: Size<64, HEAD_MAX> = Size(8 << 10);
        /// Bytes of a request body; a route may change it. Bodies stream, they are not held.
        body: Size<0, { u64::MAX }> = Size(10 << 20);
        /// From the first byte (or the connect) to the complete head.
        header_timeout: Seconds<1> = Seconds::of(10);
        /// No progress on a request body.
        body_idle_timeout: Seconds<1> = Seconds::of(30);
        /// No progress writing to a slow client.
        write_idle_timeout: Seconds<1> = Seconds::of(30);
        /// Between two requests of a connection.
        keepalive_timeout: Seconds<1> = Seconds::of(75);
        /// Requests of one connection; 0: any number.
        requests_per_connection: Int<0, { i64::MAX }> = Int(0);
        /// Requests that one HTTP/2 connection may have under way at once.
        http2_streams: Int<1, 10_000> = Int(128);
        /// What the process may use of memory, at least 64MiB: buffers, caches, the tables of rate limits, tokens, the
        /// log queue and scripts have fixed shares of it. Near it idle connections are closed and new requests refused
        /// (503 `overloaded`). 0: no cap.
        memory: Size<0, { u64::MAX }> = Size(0);
    }
}

block! {
    /// How the gateway ends: readiness fails at once, then `delay`, then accepting stops, then `grace`.
    "shutdown" Shutdown {
        /// Between failing readiness and ceasing to accept.
        delay: Seconds<0> = Seconds::of(0);
        /// What requests in flight get after that; then the rest is cut.
        grace: Seconds<0> = Seconds::of(30);
        /// Who says that the machine is about to go, for machines that a cloud may take back: `aws` (spot instances),
        /// `gcp`, `azure`, or `{ url: … }`. The drain then begins by itself, and fits into the time that is left.
        watch: Watch;
    }
}

block! {
    /// The admin side, never on the public listeners.
    "admin" Admin {
        /// Where it listens. A change needs a restart.
        address: AdminAddress = AdminAddress(SocketAddr::from(([127, 0, 0, 1], 9900)));
        /// The bearer token; required when the address is not loopback. Empty: none.
        token: String;
        /// Whether the text of this file may be read and replaced there, as the console's designer does. It needs a
        /// `token`, whatever the address: who has it decides what the gateway does.
        allow_write: bool = false;
    }
}

choice! {
    /// Whether connections begin with a PROXY header.
    ProxyProtocol {
        /// They do not.
        "off" => Off,
        /// Each has to.
        "require" => Require,
    }
}

/// A number of workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workers {
    /// One per core.
    Auto,
    /// So many.
    Count(usize),
}

impl Shape for Workers {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        match node.scalar() {
            Some(scalar) if &*scalar.text == "auto" => Some(Workers::Auto),
            Some(scalar) if scalar.core() == Core::Text && !scalar.unknown => {
                wrong_type(node, what, "a whole number or `auto`", report);
                None
            }
            _ => Int::<1, 1024>::read(node, what, report).map(|count| Workers::Count(count.count())),
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        let number = json!({ "type": "integer", "minimum": 1, "maximum": 1024 });
        Description::new(
            "`auto` or a number",
            or_expansion(json!({ "anyOf": [{ "const": "auto" }, number] })),
        )
    }

    fn show(&self) -> Value {
        match self {
            Workers::Auto => "auto".into(),
            Workers::Count(count) => (*count).into(),
        }
    }
}

/// A listening address, and its text.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) address: ListenAddress,
    pub(crate) text: String,
}

impl Shape for Address {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        if let Some(Core::Int(port)) = node.scalar().map(|scalar| scalar.core()) {
            let message = format!("`{what}` must be an address with a port");
            let hint = format!("write `0.0.0.0:{port}`, or `127.0.0.1:{port}` for this machine only");
            report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
            return None;
        }
        let text = text(node, what, report)?.text.to_string();
        let address = match text.strip_prefix("unix:") {
            Some(path) => ListenAddress::Unix(socket_path(path, node.span(), report)?),
            None => ListenAddress::Tcp(socket_address(&text, node, report)?),
        };
        Some(Address { address, text })
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("address", json!({ "type": "string", "minLength": 1 }))
    }
}

/// Permissions of a file, written in octal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mode(pub(crate) u32);

impl Shape for Mode {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        // By its text: `0660` is a decimal number in YAML 1.2, and nobody means that.
        let Some(scalar) =
            node.scalar().filter(|scalar| !matches!(scalar.core(), Core::Null | Core::Bool(_)))
        else {
            wrong_type(node, what, "permissions such as `660`", report);
            return None;
        };
        if scalar.unknown {
            return None;
        }
        let digits = scalar.text.strip_prefix("0o").unwrap_or(&scalar.text);
        let octal = (3..=4).contains(&digits.len()) && digits.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| octal && *mode <= 0o777);
        if mode.is_none() {
            let message = format!("`{}` are no permissions of a socket", shown(node, report));
            let hint = "write three octal digits for owner, group and others, such as `660`";
            report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        }
        mode.map(Mode)
    }

    fn describe(_: &mut Catalogue) -> Description {
        let text = json!({ "type": "string", "pattern": "^(0o?)?[0-7]{3}$" });
        let number = json!({ "type": "integer", "minimum": 0, "maximum": 777 });
        Description::new("octal digits", or_expansion(json!({ "anyOf": [text, number] })))
    }

    fn show(&self) -> Value {
        format!("{:03o}", self.0).into()
    }
}

/// The admin side's address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdminAddress(pub(crate) SocketAddr);

impl Shape for AdminAddress {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let text = &text(node, what, report)?.text;
        socket_address(text, node, report).map(AdminAddress)
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("address", json!({ "type": "string", "minLength": 1 }))
    }

    fn show(&self) -> Value {
        self.0.to_string().into()
    }
}

fn socket_address(text: &str, node: NodeRef<'_>, report: &mut Report) -> Option<SocketAddr> {
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let hint = match text.rsplit_once(':') {
        Some(("" | "*", port)) => format!("write `0.0.0.0:{port}`"),
        Some(("localhost", port)) => format!("write `127.0.0.1:{port}`"),
        Some((host, port)) if host.contains(':') && !host.starts_with('[') && port.parse::<u16>().is_ok() => {
            "an IPv6 address stands in brackets: `[::]:8080`".to_owned()
        }
        None if text.parse::<std::net::IpAddr>().is_ok() => "add a port, such as `:8080`".to_owned(),
        _ => "write an IP address and a port, such as `0.0.0.0:8080` or `[::]:8080`".to_owned(),
    };
    let message = format!("`{}` is no address to listen on", shown(node, report));
    report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
    None
}

/// The path of a unix socket, beside the file in which it is written.
pub(super) fn socket_path(path: &str, span: Span, report: &mut Report) -> Option<PathBuf> {
    let file = report.sources.path(span.file)?;
    let full = crate::resolve::beside(file, path);
    let fault = if path.is_empty() || path.contains('\0') {
        "a unix socket needs a path, such as `unix:/run/tollgate.sock`".to_owned()
    } else if full.as_os_str().len() > bounds::SOCKET_PATH_BYTES {
        format!("the path of a unix socket has at most {} bytes", bounds::SOCKET_PATH_BYTES)
    } else {
        return Some(full);
    };
    report.push(Finding::error(Code::BadValue, span, fault));
    None
}
