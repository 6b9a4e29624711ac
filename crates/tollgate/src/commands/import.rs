//! `tollgate import`: the configuration of another gateway, or the description of an interface, as a configuration.

use std::fs::{OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;

use tollgate_config::import::{Dialect, Hashes, IMPORT_BYTES_MAX, Import};
use tollgate_config::{OsSources, Sources, import};

use super::key;
use crate::cli::{ImportArgs, ImportCommand};
use crate::output;

pub(super) fn import(command: &ImportCommand) -> ExitCode {
    let (dialect, arguments) = match command {
        ImportCommand::Kong(arguments) => (Dialect::Kong, arguments),
        ImportCommand::Krakend(arguments) => (Dialect::Krakend, arguments),
        ImportCommand::Openapi(arguments) => (Dialect::Openapi, arguments),
    };
    match run(dialect, arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            output::failed(arguments.json.json, message);
            ExitCode::FAILURE
        }
    }
}

/// Whether all that protects is exact.
fn run(dialect: Dialect, arguments: &ImportArgs) -> Result<bool, String> {
    let name = arguments.file.display();
    let bytes = OsSources
        .read(&arguments.file, IMPORT_BYTES_MAX)
        .map_err(|fault| format!("{name} cannot be read: {fault}"))?;
    let text = String::from_utf8(bytes).map_err(|_| format!("{name} is not UTF-8"))?;
    let target = arguments.output.as_deref().unwrap_or(Path::new("tollgate.yaml"));
    let imported = import::import(&Import {
        dialect,
        file: &seen_from(target, &arguments.file),
        text: &text,
        target: &target.display().to_string(),
        sources: &OsSources,
        hashes: Hashes { key: key::hash_of, password: key::hash_for_import },
    })
    .map_err(|fault| match fault.place {
        Some(_) => format!("{name}:{fault}"),
        None => format!("{name}: {fault}"),
    })?;
    let findings = &imported.findings;
    let report = match arguments.json.json {
        true => format!("{:#}\n", findings.to_json()),
        false => findings.to_text(),
    };
    match &arguments.report {
        Some(path) => write(path, &report)?,
        None => output::err(&report),
    }
    if let Some(path) = &arguments.secrets {
        write_private(path, &import::environment_file(&imported.variables))?;
    }
    match &arguments.output {
        Some(path) => write_private(path, &imported.yaml)?,
        None if !output::out(&imported.yaml).arrived() => return Ok(false),
        None => {}
    }
    Ok(!findings.weaker())
}

/// The path of a file for a configuration that stands elsewhere.
fn seen_from(target: &Path, file: &Path) -> String {
    let beside =
        target.parent().is_none_or(|folder| folder.as_os_str().is_empty() || folder == Path::new("."));
    let path = if beside {
        file.to_path_buf()
    } else {
        std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf())
    };
    path.display().to_string()
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|fault| format!("{} cannot be written: {fault}", path.display()))
}

/// Secrets as they were, or hashes of keys and passwords, by which these could be tried: the owner's alone, also where a file
/// was.
fn write_private(path: &Path, text: &str) -> Result<(), String> {
    private(path, text).map_err(|fault| format!("{} cannot be written: {fault}", path.display()))
}

fn private(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    if file.metadata()?.is_file() {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    file.write_all(text.as_bytes())
}
