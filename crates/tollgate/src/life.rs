//! The life of a running gateway: reloads, the process that comes after it, the drain and the end.

use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tollgate_admin::{Command, Reloads, Server};
use tollgate_proxy::{Control, Gateway};

use crate::handover::{Channel, Failure, Parcel, Program, READY_WITHIN, Successor, hand_over};
use crate::interruption;
use crate::reload::{self, Reads, Request};
use crate::remote;
use crate::signals::{SignalEvent, Signals};
use crate::source::Source;
use crate::systemd::Supervisor;

/// Reload requests that may wait: one is running, one more covers all that come meanwhile.
const RELOADS_WAITING_MAX: usize = 16;

/// Beside the drain itself, the log is written to its end and threads are waited for.
const END_WITHIN: Duration = Duration::from_secs(10);

/// A gateway that serves.
pub(crate) struct Running {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) life: Life,
    pub(crate) config: (Source, Reads),
    // The admin side answers until the data plane is done.
    pub(crate) admin: Server,
    pub(crate) gateway: Gateway,
}

/// What decides how it goes on.
pub(crate) struct Life {
    pub(crate) signals: Signals,
    pub(crate) control: Control,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) reloads: Reloads,
    pub(crate) supervisor: Supervisor,
    pub(crate) program: Option<Program>,
    /// The admin side's, for the process that comes after this one.
    pub(crate) admin_socket: OwnedFd,
}

/// Why a gateway does not go on.
enum Ending {
    /// It ends, within this time where somebody has set one.
    Drain(Option<Duration>),
    /// Another process serves.
    Replaced(Successor),
}

/// A hand-over that is under way.
struct Replacing {
    outcome: JoinHandle<Result<Successor, Failure>>,
    cancel: Box<dyn FnOnce() + Send>,
}

impl Running {
    pub(crate) fn until_the_end(self) -> ExitCode {
        let Running { runtime, mut life, config: (source, reads), admin, gateway } = self;
        let code = runtime.block_on(async {
            let (requests, waiting) = mpsc::channel(RELOADS_WAITING_MAX);
            let tasks = life.attend(source, reads, waiting);
            let ending = life.until_the_ending(&requests).await;
            tasks.into_iter().for_each(|task| task.abort());
            life.end(ending, admin).await
        });
        drop(gateway);
        // The loader of an aborted reload may still be reading; nobody waits for it.
        runtime.shutdown_background();
        code
    }
}

impl Life {
    /// Starts what goes on beside: reloads, with what a configuration from a URL needs.
    fn attend(&self, source: Source, reads: Reads, asked: mpsc::Receiver<Request>) -> Vec<JoinHandle<()>> {
        let mut tasks = Vec::new();
        let (control, reloads) = (self.control.clone(), self.reloads.clone());
        let to_load = match &source {
            Source::File(_) => asked,
            Source::Url(remote) => {
                let (loader, to_load) = mpsc::channel(RELOADS_WAITING_MAX);
                let (remote, control, reloads) = (remote.clone(), control.clone(), reloads.clone());
                tasks.push(tokio::spawn(remote::attend(remote, control, reloads, asked, loader)));
                to_load
            }
        };
        let supervisor = self.supervisor.clone();
        tasks.push(tokio::spawn(reload::run(source, reads, control, reloads, supervisor, to_load)));
        if let Some(every) = self.supervisor.watchdog() {
            // It goes on during the drain: it is aborted by nobody, and ends with the runtime.
            drop(tokio::spawn(watch_over(self.supervisor.clone(), self.control.clone(), every)));
        }
        tasks
    }

    /// Passes reloads on until something ends this process's service.
    async fn until_the_ending(&mut self, requests: &mpsc::Sender<Request>) -> Ending {
        let mut replacing: Option<Replacing> = None;
        let control = self.control.clone();
        let mut notice = std::pin::pin!(interruption::announced(&control));
        let ending = loop {
            let request = tokio::select! {
                event = self.signals.next() => match event {
                    SignalEvent::Reload => None,
                    SignalEvent::Replace => {
                        self.replace(&mut replacing).await;
                        continue;
                    }
                    SignalEvent::End(name) => {
                        tracing::info!("{name}: draining");
                        break Ending::Drain(None);
                    }
                },
                Some(command) = self.commands.recv() => match command {
                    Command::Reload(reply) => Some(reply),
                    Command::Drain => {
                        tracing::info!("asked to drain by the admin side");
                        break Ending::Drain(None);
                    }
                },
                outcome = finished(&mut replacing) => match outcome {
                    Ok(successor) => break Ending::Replaced(successor),
                    Err(failure) => {
                        tracing::error!("not replaced, this process goes on: {failure}");
                        continue;
                    }
                },
                left = &mut notice => break Ending::Drain(left),
            };
            // A full queue means that a reload is about to begin, which serves this request as well.
            let _ = requests.try_send(request);
        };
        call_off(replacing).await.unwrap_or(ending)
    }

    /// Begins to hand everything over to a new process.
    async fn replace(&self, replacing: &mut Option<Replacing>) {
        if replacing.is_some() {
            return tracing::warn!("SIGUSR2: a new process is being started already");
        }
        let Some(program) = self.program.clone() else {
            return tracing::warn!("SIGUSR2: this process cannot be replaced");
        };
        tracing::info!("SIGUSR2: starting the process that takes over");
        match self.pack().await {
            Ok((channel, parcel, cancel)) => {
                let run = move || hand_over(&program, channel, &parcel, READY_WITHIN);
                *replacing = Some(Replacing { outcome: tokio::task::spawn_blocking(run), cancel });
            }
            Err(error) => tracing::error!("not replaced, this process goes on: {error}"),
        }
    }

    async fn pack(&self) -> std::io::Result<(Channel, Parcel, Box<dyn FnOnce() + Send>)> {
        let listeners = self.control.listening().await?;
        let admin = self.admin_socket.try_clone()?;
        let channel = Channel::open()?;
        let cancel = Box::new(channel.canceller()?);
        Ok((channel, Parcel { listeners, admin }, cancel))
    }

    async fn end(mut self, ending: Ending, admin: Server) -> ExitCode {
        // Who still sends a command is told that the gateway is going down.
        drop(self.commands);
        let shutdown = self.control.plan().shutdown;
        let mut admin = Some(admin);
        let mut ends_to_ignore = 0;
        match ending {
            Ending::Drain(left) => {
                let longest = left.unwrap_or(shutdown.delay + shutdown.grace);
                self.supervisor.draining(longest + END_WITHIN);
                match left {
                    Some(left) => self.control.begin_drain_within(left),
                    None => self.control.begin_drain(),
                }
            }
            Ending::Replaced(Successor { pid, kept }) => {
                tracing::info!("handed over to process {pid}: draining");
                self.supervisor.replaced_by(pid);
                // Whoever asks the admin side means the process that serves.
                admin = None;
                self.control.retire(&kept);
                // A supervisor that ends the whole group means the end, not haste.
                ends_to_ignore = 1;
            }
        }
        let code = drained(&mut self.signals, &self.control, ends_to_ignore).await;
        drop(admin);
        code
    }
}

/// What a hand-over came to; pending while there is none.
async fn finished(replacing: &mut Option<Replacing>) -> Result<Successor, Failure> {
    let Some(under_way) = replacing else { return std::future::pending().await };
    let outcome = (&mut under_way.outcome).await;
    *replacing = None;
    outcome.unwrap_or_else(|error| Err(Failure::Channel(std::io::Error::other(error))))
}

/// Ends a hand-over that is under way, because this process is to end. When the new process is ready already, the end is
/// meant for it, too.
async fn call_off(replacing: Option<Replacing>) -> Option<Ending> {
    let Replacing { outcome, cancel } = replacing?;
    cancel();
    let successor = outcome.await.ok()?.ok()?;
    let pid = Pid::from_raw(i32::try_from(successor.pid).ok()?)?;
    if let Err(error) = kill_process(pid, Signal::TERM) {
        tracing::warn!(%error, pid = successor.pid, "the new process cannot be ended");
    }
    Some(Ending::Replaced(successor))
}

/// Tells the supervisor that this process lives, as long as every worker takes orders.
async fn watch_over(supervisor: Supervisor, control: Control, every: Duration) {
    let (pause, patience) = (every / 2, every / 4);
    tokio::time::sleep(pause).await;
    loop {
        // While it drains, workers end one after the other.
        if control.status().draining || control.answers(patience).await {
            supervisor.alive();
            tokio::time::sleep(pause).await;
        } else {
            tracing::error!("a worker does not answer: the supervisor is not told that this process lives");
            tokio::time::sleep(patience / 4).await;
        }
    }
}

async fn drained(signals: &mut Signals, control: &Control, mut ends_to_ignore: usize) -> ExitCode {
    loop {
        tokio::select! {
            drained = control.drained() => {
                match drained.cut {
                    0 => tracing::info!("drained: every request was answered"),
                    cut => tracing::warn!(cut, "drained: `shutdown.grace` was over and requests were cut"),
                }
                return ExitCode::SUCCESS;
            }
            event = signals.next() => match event {
                SignalEvent::Reload => tracing::warn!("SIGHUP: draining, the configuration stays as it is"),
                SignalEvent::Replace => tracing::warn!("SIGUSR2: draining, no process is started"),
                SignalEvent::End(name) if ends_to_ignore == 0 => {
                    tracing::warn!("{name} again: exiting at once");
                    at_once()
                }
                SignalEvent::End(name) => {
                    ends_to_ignore -= 1;
                    tracing::info!("{name}: draining already");
                }
            },
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the second signal asks for exactly that: no drain, no destructors"
)]
fn at_once() -> ! {
    std::process::exit(1)
}
