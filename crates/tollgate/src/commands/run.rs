//! `tollgate run`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::RunArgs;
use crate::handover::{self, Program};
use crate::remote::{self, Remote};
use crate::source::Source;
use crate::{config_file, log, output, serve};

/// Where copies of configurations from URLs are kept when nothing says where.
const STATE: &str = "/var/lib/tollgate";

pub(super) fn run(arguments: &RunArgs) -> ExitCode {
    let program = Program::this();
    if let Some(code) = handover::stand_between(&program) {
        return code;
    }
    log::init();
    match source(arguments) {
        Ok(source) => serve::serve(source, Some(program), |_| {}),
        Err(message) => {
            output::error(message);
            ExitCode::FAILURE
        }
    }
}

fn source(arguments: &RunArgs) -> Result<Source, String> {
    let path = config_file::find(&arguments.config)?;
    if !remote::is_url(&path) {
        return Ok(Source::File(path));
    }
    let url = path.to_string_lossy();
    let state = arguments.state.clone().or_else(state_directory);
    if state.is_none() {
        tracing::warn!(
            "no copy of the configuration is kept for a start without its source: name a directory with --state"
        );
    }
    remote::block_on(Remote::open(&url, state.as_deref()))?.map(Source::Url)
}

/// What systemd has made for it (`StateDirectory=`), or the usual place when it is there.
fn state_directory() -> Option<PathBuf> {
    let made = std::env::var("STATE_DIRECTORY").unwrap_or_default();
    let first = made.split(':').next().filter(|first| !first.is_empty()).map(PathBuf::from);
    first.or_else(|| Path::new(STATE).is_dir().then(|| PathBuf::from(STATE)))
}
