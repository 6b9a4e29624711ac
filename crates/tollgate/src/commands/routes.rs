//! `tollgate routes`: what each route matches and does, in the order in which they are asked.

use std::process::ExitCode;

use crate::cli::Checked;
use crate::{config_file, output};

pub(super) fn routes(arguments: &Checked) -> ExitCode {
    let Some(loaded) = config_file::load(&arguments.config) else {
        output::failed_as_told(arguments.output.json);
        return ExitCode::FAILURE;
    };
    if arguments.output.json {
        return output::json(&tollgate_admin::routes_json(&loaded.plan)).exit(true);
    }
    // The posture is in file order, so a route's number is its row.
    let rows = tollgate_config::posture(&loaded.plan);
    let order = loaded.plan.table.in_order();
    let rows = order.iter().filter_map(|id| rows.get(id.0 as usize));
    let cells = rows.map(|row| [&row.route, &row.matches, &row.action].map(String::as_str));
    output::out(&format!("{}\n", output::table(&["route", "match", "action"], cells))).exit(true)
}
