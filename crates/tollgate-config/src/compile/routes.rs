//! All routes of all files, and what they do to each other.

use tollgate_plan::limits::Limits;
use tollgate_plan::route::{Action, Route, RouteId};
use tollgate_plan::table::{self, RouteSpec};

use super::action::{self, Parts};
use super::edits::{self, Scope};
use super::merge::Layers;
use super::names::Names;
use super::{File, Input, access, auth, cache, limits, matching, whole};
use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, Pattern, Rows, Slot};
use crate::source_map::Span;
use crate::spec;

/// The routes, and where each was written.
pub(super) struct Routes {
    pub(super) routes: Vec<Route>,
    pub(super) specs: Vec<RouteSpec>,
    /// By id: the path of each route, which says more than its name.
    places: Vec<Span>,
}

/// A route as written, with the defaults of its file.
#[derive(Clone, Copy)]
struct Written<'a> {
    route: &'a At<spec::Route>,
    defaults: &'a Slot<spec::Defaults>,
}

/// Compiles the routes of all files, in order.
pub(super) fn compile(
    input: &Input<'_>,
    files: &[File<'_>],
    process: &Limits,
    parts: &mut Parts<'_>,
    report: &mut Report,
) -> Routes {
    let written = written(input, files, report);
    let mut names = Names::new(written.iter().map(|written| written.route), report);
    let mut routes = Routes::with_capacity(written.len());
    for Written { route, defaults } in written {
        let shared = [Some(route.value.shared()), shared(defaults), shared(&input.main.defaults)];
        let layers = Layers::new(shared.into_iter().flatten());
        let Some(path) = route.value.path.given() else { continue };
        let id = RouteId(routes.places.len() as u32);
        routes.places.push(path.span);
        let spec = matching::spec(id, &path.value, &layers);
        matching::warn_empty(&layers, report);
        let name = match &route.value.name {
            Slot::Given(name) => name.value.0.clone(),
            Slot::Absent | Slot::Faulty(_) => made_name(&mut names, spec.as_ref(), &path.value),
        };
        let auth = auth::auth(layers.key(|keys| keys.auth), &mut parts.issuers, &parts.people, report);
        let scope = Scope {
            route: &name,
            pattern: &path.value.pattern,
            path: path.span,
            block: route.span,
            auth: &auth,
        };
        let mut built = build(route, &layers, process, parts, &scope, report);
        match (&mut built, auth) {
            (Some(route), auth::Found::By(auth)) => route.auth = Some(auth),
            (Some(route), auth::Found::Faulty) if report.withholds() => {
                route.auth = Some(auth::unknown().into());
            }
            _ => {}
        }
        routes.routes.extend(built);
        routes.specs.extend(spec);
    }
    routes
}

fn shared(defaults: &Slot<spec::Defaults>) -> Option<spec::Shared<'_>> {
    defaults.value().map(spec::Defaults::shared)
}

/// Every route that was written, within bounds.
fn written<'a>(input: &Input<'_>, files: &[File<'a>], report: &mut Report) -> Vec<Written<'a>> {
    let mut all = Vec::new();
    for file in files {
        let Some(Rows(rows)) = file.routes.value() else { continue };
        all.extend(rows.iter().map(|route| Written { route, defaults: file.defaults }));
    }
    if let Some(over) = all.get(bounds::ROUTES) {
        let message = format!("more than {} routes", bounds::ROUTES);
        report.push(Finding::error(Code::TooLarge, over.route.key, message));
        all.truncate(bounds::ROUTES);
    }
    let faulty = input.partial || files.iter().any(|file| matches!(file.routes, Slot::Faulty(_)));
    if all.is_empty() && !faulty {
        let finding = Finding::error(Code::MissingKey, whole(), "there are no routes");
        report.push(finding.hint("add `routes:` with at least a `path:` and a `to:`"));
    }
    all
}

fn made_name(names: &mut Names, spec: Option<&RouteSpec>, path: &Pattern) -> String {
    let methods = spec.map(|spec| spec.methods.as_slice()).unwrap_or_default();
    let methods: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    let host = spec.and_then(|spec| spec.hosts.first()).map(ToString::to_string);
    names.make(&methods, host.as_deref(), &path.text)
}

fn build(
    route: &At<spec::Route>,
    layers: &Layers<'_>,
    process: &Limits,
    parts: &mut Parts<'_>,
    scope: &Scope<'_>,
    report: &mut Report,
) -> Option<Route> {
    let cors = access::cors(layers, report);
    access::warn_unserved(&route.value, layers, report);
    let addresses = access::addresses(layers, report);
    let user_agents = access::user_agents(layers, report);
    let rate_limits = layers.key(|keys| keys.rate_limit);
    let route_limits = parts.rate_limits.of_route(rate_limits, scope, report);
    let request = edits::request(layers, scope, report);
    let response = edits::response(layers, scope, report);
    let encode = layers.response(|response| &response.encode).value().copied().unwrap_or(spec::Encode::Json);
    let (action, known) = match action::action(route, encode, parts, scope, report) {
        Some(action) => (action, true),
        // What it does stands in a file that is withheld; how it is protected can be told all the same.
        None if report.withholds() => (Action::Health(Box::default()), false),
        None => return None,
    };
    let scripts = parts.scripts.of_route(layers, report);
    let path = route.value.path.given()?;
    let checks = parts.schemas.of_route(&mut parts.interfaces, layers, path, scope, report);
    let inputs = (request.as_deref(), scripts.as_deref());
    let cache = cache::cache(&route.value, layers, scope.auth, known.then_some(&action), inputs, report);
    let mirror = action::mirror(layers.key(|keys| keys.mirror), parts, report);
    let tunnel_idle = layers.key(|keys| keys.tunnel_idle).value().unwrap_or(&spec::TUNNEL_IDLE).0;
    if known {
        warn_no_effect(&route.value, &action, report);
        let shaped = response.as_deref().is_some_and(|response| response.body.is_some());
        warn_encode(&route.value, &action, shaped, report);
    }
    Some(Route {
        name: scope.route.into(),
        pattern: route.value.path.value()?.text.as_str().into(),
        cors,
        addresses,
        user_agents,
        auth: None,
        limits: route_limits,
        concurrency: limits::concurrency(layers.key(|keys| keys.concurrency)).map(Box::new),
        max_body: layers.key(|keys| keys.max_body).value().map_or(process.body, |size| size.0),
        timeout: layers.key(|keys| keys.timeout).value().map(|timeout| timeout.0),
        deadline: layers.key(|keys| keys.deadline).value().map(|deadline| Box::new(deadline.0)),
        mirror,
        request,
        response,
        scripts,
        checks,
        cache,
        tunnel_idle_ms: tunnel_idle.as_millis() as u64,
        action,
    })
}

/// Keys that concern an upstream, written on a route that has none. From defaults they are no surprise.
fn warn_no_effect(route: &spec::Route, action: &Action, report: &mut Report) {
    if action.forwards() {
        return;
    }
    // Whether requests of parts have it too.
    let keys = [
        ("request", route.request.key(), true),
        ("timeout", route.timeout.key(), false),
        ("deadline", route.deadline.key(), true),
        ("mirror", route.mirror.key(), false),
        ("tunnel_idle", route.tunnel_idle.key(), false),
        ("lua", route.lua.key(), true),
    ];
    let parts = matches!(action, Action::Aggregate(_));
    let body = route.response.value().and_then(|block| block.body.key()).filter(|_| !parts);
    if let Some(key) = body {
        let message = "`body` changes nothing: the route does not forward";
        report.push(Finding::warning(Code::NoEffect, key, message));
    }
    for (name, key, of_parts) in keys {
        if let Some(key) = key.filter(|_| !(parts && of_parts)) {
            let message = format!("`{name}` changes nothing: the route does not forward");
            report.push(Finding::warning(Code::NoEffect, key, message));
        }
    }
    if parts {
        warn_of_parts(route, report);
    }
}

/// What each part says for itself, written on the route.
fn warn_of_parts(route: &spec::Route, report: &mut Report) {
    let (request, response) = (route.request.value(), route.response.value());
    let keys = [
        ("rewrite", request.and_then(|block| block.rewrite.key()), "each part has a `path` of its own"),
        (
            "strip_prefix",
            request.and_then(|block| block.strip_prefix.key()),
            "each part has a `path` of its own",
        ),
        ("body", response.and_then(|block| block.body.key()), "each part is shaped by keys of its own"),
    ];
    for (name, key, why) in keys {
        if let Some(key) = key {
            let message = format!("`{name}` changes nothing: {why}");
            report.push(Finding::warning(Code::NoEffect, key, message));
        }
    }
}

/// `encode` on a route whose answers nobody reads: they pass as they are. `shaped` says that `response.body` does.
fn warn_encode(route: &spec::Route, action: &Action, shaped: bool, report: &mut Report) {
    let Some(response) = route.response.value() else { return };
    let (why, hint) = match action {
        Action::Aggregate(aggregate) if aggregate.render.is_some() => {
            ("the answer is what the template makes", None)
        }
        Action::Aggregate(_) => return,
        // Where it is shaped by rules with a fault, the fault is what there is to say.
        _ if shaped || matches!(response.body, Slot::Faulty(_)) => return,
        _ if action.forwards() => (
            "answers that are not shaped pass as they are",
            Some("`body: { decode: json }` beside it reads them"),
        ),
        _ => ("the route does not forward", None),
    };
    if let Some(key) = response.encode.key() {
        let finding = Finding::warning(Code::NoEffect, key, format!("`encode` changes nothing: {why}"));
        report.push(finding.maybe_hint(hint.map(str::to_owned)));
    }
}

impl Routes {
    fn with_capacity(count: usize) -> Self {
        Routes {
            routes: Vec::with_capacity(count),
            specs: Vec::with_capacity(count),
            places: Vec::with_capacity(count),
        }
    }

    /// Reports ties and routes that no request reaches.
    pub(super) fn analyse(&self, report: &mut Report) {
        for finding in table::analyse(&self.specs) {
            match finding {
                table::Finding::Tie { a, b, example } => {
                    let message = format!("two routes tie: nothing decides who serves `{example}`");
                    let hint = "make one more specific, or give it a higher `priority`";
                    let finding = Finding::error(Code::RouteTie, self.place(b), message);
                    report.push(finding.related(self.place(a), "the other route").hint(hint));
                }
                table::Finding::Shadowed { route, by } => {
                    let message = "the route never serves: every request that it matches goes to others";
                    let mut finding = Finding::error(Code::RouteShadowed, self.place(route), message);
                    for other in by.into_iter().take(3) {
                        finding = finding.related(self.place(other), "to this one");
                    }
                    report.push(finding.hint("remove it, make it more specific, or change `priority`"));
                }
            }
        }
    }

    fn place(&self, id: RouteId) -> Span {
        self.places.get(id.0 as usize).copied().unwrap_or_else(whole)
    }
}
