//! The Redis in which gateways share limits.

use tollgate_plan::redis::{OnFailure, Redis};

use super::{Contents, certificates};
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, Slot};
use crate::spec;

pub(super) fn redis(slot: &Slot<spec::Redis>, contents: &Contents, report: &mut Report) -> Option<Redis> {
    let block = slot.value()?;
    let roots = certificates::roots(&block.ca, contents, report);
    let url = block.url.value()?;
    let tls = url.nodes.iter().any(|node| node.value.tls);
    if let Some(key) = block.ca.key().filter(|_| !tls) {
        report.push(Finding::warning(Code::NoEffect, key, "`ca` changes nothing: no URL is `rediss://`"));
    }
    if url.cluster {
        check_cluster(url, report);
    }
    Some(Redis {
        nodes: url.nodes.iter().map(|node| node.value.clone()).collect(),
        cluster: url.cluster,
        roots,
        timeout: block.timeout().0,
        on_failure: match block.on_failure() {
            spec::OnFailure::Local => OnFailure::Local,
            spec::OnFailure::Allow => OnFailure::Allow,
            spec::OnFailure::Deny => OnFailure::Deny,
        },
        instances: u32::try_from(block.instances().0).unwrap_or(1),
    })
}

/// The nodes of a cluster are one store: it has one database, and one way in.
fn check_cluster(url: &spec::RedisUrl, report: &mut Report) {
    for At { value: node, span, .. } in &url.nodes {
        if node.db != 0 {
            let finding = Finding::error(Code::BadValue, *span, "a Redis Cluster has database 0 only");
            report.push(finding.hint("for one server write its URL without a list"));
        }
    }
    let [first, rest @ ..] = url.nodes.as_slice() else { return };
    for other in rest {
        let same = |pick: fn(&tollgate_plan::redis::RedisNode) -> (bool, &Option<Box<str>>)| {
            pick(&first.value) == pick(&other.value)
        };
        if !same(|node| (node.tls, &node.user)) || first.value.password != other.value.password {
            let message = "the nodes of a Redis Cluster share scheme, user and password";
            let finding = Finding::error(Code::Conflict, other.span, message);
            report.push(finding.related(first.span, "the first node"));
        }
        if (&first.value.host, first.value.port) == (&other.value.host, other.value.port) {
            let finding = Finding::error(Code::DuplicateName, other.span, "the node is listed twice");
            report.push(finding.related(first.span, "first listed here"));
        }
    }
}
