//! YAML to [`Plan`]: the only place that knows the shape users type.
//!
//! Three of the five verbs live here. *Parse* turns text into a tree that keeps its spans; *resolve* is the
//! only I/O (files, environment, behind [`Sources`]); *compile* turns the tree into a plan and is pure. Every
//! error of every file is collected, none ends the run.
//!
//! This crate must not know sockets, tasks or the data plane.

mod load;
mod mask;
mod resolve;
mod yaml;
#[macro_use]
mod shape;
mod compile;
mod spec;
mod units;

mod bounds;
mod outside;
mod source_map;
mod sources;

mod diagnostic;
mod render;
mod report;
mod suggest;

pub mod difference;
pub mod import;
mod posted;
mod posture;
mod reference;
mod schema;
mod shown;

use std::path::{Path, PathBuf};

use tollgate_plan::Plan;
use tollgate_plan::plan::Admin;
use tollgate_plan::proof::Proofs;

pub use diagnostic::{CODES, Diagnostic, Related, Severity};
pub use difference::{Difference, difference};
pub use posted::{Posted, check_posted};
pub use posture::{PostureRow, posture};
pub use reference::reference_markdown;
pub use render::render;
pub use schema::schema;
pub use shown::redacted;
pub use source_map::{FileId, SourceMap, Span};
pub use sources::{Listed, MemorySources, OsSources, Sources};
pub use suggest::did_you_mean;

/// A configuration without an error.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The compiled configuration.
    pub plan: Plan,
    /// Its tests.
    pub proofs: Proofs,
    /// What is allowed but probably not meant.
    pub warnings: Vec<Diagnostic>,
    /// Every file the configuration was read from: the main file, includes, `${file:}`, `respond` files.
    pub files: Vec<PathBuf>,
    /// Every directory whose listing decided which files are included.
    pub directories: Vec<PathBuf>,
    /// The texts, for [`render`].
    pub sources: SourceMap,
}

/// A configuration with errors.
#[derive(Debug, Clone)]
pub struct Failed {
    /// At least one error, and every warning; ordered by file and place.
    pub diagnostics: Vec<Diagnostic>,
    /// Every file that was read or asked for; one that did not exist too, since it may appear.
    pub files: Vec<PathBuf>,
    /// Every directory whose listing decided which files are included.
    pub directories: Vec<PathBuf>,
    /// The texts, for [`render`].
    pub sources: SourceMap,
}

/// Reads, resolves and compiles the file at `path` and everything it refers to.
pub fn load(path: &Path, sources: &dyn Sources) -> Result<Loaded, Failed> {
    load::from_file(path, sources)
}

/// Where the admin side of the gateway listens that runs by the file at `path`, and its token. Whatever else is wrong with the
/// file does not matter: a gateway goes on with the configuration that it had, and can still be asked.
pub fn admin(path: &Path, sources: &dyn Sources) -> Result<Admin, Failed> {
    load::admin(path, sources)
}

/// Like [`load`] with one more included file: its name in diagnostics, and its text.
pub fn load_and(path: &Path, sources: &dyn Sources, more: (&Path, &str)) -> Result<Loaded, Failed> {
    load::from_file_and(path, sources, more)
}

/// Like [`load`] with the main file's text given. `name` stands for its path: relative paths resolve against
/// the directory of `name`.
pub fn load_text(name: &str, text: &str, sources: &dyn Sources) -> Result<Loaded, Failed> {
    load::from_text(name, text, sources)
}
