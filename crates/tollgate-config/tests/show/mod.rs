//! A plan as compact text: what differs between two plans differs here.

mod protection;

use std::fmt::Write;
use std::time::Duration;

use tollgate_config::posture;
use tollgate_plan::Plan;
use tollgate_plan::credentials::ClientCredentials;
use tollgate_plan::issuer::Reach;
use tollgate_plan::limits::Limits;
use tollgate_plan::listener::ProxyProtocol;
use tollgate_plan::proof::{Proof, Proofs, Stub, StubAnswer};
use tollgate_plan::resilience::StatusSet;
use tollgate_plan::route::{Action, HeaderEdit, QueryEdit, RespondBody, Rewrite, Route};
use tollgate_plan::template::{Part, Template};
use tollgate_plan::tls::{ClientTls, ServerTls};
use tollgate_plan::upstream::{Pool, Upstream, UpstreamId};

pub(crate) fn plan(plan: &Plan) -> String {
    let mut out = String::new();
    for listener in &plan.listeners {
        line(&mut out, format!("listener {} {:?}", listener.name, listener.address));
        if let Some(tls) = &listener.tls {
            server_tls(&mut out, tls);
        }
        if !listener.http2 {
            line(&mut out, "  HTTP/1 only".to_owned());
        }
        if let Some(mode) = listener.mode {
            line(&mut out, format!("  mode {mode:03o}"));
        }
        if listener.proxy_protocol == ProxyProtocol::Require {
            line(&mut out, "  behind a PROXY header".to_owned());
        }
    }
    if !plan.trusted_proxies.is_empty() {
        let proxies: Vec<String> = plan.trusted_proxies.iter().map(ToString::to_string).collect();
        line(&mut out, format!("trusted_proxies {proxies:?}"));
    }
    if !plan.name_servers.is_empty() {
        line(&mut out, format!("name servers {:?}", plan.name_servers));
    }
    if plan.limits != Limits::default() {
        line(&mut out, format!("{:?}", plan.limits));
    }
    line(&mut out, format!("workers {}, {:?}, {:?}", plan.workers, plan.shutdown, plan.admin));
    if let Some(notice) = &plan.notice {
        line(&mut out, format!("notice {notice:?}"));
    }
    if plan.reload_every != Duration::from_secs(30) {
        line(&mut out, format!("reload every {:?}", plan.reload_every));
    }
    line(&mut out, format!("{:?}", plan.access_log));
    if let Some(traces) = &plan.traces {
        line(&mut out, format!("{traces:?}"));
    }
    protection::of_plan(&mut out, plan);
    for one in &plan.upstreams {
        upstream(&mut out, one);
    }
    for (one, row) in plan.routes.iter().zip(posture(plan)) {
        line(&mut out, format!("route {:?}: {} → {}", row.route, row.matches, row.action));
        if (&*row.auth, &*row.limits) != ("public", "-") {
            line(&mut out, format!("  [{}] [{}] public {}", row.auth, row.limits, row.public));
        }
        protection::of_route(&mut out, one);
        route(&mut out, one, plan);
    }
    out
}

/// Nothing where there are no tests.
pub(crate) fn proofs(proofs: &Proofs) -> String {
    let mut out = String::new();
    if proofs.required {
        line(&mut out, "tests are required".to_owned());
    }
    for Proof { name, file, line: at, request, repeat, stubs, expect } in &proofs.all {
        line(&mut out, format!("test {name:?} at {file}:{at}, {repeat} times"));
        let body = String::from_utf8_lossy(&request.body);
        line(
            &mut out,
            format!(
                "  {:?} {} from {}, host {}, body {body:?}",
                request.method, request.path, request.ip, request.host
            ),
        );
        line(&mut out, format!("  {:?} {:?} {:?}", request.headers, request.token, request.key));
        for (upstream, stub) in stubs {
            match stub {
                Stub::Answer(answer) => {
                    let body = String::from_utf8_lossy(&answer.body);
                    let StubAnswer { status, headers, delay, .. } = answer;
                    line(
                        &mut out,
                        format!("  {upstream:?} answers {status} {headers:?} {body:?} after {delay:?}"),
                    );
                }
                fails => line(&mut out, format!("  {upstream:?}: {fails:?}")),
            }
        }
        line(&mut out, format!("  {expect:?}"));
    }
    out
}

fn upstream(out: &mut String, upstream: &Upstream) {
    let named = if upstream.named { "" } else { " (from a URL)" };
    line(
        out,
        format!("upstream {:?}{named}: {:?}, host {:?}", upstream.name, upstream.balance, upstream.host),
    );
    let times = (upstream.connect_timeout, upstream.timeout, upstream.idle_timeout);
    line(out, format!("  connect {:?}, head {:?}, idle {:?}", times.0, times.1, times.2));
    if upstream.pool != Pool::default() {
        line(out, format!("  {:?}", upstream.pool));
    }
    let parts = [
        upstream.retry.as_ref().map(|part| format!("{part:?}")),
        upstream.health_check.as_ref().map(|part| format!("{part:?}")),
        upstream.outlier.as_ref().map(|part| format!("{part:?}")),
        upstream.circuit_breaker.as_ref().map(|part| format!("{part:?}")),
    ];
    parts.into_iter().flatten().for_each(|part| line(out, format!("  {part}")));
    if upstream.failure_status != StatusSet::range(500, 599) {
        line(out, format!("  failures: {:?}", upstream.failure_status.0));
    }
    if *upstream.tls != ClientTls::default() {
        client_tls(out, &upstream.tls);
    }
    if let Some(credentials) = &upstream.credentials {
        let roots = credentials.reach.roots.as_ref().map(|roots| roots.len());
        let reach = Reach { roots: None, ..credentials.reach };
        let shown = ClientCredentials { reach, ..(**credentials).clone() };
        line(out, format!("  {shown:?}, authorities {roots:?}"));
    }
    if upstream.follow_redirects > 0 {
        line(out, format!("  follows {} redirects", upstream.follow_redirects));
    }
    for target in &upstream.targets {
        let (address, authority) = (&target.address, &target.authority);
        line(
            out,
            format!(
                "  {} × {} = {address:?} as {authority:?} + {:?}",
                target.weight, target.url, target.prefix
            ),
        );
        if target.http2 {
            line(out, "    over HTTP/2".to_owned());
        }
        if let Some(name) = &target.tls {
            line(out, format!("    over TLS, certificate for {name:?}"));
        }
    }
}

fn server_tls(out: &mut String, tls: &ServerTls) {
    for identity in &tls.certificates {
        let (count, names) = (identity.chain.len(), &identity.names);
        line(out, format!("  certificate {names:?}, {count} in its chain, key {:?}", identity.key.format));
    }
    let authorities = tls.client_ca.as_ref().map_or(0, |roots| roots.len());
    line(
        out,
        format!("  {:?}, {authorities} authorities of clients, {:?}", tls.min_version, tls.client_subject),
    );
}

fn client_tls(out: &mut String, tls: &ClientTls) {
    let authorities = tls.roots.as_ref().map(|roots| roots.len());
    let identity = tls.identity.as_ref().map(|identity| &identity.names);
    line(out, format!("  tls: authorities {authorities:?}, verify {}, shows {identity:?}", tls.verify));
}

fn route(out: &mut String, route: &Route, plan: &Plan) {
    line(out, format!("  max_body {}, timeout {:?}", route.max_body, route.timeout));
    if let Some(deadline) = &route.deadline {
        line(out, format!("  deadline {deadline:?}"));
    }
    if let Some(scripts) = &route.scripts {
        for script in &scripts.list {
            let functions = [("request", script.has_request()), ("response", script.has_response())];
            let functions = functions.into_iter().filter(|(_, has)| *has).map(|(name, _)| name);
            let functions: Vec<_> = functions.collect();
            line(out, format!("  script {:?} {functions:?} {:?}", script.name(), script.limits()));
        }
    }
    if let Some(mirror) = &route.mirror {
        let to = &plan.upstreams[mirror.to.0 as usize].name;
        line(out, format!("  mirror {}% to {to:?}", mirror.share_percent));
    }
    let tunnel_idle = Duration::from_millis(route.tunnel_idle_ms);
    if tunnel_idle != Duration::from_secs(3600) {
        line(out, format!("  tunnel_idle {tunnel_idle:?}"));
    }
    if let Some(cache) = &route.cache {
        line(out, format!("  {cache:?}"));
    }
    let request = route.request.as_deref().cloned().unwrap_or_default();
    match &request.rewrite {
        None => {}
        Some(Rewrite::To(path)) => line(out, format!("  rewrite {}", template(path))),
        Some(Rewrite::StripPrefix(prefix)) => line(out, format!("  strip {prefix}")),
    }
    for (what, only) in [
        (
            "headers",
            request.only_headers.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>()),
        ),
        ("query", request.only_query.map(|names| names.iter().map(ToString::to_string).collect())),
    ] {
        if let Some(only) = only {
            line(out, format!("  only {what} {only:?}"));
        }
    }
    for edit in &request.headers {
        line(out, format!("  request {}", header(edit)));
    }
    for edit in &request.query {
        line(
            out,
            match edit {
                QueryEdit::Remove(name) => format!("  query remove {name:?}"),
                QueryEdit::Set(name, value) => format!("  query set {name:?} {}", template(value)),
            },
        );
    }
    for edit in route.response.iter().flat_map(|edits| &edits.headers) {
        line(out, format!("  response {}", header(edit)));
    }
    if route.response.as_ref().is_some_and(|edits| edits.compress) {
        line(out, "  compress".to_owned());
    }
    let body = route.response.iter().find_map(|edits| edits.body.as_ref());
    if let Some(jq) = body.and_then(|rules| rules.jq.as_ref()) {
        line(out, format!("  {jq:?}"));
    }
    action(out, &route.action, plan);
}

fn action(out: &mut String, action: &Action, plan: &Plan) {
    let name = |id: &UpstreamId| plan.upstreams[id.0 as usize].name.to_string();
    match action {
        Action::To(_) | Action::Split(_) => {}
        Action::Respond(respond) => {
            for (name, value) in &respond.headers {
                line(out, format!("  header {name}: {}", template(value)));
            }
            line(
                out,
                match &respond.body {
                    RespondBody::Fixed(bytes) => format!("  fixed {:?}", String::from_utf8_lossy(bytes)),
                    RespondBody::Text(text) => format!("  text {}", template(text)),
                    RespondBody::Json(json) => format!("  json {}", template(json)),
                },
            );
        }
        Action::Redirect(redirect) => line(out, format!("  location {}", template(&redirect.to))),
        Action::Aggregate(aggregate) => {
            for part in &aggregate.parts {
                line(out, format!("  part {part:?}"));
            }
            let tollgate_plan::aggregate::Aggregate {
                timeout,
                merge,
                headers,
                query,
                part_bytes,
                encode,
                ..
            } = &**aggregate;
            let whole = format!("{timeout:?} {merge:?} {headers:?} {query:?} {part_bytes} {encode:?}");
            line(out, format!("  whole {whole}"));
            if let Some(template) = &aggregate.render {
                line(out, format!("  render {template:?} as {:?}", template.media_type()));
            }
        }
        Action::Health(upstreams) => {
            line(out, format!("  health of {:?}", upstreams.iter().map(name).collect::<Vec<_>>()));
        }
    }
}

fn header(edit: &HeaderEdit) -> String {
    match edit {
        HeaderEdit::Remove(name) => format!("remove {name}"),
        HeaderEdit::Set(name, value) => format!("set {name}: {}", template(value)),
        HeaderEdit::Add(name, value) => format!("add {name}: {}", template(value)),
    }
}

/// Text is quoted, placeholders are not.
fn template(template: &Template) -> String {
    let parts = template.parts().iter().map(|part| match part {
        Part::Text(text) => format!("{text:?}"),
        Part::Var(var) => format!("{{{var}}}"),
    });
    parts.collect::<Vec<_>>().join(" ")
}

fn line(out: &mut String, text: String) {
    writeln!(out, "{text}").expect("writing to text");
}
