//! `tollgate routes`: what each route matches and does.

use std::process::ExitCode;

use serde_json::json;

use crate::cli::Checked;
use crate::{config_file, output};

pub(super) fn routes(arguments: &Checked) -> ExitCode {
    let Some(loaded) = config_file::load(&arguments.config) else { return ExitCode::FAILURE };
    let rows = tollgate_config::posture(&loaded.plan);
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
