//! Keys that come with the configuration: a secret, a PEM file, a key set.

use std::path::{Path, PathBuf};

use tollgate_token::{Algorithm, Algorithms, KeySet, MIN_SECRET_BYTES, SecretError, Skipped};

use super::Contents;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::At;
use crate::source_map::{SourceMap, Span, visible};

/// Characters of a `kid` that a message repeats.
const SHOWN_ID: usize = 64;

/// What keys are wanted for.
pub(super) struct Wanted {
    pub(super) algorithms: Algorithms,
    /// Where the algorithms are named.
    pub(super) span: Span,
}

/// The secret of HS*.
pub(super) fn of_secret(secret: &At<String>, wanted: &Wanted, report: &mut Report) -> Option<KeySet> {
    let at = secret.key;
    if let Some(other) = wanted.algorithms.iter().find(|algorithm| !algorithm.is_hmac()) {
        let message = format!("`{other}` needs a public key, and this issuer has a `secret`");
        let finding = Finding::error(Code::Insecure, wanted.span, message).related(at, "the secret");
        report.push(finding.hint("a secret goes with HS256, HS384 and HS512 only"));
        return None;
    }
    match KeySet::from_secret(secret.value.as_bytes(), wanted.algorithms) {
        Ok(keys) => Some(keys),
        Err(SecretError::TooShort) => {
            let message = format!(
                "`secret` is shorter than {MIN_SECRET_BYTES} bytes: it could be guessed from one token"
            );
            let finding = Finding::error(Code::Insecure, secret.span, message);
            report.push(finding.hint("make one with `openssl rand -base64 48`"));
            None
        }
        Err(error) => {
            report.push(Finding::error(
                Code::BadKeys,
                secret.span,
                format!("`secret` cannot be used: {error}"),
            ));
            None
        }
    }
}

/// Public keys or certificates in PEM.
pub(super) fn of_pem(
    file: &At<PathBuf>,
    wanted: &Wanted,
    contents: &Contents,
    report: &mut Report,
) -> Option<KeySet> {
    if let Some(secret) = wanted.algorithms.iter().find(|algorithm| algorithm.is_hmac()) {
        // The classic confusion: the public key, which everybody has, taken for the secret.
        let message =
            format!("`{secret}` needs a secret, and this issuer has public keys: everybody could sign");
        let finding =
            Finding::error(Code::Insecure, wanted.span, message).related(file.key, "the public keys");
        report.push(finding.hint("public keys go with RS*, PS*, ES* and EdDSA only"));
        return None;
    }
    let text = contents.get(&file.value)?;
    match KeySet::from_pem(text, wanted.algorithms) {
        Ok(keys) => usable(keys, file, wanted, report),
        Err(error) => bad(file, &error.to_string(), report),
    }
}

/// A key set (RFC 7517). Keys that cannot be used are told and left out, as in one that is fetched.
pub(super) fn of_jwks(
    file: &At<PathBuf>,
    wanted: &Wanted,
    contents: &Contents,
    report: &mut Report,
) -> Option<KeySet> {
    let text = contents.get(&file.value)?;
    match KeySet::from_jwks(text, wanted.algorithms) {
        Ok((keys, skipped)) => {
            for key in &skipped {
                warn_skipped(key, file, report);
            }
            usable(keys, file, wanted, report)
        }
        Err(error) => bad(file, &error.to_string(), report),
    }
}

fn warn_skipped(key: &Skipped, file: &At<PathBuf>, report: &mut Report) {
    let name = match &key.id {
        Some(id) => format!(" (`{}`)", visible(&id.chars().take(SHOWN_ID).collect::<String>())),
        None => String::new(),
    };
    let (number, path) = (key.index + 1, report.sources.shown_path(&file.value, file.span));
    let message = format!("key {number}{name} of the file `{path}` is not used: {}", key.why);
    report.push(Finding::warning(Code::BadKeys, file.span, message));
}

fn usable(keys: KeySet, file: &At<PathBuf>, wanted: &Wanted, report: &mut Report) -> Option<KeySet> {
    if keys.is_empty() {
        return bad(file, "it has no key that can be used with `algorithms`", report);
    }
    let served: Algorithms = keys.keys().iter().flat_map(|key| key.algorithms().iter()).collect();
    let idle: Vec<Algorithm> = wanted.algorithms.iter().filter(|one| !served.contains(*one)).collect();
    for algorithm in idle {
        let shown = report.sources.shown_path(&file.value, file.span);
        let message = format!("no key of the file `{shown}` is for `{algorithm}`");
        report.push(Finding::warning(Code::NoEffect, wanted.span, message));
    }
    Some(keys)
}

fn bad(file: &At<PathBuf>, why: &str, report: &mut Report) -> Option<KeySet> {
    report.push(bad_file(&file.value, file.span, why, &report.sources));
    None
}

/// A file of keys or certificates that cannot be used.
pub(super) fn bad_file(path: &Path, span: Span, why: &str, sources: &SourceMap) -> Finding {
    let shown = sources.shown_path(path, span);
    Finding::error(Code::BadKeys, span, format!("the file `{shown}` cannot be used: {why}"))
}
