//! Certificates and keys for listeners and upstreams: read, and made sure that they fit together.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tollgate_plan::listener::Listener;
use tollgate_plan::tls::{ClientTls, Identity, KeyFormat, PrivateKey, Roots, ServerTls, TlsVersion};
use tollgate_plan::upstream::{Address, Target};
use tollgate_token::certificate::Certificate;
use tollgate_wire::Name;

use super::keys::bad_file;
use super::{Input, certificates};
use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, Dict, List, Slot, missing_key};
use crate::source_map::Span;
use crate::spec::{self, ServerName, UpstreamName};

/// TLS of a listener; `None` where there is none, or the report says what is wrong with it.
pub(super) fn listener(
    slot: &Slot<spec::ListenerTls>,
    input: &Input<'_>,
    report: &mut Report,
) -> Option<Arc<ServerTls>> {
    let block = slot.value()?;
    let client_ca = roots(&block.client_ca, input, report);
    let client_subject = block.client_subject_header.given();
    if let Some(At { key, .. }) = client_subject.filter(|_| block.client_ca.key().is_none()) {
        let message = "`client_subject_header` needs `client_ca`: without it clients show no certificate";
        report.push(Finding::error(Code::Conflict, *key, message));
    }
    let At { value: List(list), span, .. } = block.certificates.given()?;
    if list.is_empty() {
        let message = "`certificates` is empty: no client could be answered";
        report.push(Finding::error(Code::BadValue, *span, message));
        return None;
    }
    if let Some(over) = list.get(bounds::CERTIFICATES) {
        let message = format!("more than {} certificates on one listener", bounds::CERTIFICATES);
        report.push(Finding::error(Code::TooLarge, over.span, message));
        return None;
    }
    let mut found = Vec::new();
    for (at, At { value: one, .. }) in list.iter().enumerate() {
        let (Some(cert), Some(key)) = (one.cert.given(), one.key.given()) else { continue };
        let Some(identity) = identity(cert, key, input, report) else { continue };
        if at > 0 && identity.names.is_empty() {
            let path = report.sources.shown_path(&cert.value, cert.span);
            let message =
                format!("the certificate `{path}` is never shown: it has no DNS name to choose it by");
            report.push(Finding::warning(Code::NoEffect, cert.span, message));
        }
        found.push(identity);
    }
    let min_version = match block.min_version() {
        spec::MinVersion::V12 => TlsVersion::V12,
        spec::MinVersion::V13 => TlsVersion::V13,
    };
    let client_subject = client_subject.map(|header| header.value.0.clone());
    let whole = found.len() == list.len() && (client_ca.is_some() || block.client_ca.key().is_none());
    whole.then(|| Arc::new(ServerTls { certificates: found, min_version, client_ca, client_subject }))
}

/// TLS to the targets of an upstream; puts the name that is asked for into them.
pub(super) fn upstream(
    slot: &Slot<spec::UpstreamTls>,
    targets: &mut [Target],
    input: &Input<'_>,
    report: &mut Report,
) -> ClientTls {
    let Some(At { value: block, key, .. }) = slot.given() else { return ClientTls::default() };
    if targets.iter().all(|target| target.tls.is_none()) {
        let message = "`tls` changes nothing: no target is `https://`";
        report.push(Finding::warning(Code::NoEffect, *key, message));
    }
    let verify = !block.insecure_skip_verify();
    if let Some(At { span, .. }) = block.insecure_skip_verify.given().filter(|_| !verify) {
        let message = "any certificate is taken: whoever stands between can read along and answer";
        let finding = Finding::warning(Code::Insecure, *span, message);
        report.push(finding.hint("give the certificate that vouches for the targets as `ca`"));
    }
    if let Some(ca) = block.ca.key().filter(|_| !verify) {
        let message = "`ca` changes nothing: `insecure_skip_verify` takes any certificate";
        report.push(Finding::warning(Code::NoEffect, ca, message));
    }
    if let Some(ServerName(name)) = block.server_name.value() {
        for target in targets.iter_mut().filter(|target| target.tls.is_some()) {
            target.tls = Some(name.as_str().into());
        }
    }
    let identity = match (&block.cert, &block.key) {
        (Slot::Given(cert), Slot::Given(key)) => identity(cert, key, input, report),
        (cert, Slot::Absent) if cert.key().is_some() => {
            missing_key(block.span, "upstream_tls", "key", report);
            None
        }
        (Slot::Absent, key) if key.key().is_some() => {
            missing_key(block.span, "upstream_tls", "cert", report);
            None
        }
        _ => None,
    };
    ClientTls { roots: roots(&block.ca, input, report), identity, verify }
}

/// The name that the certificate of a target must have, unless the upstream says another one.
pub(super) fn name_of(address: &Address) -> Box<str> {
    match address {
        Address::Socket(address) => address.ip().to_string().into(),
        Address::Name { host, .. } => host.trim_end_matches('.').into(),
        Address::Service { name } => name.clone(),
        Address::Unix(_) => "localhost".into(),
    }
}

/// Headers that tell of client certificates, on any listener.
pub(super) fn subject_headers(listeners: &[Listener]) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    for name in listeners.iter().filter_map(|listener| listener.tls.as_ref()?.client_subject.as_ref()) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// Files of certificates and keys that a configuration names.
pub(super) fn files<'a>(
    main: &'a spec::Root,
    included: &'a [spec::Included],
) -> impl Iterator<Item = &'a At<PathBuf>> {
    let listeners = main.listeners.value().into_iter().flat_map(|List(list)| list);
    let of_listeners = listeners.filter_map(|listener| listener.value.tls.value()).flat_map(|tls| {
        let pairs = tls.certificates.value().into_iter().flat_map(|List(list)| list);
        let pairs = pairs.flat_map(|pair| [&pair.value.cert, &pair.value.key]);
        pairs.chain([&tls.client_ca])
    });
    let upstreams = std::iter::once(&main.upstreams).chain(included.iter().map(|file| &file.upstreams));
    let of_upstreams = upstreams.flat_map(of_upstreams);
    of_listeners.chain(of_upstreams).filter_map(Slot::given)
}

fn of_upstreams(slot: &Slot<Dict<UpstreamName, spec::Upstream>>) -> impl Iterator<Item = &Slot<PathBuf>> {
    let blocks = slot.value().into_iter().flat_map(|dict| dict.iter());
    blocks.flat_map(|(_, block)| {
        let tls = block.value.tls.value().into_iter().flat_map(|tls| [&tls.ca, &tls.cert, &tls.key]);
        let auth = block.value.auth.value().and_then(|auth| auth.oauth2.value());
        tls.chain(auth.map(|oauth2| &oauth2.ca))
    })
}

/// Certificates of authorities that can be used as such.
fn roots(slot: &Slot<PathBuf>, input: &Input<'_>, report: &mut Report) -> Option<Roots> {
    let roots = certificates::roots(slot, input.files, report)?;
    let At { value: path, span, .. } = slot.given()?;
    let mut store = RootCertStore::empty();
    for der in roots.iter() {
        if store.add(CertificateDer::from(der.as_ref())).is_err() {
            report.push(bad_file(path, *span, "a certificate in it is damaged", &report.sources));
            return None;
        }
    }
    Some(roots)
}

/// A certificate and its key, from their files.
fn identity(
    cert: &At<PathBuf>,
    key: &At<PathBuf>,
    input: &Input<'_>,
    report: &mut Report,
) -> Option<Identity> {
    let chain = input.files.get(&cert.value).and_then(|bytes| chain(bytes, cert, report));
    let key_der = input.files.get(&key.value).and_then(|bytes| private_key(bytes, key, report));
    let (chain, key_der) = (chain?, key_der?);
    let leaf = chain.first()?;
    let Some(said) = Certificate::parse(leaf) else {
        report.push(bad_file(&cert.value, cert.span, "its first certificate is damaged", &report.sources));
        return None;
    };
    warn_of_time(&said, cert, input.now, report);
    fits(&chain, &key_der, cert, key, report)?;
    let (format, der) = match &key_der {
        PrivateKeyDer::Pkcs1(der) => (KeyFormat::Pkcs1, der.secret_pkcs1_der()),
        PrivateKeyDer::Sec1(der) => (KeyFormat::Sec1, der.secret_sec1_der()),
        PrivateKeyDer::Pkcs8(der) => (KeyFormat::Pkcs8, der.secret_pkcs8_der()),
        _ => return None,
    };
    Some(Identity {
        chain: chain.iter().map(|der| der.as_ref().into()).collect(),
        key: PrivateKey::new(format, der),
        names: said.dns_names.iter().map(|name| name.as_str().into()).collect(),
    })
}

fn chain(bytes: &[u8], cert: &At<PathBuf>, report: &mut Report) -> Option<Vec<CertificateDer<'static>>> {
    let read: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    let why = match read {
        Ok(chain) if !chain.is_empty() => return Some(chain),
        Ok(_) => "it has no `BEGIN CERTIFICATE` block",
        Err(_) => "it is no well-formed PEM",
    };
    report.push(bad_file(&cert.value, cert.span, why, &report.sources));
    None
}

fn private_key(bytes: &[u8], key: &At<PathBuf>, report: &mut Report) -> Option<PrivateKeyDer<'static>> {
    let has = |label: &[u8]| bytes.windows(label.len()).any(|part| part == label);
    if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") {
        let finding = bad_file(&key.value, key.span, "the key is encrypted", &report.sources);
        let hint = "decrypt it with `openssl pkey -in KEY -out PLAIN`, readable for the gateway's user only";
        report.push(finding.hint(hint));
        return None;
    }
    if let Ok(found) = PrivateKeyDer::from_pem_slice(bytes) {
        return Some(found);
    }
    let why = match has(b"BEGIN CERTIFICATE") {
        true => "it has no private key, but a certificate: `cert` and `key` may be swapped",
        false => "it has no private key in PEM",
    };
    report.push(bad_file(&key.value, key.span, why, &report.sources));
    None
}

/// Whether the key is that of the first certificate, and one that TLS knows.
fn fits(
    chain: &[CertificateDer<'static>],
    key_der: &PrivateKeyDer<'static>,
    cert: &At<PathBuf>,
    key: &At<PathBuf>,
    report: &mut Report,
) -> Option<()> {
    let Ok(signing) = default_provider().key_provider.load_private_key(key_der.clone_key()) else {
        let why = "TLS cannot use the key: it must be RSA (2048 bits or more), ECDSA or Ed25519";
        report.push(bad_file(&key.value, key.span, why, &report.sources));
        return None;
    };
    let pair =
        |chain: &[CertificateDer<'static>]| CertifiedKey::new(chain.to_vec(), signing.clone()).keys_match();
    match pair(chain) {
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => return Some(()),
        Err(Error::InconsistentKeys(_)) => {}
        Err(_) => {
            report.push(bad_file(
                &cert.value,
                cert.span,
                "its first certificate is damaged",
                &report.sources,
            ));
            return None;
        }
    }
    let later = (1..chain.len()).any(|at| chain.get(at..).is_some_and(|rest| pair(rest).is_ok()));
    let hint = match later {
        true => "the certificate that the key is for must be the first one in its file",
        false => {
            "`openssl x509 -noout -pubkey -in CERT` and `openssl pkey -pubout -in KEY` print the same when they fit"
        }
    };
    let shown = |file: &At<PathBuf>| report.sources.shown_path(&file.value, file.span);
    let message = format!("the key `{}` is not that of the certificate `{}`", shown(key), shown(cert));
    let finding = Finding::error(Code::BadKeys, key.span, message).related(cert.span, "the certificate");
    report.push(finding.hint(hint));
    None
}

fn warn_of_time(said: &Certificate, cert: &At<PathBuf>, now: i64, report: &mut Report) {
    if said.is_valid_at(now) {
        return;
    }
    let path = report.sources.shown_path(&cert.value, cert.span);
    let days = |seconds: i64| match seconds / 86_400 {
        0 => "less than a day".to_owned(),
        1 => "one day".to_owned(),
        days => format!("{days} days"),
    };
    let message = match now > said.not_after {
        true => format!("the certificate `{path}` expired {} ago", days(now - said.not_after)),
        false => format!("the certificate `{path}` is not valid yet, for {}", days(said.not_before - now)),
    };
    report.push(warning(cert.span, message));
}

fn warning(span: Span, message: String) -> Finding {
    Finding::warning(Code::Expired, span, message).hint("those who look at it will not connect")
}
