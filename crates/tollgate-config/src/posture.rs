//! The posture table of `check`: who may reach what, and how it is protected.

use serde::Serialize;
use tollgate_plan::Plan;

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
    plan.routes
        .iter()
        .map(|route| PostureRow {
            route: route.name.to_string(),
            matches: route.pattern.to_string(),
            action: String::new(),
            auth: "public".to_owned(),
            limits: "-".to_owned(),
            tls: "-".to_owned(),
        })
        .collect()
}
