//! Tells the supervisor how this process is (sd_notify(3)).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Who started this process and wants to know how it is; perhaps nobody.
#[derive(Debug, Clone, Default)]
pub(crate) struct Supervisor {
    line: Option<Arc<Line>>,
    watchdog: Option<Duration>,
}

#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    address: SocketAddr,
    /// Another process speaks now: whatever a clone of the handle says is no longer wanted.
    cut: AtomicBool,
}

impl Supervisor {
    /// The one that the environment names. `handed` says that this process was started by its predecessor: then it is
    /// the watched one, though the environment is that one's.
    pub(crate) fn from_env(handed: bool) -> Supervisor {
        let variable = |name: &str| std::env::var(name).ok();
        let Some(place) = std::env::var_os("NOTIFY_SOCKET").filter(|place| !place.is_empty()) else {
            return Supervisor::default();
        };
        let line = match Line::to(&place) {
            Ok(line) => line,
            Err(error) => {
                tracing::warn!(%error, "NOTIFY_SOCKET cannot be used: the supervisor is told nothing");
                return Supervisor::default();
            }
        };
        let own = std::process::id().to_string();
        let meant = handed || variable("WATCHDOG_PID").is_none_or(|pid| pid == own);
        let watchdog = variable("WATCHDOG_USEC").and_then(|time| time.parse().ok()).filter(|_| meant);
        let watchdog = watchdog.map(Duration::from_micros).filter(|time| !time.is_zero());
        Supervisor { line: Some(Arc::new(line)), watchdog }
    }

    /// Clients are served.
    pub(crate) fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={status}"));
    }

    /// A reload begins; [`Supervisor::ready`] says that it is over.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}\nSTATUS=reloading"));
    }

    /// The drain begins, and takes so long at most.
    pub(crate) fn draining(&self, longest: Duration) {
        let microseconds = longest.as_micros();
        self.say(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={microseconds}\nSTATUS=draining"));
    }

    /// Another process, which serves, is the one to watch from now on. This one has nothing more to say.
    pub(crate) fn replaced_by(&self, pid: u32) {
        self.say(&format!("MAINPID={pid}\nSTATUS=serving; configuration 1"));
        if let Some(line) = &self.line {
            line.cut.store(true, Relaxed);
        }
    }

    /// How often the supervisor wants to hear that this process lives; none: it does not ask.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// This process lives.
    pub(crate) fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    fn say(&self, text: &str) {
        let Some(line) = self.line.as_ref().filter(|line| !line.cut.load(Relaxed)) else { return };
        if let Err(error) = line.socket.send_to_addr(text.as_bytes(), &line.address) {
            // A supervisor that is restarted itself comes back at the same place.
            tracing::debug!(%error, "the supervisor was not told");
        }
    }
}

impl Line {
    fn to(place: &OsStr) -> io::Result<Line> {
        let address = match place.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(place)?,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is neither a path nor `@name`")),
        };
        let socket = UnixDatagram::unbound()?;
        // A supervisor that does not listen must not hold up the gateway.
        socket.set_nonblocking(true)?;
        Ok(Line { socket, address, cut: AtomicBool::new(false) })
    }
}
