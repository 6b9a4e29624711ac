//! Named upstreams of all files, and unnamed ones made from URLs.

use std::collections::HashMap;
use std::sync::Arc;

use tollgate_plan::upstream::{Address, Pool, Target, Upstream, UpstreamId};

use super::names::RENAME;
use super::{File, Input, oauth2, resilience, tls};
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, List};
use crate::source_map::Span;
use crate::spec::{self, Parsed, UpstreamName};
use crate::suggest;

/// All upstreams so far, and who uses them.
#[derive(Default)]
pub(super) struct Upstreams {
    all: Vec<Upstream>,
    named: HashMap<String, Named>,
    /// Where each upstream of `all` was declared, and whether anything refers to it.
    used: Vec<(Span, bool)>,
    by_url: HashMap<(Address, String, String, bool, bool), UpstreamId>,
}

struct Named {
    key: Span,
    /// `None` when the report says what is wrong with it: the name exists all the same.
    id: Option<UpstreamId>,
}

/// Collects the named upstreams of all files.
pub(super) fn collect(files: &[File<'_>], input: &Input<'_>, report: &mut Report) -> Upstreams {
    let mut upstreams = Upstreams::default();
    for pair in files.iter().filter_map(|file| file.upstreams.value()).flat_map(|dict| &dict.pairs) {
        let UpstreamName(name) = &pair.name;
        if let Some(first) = upstreams.named.get(name) {
            let message = format!("two upstreams are named `{name}`");
            let finding = Finding::error(Code::DuplicateName, pair.key, message);
            report.push(finding.related(first.key, "the first one").hint(RENAME));
            continue;
        }
        let upstream = pair.value.as_ref().and_then(|block| named(name, &block.value, input, report));
        let id = upstream.map(|upstream| upstreams.push(upstream, pair.key));
        upstreams.named.insert(name.clone(), Named { key: pair.key, id });
    }
    upstreams
}

impl Upstreams {
    /// The upstream of a name. `None` when there is none, or none without faults; either is reported.
    pub(super) fn find(&mut self, name: &str, span: Span, report: &mut Report) -> Option<UpstreamId> {
        let Some(named) = self.named.get(name) else {
            let hint = match suggest::did_you_mean(name, self.named.keys().map(String::as_str)) {
                Some(hint) => hint,
                None if name.contains([':', '/', '.']) => "a URL begins with `http://` or `unix:`".to_owned(),
                None => {
                    "declare it under `upstreams`, or write a URL such as `http://127.0.0.1:3000`".to_owned()
                }
            };
            let message = format!("no upstream is named `{}`", report.sources.shown(span));
            report.push(Finding::error(Code::UnknownName, span, message).hint(hint));
            return None;
        };
        if let Some(id) = named.id {
            self.used[id.0 as usize].1 = true;
        }
        named.id
    }

    /// The upstream made from a URL: one for all routes that mean the same.
    pub(super) fn of_url(&mut self, url: &Parsed, span: Span) -> UpstreamId {
        let key = (url.address.clone(), url.authority.clone(), url.prefix.clone(), url.http2, url.tls);
        if let Some(id) = self.by_url.get(&key) {
            return *id;
        }
        let block = spec::Upstream::default();
        let id = self.push(upstream(&url.url, false, vec![target(url, 1)], &block), span);
        self.used[id.0 as usize].1 = true;
        self.by_url.insert(key, id);
        id
    }

    /// The upstream of a name, or of a URL that routes use. It counts as used as little as before.
    pub(super) fn of_name(&self, name: &str) -> Option<UpstreamId> {
        let at = self.all.iter().position(|upstream| &*upstream.name == name)?;
        u32::try_from(at).ok().map(UpstreamId)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|upstream| &*upstream.name)
    }

    /// Every upstream that has a name.
    pub(super) fn all_named(&self) -> Vec<UpstreamId> {
        let ids = self.all.iter().enumerate().filter(|(_, upstream)| upstream.named);
        ids.map(|(id, _)| UpstreamId(id as u32)).collect()
    }

    pub(super) fn warn_unused(&self, report: &mut Report) {
        // What uses an upstream may be what has the fault, or what was not looked at.
        if report.has_errors() || report.left_out() {
            return;
        }
        for (upstream, (span, _)) in self.all.iter().zip(&self.used).filter(|(_, (_, used))| !used) {
            let message = format!("no route uses the upstream `{}`", upstream.name);
            report.push(Finding::warning(Code::UnusedUpstream, *span, message));
        }
    }

    pub(super) fn finish(self) -> Vec<Upstream> {
        self.all
    }

    fn push(&mut self, upstream: Upstream, span: Span) -> UpstreamId {
        self.all.push(upstream);
        self.used.push((span, false));
        UpstreamId(self.all.len() as u32 - 1)
    }
}

fn named(name: &str, block: &spec::Upstream, input: &Input<'_>, report: &mut Report) -> Option<Upstream> {
    let At { value: List(list), span, .. } = block.targets.given()?;
    if list.is_empty() {
        let message = format!("the upstream `{name}` has no targets");
        report.push(Finding::error(Code::BadValue, *span, message));
        return None;
    }
    let mut seen: HashMap<(&Address, &str), Span> = HashMap::new();
    let mut targets = Vec::with_capacity(list.len());
    for At { value, .. } in list {
        let At { value: url, span, .. } = &value.url;
        if let Some(first) = seen.insert((&url.address, &url.prefix), *span) {
            let finding = Finding::error(Code::DuplicateName, *span, "the target is listed twice");
            report.push(
                finding.related(first, "first listed here").hint("for a larger share, give it a `weight`"),
            );
        }
        targets.push(target(url, value.weight));
    }
    // How many stand for a service, DNS will say.
    let is_service = |target: &Target| matches!(target.address, Address::Service { .. });
    let count = if targets.iter().any(is_service) { usize::MAX } else { targets.len() };
    let tls = tls::upstream(&block.tls, &mut targets, input, report);
    Some(Upstream {
        tls: tls.into(),
        retry: resilience::retry(&block.retry, report),
        health_check: resilience::health_check(&block.health_check, report),
        outlier: resilience::outlier(&block.outlier, count, report),
        circuit_breaker: resilience::circuit_breaker(&block.circuit_breaker),
        credentials: oauth2::credentials(&block.auth, input, report),
        ..upstream(name, true, targets, block)
    })
}

fn upstream(name: &str, named: bool, targets: Vec<Target>, block: &spec::Upstream) -> Upstream {
    let spec::Balance(balance) = block.balance();
    let spec::SentHost(host) = block.host();
    let pool = block.pool.value().cloned().unwrap_or_default();
    Upstream {
        name: name.into(),
        named,
        targets,
        balance,
        host,
        connect_timeout: block.connect_timeout().0,
        timeout: block.timeout().0,
        idle_timeout: block.idle_timeout().0,
        pool: Pool {
            max_idle_per_worker: pool.max_idle_per_worker().count(),
            idle: pool.idle().0,
            max_connections: pool.max_connections().count(),
        },
        tls: Arc::default(),
        retry: None,
        health_check: None,
        outlier: None,
        circuit_breaker: None,
        failure_status: resilience::status_set(&block.failure_status()),
        credentials: None,
        follow_redirects: block.follow_redirects().0 as u32,
    }
}

fn target(url: &Parsed, weight: u32) -> Target {
    Target {
        url: Arc::from(url.url.as_str()),
        address: url.address.clone(),
        authority: url.authority.as_str().into(),
        prefix: url.prefix.as_str().into(),
        weight,
        tls: url.tls.then(|| tls::name_of(&url.address)),
        http2: url.http2,
    }
}
