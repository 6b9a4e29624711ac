//! The new process's side: sockets come from the old one, and it is told when they are served.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::sockopt;
use rustix::process::{Pid, Signal, set_parent_process_death_signal, test_kill_process};
use tollgate_plan::listener::ListenAddress;
use tollgate_proxy::Held;

use super::VARIABLE;
use super::message::{Message, receive, send};

/// The process that this one takes over from.
pub(crate) struct Predecessor {
    channel: OwnedFd,
    pid: Option<Pid>,
}

/// What it handed over.
#[derive(Debug, Default)]
pub(crate) struct Handed {
    pub(crate) listeners: Vec<Held>,
    /// The listening socket of the admin side.
    pub(crate) admin: Option<OwnedFd>,
}

impl Predecessor {
    /// The process that started this one to be replaced by it; none where this one was started in another way.
    pub(crate) fn find() -> io::Result<Option<Predecessor>> {
        let Ok(named) = std::env::var(VARIABLE) else { return Ok(None) };
        // Whoever made the pair of sockets is its peer for ever (unix(7)); anything else that is standard input has none.
        let peer = sockopt::socket_peercred(io::stdin()).ok().map(|peer| peer.pid);
        if peer.is_none_or(|peer| peer.as_raw_nonzero().to_string() != named) {
            return Ok(None);
        }
        let channel = io::stdin().as_fd().try_clone_to_owned()?;
        // As long as it is open here as well, the end of this process would not be seen.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        // The old process gives up by ending the one between: this one ends with it, until it is ready.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        Ok(Some(Predecessor { channel, pid: peer }))
    }

    /// The other end of a channel, without a process behind it.
    #[cfg(test)]
    pub(super) fn on(channel: OwnedFd) -> Predecessor {
        Predecessor { channel, pid: None }
    }

    /// Takes over what it sends.
    pub(crate) fn receive(&self) -> io::Result<Handed> {
        let mut handed = Handed::default();
        loop {
            let (message, sockets) = receive(&self.channel)?.ok_or(io::ErrorKind::UnexpectedEof)?;
            match message {
                Message::Listener { address, lent } => {
                    match handed.listeners.iter_mut().find(|held| held.address == address) {
                        Some(held) => held.sockets.extend(sockets),
                        None => handed.listeners.push(Held { address, sockets, lent }),
                    }
                }
                Message::Admin => handed.admin = sockets.into_iter().next(),
                Message::End => break,
                Message::Kept(_) | Message::Ready(_) | Message::Unknown => {}
            }
        }
        handed.listeners.retain(|held| !held.sockets.is_empty());
        Ok(handed)
    }

    /// Tells it that clients are served, on these of its addresses: it closes the others.
    pub(crate) fn ready(&self, kept: &[ListenAddress]) -> io::Result<()> {
        for address in kept {
            send(&self.channel, &Message::Kept(address.clone()), &[])?;
        }
        // From here on this process goes on without the one between.
        set_parent_process_death_signal(None)?;
        send(&self.channel, &Message::Ready(Some(std::process::id())), &[])
    }

    /// Whether it is still there.
    pub(crate) fn lives(&self) -> bool {
        self.pid.is_some_and(|pid| test_kill_process(pid).is_ok())
    }
}
