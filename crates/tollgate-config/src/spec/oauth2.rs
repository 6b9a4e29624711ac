//! The gateway's own credentials toward an upstream.

use std::path::PathBuf;

use serde_json::json;

use super::issuer::ServiceUrl;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{Catalogue, Description, List, Shape, or_expansion, shown, text};
use crate::yaml::NodeRef;

block! {
    /// The gateway's own credentials toward the upstream.
    "upstream_auth" UpstreamAuth {
        /// A token by OAuth 2.0 client credentials.
        oauth2: OAuth2, required;
    }
}

block! {
    /// A token that the gateway gets for itself (RFC 6749 section 4.4) and shows to the upstream, in the place of the
    /// client's own `Authorization`. It is fetched ahead of its end, and anew when the upstream answers 401.
    "oauth2" OAuth2 {
        /// The token endpoint. Redirects are not followed there.
        token_url: ServiceUrl, required;
        /// The gateway's own name there.
        client_id: String, required;
        /// The gateway's own secret there.
        client_secret: String, required;
        /// What is asked for, one scope for each element. Left out: what is usual there.
        scopes: List<Scope>;
        /// For whom the token is to be, where the issuer wants to be told (`audience` in the form).
        audience: String;
        /// How name and secret are told: `basic` (HTTP Basic), or `body` (in the form, RFC 6749 section 2.3.1).
        client_auth: ClientAuth = ClientAuth::Basic;
        /// Certificates in PEM that are trusted for the token endpoint, instead of the system's.
        ca: PathBuf;
        /// Whether the token endpoint may be plain http on another machine.
        allow_http: bool = false;
    }
}

choice! {
    /// How the gateway says who it is.
    ClientAuth {
        /// By HTTP Basic.
        "basic" => Basic,
        /// In the form.
        "body" => Body,
    }
}

/// One scope (RFC 6749 section 3.3).
#[derive(Debug, Clone)]
pub(crate) struct Scope(pub(crate) String);

impl Shape for Scope {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let fits = |byte: u8| matches!(byte, b'!' | b'#'..=b'[' | b']'..=b'~');
        if !scalar.text.is_empty() && scalar.text.bytes().all(fits) {
            return Some(Scope(scalar.text.to_string()));
        }
        let message = format!("`{}` is no scope", shown(node, report));
        let hint = match scalar.text.contains(' ') {
            true => "write one scope for each element: `[read, write]`",
            false => "a scope is printable ASCII without spaces, quotes and backslashes",
        };
        report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("scope", or_expansion(json!({ "type": "string", "pattern": r"^[!#-\[\]-~]+$" })))
    }
}
