//! Who signs tokens.

use std::path::PathBuf;

use serde_json::{Value, json};
use tollgate_plan::issuer::HttpUrl;
use tollgate_token::{Algorithm, ClaimPath};

use super::tls::is_certifiable;
use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{
    At, Catalogue, Description, Key, List, OneOrMany, Seconds, Shape, plain_name, shown, text,
};
use crate::source_map::{Span, visible};
use crate::suggest;
use crate::yaml::NodeRef;

block! {
    /// Who signs tokens (JWT, RFC 7519), or tells what opaque ones mean (`introspection`). A signed token needs
    /// `issuer`, `audience` and `algorithms`. Its keys come from one of `jwks_url`, `jwks_file`, `public_key_file` and
    /// `secret`, or, with none of them, by OpenID Connect Discovery from `issuer`.
    "issuer" Issuer {
        /// What `iss` must be, letter for letter. For discovery also the URL: `https`, without a query.
        issuer: String;
        /// What `aud` must name, any of these; `any` does not look at it.
        audience: Audience;
        /// The algorithms that count, never taken from the token: `RS256` `RS384` `RS512` `PS256` `PS384` `PS512`
        /// `ES256` `ES384` `ES512` `EdDSA` (Ed25519) `HS256` `HS384` `HS512`.
        algorithms: List<SignedBy>;
        /// Where its key set is (RFC 7517). Fetched in the background; at most 1 MiB and 100 keys.
        jwks_url: ServiceUrl;
        /// A file with its key set (RFC 7517).
        jwks_file: PathBuf;
        /// A file with public keys or certificates in PEM. Not for HS*.
        public_key_file: PathBuf;
        /// The secret of HS*, its text as it stands, at least 32 bytes. `openssl rand -base64 48` makes one.
        secret: String;
        /// Certificates in PEM that are trusted for its URLs, instead of the system's.
        ca: PathBuf;
        /// Between two refreshes of fetched keys. An unknown `kid` refreshes early, at most once in 30 s.
        refresh: Seconds<1_000, 604_800_000> = Seconds::of(600);
        /// How far the issuer's clock may be off.
        leeway: Seconds<0, 600_000> = Seconds::of(30);
        /// Where the roles of a token are: a dotted path such as `realm_access.roles`.
        roles_claim: Claim = Claim::of("roles");
        /// Whether a token must end. For `introspection` the default is `optional`: the issuer knows.
        exp: Exp = Exp::Required;
        /// What `typ` in the token's header must be, such as `at+jwt` (RFC 9068). Left out: it is not looked at.
        typ: String;
        /// Whether its URLs, also those that it names itself, may be plain http to other machines.
        allow_http: bool = false;
        /// Ask the issuer about each token (RFC 7662).
        introspection: Introspection;
    }
}

block! {
    /// Asking the issuer about opaque tokens (RFC 7662).
    "introspection" Introspection {
        /// The endpoint.
        url: ServiceUrl, required;
        /// The gateway's own name there (HTTP Basic).
        client_id: String, required;
        /// The gateway's own secret there.
        client_secret: String, required;
        /// How long an answer is remembered, never beyond the token's end; 0: it asks every time. A revoked token passes
        /// for so long.
        cache: Seconds<0, 86_400_000> = Seconds::of(30);
    }
}

choice! {
    /// Whether a token must end.
    Exp {
        /// A token without `exp` is refused.
        "required" => Required,
        /// A token without `exp` never ends.
        "optional" => Optional,
    }
}

/// The name of an issuer: it labels metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct IssuerName(pub(crate) String);

impl Key for IssuerName {
    const LABEL: &'static str = "name";

    fn parse(text: &str, span: Span) -> Result<Self, Box<Finding>> {
        if plain_name(text) {
            return Ok(IssuerName(text.to_owned()));
        }
        let message = format!("`{}` is no name for an issuer", visible(text));
        let hint = format!("letters, digits, `-`, `_` and `.`, at most {} of them", bounds::NAME_BYTES);
        Err(Box::new(Finding::error(Code::BadValue, span, message).hint(hint)))
    }
}

/// Whom a token must be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Audience {
    /// `any`.
    Any,
    /// Any of these.
    These(Vec<String>),
}

impl Shape for Audience {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let OneOrMany(names) = OneOrMany::<String>::read(node, what, report)?;
        let alone = node.items().is_none();
        if names.is_empty() {
            let finding = Finding::error(
                Code::BadValue,
                node.span(),
                format!("`{what}` names nobody: no token would pass"),
            );
            report.push(finding.hint("name whom tokens are for, or write `any`"));
            return None;
        }
        if alone && names.iter().any(|name| name.value == "any") {
            return Some(Audience::Any);
        }
        for At { value, span, .. } in &names {
            let word = value.to_ascii_lowercase();
            if word.is_empty() || word == "any" || word == "*" {
                let message = format!("`{}` is no audience", report.sources.shown(*span));
                let hint = format!("for tokens of every audience write `{what}: any`");
                report.push(Finding::error(Code::BadValue, *span, message).hint(hint));
                return None;
            }
        }
        Some(Audience::These(names.into_iter().map(|name| name.value).collect()))
    }

    fn describe(_: &mut Catalogue) -> Description {
        let list = json!({ "type": "array", "minItems": 1, "items": { "type": "string", "minLength": 1 } });
        Description::new(
            "`any`, text or a list",
            json!({ "anyOf": [{ "type": "string", "minLength": 1 }, list] }),
        )
    }
}

/// One of `algorithms`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignedBy(pub(crate) Algorithm);

impl Shape for SignedBy {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        if let Ok(algorithm) = scalar.text.parse() {
            return Some(SignedBy(algorithm));
        }
        if scalar.text.eq_ignore_ascii_case("none") {
            let message = "`none` is no signature: anybody could make such a token";
            report.push(
                Finding::error(Code::Insecure, node.span(), message).hint("name what the issuer signs with"),
            );
            return None;
        }
        let names = || Algorithm::ALL.iter().map(|algorithm| algorithm.as_str());
        let message = format!("`{}` is no algorithm", shown(node, report));
        let hint = (!scalar.rewritten).then(|| suggest::did_you_mean(&scalar.text, names())).flatten();
        let hint =
            hint.unwrap_or_else(|| format!("the algorithms are {}", names().collect::<Vec<_>>().join(", ")));
        report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        let names: Vec<&str> = Algorithm::ALL.iter().map(|algorithm| algorithm.as_str()).collect();
        Description::new("algorithm", crate::shape::or_expansion(json!({ "enum": names })))
    }
}

/// A dotted path into claims.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Claim(pub(crate) ClaimPath);

impl Claim {
    fn of(name: &'static str) -> Claim {
        Claim(name.parse().expect("a literal path"))
    }
}

impl Shape for Claim {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        match scalar.text.parse() {
            Ok(path) => Some(Claim(path)),
            Err(error) => {
                let error: tollgate_token::BadClaimPath = error;
                let message = format!("`{}` names no claim", shown(node, report));
                report.push(Finding::error(Code::BadValue, node.span(), message).hint(error.to_string()));
                None
            }
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("claim", json!({ "type": "string", "minLength": 1 }))
    }

    fn show(&self) -> Value {
        self.0.as_str().into()
    }
}

impl Key for Claim {
    const LABEL: &'static str = "claim";

    fn parse(text: &str, span: Span) -> Result<Self, Box<Finding>> {
        text.parse().map(Claim).map_err(|error: tollgate_token::BadClaimPath| {
            let message = format!("`{}` names no claim", visible(text));
            Box::new(Finding::error(Code::BadValue, span, message).hint(error.to_string()))
        })
    }
}

/// A URL that the gateway itself asks.
#[derive(Debug, Clone)]
pub(crate) struct ServiceUrl(pub(crate) HttpUrl);

impl Shape for ServiceUrl {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let parsed =
            HttpUrl::parse(&scalar.text).and_then(|url| match url.tls && !is_certifiable(&url.host) {
                true => Err("no certificate can be for this host"),
                false => Ok(url),
            });
        match parsed {
            Ok(url) => Some(ServiceUrl(url)),
            Err(why) => {
                let message = format!("bad URL `{}`: {why}", shown(node, report));
                report.push(Finding::error(Code::BadValue, node.span(), message));
                None
            }
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("URL", json!({ "type": "string", "pattern": r"^https?://|\$\{" }))
    }
}
