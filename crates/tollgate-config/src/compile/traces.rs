//! Traces: spans of requests, and where they go.

use std::path::PathBuf;

use tollgate_plan::issuer::{HttpUrl, Reach};
use tollgate_plan::secret::Secret;
use tollgate_plan::traces::{Follow, Traces};

use super::{Contents, certificates};
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, Slot};
use crate::spec;

/// Where a collector takes traces (OpenTelemetry Protocol 1.x, section "OTLP/HTTP Request").
const PATH: &str = "/v1/traces";

pub(super) fn traces(
    slot: &Slot<spec::Traces>,
    contents: &Contents,
    report: &mut Report,
) -> Option<Box<Traces>> {
    let block = slot.value()?;
    let roots = certificates::roots(&block.ca, contents, report);
    let At { value: spec::ServiceUrl(url), span, .. } = block.endpoint.given()?;
    if !url.tls && !url.is_loopback() && !block.allow_http() {
        let message = "plain http to another machine: whoever stands between can read what is traced";
        let hint = "write `https://`, or `allow_http: true` where the network itself is trusted";
        report.push(Finding::error(Code::Insecure, *span, message).hint(hint));
    }
    if let Some(key) = block.ca.key().filter(|_| !url.tls) {
        report.push(Finding::warning(
            Code::NoEffect,
            key,
            "`ca` changes nothing: the endpoint is not `https://`",
        ));
    }
    Some(Box::new(Traces {
        url: at_path(url),
        reach: Reach { roots, allow_http: block.allow_http() },
        headers: headers(block, report),
        sample_percent: u8::try_from(block.sample().0).unwrap_or(100),
        follow: match block.follow() {
            spec::Follow::Anyone => Follow::Anyone,
            spec::Follow::TrustedProxies => Follow::TrustedProxies,
            spec::Follow::Nobody => Follow::Nobody,
        },
        service: block.service().into(),
        timeout: block.timeout().0,
    }))
}

/// Files that the block names.
pub(super) fn files(slot: &Slot<spec::Traces>) -> Option<&At<PathBuf>> {
    slot.value()?.ca.given()
}

/// A URL that names no path means the usual one.
fn at_path(url: &HttpUrl) -> HttpUrl {
    match &*url.target {
        "/" => HttpUrl { target: PATH.into(), ..url.clone() },
        _ => url.clone(),
    }
}

fn headers(block: &spec::Traces, report: &mut Report) -> Vec<(Box<str>, Secret)> {
    let mut headers = Vec::new();
    for (name, At { value, span, .. }) in block.headers.value().into_iter().flat_map(|dict| dict.iter()) {
        if value.chars().any(|letter| !letter.is_ascii() || letter.is_control()) {
            let finding = Finding::error(Code::BadValue, *span, "a header's value is one line of ASCII");
            report.push(finding);
        }
        headers.push((name.0.as_str().into(), Secret::from(value.as_str())));
    }
    headers
}
