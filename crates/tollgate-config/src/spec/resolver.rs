//! Whom names are asked of.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{Catalogue, Description, List, Shape, or_expansion, shown, text};
use crate::yaml::NodeRef;

/// The port of DNS.
const DNS: u16 = 53;

block! {
    /// Whom the names of upstreams, issuers and Redis are asked of. `/etc/hosts` goes before them.
    "resolver" Resolver {
        /// DNS servers: `10.0.0.2`, `127.0.0.1:8600`, `[2001:db8::53]:53`. Names are asked for as they are written,
        /// without search domains. The next one is asked when one fails, or has not answered after a quarter of a
        /// second; who answered last is asked first.
        servers: List<NameServer>, required;
    }
}

/// A DNS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameServer(pub(crate) SocketAddr);

impl Shape for NameServer {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let bare =
            scalar.text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&scalar.text);
        let address = match bare.parse::<IpAddr>() {
            Ok(ip) => Some(SocketAddr::new(ip, DNS)),
            Err(_) => scalar.text.parse().ok(),
        };
        let address = address.filter(|address: &SocketAddr| address.port() != 0);
        if address.is_none() {
            let message = format!("`{}` is no DNS server", shown(node, report));
            let hint = "write an IP address, with a port where it is not 53: `10.0.0.2`, `127.0.0.1:8600`";
            report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        }
        address.map(NameServer)
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new(
            "IP address, with or without a port",
            or_expansion(json!({ "type": "string", "minLength": 2 })),
        )
    }

    fn show(&self) -> Value {
        self.0.to_string().into()
    }
}
