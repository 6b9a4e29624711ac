//! The posture table of `check`: who may reach what, and how it is protected.

use serde::Serialize;
use tollgate_plan::Plan;
use tollgate_plan::route::{Action, Route, RouteId};
use tollgate_plan::upstream::UpstreamId;

/// One route of the posture table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PostureRow {
    /// The route's name.
    pub route: String,
    /// Methods, host and path that it matches.
    #[serde(rename = "match")]
    pub matches: String,
    /// What it does.
    pub action: String,
    /// How callers identify themselves; `public` when they need not.
    pub auth: String,
    /// Limits on how often it may be called; `-` without any.
    pub limits: String,
    /// Whether its listeners speak TLS; `-` when none does.
    pub tls: String,
}

/// The posture table, in file order.
pub fn posture(plan: &Plan) -> Vec<PostureRow> {
    let routes = plan.routes.iter().enumerate();
    routes
        .map(|(id, route)| PostureRow {
            route: route.name.to_string(),
            matches: matches(plan, RouteId(id as u32), route),
            action: action(plan, &route.action),
            auth: "public".to_owned(),
            limits: "-".to_owned(),
            tls: "-".to_owned(),
        })
        .collect()
}

/// `GET,POST api.example.com /orders/{id} (2 conditions)`.
fn matches(plan: &Plan, id: RouteId, route: &Route) -> String {
    let methods: Vec<&str> = plan.table.methods(id).iter().map(|method| method.as_str()).collect();
    let hosts: Vec<String> = plan.table.hosts(id).iter().map(ToString::to_string).collect();
    let conditions = match plan.table.condition_count(id) {
        0 => String::new(),
        1 => "(1 condition)".to_owned(),
        count => format!("({count} conditions)"),
    };
    let parts = [methods.join(","), hosts.join(","), route.pattern.to_string(), conditions];
    parts.iter().filter(|part| !part.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ")
}

fn action(plan: &Plan, action: &Action) -> String {
    let name = |id: UpstreamId| plan.upstreams.get(id.0 as usize).map_or("?", |upstream| &*upstream.name);
    match action {
        Action::To(to) if to.len() == 1 => {
            format!("to {}", to.first().map_or("?", |one| name(one.upstream)))
        }
        Action::To(to) => {
            let parts: Vec<String> =
                to.iter().map(|one| format!("{} ({})", name(one.upstream), one.weight)).collect();
            format!("to {}", parts.join(", "))
        }
        Action::Respond(respond) => format!("respond {}", respond.status),
        Action::Redirect(redirect) => format!("redirect {}", redirect.status),
        Action::Health(_) => "health".to_owned(),
    }
}
