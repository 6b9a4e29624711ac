//! Binding a listening address, once per worker.

use std::fs::Permissions;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tollgate_plan::listener::{ListenAddress, Listener};

use crate::live::listeners::ListenerLive;

/// Connections that the kernel queues before a worker accepts them; the system caps it at `somaxconn`.
const BACKLOG: i32 = 4096;

/// Binds the address once for each of `workers` workers. `ours` says that this process already listens on the port.
pub(crate) fn bind(listener: &Listener, workers: usize, ours: bool) -> io::Result<Vec<OwnedFd>> {
    match &listener.address {
        ListenAddress::Tcp(address) => bind_tcp(*address, workers, ours),
        ListenAddress::Unix(path) => bind_unix(path, listener.mode, workers),
    }
}

/// Deals the sockets of one address out among `workers` workers. All of them are used, since each has a queue of its own;
/// where they are fewer than the workers, several workers accept on one.
pub(crate) fn deal(sockets: Vec<OwnedFd>, workers: usize) -> io::Result<Vec<Vec<OwnedFd>>> {
    let mut shares: Vec<Vec<OwnedFd>> = (0..workers).map(|_| Vec::new()).collect();
    let again = (sockets.len()..workers).zip(sockets.iter().cycle());
    let again = again.map(|(_, socket)| socket.try_clone()).collect::<io::Result<Vec<_>>>()?;
    for (at, socket) in sockets.into_iter().chain(again).enumerate() {
        if let Some(share) = shares.get_mut(at % workers.max(1)) {
            share.push(socket);
        }
    }
    Ok(shares)
}

/// Gives the file of a socket that is bound already the permissions of a new configuration.
pub(crate) fn permit(listener: &Listener) {
    if let (ListenAddress::Unix(path), Some(mode)) = (&listener.address, listener.mode)
        && let Err(error) = std::fs::set_permissions(path, Permissions::from_mode(mode))
    {
        tracing::warn!(path = %path.display(), %error, "cannot set the permissions of the socket file");
    }
}

/// Takes away what a closing listener leaves in the file system, so that nobody new finds it. Where others accept on the
/// same socket, it stays for them.
pub(crate) fn unbind(live: &ListenerLive) {
    if !live.is_lent() {
        remove_file(&live.address);
    }
}

fn remove_file(address: &ListenAddress) {
    if let ListenAddress::Unix(path) = address
        && let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "cannot remove the socket file");
    }
}

fn bind_tcp(address: SocketAddr, workers: usize, ours: bool) -> io::Result<Vec<OwnedFd>> {
    // Workers share the port by SO_REUSEPORT. With it a second gateway would bind without an error and take
    // half of the connections; a socket without it tells whether somebody already listens.
    let probe = tcp_socket(address, ours)?;
    let address = probe.local_addr()?.as_socket().unwrap_or(address);
    drop(probe);
    (0..workers).map(|_| Ok(tcp_socket(address, true)?.into())).collect()
}

fn tcp_socket(address: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` and `0.0.0.0` may stand side by side on one port.
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_port(share)?;
    // Accepted sockets inherit it, which saves a system call for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn bind_unix(path: &Path, mode: Option<u32>, workers: usize) -> io::Result<Vec<OwnedFd>> {
    remove_stale(path)?;
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    listener.bind(&SockAddr::unix(path)?)?;
    let share = || -> io::Result<Vec<OwnedFd>> {
        // Before it listens: until then nobody can connect whom the umask would let in and `mode` would not.
        if let Some(mode) = mode {
            std::fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        listener.set_nonblocking(true)?;
        listener.listen(BACKLOG)?;
        (0..workers).map(|_| Ok(listener.try_clone()?.into())).collect()
    };
    share().inspect_err(|_| remove_file(&ListenAddress::Unix(path.to_owned())))
}

/// A socket file that nobody listens on is what a killed process left; anything else is not ours to remove.
fn remove_stale(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.file_type().is_socket() => {
            let probe = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            match probe.connect(&SockAddr::unix(path)?) {
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path),
                _ => Err(io::ErrorKind::AddrInUse.into()),
            }
        }
        Ok(_) => Err(io::Error::new(io::ErrorKind::AlreadyExists, "a file that is no socket is there")),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No socket is left out, since each has a queue of its own; and no worker is, where there are more workers.
    #[test]
    fn sockets_are_dealt_out_to_all_workers() {
        for (sockets, workers, expect) in [
            (1, 1, &[1][..]),
            (2, 2, &[1, 1]),
            (3, 2, &[2, 1]),
            (4, 1, &[4]),
            (1, 3, &[1, 1, 1]),
            (2, 3, &[1, 1, 1]),
        ] {
            let bound = bind_tcp(([127, 0, 0, 1], 0).into(), sockets, false).expect("a port");
            let shares = deal(bound, workers).expect("descriptors");
            let counts: Vec<usize> = shares.iter().map(Vec::len).collect();
            assert_eq!(counts, expect, "{sockets} sockets, {workers} workers");
        }
    }
}
