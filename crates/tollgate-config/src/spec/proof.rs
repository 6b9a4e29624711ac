//! `tests`: requests, what services answer to them, and what must come of it.

use std::net::IpAddr;

use serde_json::{Value, json};
use tollgate_plan::Reason;

use super::json::literal_text;
use super::lua::With;
use super::resilience::Statuses;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{
    Catalogue, Condition, Description, Dict, HeaderName, Int, Name, OneOrMany, Seconds, Shape, Verb,
    or_expansion, shown, text,
};
use crate::suggest;
use crate::yaml::NodeRef;

block! {
    /// A test of the configuration. It is run in this process, through the code that serves; services and issuers are
    /// stubs, and no network is touched.
    "test" Test {
        /// What it shows, in words.
        name: Name, required;
        /// What is sent.
        request: TestRequest, required;
        /// How often it is sent, one after the other. What is expected is expected of the last answer.
        repeat: Int<1, 100_000> = Int(1);
        /// What services answer, by the name of the upstream; that of an upstream made from a URL is the URL. One that is
        /// not named here answers 200 with `{}`.
        upstreams: Dict<String, Stub>;
        /// What must come of it: at least one key.
        expect: Expect, required;
    }
}

block! {
    /// The request of a test.
    "test_request" TestRequest {
        /// The method. Left out: GET, or POST with a body.
        method: Verb;
        /// The path as a client writes it, and the query behind it.
        path: RawPath, required;
        /// The `Host`.
        host: String = "localhost".to_owned();
        /// Headers: one value, or a list of them.
        headers: Dict<HeaderName, OneOrMany<String>>;
        /// A token that is made for this request: good, unless its claims say otherwise.
        token: TestToken;
        /// The name of a consumer: an API key of it is made for this request. It stands where the route that `expect` names
        /// takes keys; where it names none, where the first route that takes any does.
        key: String;
        /// The address of the client.
        ip: ClientAddress = ClientAddress(IpAddr::from([127, 0, 0, 1]));
        /// A body in JSON, with its `content-type` unless `headers` have one.
        json: Data;
        /// A body.
        body: String;
    }
}

block! {
    /// A token that a test's request carries. It says `iss`, `aud`, `iat` and `exp` (in an hour) as the issuer wants them,
    /// and over that the claims. It stands where the route that `expect` names takes tokens; where it names none, in
    /// `Authorization`.
    "test_token" TestToken {
        /// The issuer. Left out: the only one.
        issuer: String;
        /// What it says. `null` leaves a claim out; `exp: 1` makes a token whose time is over.
        claims: With;
    }
}

block! {
    /// What a service answers in a test.
    "stub" Stub {
        /// The status.
        status: Int<200, 599> = Int(200);
        /// Headers: one value, or a list of them.
        headers: Dict<HeaderName, OneOrMany<String>>;
        /// A body in JSON, with its `content-type` unless `headers` have one.
        json: Data;
        /// A body.
        body: String;
        /// How long it takes. Beside timeouts it counts as in real life, but nobody waits so long.
        delay: Seconds<0, 86_400_000>;
        /// It does not answer: `connect` refuses the connection, `timeout` never says a word.
        error: StubError;
    }
}

choice! {
    /// How a service fails in a test.
    StubError {
        /// Nobody listens.
        "connect" => Connect,
        /// It never answers.
        "timeout" => Timeout,
    }
}

block! {
    /// What must come of a test's request.
    "expect" Expect {
        /// The status, or a list of statuses and ranges: `200`, `200-299`.
        status: OneOrMany<Statuses>;
        /// Why the gateway answered by itself: a code of problem JSON.
        reason: ReasonCode;
        /// The name of the route.
        route: String;
        /// The upstream that was asked; of an aggregate, one of them.
        upstream: String;
        /// The path, and the query behind it, that it was sent; with the prefix of a target's URL.
        upstream_path: String;
        /// Headers that it was sent: text, `~regex`, `true` (present) or `false` (absent).
        upstream_headers: Dict<HeaderName, Condition>;
        /// The body that it was sent, as JSON.
        upstream_json: Data;
        /// The body of the answer, as JSON: equal in all of it.
        json: Data;
        /// The body of the answer: text, `~regex`, `true` (there is one) or `false` (there is none).
        body: Condition;
        /// Headers of the answer: text, `~regex`, `true` (present) or `false` (absent). Others may be there.
        headers: Dict<HeaderName, Condition>;
    }
}

impl Expect {
    /// Whether it asks for nothing, so that no answer could fail it. One with a fault asks for something.
    pub(crate) fn is_empty(&self) -> bool {
        let keys = [
            self.status.key(),
            self.reason.key(),
            self.route.key(),
            self.upstream.key(),
            self.upstream_path.key(),
            self.upstream_headers.key(),
            self.upstream_json.key(),
            self.json.key(),
            self.body.key(),
            self.headers.key(),
        ];
        keys.iter().all(Option::is_none)
    }
}

/// Any JSON, without placeholders, as text.
#[derive(Debug, Clone)]
pub(crate) struct Data(pub(crate) String);

impl Shape for Data {
    fn read(node: NodeRef<'_>, _: &str, report: &mut Report) -> Option<Self> {
        literal_text(node, report).map(Data)
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("any value", json!({}))
    }
}

/// A path and a query as a client sends them; they need not be in normal form.
#[derive(Debug, Clone)]
pub(crate) struct RawPath(pub(crate) String);

impl Shape for RawPath {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let foreign = |byte: u8| !byte.is_ascii_graphic() || b"#<>".contains(&byte);
        let fault = if !scalar.text.starts_with('/') {
            ("must begin with a slash", "a host is written under `host`")
        } else if scalar.text.bytes().any(foreign) {
            ("holds a character that cannot be sent", "percent-encode it: a space is %20")
        } else {
            return Some(RawPath(scalar.text.to_string()));
        };
        let message = format!("`{what}` {}", fault.0);
        report.push(Finding::error(Code::BadValue, node.span(), message).hint(fault.1));
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("path", or_expansion(json!({ "type": "string", "pattern": "^/" })))
    }
}

/// An address without a port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

impl Shape for ClientAddress {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        if let Ok(address) = scalar.text.parse() {
            return Some(ClientAddress(address));
        }
        let message = format!("`{}` is no IP address", shown(node, report));
        let hint = "write it without a port: `192.0.2.1`, `2001:db8::1`";
        report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("IP address", or_expansion(json!({ "type": "string", "minLength": 2 })))
    }

    fn show(&self) -> Value {
        self.0.to_string().into()
    }
}

/// A reason by its code.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReasonCode(pub(crate) Reason);

impl Shape for ReasonCode {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        if let Some(reason) = Reason::ALL.iter().find(|reason| reason.code() == scalar.text) {
            return Some(ReasonCode(*reason));
        }
        let codes = Reason::ALL.iter().map(|reason| reason.code());
        let hint = suggest::did_you_mean(&scalar.text, codes)
            .unwrap_or_else(|| "reasons are listed in docs/troubleshooting.md".to_owned());
        let message = format!("`{}` is no reason", shown(node, report));
        report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        let codes: Vec<&str> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        Description::new("reason code", or_expansion(json!({ "enum": codes })))
    }
}
