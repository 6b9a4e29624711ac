//! The full shape that users type: every block of the file, every key, each once.

mod access;
mod access_log;
mod action;
mod aggregate;
mod auth;
mod cache;
mod checks;
mod consumer;
mod issuer;
mod json;
mod life;
mod limit;
mod lua;
mod oauth2;
mod proof;
mod redis;
mod resilience;
mod resolver;
mod root;
mod route;
mod server;
mod shaping;
mod target;
mod tls;
mod traces;
mod upstream;

pub(crate) use access::{Cors, EmptyAgent, Names, Origin};
pub(crate) use access_log::{AccessLog, OnFull, Sample, Sink, StoreAccess};
pub(crate) use action::{Destination, Health, HealthSet, Mirror, Respond, To};
pub(crate) use aggregate::{Aggregate, MergeRule, Part};
pub(crate) use auth::{ApiKey, Auth, AuthSetting, ClaimValue, repeated};
pub(crate) use cache::CacheSetting;
pub(crate) use checks::{Guard, Interface, SchemaSource, Validate};
pub(crate) use consumer::{Basic, Consumer};
pub(crate) use issuer::{Audience, Claim, Exp, Issuer, IssuerName, ServiceUrl};
pub(crate) use json::Json;
pub(crate) use life::Reload;
pub(crate) use limit::{
    Concurrency, LimitName, PER_HINT, PerKey, Rate, RateLimit, RateLimitHeaders, Sharing, Store,
};
pub(crate) use lua::{Lua, LuaLimits, ScriptText};
pub(crate) use oauth2::{ClientAuth, UpstreamAuth};
pub(crate) use proof::{Data, Expect, Stub, StubError, Test, TestRequest, TestToken};
pub(crate) use redis::{OnFailure, Redis, RedisUrl};
pub(crate) use resilience::{CheckedPath, CircuitBreaker, HealthCheck, Outlier, Retry, RetryCause, Statuses};
pub(crate) use root::{Included, Root};
pub(crate) use route::{Defaults, Request, Response, Route, Shared, TUNNEL_IDLE};
pub(crate) use server::{Admin, Limits, Listener, Mode, ProxyProtocol, Shutdown, Workers};
pub(crate) use shaping::Condition as Expression;
pub(crate) use shaping::{Encode, JsonPath, Notation, Shaping};
pub(crate) use target::Parsed;
pub(crate) use tls::{ListenerTls, MinVersion, ServerName, UpstreamTls};
pub(crate) use traces::{Follow, Traces};
pub(crate) use upstream::{Balance, SentHost, Upstream, UpstreamName};
