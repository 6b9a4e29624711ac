//! One load: parse, resolve, compile.

use std::path::{Path, PathBuf};

use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::sources::Sources;
use crate::{Failed, Loaded};

pub(crate) fn from_file(path: &Path, _sources: &dyn Sources) -> Result<Loaded, Failed> {
    Err(unfinished(path))
}

pub(crate) fn from_text(name: &str, _text: &str, _sources: &dyn Sources) -> Result<Loaded, Failed> {
    Err(unfinished(Path::new(name)))
}

fn unfinished(path: &Path) -> Failed {
    let mut report = Report::default();
    report.push(Finding::file(Code::NotSupportedYet, path, "configurations cannot be loaded yet"));
    let (diagnostics, sources) = report.finish();
    Failed { diagnostics, files: vec![PathBuf::from(path)], directories: Vec::new(), sources }
}
