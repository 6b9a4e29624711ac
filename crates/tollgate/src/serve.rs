//! The life of a running gateway: load, bind, serve, reload, drain.

use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tollgate_admin::{Admin, COMMANDS_WAITING_MAX, Command, Reloads, Server};
use tollgate_config::Loaded;
use tollgate_plan::Plan;
use tollgate_proxy::{Control, Gateway};

use crate::commands::version::BUILD;
use crate::reload::{self, Reads, Recording, Request};
use crate::{config_file, output};

/// Reload requests that may wait: one is running, one more covers all that come meanwhile.
const RELOADS_WAITING_MAX: usize = 16;

/// Serves the configuration at `path` until a signal ends it. `started` is called when clients are accepted.
pub(crate) fn serve(path: &Path, started: impl FnOnce(&Plan)) -> ExitCode {
    match start(path) {
        Ok(running) => {
            started(&running.control.plan());
            running.until_the_end()
        }
        Err(Refused) => ExitCode::FAILURE,
    }
}

/// The gateway did not start; why is already on standard error.
struct Refused;

struct Running {
    runtime: tokio::runtime::Runtime,
    signals: Signals,
    control: Control,
    reloads: Reloads,
    commands: mpsc::Receiver<Command>,
    config: (std::path::PathBuf, Reads),
    // Fields are dropped in order: the admin side answers until the data plane is done.
    admin: Server,
    gateway: Gateway,
}

fn start(path: &Path) -> Result<Running, Refused> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fatal)?;
    // Before anything else: from here on SIGHUP no longer ends the process.
    let signals = {
        let _inside = runtime.enter();
        Signals::install().map_err(fatal)?
    };
    let (loaded, reads) = load(path)?;
    let plan = loaded.plan;
    raise_descriptor_limit(&plan);
    let (listeners, admin_address) = (plan.listeners.clone(), plan.admin.address);
    let admin_listener = tollgate_admin::bind(admin_address)
        .map_err(|error| fatal(format!("cannot listen on {admin_address} (admin): {error}")))?;
    let gateway = Gateway::start(plan).map_err(fatal)?;
    let control = gateway.control();
    let reloads = Reloads::started(SystemTime::now());
    let (sender, commands) = mpsc::channel(COMMANDS_WAITING_MAX);
    let admin = Admin { control: control.clone(), commands: sender, reloads: reloads.clone(), build: BUILD };
    let admin = Server::start(admin_listener, admin).map_err(fatal)?;
    for listener in &listeners {
        tracing::info!("listening on {}", listener.name);
    }
    tracing::info!("admin on http://{}", admin.address());
    tracing::info!(version = BUILD.version, commit = BUILD.commit, config = %path.display(), "tollgate is ready");
    let config = (path.to_owned(), reads);
    Ok(Running { runtime, signals, control, reloads, commands, config, admin, gateway })
}

fn load(path: &Path) -> Result<(Loaded, Reads), Refused> {
    let sources = Recording::default();
    let result = tollgate_config::load(path, &sources);
    match result {
        Ok(loaded) => {
            config_file::show(&loaded.warnings, &loaded.sources);
            Ok((loaded, sources.into_reads()))
        }
        Err(failed) => {
            config_file::show_failed(&failed);
            Err(Refused)
        }
    }
}

fn fatal(error: impl std::fmt::Display) -> Refused {
    output::error(error);
    Refused
}

impl Running {
    fn until_the_end(self) -> ExitCode {
        let Running { runtime, mut signals, control, reloads, mut commands, config, admin, gateway } = self;
        let code = runtime.block_on(async {
            let (requests, waiting) = mpsc::channel(RELOADS_WAITING_MAX);
            let (path, reads) = config;
            let reloader = tokio::spawn(reload::run(path, reads, control.clone(), reloads, waiting));
            until_drain(&mut signals, &mut commands, &requests).await;
            reloader.abort();
            // Who still sends a command is told that the gateway is going down.
            drop(commands);
            drain(&mut signals, &control).await
        });
        drop(admin);
        drop(gateway);
        // The loader of an aborted reload may still be reading; nobody waits for it.
        runtime.shutdown_background();
        code
    }
}

/// Passes reloads on until something asks for the drain.
async fn until_drain(
    signals: &mut Signals,
    commands: &mut mpsc::Receiver<Command>,
    requests: &mpsc::Sender<Request>,
) {
    loop {
        let request = tokio::select! {
            event = signals.next() => match event {
                SignalEvent::Reload => None,
                SignalEvent::End(name) => {
                    tracing::info!("{name}: draining");
                    return;
                }
            },
            Some(command) = commands.recv() => match command {
                Command::Reload(reply) => Some(reply),
                Command::Drain => {
                    tracing::info!("asked to drain by the admin side");
                    return;
                }
            },
        };
        // A full queue means that a reload is about to begin, which serves this request as well.
        let _ = requests.try_send(request);
    }
}

async fn drain(signals: &mut Signals, control: &Control) -> ExitCode {
    control.begin_drain();
    tokio::select! {
        drained = control.drained() => {
            match drained.cut {
                0 => tracing::info!("drained: every request was answered"),
                cut => tracing::warn!(cut, "drained: `shutdown.grace` was over and requests were cut"),
            }
            ExitCode::SUCCESS
        }
        name = signals.end() => {
            tracing::warn!("{name} again: exiting at once");
            at_once()
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

/// What a signal means.
enum SignalEvent {
    Reload,
    /// With the signal's name.
    End(&'static str),
}

/// The signals that mean something.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> std::io::Result<Signals> {
        Ok(Signals {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> SignalEvent {
        tokio::select! {
            _ = self.hangup.recv() => SignalEvent::Reload,
            _ = self.terminate.recv() => SignalEvent::End("SIGTERM"),
            _ = self.interrupt.recv() => SignalEvent::End("SIGINT"),
        }
    }

    /// The next signal that ends the process; others mean nothing any more.
    async fn end(&mut self) -> &'static str {
        loop {
            if let SignalEvent::End(name) = self.next().await {
                return name;
            }
        }
    }
}

/// A connection is a descriptor, and many systems begin with 1,024 of them.
fn raise_descriptor_limit(plan: &Plan) {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit on open files cannot be raised");
        }
    }
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if limit < plan.limits.connections as u64 {
        tracing::warn!(
            open_files = limit,
            "`limits.connections` is {}, but so many files cannot be open: raise `ulimit -n` or lower it",
            plan.limits.connections
        );
    }
}
