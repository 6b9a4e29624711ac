//! Configurations of other gateways, and descriptions of interfaces, become a configuration of this one: text in, YAML
//! and an account of every element out.
//!
//! What protects is carried over exactly, or what it protected is refused: a route that would let through more than
//! before becomes one that answers 503. What is made is loaded before anybody sees it, so that it passes `check`. It holds
//! no secret.

mod document;
mod draft;
mod findings;
mod secrets;
mod settle;
mod write;

mod kong;
mod krakend;
mod openapi;

pub use document::Unreadable;
pub use findings::{Finding, Findings, Outcome};
pub use secrets::{Variable, environment_file};

use crate::sources::Sources;
use draft::Draft;

/// Bytes of a file that is imported.
pub const IMPORT_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What is imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The declarative configuration of Kong, format versions 1.1, 2.1 and 3.0.
    Kong,
    /// The configuration of KrakenD, version 3, in JSON.
    Krakend,
    /// A description of an interface: OpenAPI 3.0 and 3.1.
    Openapi,
}

/// How secrets become what the configuration holds. The caller's, since a hash of a password needs random bytes.
#[derive(Debug, Clone, Copy)]
pub struct Hashes {
    /// `sha256:…` of an API key.
    pub key: fn(&str) -> String,
    /// The PHC string of a password; `None` where it cannot be one.
    pub password: fn(&str) -> Option<String>,
}

/// What is asked for.
pub struct Import<'a> {
    /// What the text is.
    pub dialect: Dialect,
    /// The name of its file, as the configuration would refer to it.
    pub file: &'a str,
    /// The text.
    pub text: &'a str,
    /// Where the configuration will stand: relative paths in it begin beside it.
    pub target: &'a str,
    /// Where files are that the configuration names.
    pub sources: &'a dyn Sources,
    /// How secrets are hashed.
    pub hashes: Hashes,
}

/// What was made.
#[derive(Debug)]
pub struct Imported {
    /// The configuration; it passes `check` where its variables are set.
    pub yaml: String,
    /// Secrets that it refers to.
    pub variables: Vec<Variable>,
    /// What became of each element.
    pub findings: Findings,
}

/// A map as YAML, each key on a line of its own, at this column: what is read back is the same, `${…}` in it is text.
pub fn yaml(keys: &serde_json::Map<String, serde_json::Value>, column: usize) -> String {
    let mut out = String::new();
    write::keys(&mut out, column, keys);
    out
}

/// Imports. An error means that the text is nothing that could be imported.
pub fn import(import: &Import<'_>) -> Result<Imported, Unreadable> {
    if import.text.len() as u64 > IMPORT_BYTES_MAX {
        return Err(Unreadable::new("the file is larger than 16 MiB"));
    }
    let document = document::read(import.text)?;
    let mut findings = Findings::default();
    let mut draft = Draft::default();
    match import.dialect {
        Dialect::Kong => kong::carry(&document, &import.hashes, &mut draft, &mut findings)?,
        Dialect::Krakend => krakend::carry(&document, &mut draft, &mut findings)?,
        Dialect::Openapi => openapi::carry(&document, import.file, &mut draft, &mut findings)?,
    }
    let (yaml, variables) = settle::settle(draft, import.target, import.sources, &mut findings)?;
    Ok(Imported { yaml, variables, findings })
}
