//! `tollgate schema`.

use std::process::ExitCode;

use crate::output;

pub(super) fn schema() -> ExitCode {
    output::json(&tollgate_config::schema()).exit(true)
}
