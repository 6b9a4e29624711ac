//! Machine clients: their keys, passwords and groups.

use serde_json::json;
use tollgate_plan::consumer::KeyHash;

use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{Catalogue, Description, List, Name, Shape, text};
use crate::yaml::NodeRef;

block! {
    /// A machine client.
    "consumer" Consumer {
        /// Unique over all files; used in logs, limits and templates.
        name: Name, required;
        /// Hashes of its API keys, `sha256:` and 64 hexadecimal digits: `tollgate key create` prints a new key once and
        /// its hash, `tollgate key hash` the hash of a key that there is. Several, so that keys can be exchanged.
        keys: List<HashedKey>;
        /// Its user and password for HTTP Basic.
        basic: Basic;
        /// Groups that routes may require.
        groups: List<Name>;
    }
}

block! {
    /// A user and the hash of a password (RFC 7617).
    "basic" Basic {
        /// Unique over all files; without a colon.
        user: User, required;
        /// The PHC string of argon2id: `$argon2id$v=19$m=19456,t=2,p=1$…`, with 7 MiB to 256 MiB of memory, 1 to 10
        /// rounds and 1 to 16 lanes.
        password: Phc, required;
    }
}

/// The hash of an API key.
#[derive(Debug, Clone)]
pub(crate) struct HashedKey(pub(crate) KeyHash);

/// SHA-256 of nothing: what `sha256sum` says when its input was forgotten.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

impl Shape for HashedKey {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        let digits = scalar.text.strip_prefix("sha256:");
        if digits.is_some_and(|digits| digits.eq_ignore_ascii_case(EMPTY)) {
            let finding = Finding::error(Code::BadValue, node.span(), "this is the hash of an empty key");
            report.push(finding.hint("`tollgate key create` makes a key and its hash"));
            return None;
        }
        if let Some(hash) = digits.and_then(hexadecimal) {
            return Some(HashedKey(hash));
        }
        let message = match digits {
            Some(digits) => {
                format!(
                    "a hash is 64 hexadecimal digits behind `sha256:`; these are {} characters",
                    digits.chars().count()
                )
            }
            None => "a key stands here as its hash: `sha256:` and 64 hexadecimal digits".to_owned(),
        };
        report.push(
            Finding::error(Code::BadValue, node.span(), message)
                .hint("`tollgate key hash` makes it from a key"),
        );
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("hash", json!({ "type": "string", "pattern": r"^sha256:[0-9A-Fa-f]{64}$|\$\{" }))
    }
}

fn hexadecimal(digits: &str) -> Option<KeyHash> {
    let mut hash = KeyHash::default();
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Some(hash)
}

/// A user name of HTTP Basic.
#[derive(Debug, Clone)]
pub(crate) struct User(pub(crate) String);

impl Shape for User {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let name = &text(node, what, report)?.text;
        let fault = if name.is_empty() {
            "must not be empty"
        } else if name.len() > bounds::NAME_BYTES {
            "is too long"
        } else if name.contains(':') {
            // RFC 7617 section 2: the first colon ends the name.
            "must not hold a colon"
        } else if name.chars().any(char::is_control) {
            "must not hold control characters"
        } else {
            return Some(User(name.to_string()));
        };
        report.push(Finding::error(Code::BadValue, node.span(), format!("`{what}` {fault}")));
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("text", json!({ "type": "string", "minLength": 1, "maxLength": bounds::NAME_BYTES }))
    }
}

/// The hash of a password, its parameters within bounds.
#[derive(Clone)]
pub(crate) struct Phc(pub(crate) String);

impl std::fmt::Debug for Phc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Phc(***)")
    }
}

impl Shape for Phc {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        match phc(&scalar.text) {
            Ok(()) => Some(Phc(scalar.text.to_string())),
            Err((why, hint)) => {
                report
                    .push(Finding::error(Code::BadValue, node.span(), format!("`{what}` {why}")).hint(hint));
                None
            }
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("PHC string", json!({ "type": "string", "pattern": r"^\$\$?argon2id\$|\$\{" }))
    }
}

const MAKE: &str = "`tollgate key hash --password` makes it from a password";

/// Checks a PHC string of argon2id (RFC 9106). What is wrong completes "`password` …" and repeats nothing of it.
fn phc(text: &str) -> Result<(), (&'static str, &'static str)> {
    let Some(rest) = text.strip_prefix("$argon2id$") else {
        let other =
            ["$argon2i$", "$argon2d$", "$2a$", "$2b$", "$2y$", "$scrypt$", "$pbkdf2", "$5$", "$6$", "{SHA}"];
        return Err(match other.iter().any(|prefix| text.starts_with(prefix)) {
            true => ("is hashed by another function: only argon2id is supported", MAKE),
            false => ("must be the PHC string of argon2id, not the password itself", MAKE),
        });
    };
    let mut parts = rest.split('$');
    let (version, parameters) = (parts.next(), parts.next());
    let (salt, hash) = (parts.next(), parts.next());
    if version != Some("v=19") {
        return Err(("must be of argon2 version 19: `$argon2id$v=19$…`", MAKE));
    }
    let Some((memory_kib, rounds, lanes)) = parameters.and_then(costs) else {
        return Err(("must have the parameters `m=…,t=…,p=…`", MAKE));
    };
    if !(7_168..=262_144).contains(&memory_kib) {
        return Err(("must use from 7 MiB (m=7168) to 256 MiB (m=262144) of memory", MAKE));
    }
    if !(1..=10).contains(&rounds) || !(1..=16).contains(&lanes) {
        return Err(("must use 1 to 10 rounds (t) and 1 to 16 lanes (p)", MAKE));
    }
    let sized = |part: Option<&str>, bytes: std::ops::RangeInclusive<usize>| {
        part.and_then(decoded_length).is_some_and(|length| bytes.contains(&length))
    };
    if !sized(salt, 8..=48) || !sized(hash, 16..=64) || parts.next().is_some() {
        return Err((
            "must end in a salt of 8 to 48 bytes and a hash of 16 to 64, in base64 without padding",
            MAKE,
        ));
    }
    Ok(())
}

fn costs(parameters: &str) -> Option<(u32, u32, u32)> {
    let mut parts = parameters.split(',');
    let mut cost = |name: &str| {
        let digits = parts.next()?.strip_prefix(name)?;
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    };
    let costs = (cost("m=")?, cost("t=")?, cost("p=")?);
    parts.next().is_none().then_some(costs)
}

/// Bytes that base64 without padding stands for; `None` when it is none.
fn decoded_length(text: &str) -> Option<usize> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    (text.len() % 4 != 1 && text.bytes().all(plain)).then(|| text.len() * 3 / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bounded_argon2id_is_accepted() {
        let (salt, hash) = ("c29tZXNhbHRzb21l", "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE");
        let good = |costs: &str| phc(&format!("$argon2id$v=19${costs}${salt}${hash}")).is_ok();
        for (costs, expect) in [
            ("m=19456,t=2,p=1", true),
            ("m=7168,t=5,p=1", true),
            ("m=262144,t=10,p=16", true),
            ("m=7167,t=5,p=1", false),
            ("m=262145,t=1,p=1", false),
            ("m=19456,t=0,p=1", false),
            ("m=19456,t=11,p=1", false),
            ("m=19456,t=2,p=17", false),
            ("m=19456,t=2", false),
            ("m=19456,t=2,p=1,x=1", false),
            ("t=2,m=19456,p=1", false),
            ("m=+19456,t=2,p=1", false),
            ("m=99999999999,t=2,p=1", false),
        ] {
            assert_eq!(good(costs), expect, "{costs}");
        }
        for bad in [
            "plain".to_owned(),
            format!("$argon2i$v=19$m=19456,t=2,p=1${salt}${hash}"),
            format!("$argon2id$v=16$m=19456,t=2,p=1${salt}${hash}"),
            format!("$argon2id$m=19456,t=2,p=1${salt}${hash}"),
            format!("$argon2id$v=19$m=19456,t=2,p=1${salt}"),
            format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${hash}$x"),
            format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${hash}="),
            format!("$argon2id$v=19$m=19456,t=2,p=1$c2FsdA${hash}"),
            format!("$argon2id$v=19$m=19456,t=2,p=1${salt}$QUFB"),
            "$2b$12$abcdefghijklmnopqrstuv".to_owned(),
        ] {
            assert!(phc(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn hashes_are_64_digits() {
        assert_eq!(hexadecimal(&"0aF1".repeat(16)).map(|hash| [hash[0], hash[1]]), Some([0x0a, 0xf1]));
        for bad in ["", "0a", &"0a".repeat(31), &"0a".repeat(33), &"0g".repeat(32), &"é".repeat(32)] {
            assert_eq!(hexadecimal(bad), None, "{bad}");
        }
    }
}
