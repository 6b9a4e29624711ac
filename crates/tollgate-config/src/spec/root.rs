//! The top level of the main file and of included files.

use super::access_log::AccessLog;
use super::consumer::Consumer;
use super::issuer::{Issuer, IssuerName};
use super::life::Reload;
use super::limit::RateLimitHeaders;
use super::lua::LuaLimits;
use super::proof::Test;
use super::redis::Redis;
use super::resolver::Resolver;
use super::route::{Defaults, Route};
use super::server::{Admin, Limits, Listener, Shutdown, Workers};
use super::traces::Traces;
use super::upstream::{Upstream, UpstreamName};
use crate::shape::{Dict, Int, List, Network, OneOrMany, Rows};

block! {
    /// The top level of the main file.
    "root" Root {
        /// The version of this format; 1 is the only one.
        version: Int<1, 1> = Int(1);
        /// Where clients are accepted. Left out: one listener, `0.0.0.0:8080`.
        listeners: List<Listener>;
        /// More files, with `*` and `?` in names: `routes/*.yaml`. They may hold `upstreams`, `issuers`,
        /// `consumers`, `defaults`, `routes` and `tests`. Paths are relative to this file.
        include: OneOrMany<String>;
        /// Peers whose `X-Forwarded-*` and `Forwarded` are believed. Left out: nobody's.
        trusted_proxies: List<Network>;
        /// Whom names are asked of. Left out: the servers of `/etc/resolv.conf`.
        resolver: Resolver;
        /// Bounds on what one client may cost. Every bound has a default.
        limits: Limits;
        /// Worker threads: a number, or `auto` for one per core. A change needs a restart.
        workers: Workers = Workers::Auto;
        /// How the gateway ends.
        shutdown: Shutdown;
        /// The admin side: health, metrics, console, API.
        admin: Admin;
        /// The Redis that gateways share limits in.
        redis: Redis;
        /// Who signs tokens, by name.
        issuers: Dict<IssuerName, Issuer>;
        /// Machine clients with keys.
        consumers: Rows<Consumer>;
        /// Services behind the gateway, by name.
        upstreams: Dict<UpstreamName, Upstream>;
        /// Keys that every route of this file, and of included files, has unless it says otherwise. A key of
        /// the route replaces the default's; `request` and `response` are merged key by key, one level deep.
        defaults: Defaults;
        /// What to do with which request. At least one, here or in an included file.
        routes: Rows<Route>;
        /// Tests of this configuration: `tollgate test` runs them.
        tests: Rows<Test>;
        /// How a changed configuration is taken over.
        reload: Reload;
        /// Which headers tell clients about their limits: `standard` is `RateLimit-Policy` and `RateLimit`
        /// (draft-ietf-httpapi-ratelimit-headers), `legacy` is `X-RateLimit-Limit`, `-Remaining` and `-Reset`.
        rate_limit_headers: RateLimitHeaders = RateLimitHeaders::Standard;
        /// What one call of a script may use.
        lua_limits: LuaLimits;
        /// One JSON line for every request.
        access_log: AccessLog;
        /// Spans of requests for a collector of traces.
        traces: Traces;
    }
}

block! {
    /// The top level of an included file.
    "included" Included {
        /// Services behind the gateway, by name. Names are global.
        upstreams: Dict<UpstreamName, Upstream>;
        /// Who signs tokens. Names are global.
        issuers: Dict<IssuerName, Issuer>;
        /// Machine clients with keys. Names are global.
        consumers: Rows<Consumer>;
        /// Defaults for the routes of this file only, over those of the main file.
        defaults: Defaults;
        /// What to do with which request.
        routes: Rows<Route>;
        /// Tests of this configuration: `tollgate test` runs them.
        tests: Rows<Test>;
    }
}
