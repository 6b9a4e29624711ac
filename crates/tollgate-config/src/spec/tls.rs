//! TLS on listeners and to targets.

use std::path::PathBuf;

use serde_json::json;
use tollgate_plan::host::Host;

use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{Catalogue, Description, EditedHeader, List, Shape, or_expansion, shown, text};
use crate::yaml::NodeRef;

block! {
    /// TLS 1.2 and 1.3 for clients. The files are watched: changed certificates are taken over without a restart.
    "listener_tls" ListenerTls {
        /// Chosen by the host that the client names (SNI), from the names in the certificates: an exact one before a
        /// wildcard. The first one is for everybody else.
        certificates: List<Certificate>, required;
        /// The oldest version that is spoken: `"1.2"` or `"1.3"`.
        min_version: MinVersion = MinVersion::V12;
        /// Certificates in PEM of those who vouch for clients. Given: a client without a certificate of theirs is
        /// refused (mTLS).
        client_ca: PathBuf;
        /// A request header that tells the upstream the subject of the client's certificate (RFC 4514:
        /// `CN=bus 7,O=Example`). Needs `client_ca`. Clients' own copies are removed, on every listener.
        client_subject_header: EditedHeader;
    }
}

block! {
    /// A certificate and its private key, in PEM.
    "certificate" Certificate {
        /// The certificate, and behind it those of the authorities between it and the root.
        cert: PathBuf, required;
        /// Its private key: PKCS #8, PKCS #1 or SEC 1, not encrypted.
        key: PathBuf, required;
    }
}

block! {
    /// TLS to the `https://` targets of an upstream.
    "upstream_tls" UpstreamTls {
        /// Certificates in PEM that are trusted for the targets, instead of the system's.
        ca: PathBuf;
        /// A certificate in PEM for targets that ask for one; needs `key`.
        cert: PathBuf;
        /// The private key of `cert`, in PEM.
        key: PathBuf;
        /// The name (SNI) that is asked for and that the targets' certificates must have; else the host of the
        /// target's URL.
        server_name: ServerName;
        /// Takes any certificate: whoever stands between can read and answer. Never for production; it warns at each
        /// start and reload.
        insecure_skip_verify: bool = false;
    }
}

choice! {
    /// The oldest version of TLS that is spoken.
    MinVersion {
        /// TLS 1.2 and 1.3.
        "1.2" => V12,
        /// TLS 1.3 only.
        "1.3" => V13,
    }
}

/// Whether a certificate can be for this host: by the test that decides it when TLS is set up.
pub(crate) fn is_certifiable(host: &str) -> bool {
    rustls_pki_types::ServerName::try_from(host).is_ok()
}

/// A host name or an IP address that a certificate is for: lower case, IPv6 without brackets.
#[derive(Debug, Clone)]
pub(crate) struct ServerName(pub(crate) String);

impl Shape for ServerName {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let mut lower = String::new();
        let name = scalar.text.trim_matches(['[', ']']);
        if name.parse::<std::net::IpAddr>().is_ok() {
            return Some(ServerName(name.to_ascii_lowercase()));
        }
        match Host::parse(scalar.text.as_bytes(), &mut lower) {
            Ok(host) if host.port.is_none() && is_certifiable(host.name.trim_end_matches('.')) => {
                Some(ServerName(host.name.trim_end_matches('.').to_owned()))
            }
            _ => {
                let message = format!("`{}` is no name that a certificate is for", shown(node, report));
                let hint = "write a host name such as `api.internal`, or an IP address; no port";
                report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
                None
            }
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("name or address", or_expansion(json!({ "type": "string", "minLength": 1 })))
    }
}
