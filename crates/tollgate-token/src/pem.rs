//! Public keys in PEM files (RFC 7468): what openssl writes.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::der::{self, Reader};
use crate::key::{Curve, Material, Unusable};
use crate::keyset::{MAX_KEY_TEXT_BYTES, MAX_KEYS};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Why a file holds no keys to verify with. Never quotes the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PemError {
    /// Over [`MAX_KEY_TEXT_BYTES`].
    TooLong,
    /// No PEM block.
    NoKeys,
    /// Over [`MAX_KEYS`].
    TooManyKeys,
    /// A private key. Whoever verifies has no business with it.
    PrivateKey,
    /// A block that holds no public key.
    Label,
    /// A block without its end, bad base64, or bad DER.
    Malformed,
    /// A key that cannot be used.
    Unusable(Unusable),
}

impl fmt::Display for PemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "longer than {MAX_KEY_TEXT_BYTES} bytes"),
            Self::NoKeys => f.write_str("no PEM block"),
            Self::TooManyKeys => write!(f, "more than {MAX_KEYS} keys"),
            Self::PrivateKey => f.write_str("a private key: only its public half belongs here"),
            Self::Label => {
                f.write_str("a block that is neither PUBLIC KEY nor RSA PUBLIC KEY nor CERTIFICATE")
            }
            Self::Malformed => f.write_str("a damaged PEM block"),
            Self::Unusable(why) => why.fmt(f),
        }
    }
}

impl std::error::Error for PemError {}

/// The keys of all blocks. Text outside of blocks is a remark.
pub(crate) fn keys(text: &[u8]) -> Result<Vec<Material>, PemError> {
    if text.len() > MAX_KEY_TEXT_BYTES {
        return Err(PemError::TooLong);
    }
    let text = str::from_utf8(text).map_err(|_| PemError::NoKeys)?;
    let mut keys = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(DASHES)) else {
            continue;
        };
        if label.contains("PRIVATE KEY") {
            return Err(PemError::PrivateKey);
        }
        if keys.len() == MAX_KEYS {
            return Err(PemError::TooManyKeys);
        }
        keys.push(key(label, &block(&mut lines, label)?)?);
    }
    if keys.is_empty() { Err(PemError::NoKeys) } else { Ok(keys) }
}

/// The bytes up to the block's end.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>, label: &str) -> Result<Vec<u8>, PemError> {
    let mut text = String::new();
    for line in lines {
        if let Some(rest) = line.strip_prefix(END) {
            let ends = rest.strip_suffix(DASHES) == Some(label);
            return ends.then(|| STANDARD.decode(text).ok()).flatten().ok_or(PemError::Malformed);
        }
        text.push_str(line);
    }
    Err(PemError::Malformed)
}

fn key(label: &str, der: &[u8]) -> Result<Material, PemError> {
    match label {
        "PUBLIC KEY" => subject_public_key_info(der),
        "RSA PUBLIC KEY" => rsa_public_key(der).ok_or(PemError::Malformed),
        "CERTIFICATE" => subject_public_key_info(der::certificate_key(der).ok_or(PemError::Malformed)?),
        _ => Err(PemError::Label),
    }
}

/// SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), algorithms of RFC 3279, 5480 and 8410.
fn subject_public_key_info(der: &[u8]) -> Result<Material, PemError> {
    let (mut algorithm, key) = der::public_key_info(der).ok_or(PemError::Malformed)?;
    match algorithm.object_id().ok_or(PemError::Malformed)? {
        der::RSA_ENCRYPTION => rsa_public_key(key).ok_or(PemError::Malformed),
        der::EC_PUBLIC_KEY => {
            let curve = match algorithm.object_id() {
                Some(der::PRIME256V1) => Curve::P256,
                Some(der::SECP384R1) => Curve::P384,
                Some(der::SECP521R1) => Curve::P521,
                _ => return Err(PemError::Unusable(Unusable::Curve)),
            };
            Ok(Material::Ec { curve, point: key.to_vec() })
        }
        der::ED25519 => Ok(Material::Ed25519(key.to_vec())),
        _ => Err(PemError::Unusable(Unusable::Type)),
    }
}

/// RSAPublicKey (RFC 8017 §A.1.1).
fn rsa_public_key(der: &[u8]) -> Option<Material> {
    let mut numbers = Reader::sequence(der)?;
    let (n, e) = (numbers.unsigned()?.to_vec(), numbers.unsigned()?.to_vec());
    numbers.is_empty().then_some(Material::Rsa { n, e })
}
