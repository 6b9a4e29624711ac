//! `tollgate routes`: what each route matches and does, in the order in which they are asked.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::Checked;
use crate::{config_file, output};

pub(super) fn routes(arguments: &Checked) -> ExitCode {
    let Some(loaded) = config_file::load(&arguments.config) else { return ExitCode::FAILURE };
    let rows = tollgate_config::posture(&loaded.plan);
    // The posture is in file order, so a route's number is its row.
    let order = loaded.plan.table.in_order();
    let rows: Vec<_> = order.iter().filter_map(|id| rows.get(id.0 as usize)).collect();
    if arguments.output.json {
        let routes: Vec<_> = rows
            .iter()
            .map(|row| json!({ "name": row.route, "match": row.matches, "action": row.action }))
            .collect();
        output::json(&json!({ "routes": routes }));
    } else {
        let cells = rows.iter().map(|row| [&row.route, &row.matches, &row.action].map(String::as_str));
        output::out(&format!("{}\n", output::table(&["route", "match", "action"], cells)));
    }
    ExitCode::SUCCESS
}
