//! From what users typed to a plan. Pure and total: every remaining error and warning comes from here.

mod access;
mod access_log;
mod action;
mod aggregate;
mod auth;
mod cache;
mod certificates;
mod checks;
mod consumers;
mod edits;
mod expressions;
mod interface;
mod issuers;
mod keys;
mod limits;
mod logged;
mod lua;
mod matching;
mod merge;
mod names;
mod oauth2;
mod proofs;
mod redis;
mod resilience;
mod routes;
mod server;
mod shaping;
mod templates;
mod tls;
mod traces;
mod upstreams;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tollgate_plan::Plan;
use tollgate_plan::proof::Proofs;
use tollgate_plan::table::RouteTable;

use self::action::Parts;
use self::limits::RateLimits;
pub(crate) use self::server::admin;
pub(crate) use self::templates::gather;
use crate::bounds;
use crate::report::Report;
use crate::shape::{At, Dict, Rows, Slot};
use crate::source_map::{FileId, Span};
use crate::spec::{
    Consumer, Defaults, Included, Issuer, IssuerName, Root, Route, ScriptText, Upstream, UpstreamName,
};

/// Everything that the verbs before have found.
pub(crate) struct Input<'a> {
    pub(crate) main: &'a Root,
    pub(crate) included: &'a [Included],
    /// What the [`companions`] hold, by path; those that could not be read are in the report.
    pub(crate) files: &'a Contents,
    pub(crate) modules: &'a Modules,
    pub(crate) templates: &'a NamedTemplates,
    pub(crate) referred: &'a Referred,
    pub(crate) cores: usize,
    /// In Unix seconds.
    pub(crate) now: i64,
    /// A part of the configuration is missing, which is in the report: what is not there may be in it.
    pub(crate) partial: bool,
}

/// Bytes of files, by path.
pub(crate) type Contents = HashMap<PathBuf, Arc<[u8]>>;

/// Modules that scripts require, by path; or why one cannot be read, in words that complete "it …".
pub(crate) type Modules = HashMap<PathBuf, Result<Arc<str>, String>>;

/// Templates that templates name, by path; or why one cannot be read, in words that complete "it …".
pub(crate) type NamedTemplates = HashMap<PathBuf, Result<Arc<str>, String>>;

/// Files that descriptions of interfaces refer to, by path; or why one cannot be read, in words that complete "it …".
pub(crate) type Referred = HashMap<PathBuf, Result<Arc<[u8]>, String>>;

/// What main and included files have in common.
#[derive(Clone, Copy)]
struct File<'a> {
    upstreams: &'a Slot<Dict<UpstreamName, Upstream>>,
    issuers: &'a Slot<Dict<IssuerName, Issuer>>,
    consumers: &'a Slot<Rows<Consumer>>,
    /// Its own defaults; the main file's apply everywhere.
    defaults: &'a Slot<Defaults>,
    routes: &'a Slot<Rows<Route>>,
}

/// Compiles. `None` when the report has errors that leave nothing to build from.
pub(crate) fn compile(input: &Input<'_>, report: &mut Report) -> Option<(Plan, Proofs)> {
    let files: Vec<File<'_>> = files(input).collect();
    let limits = server::limits(&input.main.limits, report);
    let admin = admin(&input.main.admin, report);
    let listeners = server::listeners(input, admin.address, report);
    let name_servers = server::name_servers(input.main, report);
    let mut access_log = access_log::access_log(&input.main.access_log, report);
    let traces = traces::traces(&input.main.traces, input.files, report);
    let redis = redis::redis(&input.main.redis, input.files, report);

    let mut parts = Parts {
        upstreams: upstreams::collect(&files, input, report),
        issuers: issuers::collect(&files, input.files, report),
        people: consumers::collect(&files, report),
        rate_limits: RateLimits::new(input.main.redis.key().is_some()),
        scripts: lua::Compiled::new(input.files, input.modules, &input.main.lua_limits),
        templates: templates::Templates::new(input.files, input.templates),
        schemas: checks::Schemas::new(input.files),
        interfaces: interface::Interfaces::new(input.files, input.referred),
        files: input.files,
    };
    let found = routes::compile(input, &files, &limits, &mut parts, report);
    let workers = server::workers(input.main, input.cores);
    server::memory_of_scripts(input.main, &limits, workers, parts.scripts.memory(), report);
    logged::mask(&mut access_log, &input.main.access_log, &found.routes, report);
    parts.upstreams.warn_unused(report);
    parts.issuers.warn_unused(report);
    found.analyse(report);
    let proofs = proofs::proofs(input, &found.routes, &parts, report);
    if report.has_errors() {
        return None;
    }
    let plan = Plan {
        trusted_proxies: server::trusted_proxies(input.main),
        subject_headers: tls::subject_headers(&listeners),
        listeners,
        name_servers,
        limits,
        workers,
        shutdown: server::shutdown(&input.main.shutdown),
        notice: server::notice(&input.main.shutdown),
        reload_every: server::reload_every(input.main),
        admin,
        access_log,
        traces,
        issuers: parts.issuers.finish(),
        consumers: parts.people.consumers,
        rate_limits: parts.rate_limits.finish(),
        rate_limit_headers: limits::headers(input.main),
        redis,
        upstreams: parts.upstreams.finish(),
        table: RouteTable::build(found.specs),
        routes: found.routes,
    };
    Some((plan, proofs))
}

/// Files that the configuration names, with the places that name them and the bytes that they may have.
pub(crate) fn companions<'a>(main: &'a Root, included: &'a [Included]) -> Vec<(&'a At<PathBuf>, u64)> {
    let routes = std::iter::once(&main.routes).chain(included.iter().map(|file| &file.routes));
    let rows = routes.filter_map(Slot::value).flat_map(|Rows(rows)| rows);
    let respond = rows.filter_map(|route| route.value.respond.value()?.file.given());
    let issuers = std::iter::once(&main.issuers).chain(included.iter().map(|file| &file.issuers));
    let keys = issuers.flat_map(issuers::files);
    let redis = main.redis.value().and_then(|redis| redis.ca.given());
    let sent = access_log::files(&main.access_log).into_iter().chain(traces::files(&main.traces));
    respond
        .map(|file| (file, bounds::RESPOND_FILE_BYTES))
        .chain(scripts(main, included).map(|file| (file, tollgate_script::MAX_SOURCE_BYTES as u64)))
        .chain(templates(main, included).map(|file| (file, bounds::TEMPLATE_FILE_BYTES)))
        .chain(checks::files(main, included).map(|file| (file, bounds::SCHEMA_FILE_BYTES)))
        .chain(interfaces(main, included).map(|file| (file, bounds::INTERFACE_FILE_BYTES)))
        .chain(
            keys.chain(redis)
                .chain(sent)
                .chain(tls::files(main, included))
                .map(|file| (file, bounds::KEY_FILE_BYTES)),
        )
        .collect()
}

/// Files with scripts, with the places that name them.
pub(crate) fn scripts<'a>(main: &'a Root, included: &'a [Included]) -> impl Iterator<Item = &'a At<PathBuf>> {
    lua::all(main, included).filter_map(|lua| match &lua.text {
        ScriptText::File(file) => Some(file),
        ScriptText::Inline(_) => None,
    })
}

/// Files with templates, with the places that name them.
pub(crate) fn templates<'a>(
    main: &'a Root,
    included: &'a [Included],
) -> impl Iterator<Item = &'a At<PathBuf>> {
    let routes = std::iter::once(&main.routes).chain(included.iter().map(|file| &file.routes));
    let rows = routes.filter_map(Slot::value).flat_map(|Rows(rows)| rows);
    rows.filter_map(|route| route.value.aggregate.value()?.render.given())
}

/// Files with descriptions of interfaces, with the places that name them.
pub(crate) fn interfaces<'a>(
    main: &'a Root,
    included: &'a [Included],
) -> impl Iterator<Item = &'a At<PathBuf>> {
    checks::blocks(main, included).filter_map(|block| Some(&block.openapi.value()?.file))
}

fn files<'a>(input: &Input<'a>) -> impl Iterator<Item = File<'a>> {
    let main = input.main;
    let first = File {
        upstreams: &main.upstreams,
        issuers: &main.issuers,
        consumers: &main.consumers,
        defaults: &Slot::Absent,
        routes: &main.routes,
    };
    let rest = input.included.iter().map(|file| File {
        upstreams: &file.upstreams,
        issuers: &file.issuers,
        consumers: &file.consumers,
        defaults: &file.defaults,
        routes: &file.routes,
    });
    std::iter::once(first).chain(rest)
}

/// The very beginning of the main file: where findings about the whole configuration point.
fn whole() -> Span {
    Span { file: FileId(0), start: 0, end: 0 }
}
