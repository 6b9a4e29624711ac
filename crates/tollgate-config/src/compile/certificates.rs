//! Certificates of authorities that are trusted instead of the system's.

use std::path::PathBuf;
use std::sync::Arc;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use super::Contents;
use super::keys::bad_file;
use crate::report::Report;
use crate::shape::{At, Slot};

/// The certificates of a PEM file in DER; `None` when there is no file, or the report says what is wrong with it.
pub(super) fn roots(
    slot: &Slot<PathBuf>,
    contents: &Contents,
    report: &mut Report,
) -> Option<Arc<[Box<[u8]>]>> {
    let At { value: path, span, .. } = slot.given()?;
    match parse(contents.get(path)?) {
        Ok(roots) => Some(roots.into()),
        Err(why) => {
            report.push(bad_file(path, *span, why, &report.sources));
            None
        }
    }
}

fn parse(text: &[u8]) -> Result<Vec<Box<[u8]>>, &'static str> {
    let mut roots: Vec<Box<[u8]>> = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text) {
        let certificate = certificate.map_err(|_| "it is no well-formed PEM")?;
        if !is_sequence(&certificate) {
            return Err("a certificate in it is none");
        }
        roots.push(certificate.as_ref().into());
    }
    match roots.is_empty() {
        true => Err("it has no `BEGIN CERTIFICATE` block"),
        false => Ok(roots),
    }
}

/// Whether bytes are one DER sequence and nothing behind it: what a certificate is from outside (X.690 section 8.9).
fn is_sequence(der: &[u8]) -> bool {
    let (length, header) = match der {
        [0x30, short @ ..=0x7f, ..] => (usize::from(*short), 2),
        [0x30, 0x81, length, ..] => (usize::from(*length), 3),
        [0x30, 0x82, high, low, ..] => (usize::from(*high) << 8 | usize::from(*low), 4),
        _ => return false,
    };
    der.len() == header + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_all_there_is() {
        for (der, expect) in [
            (&[0x30, 0x01, 0x00][..], true),
            (&[0x30, 0x81, 0x01, 0x00], true),
            (&[0x30, 0x82, 0x00, 0x01, 0x00], true),
            (&[0x30, 0x02, 0x00], false),
            (&[0x30, 0x00, 0x00], false),
            (&[0x31, 0x01, 0x00], false),
            (&[0x30, 0x83, 0, 0, 1, 0], false),
            (&[], false),
        ] {
            assert_eq!(is_sequence(der), expect, "{der:?}");
        }
    }

    #[test]
    fn certificates_are_found_in_pem() {
        let pem = |kind: &str, body: &str| format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n");
        let good = pem("CERTIFICATE", "MAEA");
        assert_eq!(parse(format!("comment\n{good}{good}").as_bytes()).unwrap().len(), 2);
        for bad in
            ["", "MAEA", &pem("PUBLIC KEY", "MAEA"), &pem("CERTIFICATE", "MAIA"), &pem("CERTIFICATE", "M!A")]
        {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
