//! `tollgate run`.

use std::process::ExitCode;

use crate::cli::ConfigArg;
use crate::{config_file, log, output, serve};

pub(super) fn run(arguments: &ConfigArg) -> ExitCode {
    log::init();
    let path = match config_file::find(arguments) {
        Ok(path) => path,
        Err(message) => {
            output::error(message);
            return ExitCode::FAILURE;
        }
    };
    serve::serve(&path, |_| {})
}
