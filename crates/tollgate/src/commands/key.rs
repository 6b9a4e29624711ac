//! `tollgate key create | hash`: API keys and passwords, of which the configuration holds the hashes alone.

use std::process::ExitCode;

use argon2::password_hash::PasswordHasher;
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::{digest, rand};
use serde_json::json;

use crate::cli::{HashArgs, JsonArg, KeyCommand};
use crate::{output, secret_input};

/// Says whose key it is to whoever finds one, and to the scanners that look for lost ones.
const PREFIX: &str = "tg_";
/// 43 characters out of 62 hold 256 bits.
const LENGTH: usize = 43;
/// Letters and digits alone: a double click selects the whole key, and no place wants it quoted.
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Under this, somebody may have thought the key up, and trying the likely ones against its hash is quick.
const SHORT: usize = 22;
/// Memory in KiB, passes and lanes of argon2id, as OWASP's password storage cheat sheet has them.
const ARGON2: (u32, u32, u32) = (19_456, 2, 1);
const SALT_BYTES: usize = 16;
/// The gateway reads credentials of 1024 bytes in base64, of which the user's name takes a part.
const PASSWORD_BYTES_MAX: usize = 512;

pub(super) fn key(command: &KeyCommand) -> ExitCode {
    match command {
        KeyCommand::Create(arguments) => create(arguments),
        KeyCommand::Hash(arguments) => hash(arguments),
    }
}

fn create(arguments: &JsonArg) -> ExitCode {
    let Some(key) = random_key() else {
        output::error("the system gives no random bytes");
        return ExitCode::FAILURE;
    };
    let hash = hash_of(&key);
    let text = match arguments.json {
        true => format!("{:#}\n", json!({ "key": key, "hash": hash })),
        false => format!("{key}\nkeys: [\"{hash}\"]\n"),
    };
    if !output::out(&text).arrived() {
        return ExitCode::FAILURE;
    }
    if arguments.json {
        return ExitCode::SUCCESS;
    }
    output::err(
        "The first line is the key, for the client: it is shown this once. The second is for `consumers:`.\n",
    );
    ExitCode::SUCCESS
}

fn hash(arguments: &HashArgs) -> ExitCode {
    let what = if arguments.password { "password" } else { "key" };
    let secret = match &arguments.key {
        Some(key) => {
            output::warning("an argument is visible to others on this machine; standard input is not");
            Ok(key.clone())
        }
        None => secret_input::read(what, arguments.password),
    };
    let hash = match secret {
        Ok(password) if arguments.password => {
            checked_password(&password).and_then(|()| hash_of_password(&password))
        }
        Ok(key) => checked(&key).map(|()| hash_of(&key)),
        Err(message) => Err(message),
    };
    match hash {
        Ok(hash) if arguments.output.json => output::json(&json!({ "hash": hash })).exit(true),
        Ok(hash) => output::out(&format!("{hash}\n")).exit(true),
        Err(message) => {
            output::error(message);
            // Nothing was asked that could have been answered.
            ExitCode::from(2)
        }
    }
}

/// A key that no client could send is refused; one that may be guessed is warned about.
fn checked(key: &str) -> Result<(), String> {
    if key.is_empty() || key.trim() != key || key.contains(char::is_control) {
        return Err(
            "no client can send this key: it is empty, or has spaces at its ends or control characters"
                .to_owned(),
        );
    }
    if key.len() < SHORT {
        output::warning("a short key can be found by trying; `tollgate key create` makes one of 256 bits");
    }
    Ok(())
}

/// What the gateway would never take for a password gets no hash.
fn checked_password(password: &str) -> Result<(), String> {
    if password.is_empty() || password.contains(char::is_control) {
        return Err("no client can send this password: it is empty, or has control characters".to_owned());
    }
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(format!("a password has at most {PASSWORD_BYTES_MAX} bytes"));
    }
    Ok(())
}

pub(super) fn random_key() -> Option<String> {
    let mut key = PREFIX.to_owned();
    while key.len() < PREFIX.len() + LENGTH {
        let mut bytes = [0; LENGTH];
        rand::fill(&mut bytes).ok()?;
        // The remainder alone would favour the first characters: 248 is the last multiple of 62 in a byte.
        let fair = bytes.iter().filter(|&&byte| byte < 248).map(|byte| usize::from(byte % 62));
        let room = PREFIX.len() + LENGTH - key.len();
        key.extend(fair.take(room).filter_map(|at| ALPHABET.get(at)).map(|&byte| char::from(byte)));
    }
    Some(key)
}

/// As `consumers[].keys` has it.
pub(super) fn hash_of(key: &str) -> String {
    let hash = digest::digest(&digest::SHA256, key.as_bytes());
    hash.as_ref().iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The hash of a password that another gateway had; `None` where no client could send it here.
pub(super) fn hash_for_import(password: &str) -> Option<String> {
    checked_password(password).and_then(|()| hash_of_password(password)).ok()
}

/// The PHC string, as `consumers[].basic.password` has it.
fn hash_of_password(password: &str) -> Result<String, String> {
    let mut salt = [0; SALT_BYTES];
    rand::fill(&mut salt).map_err(|_| "the system gives no random bytes")?;
    let (memory, passes, lanes) = ARGON2;
    let params = Params::new(memory, passes, lanes, None).map_err(|error| error.to_string())?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash = argon2.hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use argon2::PasswordVerifier;
    use argon2::password_hash::phc::PasswordHash;

    use super::*;

    #[test]
    fn keys_are_long_and_never_the_same() {
        let keys: std::collections::HashSet<String> = (0..100).map(|_| random_key().unwrap()).collect();
        assert_eq!(keys.len(), 100);
        for key in keys {
            assert_eq!(key.len(), 46, "{key}");
            assert!(
                key.starts_with("tg_") && key[3..].bytes().all(|byte| byte.is_ascii_alphanumeric()),
                "{key}"
            );
        }
    }

    #[test]
    fn a_hash_is_that_of_the_key() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(hash_of("abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_password_is_recognised_by_its_hash() {
        let hash = hash_of_password("pass phrase").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        let parsed = PasswordHash::new(&hash).unwrap();
        assert!(Argon2::default().verify_password(b"pass phrase", &parsed).is_ok());
        assert!(Argon2::default().verify_password(b"pass phrasf", &parsed).is_err());
        assert_ne!(hash, hash_of_password("pass phrase").unwrap(), "each has its own salt");
    }

    #[test]
    fn keys_and_passwords_that_no_client_can_send() {
        for bad in ["", " x", "x ", "a\tb\n", "a\u{7f}b"] {
            assert!(checked(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "a\tb", &"x".repeat(PASSWORD_BYTES_MAX + 1)] {
            assert!(checked_password(bad).is_err(), "{bad:?}");
        }
        assert!(checked_password(&"x".repeat(PASSWORD_BYTES_MAX)).is_ok() && checked_password(" ").is_ok());
        assert!(checked("short").is_ok() && checked("a key with spaces inside").is_ok());
    }
}
