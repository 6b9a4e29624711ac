//! The signals that mean something to a gateway.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal means.
pub(crate) enum SignalEvent {
    Reload,
    Replace,
    /// With the signal's name.
    End(&'static str),
}

/// Those that are listened to.
pub(crate) struct Signals {
    hangup: Signal,
    user2: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Listens from here on: none of them ends the process by itself any more.
    pub(crate) fn install() -> std::io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            user2: signal(SignalKind::user_defined2())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    pub(crate) async fn next(&mut self) -> SignalEvent {
        tokio::select! {
            _ = self.hangup.recv() => SignalEvent::Reload,
            _ = self.user2.recv() => SignalEvent::Replace,
            _ = self.terminate.recv() => SignalEvent::End("SIGTERM"),
            _ = self.interrupt.recv() => SignalEvent::End("SIGINT"),
        }
    }
}
