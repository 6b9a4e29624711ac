//! The gateway's own credentials toward upstreams.

use std::sync::Arc;

use tollgate_plan::credentials::{ClientAuth, ClientCredentials};
use tollgate_plan::issuer::{HttpUrl, Reach};
use tollgate_plan::secret::Secret;

use super::{Input, certificates};
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, Slot};
use crate::source_map::Span;
use crate::spec::{self, ServiceUrl};

/// The credentials of an upstream; `None` where there are none, or the report says what is wrong with them.
pub(super) fn credentials(
    slot: &Slot<spec::UpstreamAuth>,
    input: &Input<'_>,
    report: &mut Report,
) -> Option<Arc<ClientCredentials>> {
    let block = slot.value()?.oauth2.value()?;
    let texts = [
        ("client_id", &block.client_id),
        ("client_secret", &block.client_secret),
        ("audience", &block.audience),
    ];
    for (key, slot) in texts {
        if let Some(At { span, .. }) = slot.given().filter(|text| text.value.is_empty()) {
            report.push(Finding::error(Code::BadValue, *span, format!("`{key}` is empty")));
        }
    }
    let roots = certificates::roots(&block.ca, input.files, report);
    let At { value: ServiceUrl(token_url), span, .. } = block.token_url.given()?;
    reachable(token_url, *span, block.allow_http(), report)?;
    if !token_url.tls
        && let Some(key) = block.ca.key()
    {
        let message = "`ca` changes nothing: `token_url` is plain http";
        report.push(Finding::warning(Code::NoEffect, key, message));
    }
    let scopes = block.scopes.value().into_iter().flat_map(|list| &list.0);
    let scopes: Vec<&str> = scopes.map(|scope| scope.value.0.as_str()).collect();
    Some(Arc::new(ClientCredentials {
        token_url: token_url.clone(),
        client_id: block.client_id.value()?.as_str().into(),
        client_secret: Secret::from(block.client_secret.value()?.as_str()),
        scope: scopes.join(" ").into(),
        audience: block.audience.value().map(|audience| audience.as_str().into()),
        client_auth: match block.client_auth() {
            spec::ClientAuth::Basic => ClientAuth::Basic,
            spec::ClientAuth::Body => ClientAuth::Body,
        },
        reach: Reach { roots, allow_http: block.allow_http() },
    }))
}

/// Reports plain http to another machine: the gateway's secret would go there for everybody to read.
fn reachable(url: &HttpUrl, span: Span, allow_http: bool, report: &mut Report) -> Option<()> {
    if url.tls || url.is_loopback() || allow_http {
        return Some(());
    }
    let message = "plain http to another machine: whoever stands between reads the client secret";
    let hint = "write `https://`, or `allow_http: true` where the network itself is trusted";
    report.push(Finding::error(Code::Insecure, span, message).hint(hint));
    None
}
