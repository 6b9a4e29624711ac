//! `tollgate check`: every diagnostic, then the posture table.

use std::process::ExitCode;

use serde_json::json;
use tollgate_config::{Diagnostic, PostureRow};

use crate::cli::Checked;
use crate::reload::Recording;
use crate::{config_file, output};

pub(super) fn check(arguments: &Checked) -> ExitCode {
    if arguments.output.json { for_machines(arguments) } else { for_people(arguments) }
}

fn for_people(arguments: &Checked) -> ExitCode {
    let Some(loaded) = config_file::load(&arguments.config) else { return ExitCode::FAILURE };
    let rows = tollgate_config::posture(&loaded.plan);
    let public = rows.iter().filter(|row| row.public).count();
    let (routes, warnings) =
        (config_file::count(rows.len(), "route"), config_file::count(loaded.warnings.len(), "warning"));
    output::out(&format!("{}\nok: {routes}, {public} of them public; {warnings}\n", table(&rows))).exit(true)
}

fn for_machines(arguments: &Checked) -> ExitCode {
    let source = match config_file::source(&arguments.config) {
        Ok(source) => source,
        Err(message) => {
            let fault = config_file::fault("unreadable", &message);
            return output::json(&json!({ "ok": false, "diagnostics": [fault], "posture": [] })).exit(false);
        }
    };
    let json_of =
        |diagnostics: &[Diagnostic]| diagnostics.iter().map(Diagnostic::to_json).collect::<Vec<_>>();
    match tollgate_config::load(source.path(), &Recording::of(&source)) {
        Ok(loaded) => {
            let posture = tollgate_config::posture(&loaded.plan);
            let told = json!({ "ok": true, "diagnostics": json_of(&loaded.warnings), "posture": posture });
            output::json(&told).exit(true)
        }
        Err(failed) => {
            let told = json!({ "ok": false, "diagnostics": json_of(&failed.diagnostics), "posture": [] });
            output::json(&told).exit(false)
        }
    }
}

fn table(rows: &[PostureRow]) -> String {
    let header = ["route", "match", "action", "auth", "limits", "tls"];
    let cells = rows.iter().map(|row| {
        [&row.route, &row.matches, &row.action, &row.auth, &row.limits, &row.tls].map(String::as_str)
    });
    output::table(&header, cells)
}
