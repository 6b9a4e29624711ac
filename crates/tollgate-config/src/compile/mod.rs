//! From what users typed to a plan. Pure and total: every remaining error and warning comes from here.

mod action;
mod edits;
mod matching;
mod merge;
mod names;
mod routes;
mod server;
mod upstreams;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tollgate_plan::Plan;
use tollgate_plan::consumer::Consumers;
use tollgate_plan::limit::RateLimitHeaders;
use tollgate_plan::table::RouteTable;

use crate::report::Report;
use crate::shape::{At, Dict, Rows, Slot};
use crate::source_map::{FileId, Span};
use crate::spec::{Defaults, Included, Root, Route, Upstream, UpstreamName};

/// Everything that the verbs before have found.
pub(crate) struct Input<'a> {
    pub(crate) main: &'a Root,
    pub(crate) included: &'a [Included],
    /// What `respond` files hold, by path.
    pub(crate) files: &'a HashMap<PathBuf, Arc<[u8]>>,
    pub(crate) cores: usize,
}

/// What main and included files have in common.
#[derive(Clone, Copy)]
struct File<'a> {
    upstreams: &'a Slot<Dict<UpstreamName, Upstream>>,
    /// Its own defaults; the main file's apply everywhere.
    defaults: &'a Slot<Defaults>,
    routes: &'a Slot<Rows<Route>>,
}

/// Compiles. `None` when the report has errors that leave nothing to build from.
pub(crate) fn compile(input: &Input<'_>, report: &mut Report) -> Option<Plan> {
    let files: Vec<File<'_>> = files(input).collect();
    let limits = server::limits(&input.main.limits, report);
    let admin = server::admin(&input.main.admin, report);
    let listeners = server::listeners(input.main, admin.address, report);
    let access_log = server::access_log(&input.main.access_log, report);

    let mut upstreams = upstreams::collect(&files, report);
    let found = routes::compile(input, &files, &limits, &mut upstreams, report);
    upstreams.warn_unused(report);
    found.analyse(report);
    if report.has_errors() {
        return None;
    }
    Some(Plan {
        listeners,
        trusted_proxies: server::trusted_proxies(input.main),
        limits,
        workers: server::workers(input.main, input.cores),
        shutdown: server::shutdown(&input.main.shutdown),
        admin,
        access_log,
        issuers: Vec::new(),
        consumers: Consumers::default(),
        rate_limits: Vec::new(),
        rate_limit_headers: RateLimitHeaders::default(),
        redis: None,
        upstreams: upstreams.finish(),
        table: RouteTable::build(found.specs),
        routes: found.routes,
    })
}

/// Paths of `respond` files with the places that name them.
pub(crate) fn respond_files<'a>(
    main: &'a Root,
    included: &'a [Included],
) -> impl Iterator<Item = &'a At<PathBuf>> {
    let routes = std::iter::once(&main.routes).chain(included.iter().map(|file| &file.routes));
    let rows = routes.filter_map(Slot::value).flat_map(|Rows(rows)| rows);
    rows.filter_map(|route| route.value.respond.value()?.file.given())
}

fn files<'a>(input: &Input<'a>) -> impl Iterator<Item = File<'a>> {
    let main = input.main;
    let first = File { upstreams: &main.upstreams, defaults: &Slot::Absent, routes: &main.routes };
    let rest = input.included.iter().map(|file| File {
        upstreams: &file.upstreams,
        defaults: &file.defaults,
        routes: &file.routes,
    });
    std::iter::once(first).chain(rest)
}

/// The very beginning of the main file: where findings about the whole configuration point.
fn whole() -> Span {
    Span { file: FileId(0), start: 0, end: 0 }
}
