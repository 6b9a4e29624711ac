//! Listeners, limits, workers, shutdown, admin.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tollgate_plan::cidr::CidrSet;
use tollgate_plan::limits::Limits;
use tollgate_plan::listener::{ListenAddress, Listener, ProxyProtocol};
use tollgate_plan::memory::{CAP_BYTES_MIN, Shares};
use tollgate_plan::notice::NoticeSource;
use tollgate_plan::plan::{Admin, Shutdown};

use super::{Input, tls};
use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{At, List, Slot};
use crate::source_map::Span;
use crate::spec;
use crate::units::show_size;

/// Where clients are accepted when the file does not say.
const DEFAULT_LISTENER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8080);

/// Of an admin token, below which it is told: nothing slows down who tries one after the other.
const ADMIN_TOKEN_LETTERS_MIN: usize = 16;

pub(super) fn limits(slot: &Slot<spec::Limits>, report: &mut Report) -> Limits {
    let block = slot.value().cloned().unwrap_or_default();
    let (header_bytes, uri_bytes) = head_sizes(&block, report);
    Limits {
        connections: block.connections().count(),
        header_bytes: usize::try_from(header_bytes).unwrap_or(usize::MAX),
        header_count: block.header_count().count(),
        uri_bytes: usize::try_from(uri_bytes).unwrap_or(usize::MAX),
        body: block.body().0,
        header_timeout: block.header_timeout().0,
        body_idle_timeout: block.body_idle_timeout().0,
        write_idle_timeout: block.write_idle_timeout().0,
        keepalive_timeout: block.keepalive_timeout().0,
        requests_per_connection: block.requests_per_connection().0.unsigned_abs(),
        http2_streams: u32::try_from(block.http2_streams().0).unwrap_or(u32::MAX),
        memory: memory(&block, report),
    }
}

/// The head has room for the target: the one of the two that is not written gives way to the other.
fn head_sizes(block: &spec::Limits, report: &mut Report) -> (u64, u64) {
    let (header_bytes, uri_bytes) = (block.header_bytes().0, block.uri_bytes().0);
    match (block.header_bytes.given(), block.uri_bytes.given()) {
        _ if uri_bytes <= header_bytes => {}
        (Some(_), None) => return (header_bytes, header_bytes),
        (None, _) => return (uri_bytes, uri_bytes),
        (Some(_), Some(At { span, .. })) => {
            let message = "`uri_bytes` is more than `header_bytes`, which counts the request line too";
            let (uri, header) = (show_size(uri_bytes), show_size(header_bytes));
            let hint = format!("`uri_bytes` is {uri}, `header_bytes` is {header}");
            report.push(Finding::error(Code::Conflict, *span, message).hint(hint));
        }
    }
    (header_bytes, uri_bytes)
}

fn memory(block: &spec::Limits, report: &mut Report) -> Option<u64> {
    let bytes = block.memory().0;
    if let Some(At { span, .. }) = block.memory.given().filter(|_| (1..CAP_BYTES_MIN).contains(&bytes)) {
        let message = format!("`memory` must be at least {}, or 0 for no cap", show_size(CAP_BYTES_MIN));
        let hint = "below it the process itself leaves too little to share";
        report.push(Finding::error(Code::BadValue, *span, message).hint(hint));
    }
    Some(bytes).filter(|bytes| *bytes > 0)
}

/// Each worker has a machine for scripts, which may use `memory` bytes: all of them together have a share.
pub(super) fn memory_of_scripts(
    main: &spec::Root,
    limits: &Limits,
    workers: usize,
    memory: usize,
    report: &mut Report,
) {
    let Some(share) = limits.memory.map(|cap| Shares::of(cap).scripts) else { return };
    let wanted = memory.saturating_mul(workers);
    let block = main.limits.value();
    let Some(At { span, .. }) = block.and_then(|block| block.memory.given()).filter(|_| wanted > share)
    else {
        return;
    };
    let (memory, share) = (show_size(memory as u64), share >> 20);
    let message = format!("scripts have {share}MiB of `memory`: too little for {memory} on each worker");
    let hint = format!("there are {workers} workers: lower `lua_limits.memory`, or raise `memory`");
    report.push(Finding::error(Code::Conflict, *span, message).hint(hint));
}

pub(super) fn workers(main: &spec::Root, cores: usize) -> usize {
    match main.workers() {
        spec::Workers::Auto => cores,
        spec::Workers::Count(count) => count,
    }
}

pub(super) fn shutdown(slot: &Slot<spec::Shutdown>) -> Shutdown {
    let block = slot.value().cloned().unwrap_or_default();
    Shutdown { delay: block.delay().0, grace: block.grace().0 }
}

/// Who is asked whether the machine is about to go.
pub(super) fn notice(slot: &Slot<spec::Shutdown>) -> Option<NoticeSource> {
    slot.value().and_then(|block| block.watch.value()).map(|watch| watch.0.clone())
}

/// How often a configuration from a URL is asked for.
pub(super) fn reload_every(main: &spec::Root) -> Duration {
    main.reload.value().cloned().unwrap_or_default().every().0
}

pub(super) fn trusted_proxies(main: &spec::Root) -> CidrSet {
    let blocks = main.trusted_proxies.value().map(|List(blocks)| blocks.as_slice()).unwrap_or_default();
    blocks.iter().map(|block| block.value.0).collect()
}

/// The servers that are asked for names; none leaves it to the system.
pub(super) fn name_servers(main: &spec::Root, report: &mut Report) -> Vec<SocketAddr> {
    let Some(At { value: List(servers), span, .. }) =
        main.resolver.value().and_then(|block| block.servers.given())
    else {
        return Vec::new();
    };
    if servers.is_empty() {
        let finding = Finding::error(Code::BadValue, *span, "`servers` is empty: nobody could be asked");
        report.push(finding.hint("remove `resolver` to ask the servers of `/etc/resolv.conf`"));
    }
    if let Some(over) = servers.get(bounds::NAME_SERVERS) {
        let message = format!("more than {} DNS servers", bounds::NAME_SERVERS);
        report.push(Finding::error(Code::TooLarge, over.span, message));
    }
    servers.iter().map(|server| server.value.0).collect()
}

/// The admin side.
pub(crate) fn admin(slot: &Slot<spec::Admin>, report: &mut Report) -> Admin {
    let block = slot.value().cloned().unwrap_or_default();
    let address = block.address().0;
    // Set from the environment, an empty token means that there is none.
    let token = block.token.given().filter(|token| !token.value.is_empty());
    if let Some(At { value, span, .. }) = token {
        if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            let message = "the token holds a space, a control character or a letter outside ASCII";
            report.push(Finding::error(Code::BadValue, *span, message).hint("no client could send it"));
        } else if value.len() < ADMIN_TOKEN_LETTERS_MIN {
            let message = format!(
                "the token is shorter than {ADMIN_TOKEN_LETTERS_MIN} letters: it could be found by trying"
            );
            let hint = "make one of random letters, such as with `openssl rand -hex 32`";
            report.push(Finding::warning(Code::Insecure, *span, message).hint(hint));
        }
    }
    let known = !matches!((&block.address, &block.token), (Slot::Faulty(_), _) | (_, Slot::Faulty(_)));
    if known && token.is_none() && !address.ip().to_canonical().is_loopback() {
        let span = block.address.given().map_or(block.span, |at| at.span);
        let message = "the admin side listens beyond this machine and has no token";
        let hint = "set `admin.token`, such as `${TOLLGATE_ADMIN_TOKEN}`, or listen on 127.0.0.1";
        report.push(Finding::error(Code::AdminOpen, span, message).hint(hint));
    }
    let allow_write = block.allow_write();
    if known && allow_write && token.is_none() {
        let span = block.allow_write.given().map_or(block.span, |at| at.span);
        let message =
            "`allow_write` lets everybody on this machine write the configuration: there is no token";
        let hint = "set `admin.token`, such as `${TOLLGATE_ADMIN_TOKEN}`";
        report.push(Finding::error(Code::AdminOpen, span, message).hint(hint));
    }
    Admin { address, token: token.map(|token| Arc::from(token.value.as_str())), allow_write }
}

pub(super) fn listeners(input: &Input<'_>, admin: SocketAddr, report: &mut Report) -> Vec<Listener> {
    let Some(At { value: List(blocks), span, .. }) = input.main.listeners.given() else {
        let name = DEFAULT_LISTENER.to_string().into();
        let proxy_protocol = ProxyProtocol::Off;
        return vec![Listener {
            address: ListenAddress::Tcp(DEFAULT_LISTENER),
            name,
            mode: None,
            proxy_protocol,
            tls: None,
            http2: true,
        }];
    };
    if blocks.is_empty() {
        let message = "`listeners` is empty: the gateway would accept nobody";
        report.push(
            Finding::error(Code::BadValue, *span, message).hint("remove the key to listen on 0.0.0.0:8080"),
        );
    }
    let mut places = Places { admin, taken: Vec::with_capacity(blocks.len()) };
    let mut listeners = Vec::with_capacity(blocks.len());
    for block in blocks {
        let tls = tls::listener(&block.value.tls, input, report);
        let Some(At { value: address, span, .. }) = block.value.address.given() else { continue };
        places.claim(&address.address, *span, report);
        listeners.push(Listener {
            address: address.address.clone(),
            name: address.text.as_str().into(),
            mode: mode(&block.value, &address.address, report),
            proxy_protocol: match block.value.proxy_protocol() {
                spec::ProxyProtocol::Off => ProxyProtocol::Off,
                spec::ProxyProtocol::Require => ProxyProtocol::Require,
            },
            http2: block.value.http2(),
            tls,
        });
    }
    listeners
}

/// Permissions of the socket's file, where there is one.
fn mode(block: &spec::Listener, address: &ListenAddress, report: &mut Report) -> Option<u32> {
    let At { value: spec::Mode(mode), key, .. } = block.mode.given()?;
    if matches!(address, ListenAddress::Tcp(_)) {
        let finding =
            Finding::error(Code::Conflict, *key, "`mode` is for unix sockets: this address has no file");
        report.push(finding.hint("remove it; `allow_ips` on routes says who may call"));
    }
    Some(*mode)
}

/// Who listens where: no two in one place.
struct Places {
    admin: SocketAddr,
    taken: Vec<(ListenAddress, Span)>,
}

impl Places {
    fn claim(&mut self, address: &ListenAddress, span: Span, report: &mut Report) {
        let shown = report.sources.shown(span);
        if let ListenAddress::Tcp(tcp) = address
            && overlap(*tcp, self.admin)
        {
            let message = format!("`{shown}` is the admin side's address");
            let hint = "the admin side is never public; give one of them another port";
            report.push(Finding::error(Code::DuplicateName, span, message).hint(hint));
        }
        let meets = |other: &ListenAddress| match (other, address) {
            (ListenAddress::Tcp(other), ListenAddress::Tcp(address)) => overlap(*other, *address),
            (other, address) => other == address,
        };
        if let Some((other, first)) = self.taken.iter().find(|(other, _)| meets(other)) {
            let message = format!("two listeners on `{shown}`");
            let finding = Finding::error(Code::DuplicateName, span, message).related(*first, "the first one");
            report.push(match other == address {
                true => finding.hint("each listener has an address of its own"),
                false => finding.hint("0.0.0.0 and [::] stand for every address of the machine"),
            });
        }
        self.taken.push((address.clone(), span));
    }
}

/// Whether the two are one place: the same address, or one that stands for all of the machine's beside another of its family.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let (one, other) = (a.ip(), b.ip());
    let same_family = one.is_ipv4() == other.is_ipv4();
    let same = one == other || (same_family && (one.is_unspecified() || other.is_unspecified()));
    a.port() != 0 && a.port() == b.port() && same
}
