//! Routes and their defaults.

use crate::shape::{
    Condition, Dict, EditedHeader, HeaderName, HeaderText, HostName, Int, List, Name, Network, OneOrMany,
    PathText, Pattern, Seconds, Size, Slot, Text, Verb,
};

use super::access::{Cors, UserAgents};
use super::action::{Health, Mirror, Redirect, Respond, To};
use super::aggregate::Aggregate;
use super::auth::AuthSetting;
use super::cache::CacheSetting;
use super::checks::{Guard, Validate};
use super::limit::{Concurrency, RateLimit};
use super::lua::{Lua, LuaLimits};
use super::shaping::{Body, Encode};

/// The keys that routes and defaults share, by reference.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shared<'a> {
    pub(crate) host: &'a Slot<OneOrMany<HostName>>,
    pub(crate) methods: &'a Slot<List<Verb>>,
    pub(crate) headers: &'a Slot<Dict<HeaderName, Condition>>,
    pub(crate) query: &'a Slot<Dict<String, Condition>>,
    pub(crate) priority: &'a Slot<Int<PRIORITY_MIN, PRIORITY_MAX>>,
    pub(crate) cors: &'a Slot<Cors>,
    pub(crate) allow_ips: &'a Slot<List<Network>>,
    pub(crate) deny_ips: &'a Slot<List<Network>>,
    pub(crate) user_agents: &'a Slot<UserAgents>,
    pub(crate) auth: &'a Slot<AuthSetting>,
    pub(crate) rate_limit: &'a Slot<OneOrMany<RateLimit>>,
    pub(crate) concurrency: &'a Slot<Concurrency>,
    pub(crate) max_body: &'a Slot<Size<0, { u64::MAX }>>,
    pub(crate) timeout: &'a Slot<Seconds<1>>,
    pub(crate) deadline: &'a Slot<Seconds<1>>,
    pub(crate) validate: &'a Slot<Validate>,
    pub(crate) guard: &'a Slot<List<Guard>>,
    pub(crate) mirror: &'a Slot<Mirror>,
    pub(crate) tunnel_idle: &'a Slot<Seconds<1>>,
    pub(crate) request: &'a Slot<Request>,
    pub(crate) response: &'a Slot<Response>,
    pub(crate) lua: &'a Slot<OneOrMany<Lua>>,
    pub(crate) lua_limits: &'a Slot<LuaLimits>,
    pub(crate) cache: &'a Slot<CacheSetting>,
}

pub(crate) const PRIORITY_MIN: i64 = -1_000_000;
pub(crate) const PRIORITY_MAX: i64 = 1_000_000;

/// What `tunnel_idle` is where nobody says it.
pub(crate) const TUNNEL_IDLE: Seconds<1> = Seconds::of(3600);

/// Declares a block with the keys that routes and defaults share behind its own.
macro_rules! routing_block {
    ($(#[doc = $doc:literal])+ $title:literal $name:ident { $($own:tt)* }) => {
        block! {
            $(#[doc = $doc])+
            $title $name {
                $($own)*
                /// Host names; `*.example.com` is one label or more before the rest. Left out: any host.
                host: OneOrMany<HostName>;
                /// Methods. HEAD is served by GET routes. Left out: any method.
                methods: List<Verb>;
                /// Conditions on request headers, all of them: exact text, `~regex`, `true` (present) or
                /// `false` (absent).
                headers: Dict<HeaderName, Condition>;
                /// Conditions on query parameters, decoded; written as those on headers.
                query: Dict<String, Condition>;
                /// Settles what specificity does not: the higher one wins.
                priority: Int<PRIORITY_MIN, PRIORITY_MAX> = Int(0);
                /// Answers to browsers of other origins. Left out: they are the upstream's matter.
                cors: Cors;
                /// Addresses and blocks (CIDR) that may call, else 403 `ip_denied`. Left out: everybody may.
                allow_ips: List<Network>;
                /// Addresses and blocks (CIDR) that may not call, also where `allow_ips` names them.
                deny_ips: List<Network>;
                /// Programs that may not call, by their `User-Agent`, else 403 `user_agent_denied`.
                user_agents: UserAgents;
                /// How callers identify themselves. Left out, or `public`: they need not.
                auth: AuthSetting;
                /// How often it may be called: one limit or a list, of which every one must pass.
                rate_limit: OneOrMany<RateLimit>;
                /// How many requests may be in flight. Left out: any number.
                concurrency: Concurrency;
                /// Bytes of a request body. Left out: `limits.body`.
                max_body: Size<0, { u64::MAX }>;
                /// To the upstream's response head. Left out: the upstream's own.
                timeout: Seconds<1>;
                /// For the whole request: from its head to the last byte of the answer, all attempts included. Left out:
                /// no bound but those on each step.
                deadline: Seconds<1>;
                /// What a request must look like.
                validate: Validate;
                /// Expressions that a request must satisfy.
                guard: List<Guard>;
                /// Edits on the way to the upstream.
                request: Request;
                /// Edits on the way to the client.
                response: Response;
                /// Scripts in Lua that see requests on their way to the upstream and answers on their way back: one or a
                /// list, in order. Text of one line is a path. `[]`: none.
                lua: OneOrMany<Lua>;
                /// What one call of a script may use.
                lua_limits: LuaLimits;
                /// Keeping answers. Left out, or `off`: none are kept.
                cache: CacheSetting;
                /// A second upstream that gets copies of requests.
                mirror: Mirror;
                /// How long nothing may move through a WebSocket, in either direction.
                tunnel_idle: Seconds<1> = TUNNEL_IDLE;
            }
        }

        impl $name {
            /// The keys that routes and defaults share.
            pub(crate) fn shared(&self) -> Shared<'_> {
                Shared {
                    host: &self.host,
                    methods: &self.methods,
                    headers: &self.headers,
                    query: &self.query,
                    priority: &self.priority,
                    cors: &self.cors,
                    allow_ips: &self.allow_ips,
                    deny_ips: &self.deny_ips,
                    user_agents: &self.user_agents,
                    auth: &self.auth,
                    rate_limit: &self.rate_limit,
                    concurrency: &self.concurrency,
                    max_body: &self.max_body,
                    timeout: &self.timeout,
                    deadline: &self.deadline,
                    validate: &self.validate,
                    guard: &self.guard,
                    mirror: &self.mirror,
                    tunnel_idle: &self.tunnel_idle,
                    request: &self.request,
                    response: &self.response,
                    lua: &self.lua,
                    lua_limits: &self.lua_limits,
                    cache: &self.cache,
                }
            }
        }
    };
}

routing_block! {
    /// What to do with which request. Exactly one action: `to`, `respond`, `redirect` or `health`.
    "route" Route {
        /// Used in logs and metrics. Left out: made from methods and path.
        name: Name;
        /// `/a/b` exactly; `{id}` is one segment, or a part of one as in `/files/{name}.json`; `/x/*` is
        /// `/x`, `/x/` and everything below, `/x/{rest*}` the same with a name.
        path: Pattern, required;
        /// Forward: to an upstream by name, to a URL, or to several by weight.
        to: To;
        /// Answer from here.
        respond: Respond;
        /// Answer with a redirect.
        redirect: Redirect;
        /// Answer with the gateway's own health.
        health: Health;
        /// Merge the answers of several upstreams.
        aggregate: Aggregate;
    }
}

routing_block! {
    /// What routes have unless they say otherwise.
    "defaults" Defaults {
    }
}

block! {
    /// Edits on the way to the upstream. Headers and query: only, then remove, then set, then add.
    "request" Request {
        /// The path that is sent; values are percent-encoded. Left out: the path as it came.
        rewrite: PathText;
        /// A prefix that is taken off the path; a path without it is sent as it came.
        strip_prefix: Prefix;
        /// Replaces every line of a header by one.
        set_headers: Dict<EditedHeader, HeaderText>;
        /// Adds a line, whatever is there.
        add_headers: Dict<EditedHeader, HeaderText>;
        /// Takes headers away.
        remove_headers: List<EditedHeader>;
        /// Replaces every query parameter of a name by one.
        set_query: Dict<String, Text>;
        /// Takes query parameters away.
        remove_query: List<String>;
        /// The only headers of the client that are forwarded, beside those that the protocol needs; `[]`: none. What the
        /// gateway itself sets goes on.
        only_headers: List<HeaderName>;
        /// The only query parameters of the client that are forwarded, by their decoded names; `[]`: none.
        only_query: List<String>;
    }
}

block! {
    /// Edits on the way to the client. Remove, then set.
    "response" Response {
        /// Replaces every line of a header by one.
        set_headers: Dict<EditedHeader, HeaderText>;
        /// Takes headers away.
        remove_headers: List<EditedHeader>;
        /// Compresses answers that gain by it: zstd, brotli or gzip, by Accept-Encoding.
        compress: bool = false;
        /// Shaping of the body.
        body: Body;
        /// What a shaped or aggregated body is written in.
        encode: Encode = Encode::Json;
    }
}

pub(crate) use prefix::Prefix;

mod prefix {
    use serde_json::json;
    use tollgate_plan::path;

    use crate::diagnostic::Code;
    use crate::report::{Finding, Report};
    use crate::shape::{Catalogue, Description, Shape, shown, text};
    use crate::yaml::NodeRef;

    /// A path prefix on a segment boundary: normal form, no slash at the end, not the root.
    #[derive(Debug, Clone)]
    pub(crate) struct Prefix(pub(crate) String);

    impl Shape for Prefix {
        fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
            let scalar = text(node, what, report)?;
            let fault = if scalar.text.contains(['{', '}', '*']) {
                "a prefix is literal; use `rewrite` for a path with placeholders".to_owned()
            } else {
                match path::normalize(scalar.text.as_bytes()) {
                    Ok(normal) if normal.trim_end_matches('/').is_empty() => {
                        "`/` takes nothing away".to_owned()
                    }
                    Ok(normal) => return Some(Prefix(normal.trim_end_matches('/').to_owned())),
                    Err(error) => error.to_string(),
                }
            };
            let message = format!("`{}` is no path prefix", shown(node, report));
            report.push(Finding::error(Code::BadValue, node.span(), message).hint(fault));
            None
        }

        fn describe(_: &mut Catalogue) -> Description {
            Description::new("path", json!({ "type": "string", "pattern": r"^/|\$\{" }))
        }
    }
}
