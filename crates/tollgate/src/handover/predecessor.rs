//! The new process's side: sockets come from the old one, and it is told when they are served.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use tollgate_plan::listener::ListenAddress;
use tollgate_proxy::Held;

use super::VARIABLE;
use super::message::{Message, receive, send};

/// The process that this one takes over from.
pub(crate) struct Predecessor {
    channel: OwnedFd,
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
        let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
        if parent.is_none() || std::env::var(VARIABLE).ok() != parent {
            return Ok(None);
        }
        let channel = io::stdin().as_fd().try_clone_to_owned()?;
        // As long as it is open here as well, the end of this process would not be seen.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Ok(Some(Predecessor { channel }))
    }

    /// The other end of a channel, without a process behind it.
    #[cfg(test)]
    pub(super) fn on(channel: OwnedFd) -> Predecessor {
        Predecessor { channel }
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
                Message::Kept(_) | Message::Ready | Message::Unknown => {}
            }
        }
        handed.listeners.retain(|held| !held.sockets.is_empty());
        Ok(handed)
    }

    /// Tells it that clients are served, on these of its addresses: it closes the others.
    pub(crate) fn ready(self, kept: &[ListenAddress]) -> io::Result<()> {
        for address in kept {
            send(&self.channel, &Message::Kept(address.clone()), &[])?;
        }
        send(&self.channel, &Message::Ready, &[])
    }
}
