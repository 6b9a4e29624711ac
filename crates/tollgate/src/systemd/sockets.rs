//! Listening sockets that the supervisor passes (socket activation, sd_listen_fds(3)), and which listener each is for.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;

use listenfd::ListenFd;
use tollgate_plan::Plan;
use tollgate_plan::listener::ListenAddress;
use tollgate_proxy::Held;

/// A socket that was passed.
#[derive(Debug)]
pub(crate) struct Passed {
    socket: OwnedFd,
    place: ListenAddress,
    /// `FileDescriptorName=` of its unit.
    name: String,
}

/// The sockets that were passed to this process; in most cases none.
pub(crate) fn passed() -> Vec<Passed> {
    // The library takes a missing process id for one's own, which the protocol does not.
    let meant = std::env::var("LISTEN_PID").is_ok_and(|pid| pid == std::process::id().to_string());
    if !meant {
        return Vec::new();
    }
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let mut sockets = ListenFd::from_env();
    let mut all = Vec::new();
    for at in 0..sockets.len() {
        let name = names.next().unwrap_or_default();
        match take(&mut sockets, at, &name) {
            Ok(Some(socket)) => all.push(socket),
            Ok(None) => {}
            Err(error) => tracing::warn!(name, %error, "a socket that was passed cannot be used"),
        }
    }
    all
}

fn take(sockets: &mut ListenFd, at: usize, name: &str) -> io::Result<Option<Passed>> {
    let (socket, place): (OwnedFd, ListenAddress) = if let Ok(Some(tcp)) = sockets.take_tcp_listener(at) {
        tcp.set_nonblocking(true)?;
        // As on those that the gateway binds by itself: accepted sockets inherit it.
        rustix::net::sockopt::set_tcp_nodelay(&tcp, true)?;
        let place = ListenAddress::Tcp(tcp.local_addr()?);
        (tcp.into(), place)
    } else if let Some(unix) = sockets.take_unix_listener(at)? {
        unix.set_nonblocking(true)?;
        let address = unix.local_addr()?;
        let path = address.as_pathname().ok_or_else(|| io::Error::other("it has no path"))?;
        let place = ListenAddress::Unix(path.to_owned());
        (unix.into(), place)
    } else {
        return Ok(None);
    };
    if !rustix::net::sockopt::socket_acceptconn(&socket)? {
        return Err(io::Error::other("it does not listen; `Accept=no` is what the gateway needs"));
    }
    Ok(Some(Passed { socket, place, name: name.to_owned() }))
}

/// Gives each socket to the listener with its address, or with the port that is its name; the admin side's too. What
/// nobody wants is closed, and said.
pub(crate) fn assign(passed: Vec<Passed>, plan: &Plan) -> (Vec<Held>, Option<OwnedFd>) {
    let (mut held, mut admin) = (Vec::<Held>::new(), None);
    for Passed { socket, place, name } in passed {
        // By nothing but its address, which says whether a token is needed.
        if place == ListenAddress::Tcp(plan.admin.address) {
            admin = Some(socket);
            continue;
        }
        let addresses = || plan.listeners.iter().map(|listener| &listener.address);
        let Some(address) = addresses().find(|address| **address == place).or_else(|| {
            addresses().find(|address| port(address).is_some_and(|port| port.to_string() == name))
        }) else {
            tracing::warn!(name, ?place, "a socket that was passed fits no listener and is closed");
            continue;
        };
        match held.iter_mut().find(|held| held.address == *address) {
            Some(held) => held.sockets.push(socket),
            None => held.push(Held { address: address.clone(), sockets: vec![socket], lent: true }),
        }
    }
    (held, admin)
}

fn port(address: &ListenAddress) -> Option<u16> {
    match address {
        ListenAddress::Tcp(address) => Some(address.port()),
        ListenAddress::Unix(_) => None,
    }
}

/// The socket as the admin side's, when it listens where the configuration wants it.
pub(crate) fn admin_listener(socket: OwnedFd, wanted: SocketAddr) -> Option<TcpListener> {
    let listener = TcpListener::from(socket);
    let fits = listener.local_addr().is_ok_and(|address| wanted.port() == 0 || address == wanted);
    fits.then_some(listener)
}

#[cfg(test)]
mod tests {
    use tollgate_config::MemorySources;

    use super::*;

    fn plan() -> Plan {
        let text = "listeners:\n  - address: 127.0.0.1:8080\n  - address: \"[::]:8443\"\n  - address: unix:/run/t.sock\n\
                    admin: { address: 127.0.0.1:9900 }\nroutes: [{ path: /, respond: {} }]\n";
        tollgate_config::load_text("t.yaml", text, &MemorySources::default()).expect("a good one").plan
    }

    fn socket(place: &str, name: &str) -> Passed {
        let socket: OwnedFd = TcpListener::bind("127.0.0.1:0").expect("a port").into();
        let place = match place.parse() {
            Ok(address) => ListenAddress::Tcp(address),
            Err(_) => ListenAddress::Unix(place.into()),
        };
        Passed { socket, place, name: name.to_owned() }
    }

    #[test]
    fn sockets_are_matched_by_address_then_by_name() {
        let check = |sockets: &[(&str, &str)], expect: &[(&str, usize)], admin: bool| {
            let passed = sockets.iter().map(|(place, name)| socket(place, name)).collect();
            let (held, got_admin) = assign(passed, &plan());
            let seen: Vec<(String, usize)> = held
                .iter()
                .map(|held| match &held.address {
                    ListenAddress::Tcp(address) => (address.to_string(), held.sockets.len()),
                    ListenAddress::Unix(path) => (path.display().to_string(), held.sockets.len()),
                })
                .collect();
            let expect: Vec<(String, usize)> = expect.iter().map(|(a, n)| ((*a).to_owned(), *n)).collect();
            assert_eq!((seen, got_admin.is_some()), (expect, admin), "{sockets:?}");
            assert!(held.iter().all(|held| held.lent), "they belong to who passed them");
        };
        check(&[], &[], false);
        check(&[("127.0.0.1:8080", "web.socket")], &[("127.0.0.1:8080", 1)], false);
        check(&[("127.0.0.1:8080", ""), ("127.0.0.1:8080", "")], &[("127.0.0.1:8080", 2)], false);
        check(&[("/run/t.sock", ""), ("127.0.0.1:9900", "")], &[("/run/t.sock", 1)], true);
        // The unit listens on more than the configuration says: a name tells what is meant.
        check(&[("0.0.0.0:8443", "8443")], &[("[::]:8443", 1)], false);
        check(&[("0.0.0.0:9900", "9900"), ("0.0.0.0:9900", "admin")], &[], false);
        check(&[("0.0.0.0:8443", "web"), ("/run/other.sock", "")], &[], false);
    }
}
