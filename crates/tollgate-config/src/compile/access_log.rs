//! Where access records go, and what they hold.

use std::path::PathBuf;

use tollgate_plan::object_log::{ObjectLog, Sample, StoreAccess};
use tollgate_plan::plan::{AccessLog, LogSink, OnFull};
use tollgate_plan::secret::Secret;

use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, List, Slot};
use crate::source_map::Span;
use crate::spec;
use crate::units::show_size;

/// Where records wait when the file does not say.
const DEFAULT_SPOOL: &str = "/var/lib/tollgate/spool";

pub(super) fn access_log(slot: &Slot<spec::AccessLog>, report: &mut Report) -> AccessLog {
    let block = slot.value().cloned().unwrap_or_default();
    // A sink with a fault may well have been meant as the one that the keys are for.
    if !matches!(block.sink, Slot::Faulty(_)) {
        refuse_others(&block, report);
    }
    AccessLog {
        sink: sink(&block, report),
        on_full: match block.on_full() {
            spec::OnFull::Drop => OnFull::Drop,
            spec::OnFull::Block => OnFull::Block,
        },
        headers: block
            .headers
            .value()
            .map(|List(names)| names.iter().map(|name| name.value.0.clone()).collect())
            .unwrap_or_default(),
        log_query: block.log_query(),
        sample: sample(&block.sample),
        masked_query: Vec::new(),
        masked_headers: Vec::new(),
    }
}

/// Files that the block names.
pub(super) fn files(slot: &Slot<spec::AccessLog>) -> Option<&At<PathBuf>> {
    slot.value()?.store.value()?.service_account.given()
}

fn sink(block: &spec::AccessLog, report: &mut Report) -> LogSink {
    match (block.sink(), &block.path) {
        (spec::Sink::Stdout, _) => LogSink::Stdout,
        (spec::Sink::Off, _) => LogSink::Off,
        (spec::Sink::ObjectStore, _) => object_log(block, report).map_or(LogSink::Off, LogSink::ObjectStore),
        (spec::Sink::File, Slot::Given(path)) => LogSink::File(path.value.clone()),
        (spec::Sink::File, Slot::Faulty(_)) => LogSink::File(PathBuf::new()),
        (spec::Sink::File, Slot::Absent) => {
            missing(block, "`sink: file` needs the key `path`", report);
            LogSink::Off
        }
    }
}

/// Reports keys that another sink would need.
fn refuse_others(block: &spec::AccessLog, report: &mut Report) {
    let sink = block.sink();
    let keys = [
        ("path", "file", block.path.key().filter(|_| sink != spec::Sink::File)),
        ("url", "object_store", block.url.key().filter(|_| sink != spec::Sink::ObjectStore)),
        ("store", "object_store", block.store.key().filter(|_| sink != spec::Sink::ObjectStore)),
        ("batch", "object_store", block.batch.key().filter(|_| sink != spec::Sink::ObjectStore)),
        ("spool", "object_store", block.spool.key().filter(|_| sink != spec::Sink::ObjectStore)),
    ];
    for (key, needed, span) in keys.into_iter().filter_map(|(key, needed, span)| Some((key, needed, span?))) {
        report.push(Finding::error(Code::Conflict, span, format!("`{key}` needs `sink: {needed}`")));
    }
}

fn missing(block: &spec::AccessLog, message: &str, report: &mut Report) {
    let span = block.sink.given().map_or(block.span, |sink| sink.span);
    report.push(Finding::error(Code::MissingKey, span, message));
}

fn object_log(block: &spec::AccessLog, report: &mut Report) -> Option<Box<ObjectLog>> {
    let batch = block.batch.value().cloned().unwrap_or_default();
    let spool = block.spool.value().cloned().unwrap_or_default();
    if spool.size().0 < batch.size().0 {
        let given = spool.size.given().map(|at| at.span).or(batch.size.given().map(|at| at.span));
        let message = "the spool is smaller than one batch: a batch could be dropped before it is complete";
        let sizes = (show_size(spool.size().0), show_size(batch.size().0));
        let hint = format!("`spool.size` is {}, `batch.size` is {}", sizes.0, sizes.1);
        report.push(Finding::error(Code::Conflict, given.unwrap_or(block.span), message).hint(hint));
    }
    if block.url.key().is_none() {
        missing(block, "`sink: object_store` needs the key `url`", report);
    }
    let access = block.store.value().cloned().unwrap_or_default();
    let url = block.url.value();
    let access = store_access(&access, url.map(|url| url.scheme), report);
    Some(Box::new(ObjectLog {
        url: url?.text.as_str().into(),
        access,
        batch_bytes: batch.size().0,
        batch_every: batch.every().0,
        spool_dir: spool.dir.value().cloned().unwrap_or_else(|| DEFAULT_SPOOL.into()),
        spool_bytes: spool.size().0,
    }))
}

fn store_access(block: &spec::StoreAccess, scheme: Option<&str>, report: &mut Report) -> StoreAccess {
    let keys: [(&str, &[&str], Option<Span>); 8] = [
        ("endpoint", &["s3", "gs", "az"], block.endpoint.key()),
        ("region", &["s3"], block.region.key()),
        ("access_key_id", &["s3"], block.access_key_id.key()),
        ("secret_access_key", &["s3"], block.secret_access_key.key()),
        ("session_token", &["s3"], block.session_token.key()),
        ("service_account", &["gs"], block.service_account.key()),
        ("account", &["az"], block.account.key()),
        ("account_key", &["az"], block.account_key.key()),
    ];
    let given = keys.into_iter().filter_map(|(key, schemes, span)| Some((key, schemes, span?)));
    for (key, schemes, span) in given {
        if let Some(scheme) = scheme.filter(|scheme| !schemes.contains(scheme)) {
            let message = format!("`{key}` is not for `{scheme}://`");
            report.push(Finding::error(Code::Conflict, span, message));
        }
    }
    let halves = [
        ("access_key_id", block.access_key_id.key(), "secret_access_key", block.secret_access_key.key()),
        ("secret_access_key", block.secret_access_key.key(), "access_key_id", block.access_key_id.key()),
        ("session_token", block.session_token.key(), "secret_access_key", block.secret_access_key.key()),
    ];
    for (key, span, other, other_span) in halves {
        if let Some(span) = span.filter(|_| other_span.is_none()) {
            report.push(Finding::error(Code::MissingKey, span, format!("`{key}` needs `{other}` beside it")));
        }
    }
    StoreAccess {
        endpoint: endpoint(block, report),
        region: text(&block.region),
        access_key_id: text(&block.access_key_id),
        secret_access_key: secret(&block.secret_access_key),
        session_token: secret(&block.session_token),
        service_account: block.service_account.value().cloned(),
        account: text(&block.account),
        account_key: secret(&block.account_key),
    }
}

fn endpoint(block: &spec::StoreAccess, report: &mut Report) -> Option<Box<str>> {
    let At { value: spec::ServiceUrl(url), span, .. } = block.endpoint.given()?;
    if !url.tls && !url.is_loopback() && !block.allow_http() {
        let message = "plain http to another machine: whoever stands between can read the records";
        let hint = "write `https://`, or `allow_http: true` where the network itself is trusted";
        report.push(Finding::error(Code::Insecure, *span, message).hint(hint));
    }
    let scheme = if url.tls { "https" } else { "http" };
    Some(format!("{scheme}://{}{}", url.authority(), url.target.trim_end_matches('/')).into())
}

fn text(slot: &Slot<String>) -> Option<Box<str>> {
    slot.value().map(|text| text.as_str().into())
}

fn secret(slot: &Slot<String>) -> Option<Secret> {
    slot.value().map(|text| Secret::from(text.as_str()))
}

fn sample(slot: &Slot<spec::Sample>) -> Sample {
    let Some(block) = slot.value() else { return Sample::ALL };
    let shares =
        [block.informational(), block.successful(), block.redirected(), block.refused(), block.failed()];
    Sample(shares.map(|share| u8::try_from(share.0).unwrap_or(100)))
}
