//! The files of a development key: the private JWK, which nobody else may read, and the public JWK set.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde_json::{Value, json};
use tollgate_token::mint::Signer;

use super::No;

/// More is neither of the two.
const MAX_BYTES: u64 = 1024 * 1024;

/// The private key in the file; none when there is no such file yet.
pub(super) fn read_key(path: &Path) -> Result<Option<Signer>, No> {
    let Some(jwk) = read(path)? else { return Ok(None) };
    let signer = Signer::from_jwk(&jwk).map_err(|error| {
        format!("{} is no private key that `tollgate token` made: {error}", path.display())
    })?;
    Ok(Some(signer))
}

/// Writes a new private key, for its owner alone. An existing file is never touched.
pub(super) fn write_key(path: &Path, signer: &Signer) -> Result<(), No> {
    let text = format!("{:#}\n", signer.to_private_jwk()?);
    let mut options = OpenOptions::new();
    let written = options.write(true).create_new(true).mode(0o600).open(path);
    let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| No::from(format!("{} cannot be written: {error}", path.display())))
}

/// Puts the keys into the set, in place of those of the same name; all others stay.
pub(super) fn add_to_jwks(path: &Path, fresh: &Value) -> Result<(), No> {
    let mut set = read(path)?.unwrap_or_else(|| json!({ "keys": [] }));
    let fresh = fresh["keys"].as_array().cloned().unwrap_or_default();
    let Some(keys) = set.get_mut("keys").and_then(Value::as_array_mut) else {
        return Err(No::from(format!("{} is no JWK set: it is left as it is", path.display())));
    };
    keys.retain(|old| fresh.iter().all(|new| new["kid"] != old["kid"]));
    keys.extend(fresh);
    replace(path, &format!("{set:#}\n"))
        .map_err(|error| No::from(format!("{} cannot be written: {error}", path.display())))
}

fn read(path: &Path) -> Result<Option<Value>, No> {
    let wrong = |why: &dyn std::fmt::Display| No::from(format!("{} cannot be read: {why}", path.display()));
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(&error)),
        Ok(file) if !file.is_file() || file.len() > MAX_BYTES => return Err(wrong(&"it is no file of keys")),
        Ok(_) => {}
    }
    let text = fs::read(path).map_err(|error| wrong(&error))?;
    // The parser's own message could quote what may be a private key.
    serde_json::from_slice(&text).map(Some).map_err(|_| wrong(&"it is not JSON"))
}

/// By rename, because a running gateway may reload the file at any moment.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let fresh = path.with_file_name(name);
    fs::write(&fresh, text).and_then(|()| fs::rename(&fresh, path)).inspect_err(|_| {
        let _ = fs::remove_file(&fresh);
    })
}
