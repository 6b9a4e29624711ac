//! The old process's side: starts the new one, gives it the sockets, and waits until it is ready.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, socketpair};
use tollgate_plan::listener::ListenAddress;
use tollgate_proxy::Held;

use super::message::{Message, SOCKETS_MAX, receive, send};
use super::{VARIABLE, between};

/// A new process has so long to load its configuration and to serve.
pub(crate) const READY_WITHIN: Duration = Duration::from_secs(30);

/// How this process was started, which is how the next one is.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    /// As it was called: a link that points to another version by now is followed anew.
    name: OsString,
    /// The file that runs, for a name under which nothing is found.
    file: Option<PathBuf>,
    arguments: Vec<OsString>,
}

impl Program {
    /// This process's own; to be asked when it starts, since the file may be replaced later.
    pub(crate) fn this() -> Program {
        let mut arguments = std::env::args_os();
        let name = arguments.next().unwrap_or_default();
        Program { name, file: std::env::current_exe().ok(), arguments: arguments.collect() }
    }

    #[cfg(test)]
    pub(super) fn named(name: &str, arguments: &[&str]) -> Program {
        Program { name: name.into(), file: None, arguments: arguments.iter().map(Into::into).collect() }
    }

    fn start(&self, channel: &OwnedFd) -> io::Result<Child> {
        self.spawn(|command| {
            command.stdin(Stdio::from(channel.try_clone()?));
            let own = std::process::id().to_string();
            command.env(VARIABLE, &own).env(between::VARIABLE, &own);
            // They say which process is meant, and it is not that one.
            for name in ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"] {
                command.env_remove(name);
            }
            Ok(())
        })
    }

    /// Starts it with its own arguments, prepared by `prepare`.
    pub(super) fn spawn(&self, prepare: impl Fn(&mut Command) -> io::Result<()>) -> io::Result<Child> {
        let mut failed = io::ErrorKind::NotFound.into();
        for file in
            [Some(self.name.as_os_str()), self.file.as_deref().map(Path::as_os_str)].into_iter().flatten()
        {
            let mut command = Command::new(file);
            command.args(&self.arguments);
            prepare(&mut command)?;
            match command.spawn() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => failed = error,
                started => return started,
            }
        }
        Err(failed)
    }
}

/// What is handed over.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) listeners: Vec<Held>,
    pub(crate) admin: OwnedFd,
}

/// The process that serves from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Successor {
    pub(crate) pid: u32,
    /// What it accepts on; the rest is to be closed here.
    pub(crate) kept: Vec<ListenAddress>,
}

/// Why nobody took over. The new process is gone.
#[derive(Debug)]
pub(crate) enum Failure {
    Start(io::Error),
    /// It ended before it was ready.
    Ended(Option<ExitStatus>),
    Late(Duration),
    Channel(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Start(error) => write!(f, "the new process cannot be started: {error}"),
            Failure::Ended(Some(status)) => write!(f, "the new process ended before it was ready: {status}"),
            Failure::Ended(None) => f.write_str("the new process ended before it was ready"),
            Failure::Late(within) => {
                write!(f, "the new process was not ready within {} s and was ended", within.as_secs())
            }
            Failure::Channel(error) => write!(f, "the new process cannot be talked to: {error}"),
        }
    }
}

/// The two ends over which the processes talk.
pub(crate) struct Channel {
    ours: OwnedFd,
    theirs: OwnedFd,
}

impl Channel {
    pub(crate) fn open() -> io::Result<Channel> {
        // Packets: descriptors stay with the message that they were sent with.
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok(Channel { ours, theirs })
    }

    /// A function that ends the hand-over early, from another thread.
    pub(crate) fn canceller(&self) -> io::Result<impl FnOnce() + Send + use<>> {
        let ours = self.ours.try_clone()?;
        // One that is over cannot be ended, and need not be.
        Ok(move || {
            let _ = rustix::net::shutdown(&ours, Shutdown::Both);
        })
    }

    #[cfg(test)]
    pub(super) fn into_ends(self) -> (OwnedFd, OwnedFd) {
        (self.ours, self.theirs)
    }
}

/// Starts `program` and hands `parcel` over to it. Blocks until it is ready, or gone again.
pub(crate) fn hand_over(
    program: &Program,
    channel: Channel,
    parcel: &Parcel,
    within: Duration,
) -> Result<Successor, Failure> {
    let Channel { ours, theirs } = channel;
    let mut child = program.start(&theirs).map_err(Failure::Start)?;
    // From here on its end is seen.
    drop(theirs);
    match converse(&ours, parcel, within) {
        Ok((kept, pid)) => {
            let pid = pid.unwrap_or_else(|| child.id());
            if pid != child.id() {
                // The one between: when it is gone, the new process is the supervisor's.
                let _ = child.kill();
                let _ = child.wait();
            }
            Ok(Successor { pid, kept })
        }
        Err(failure) => {
            // It may have ended by itself, and then how it did is the better answer.
            let ended = match &failure {
                Failure::Ended(_) => patient_end(&mut child),
                Failure::Start(_) | Failure::Late(_) | Failure::Channel(_) => None,
            };
            let _ = child.kill();
            let _ = child.wait();
            Err(ended.map_or(failure, |status| Failure::Ended(Some(status))))
        }
    }
}

/// A process closes its descriptors a moment before its end can be asked about.
fn patient_end(child: &mut Child) -> Option<ExitStatus> {
    let until = Instant::now() + Duration::from_secs(1);
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < until => std::thread::park_timeout(Duration::from_millis(5)),
            ended => return ended.ok().flatten(),
        }
    }
}

/// Sends everything, and waits for the answer: the addresses that were kept, and who answers where it says so.
pub(super) fn converse(
    channel: &OwnedFd,
    parcel: &Parcel,
    within: Duration,
) -> Result<(Vec<ListenAddress>, Option<u32>), Failure> {
    let until = Instant::now() + within;
    give(channel, parcel, within).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Failure::Late(within),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Failure::Ended(None),
        _ => Failure::Channel(error),
    })?;
    let mut kept = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::Late(within));
        }
        sockopt::set_socket_timeout(channel, Timeout::Recv, Some(left))
            .map_err(|e| Failure::Channel(e.into()))?;
        match receive(channel) {
            Ok(Some((Message::Ready(pid), _))) => return Ok((kept, pid)),
            Ok(Some((Message::Kept(address), _))) => kept.push(address),
            Ok(Some(_)) => {}
            Ok(None) => return Err(Failure::Ended(None)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(Failure::Late(within)),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Err(Failure::Ended(None)),
            Err(error) => return Err(Failure::Channel(error)),
        }
    }
}

fn give(channel: &OwnedFd, parcel: &Parcel, within: Duration) -> io::Result<()> {
    sockopt::set_socket_timeout(channel, Timeout::Send, Some(within))?;
    for Held { address, sockets, lent } in &parcel.listeners {
        for sockets in sockets.chunks(SOCKETS_MAX) {
            let sockets: Vec<_> = sockets.iter().map(AsFd::as_fd).collect();
            send(channel, &Message::Listener { address: address.clone(), lent: *lent }, &sockets)?;
        }
    }
    send(channel, &Message::Admin, &[parcel.admin.as_fd()])?;
    send(channel, &Message::End, &[])
}
