//! The closed list of reasons for which the gateway itself answers, or ends, an exchange.
//!
//! A reason owns its status, its blame, whether a retry makes sense, its log level and its metric label,
//! all in the one table below.

/// Who is at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The client sent something wrong, or left.
    Client,
    /// The gateway refused or failed by its own state.
    Gateway,
    /// The service behind the gateway failed.
    Upstream,
}

/// How loud a reason is in the operator's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Level {
    /// Only the access record.
    Debug,
    /// Worth knowing.
    Warn,
    /// Worth waking up for.
    Error,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Stable name: `code` in problem JSON, `reason` in logs and metrics.
    pub code: &'static str,
    /// HTTP status of the answer.
    pub status: u16,
    /// Who is at fault.
    pub blame: Blame,
    /// Whether the same request may succeed later: the answer carries `Retry-After`.
    pub retry: bool,
    /// How loud.
    pub level: Level,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $status:literal, $blame:ident, $retry:literal, $level:ident;)*) => {
        /// Why the gateway answered by itself.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[doc = $doc])* $name,)* }

        impl Reason {
            /// Every reason, in the order of the table.
            pub const ALL: &[Reason] = &[$(Reason::$name,)*];

            /// The reason's row.
            pub const fn row(self) -> &'static Row {
                match self {
                    $(Reason::$name => &Row {
                        code: $code, status: $status, blame: Blame::$blame, retry: $retry, level: Level::$level,
                    },)*
                }
            }
        }
    };
}

reasons! {
    /// The request line is not one of RFC 9112 section 3.
    BadRequestLine = "bad_request_line", 400, Client, false, Debug;
    /// A header line is not one of RFC 9112 section 5.
    BadHeader = "bad_header", 400, Client, false, Debug;
    /// The length of the body is ambiguous or malformed (RFC 9112 section 6).
    BadFraming = "bad_framing", 400, Client, false, Debug;
    /// The path has no normal form.
    BadPath = "bad_path", 400, Client, false, Debug;
    /// Host is missing, repeated, malformed or contradicts the target (RFC 9112 section 3.2).
    BadHost = "bad_host", 400, Client, false, Debug;
    /// A template in a path refers to a value that the request does not have.
    TemplateValueMissing = "template_value_missing", 400, Client, false, Debug;
    /// An upgrade that the gateway does not speak.
    UpgradeRefused = "upgrade_refused", 400, Client, false, Debug;
    /// Query, headers or body are not as the route's schema says.
    SchemaInvalid = "schema_invalid", 400, Client, false, Debug;
    /// No token where one is required.
    TokenMissing = "token_missing", 401, Client, false, Debug;
    /// The token is not a well-formed JWS (RFC 7515), or its claims are not (RFC 7519).
    TokenMalformed = "token_malformed", 401, Client, false, Debug;
    /// The token's algorithm is not one that the issuer is configured for.
    TokenAlgorithm = "token_algorithm", 401, Client, false, Debug;
    /// The token's signature does not fit.
    TokenSignature = "token_signature", 401, Client, false, Debug;
    /// The issuer has no such key.
    TokenKeyUnknown = "token_key_unknown", 401, Client, false, Debug;
    /// The token's time is over.
    TokenExpired = "token_expired", 401, Client, false, Debug;
    /// The token's time has not come.
    TokenNotYetValid = "token_not_yet_valid", 401, Client, false, Debug;
    /// The token is of another issuer.
    TokenIssuer = "token_issuer", 401, Client, false, Debug;
    /// The token is for another audience.
    TokenAudience = "token_audience", 401, Client, false, Debug;
    /// The issuer says that the token is not active (RFC 7662).
    TokenInactive = "token_inactive", 401, Client, false, Debug;
    /// No API key where one is required.
    KeyMissing = "key_missing", 401, Client, false, Debug;
    /// Nobody has that API key.
    KeyUnknown = "key_unknown", 401, Client, false, Debug;
    /// No user and password where they are required.
    BasicMissing = "basic_missing", 401, Client, false, Debug;
    /// User and password are malformed or do not fit.
    BasicInvalid = "basic_invalid", 401, Client, false, Debug;
    /// The client's address may not call.
    IpDenied = "ip_denied", 403, Client, false, Debug;
    /// The program that calls may not call this route.
    UserAgentDenied = "user_agent_denied", 403, Client, false, Debug;
    /// The token lacks a scope.
    ScopeMissing = "scope_missing", 403, Client, false, Debug;
    /// The token has none of the roles.
    RoleMissing = "role_missing", 403, Client, false, Debug;
    /// The consumer is in none of the groups.
    GroupMissing = "group_missing", 403, Client, false, Debug;
    /// A claim is not what the route requires.
    ClaimMismatch = "claim_mismatch", 403, Client, false, Debug;
    /// An expression of the route's `guard` does not hold; the guard may say another status.
    GuardFailed = "guard_failed", 403, Client, false, Debug;
    /// No route matches.
    RouteNotFound = "route_not_found", 404, Client, false, Debug;
    /// The path matches with another method.
    MethodNotAllowed = "method_not_allowed", 405, Client, false, Debug;
    /// The head did not arrive in time, or the body made no progress.
    RequestTimeout = "request_timeout", 408, Client, false, Debug;
    /// The body is larger than the route allows.
    BodyTooLarge = "body_too_large", 413, Client, false, Debug;
    /// The request target is longer than `limits.uri_bytes`.
    UriTooLong = "uri_too_long", 414, Client, false, Debug;
    /// Of the kept answer there is nothing in the range that the client asks for (RFC 9110 section 14.4).
    RangeNotSatisfiable = "range_not_satisfiable", 416, Client, false, Debug;
    /// An expectation other than `100-continue` (RFC 9110 section 10.1.1).
    ExpectationFailed = "expectation_failed", 417, Client, false, Debug;
    /// A rate limit is used up.
    RateLimited = "rate_limited", 429, Client, true, Debug;
    /// The head is larger than `limits.header_bytes` or has more lines than `limits.header_count`.
    HeadersTooLarge = "headers_too_large", 431, Client, false, Debug;
    /// The client left before the answer was complete. Only in logs and metrics.
    ClientClosed = "client_closed", 499, Client, false, Debug;
    /// Something that must not happen happened.
    Internal = "internal", 500, Gateway, false, Error;
    /// A script of the route failed, or used more than it may.
    ScriptError = "script_error", 500, Gateway, false, Error;
    /// The template of an aggregate failed on what it was given, or used more than it may.
    RenderError = "render_error", 500, Gateway, false, Error;
    /// CONNECT and TRACE are not served.
    MethodNotImplemented = "method_not_implemented", 501, Client, false, Debug;
    /// No connection to the target could be made.
    UpstreamConnect = "upstream_connect", 502, Upstream, true, Warn;
    /// The target closed the connection before its answer was complete.
    UpstreamReset = "upstream_reset", 502, Upstream, true, Warn;
    /// The target's answer is not HTTP, or its framing is ambiguous.
    UpstreamProtocol = "upstream_protocol", 502, Upstream, false, Warn;
    /// TLS to the target failed: mostly a certificate that is not trusted, or is for another name.
    UpstreamTls = "upstream_tls", 502, Upstream, false, Warn;
    /// The target's name has no address.
    UpstreamDns = "upstream_dns", 502, Upstream, true, Warn;
    /// A part of an aggregate needs a value of another part's answer, and that answer does not have it.
    PartReferenceMissing = "part_reference_missing", 502, Upstream, false, Warn;
    /// A part of an aggregate came back with a status that does not count, or with a body that cannot be read.
    PartFailed = "part_failed", 502, Upstream, false, Warn;
    /// An answer that the gateway must read is larger than it may be.
    PartTooLarge = "part_too_large", 502, Upstream, false, Warn;
    /// Health checks say that no target of the upstream can serve.
    NoHealthyTarget = "no_healthy_target", 503, Upstream, true, Debug;
    /// The upstream failed too often: for a while nothing is sent to it.
    CircuitOpen = "circuit_open", 503, Upstream, true, Debug;
    /// The gateway is at one of its own limits.
    Overloaded = "overloaded", 503, Gateway, true, Warn;
    /// The issuer's keys could not be fetched yet, or it cannot be asked.
    IssuerUnavailable = "issuer_unavailable", 503, Gateway, true, Warn;
    /// The store of a limit is gone, and `on_failure` is `deny`.
    LimitStoreUnavailable = "limit_store_unavailable", 503, Gateway, true, Warn;
    /// The route has as many requests in flight as it may.
    ConcurrencyLimited = "concurrency_limited", 503, Gateway, true, Debug;
    /// The gateway is shutting down.
    Draining = "draining", 503, Gateway, true, Debug;
    /// The target did not answer in time.
    UpstreamTimeout = "upstream_timeout", 504, Upstream, true, Warn;
    /// The client takes nothing but a kept answer (`only-if-cached`), and there is none.
    NotCached = "not_cached", 504, Client, false, Debug;
    /// Neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported = "version_not_supported", 505, Client, false, Debug;
}

impl Reason {
    /// Stable name: `code` in problem JSON, `reason` in logs and metrics.
    pub const fn code(self) -> &'static str {
        self.row().code
    }

    /// HTTP status of the answer.
    pub const fn status(self) -> u16 {
        self.row().status
    }
}
