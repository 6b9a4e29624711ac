//! Finds the configuration file and shows what is wrong with it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tollgate_config::{Diagnostic, Failed, Loaded, Severity, SourceMap};
use tollgate_plan::plan::Admin;

use crate::cli::ConfigArg;
use crate::output;
use crate::reload::Recording;
use crate::remote::{self, Remote};
use crate::source::Source;

/// Where a configuration is looked for when none is named, in order.
const DEFAULTS: [&str; 2] = ["tollgate.yaml", "/etc/tollgate/tollgate.yaml"];

/// The file that was named, or the first default that exists.
pub(crate) fn find(argument: &ConfigArg) -> Result<PathBuf, String> {
    if let Some(named) = &argument.config {
        return Ok(named.clone());
    }
    // A file that exists but cannot be read is chosen too, so that its error is the one that is shown.
    let found = DEFAULTS.iter().map(Path::new).find(|path| path.symlink_metadata().is_ok());
    found.map(Path::to_path_buf).ok_or_else(|| {
        format!("no configuration: neither {} nor {} exists; name one with -c FILE", DEFAULTS[0], DEFAULTS[1])
    })
}

/// The configuration that the command line means, for commands that only look at it.
pub(crate) fn source(argument: &ConfigArg) -> Result<Source, String> {
    let path = find(argument)?;
    if !remote::is_url(&path) {
        return Ok(Source::File(path));
    }
    remote::block_on(Remote::look(&path.to_string_lossy()))?.map(Source::Url)
}

/// Loads the configuration that the command line means. Errors are shown, as `check` shows them.
pub(crate) fn load(argument: &ConfigArg) -> Option<Loaded> {
    let source = told(source(argument))?;
    match tollgate_config::load(source.path(), &Recording::of(&source)) {
        Ok(loaded) => {
            show(&loaded.warnings, &loaded.sources);
            Some(loaded)
        }
        Err(failed) => {
            show_failed(&failed);
            None
        }
    }
}

/// What the configuration that the command line means says of the admin side. Only what is wrong with that is shown.
pub(crate) fn admin(argument: &ConfigArg) -> Option<Admin> {
    let source = told(source(argument))?;
    tollgate_config::admin(source.path(), &Recording::of(&source)).map_err(|failed| show_failed(&failed)).ok()
}

fn told(source: Result<Source, String>) -> Option<Source> {
    source.map_err(output::error).ok()
}

/// Shows diagnostics with their snippets on standard error.
pub(crate) fn show(diagnostics: &[Diagnostic], sources: &SourceMap) {
    if !diagnostics.is_empty() {
        let text = tollgate_config::render(diagnostics, sources, output::err_colour());
        output::err(&format!("{}\n", text.trim_end()));
    }
}

/// Shows every diagnostic of a refused configuration, and how many there are.
pub(crate) fn show_failed(failed: &Failed) {
    show(&failed.diagnostics, &failed.sources);
    output::error(format!("the configuration is refused: {}", count_errors(&failed.diagnostics)));
}

/// An error that no place in a file is to blame for, in the shape of [`Diagnostic::to_json`].
pub(crate) fn fault(code: &str, message: &str) -> Value {
    json!({
        "severity": "error", "file": null, "line": null, "column": null,
        "code": code, "message": message, "hint": null, "related": [],
    })
}

/// The same, about this file as a whole.
pub(crate) fn fault_of(file: &Path, code: &str, message: &str) -> Value {
    let mut fault = fault(code, message);
    fault["file"] = file.display().to_string().into();
    fault
}

/// `1 error`, `3 errors`.
pub(crate) fn count_errors(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|one| one.severity == Severity::Error).count();
    count(errors, "error")
}

/// `1 route`, `3 routes`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
