//! `tollgate version`.

use std::process::ExitCode;

use serde_json::json;
use tollgate_admin::Build;

use crate::cli::JsonArg;
use crate::output;

/// Which build this is.
pub(crate) const BUILD: Build = Build { version: env!("CARGO_PKG_VERSION"), commit: env!("TOLLGATE_COMMIT") };

const TARGET: &str = env!("TOLLGATE_TARGET");

pub(super) fn version(arguments: &JsonArg) -> ExitCode {
    let written = if arguments.json {
        output::json(&json!({ "version": BUILD.version, "commit": BUILD.commit, "target": TARGET }))
    } else {
        output::out(&format!("tollgate {} ({}, {TARGET})\n", BUILD.version, BUILD.commit))
    };
    written.exit(true)
}
