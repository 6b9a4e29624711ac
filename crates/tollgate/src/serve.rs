//! The start of a gateway: load, bind or take over, serve. What comes then is in `life.rs`.

use std::net::TcpListener;
use std::process::ExitCode;
use std::time::SystemTime;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::sync::mpsc;
use tollgate_admin::{Admin, COMMANDS_WAITING_MAX, Reloads, Server};
use tollgate_config::Loaded;
use tollgate_plan::Plan;
use tollgate_plan::listener::ListenAddress;
use tollgate_proxy::Gateway;

use crate::commands::version::BUILD;
use crate::handover::{Handed, Predecessor, Program};
use crate::life::{Life, Running};
use crate::reload::{self, Reads, Recording};
use crate::signals::Signals;
use crate::source::Source;
use crate::systemd::{self, Supervisor};
use crate::{config_file, output, startup_pages};

/// Serves the configuration of `source` until a signal ends it. `program` is what takes over when it is asked to be
/// replaced; none: it cannot be. `started` is called when clients are accepted.
pub(crate) fn serve(source: Source, program: Option<Program>, started: impl FnOnce(&Plan)) -> ExitCode {
    match start(source, program) {
        Ok(running) => {
            started(&running.life.control.plan());
            startup_pages::give_back();
            running.until_the_end()
        }
        Err(Refused) => ExitCode::FAILURE,
    }
}

/// The gateway did not start; why is already on standard error.
struct Refused;

fn start(source: Source, program: Option<Program>) -> Result<Running, Refused> {
    // Before there are threads: both look at the environment.
    let passed = systemd::passed();
    let predecessor = Predecessor::find().map_err(fatal)?;
    let supervisor = Supervisor::from_env(predecessor.is_some());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(fatal)?;
    // Before anything else: from here on SIGHUP no longer ends the process.
    let signals = {
        let _inside = runtime.enter();
        Signals::install().map_err(fatal)?
    };
    let (loaded, reads) = load(&source)?;
    let plan = loaded.plan;
    raise_descriptor_limit(&plan);
    let handed = match &predecessor {
        Some(predecessor) => predecessor.receive().map_err(|error| {
            fatal(format!("the process that this one replaces cannot be understood: {error}"))
        })?,
        None => {
            let (listeners, admin) = systemd::assign(passed, &plan);
            Handed { listeners, admin }
        }
    };
    let listeners = plan.listeners.clone();
    let kept: Vec<ListenAddress> = handed
        .listeners
        .iter()
        .map(|held| &held.address)
        .filter(|address| listeners.iter().any(|listener| listener.address == **address))
        .cloned()
        .collect();
    let admin_listener = admin_listener(&plan, handed.admin)?;
    let admin_socket = admin_listener.try_clone().map_err(fatal)?.into();
    let gateway = Gateway::start_on(plan, handed.listeners).map_err(fatal)?;
    let control = gateway.control();
    let reloads = Reloads::started(SystemTime::now());
    reloads.running().applied(control.status().generation, loaded.sources);
    let (sender, commands) = mpsc::channel(COMMANDS_WAITING_MAX);
    let (shown, asked) = (control.clone(), reloads.clone());
    let admin = Admin { control: shown, commands: sender, reloads: asked, build: BUILD, file: source.file() };
    let admin = Server::start(admin_listener, admin).map_err(fatal)?;
    for listener in &listeners {
        tracing::info!("listening on {}", listener.name);
    }
    tracing::info!("admin on http://{}", admin.address());
    source.applied();
    let (version, commit, process) = (BUILD.version, BUILD.commit, std::process::id());
    tracing::info!(version, commit, process, config = %source, "tollgate is ready");
    match predecessor {
        // The supervisor listens to the old process until that one names this one.
        Some(predecessor) => {
            if let Err(error) = predecessor.ready(&kept) {
                // One that died must not take this process along.
                if predecessor.lives() {
                    return Err(fatal("the process that this one replaces has given it up"));
                }
                tracing::warn!(%error, "the process that this one replaces cannot be told");
            }
        }
        None => supervisor.ready("serving; configuration 1"),
    }
    let life = Life { signals, control, commands, reloads, supervisor, program, admin_socket };
    Ok(Running { runtime, life, config: (source, reads), admin, gateway })
}

fn load(source: &Source) -> Result<(Loaded, Reads), Refused> {
    let sources = Recording::of(source);
    match tollgate_config::load(source.path(), &sources) {
        Ok(loaded) => {
            config_file::show(&loaded.warnings, &loaded.sources);
            let failed = reload::failures(&loaded);
            if failed.is_empty() {
                return Ok((loaded, sources.into_reads()));
            }
            reload::tell(&failed);
            Err(fatal(format!(
                "the configuration is refused: {} failed",
                config_file::count(failed.len(), "test")
            )))
        }
        Err(failed) => {
            config_file::show_failed(&failed);
            Err(Refused)
        }
    }
}

/// The admin side's listening socket: one that was handed over for the same address, or a new one.
fn admin_listener(plan: &Plan, handed: Option<std::os::fd::OwnedFd>) -> Result<TcpListener, Refused> {
    let address = plan.admin.address;
    if let Some(listener) = handed.and_then(|socket| systemd::admin_listener(socket, address)) {
        return Ok(listener);
    }
    tollgate_admin::bind(address)
        .map_err(|error| fatal(format!("cannot listen on {address} (admin): {error}")))
}

fn fatal(error: impl std::fmt::Display) -> Refused {
    output::error(error);
    Refused
}

/// Lets the process open as many files as it may.
pub(crate) fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "the limit on open files cannot be raised");
        }
    }
}

/// A connection is a descriptor, and many systems begin with 1,024 of them.
fn raise_descriptor_limit(plan: &Plan) {
    raise_open_files();
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    if limit < plan.limits.connections as u64 {
        tracing::warn!(
            open_files = limit,
            "`limits.connections` is {}, but so many files cannot be open: raise `ulimit -n` or lower it",
            plan.limits.connections
        );
    }
}
