//! Asks for the configuration again and again, and whenever somebody asks for a reload.

use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tollgate_admin::{Reloaded, Reloads};
use tollgate_proxy::Control;

use super::{Fetched, NoText, Remote};
use crate::config_file;
use crate::reload::Request;

/// Passes requests for a reload on to `loader` when there is something new to load, or when somebody asked.
pub(crate) async fn attend(
    remote: Remote,
    control: Control,
    reloads: Reloads,
    mut asked: mpsc::Receiver<Request>,
    loader: mpsc::Sender<Request>,
) {
    let mut failing: Option<NoText> = None;
    loop {
        let request = tokio::select! {
            request = asked.recv() => match request {
                Some(request) => Some(request),
                None => return,
            },
            () = tokio::time::sleep(spread(control.plan().reload_every)) => None,
        };
        let outcome = remote.fetch().await;
        let failed = outcome.as_ref().err().cloned();
        if failed.is_none() {
            reloads.source_gives();
        }
        match (outcome, request) {
            (Ok(Fetched::Same), None) => {}
            (Ok(_), request) => {
                if loader.send(request.flatten()).await.is_err() {
                    return;
                }
            }
            (Err(why), Some(request)) => {
                tracing::error!("not reloaded: {}: {why}", remote.shown());
                let refused = fails(&why, &remote, &control, &reloads);
                // Who asked may have gone.
                let _ = request.map(|request| request.send(refused));
            }
            // Each reason is said and counted once; that it is over, too.
            (Err(_), None) if failing == failed => {}
            (Err(why), None) => {
                tracing::warn!("{}: {why}; the configuration that is there goes on", remote.shown());
                fails(&why, &remote, &control, &reloads);
            }
        }
        if failing.is_some() && failed.is_none() {
            tracing::info!("{}: answers again", remote.shown());
        }
        failing = failed;
    }
}

/// Accounts for a source without a configuration, as for a file that is empty or gone.
fn fails(why: &NoText, remote: &Remote, control: &Control, reloads: &Reloads) -> Reloaded {
    let errors = vec![config_file::fault(why.code, &format!("{}: {why}", remote.shown()))];
    reloads.source_fails(SystemTime::now(), errors.clone());
    let generation = control.status().generation;
    Reloaded { ok: false, generation, needs_restart: Vec::new(), diagnostics: errors }
}

/// Up to a tenth earlier or later: gateways that started together do not ask together.
fn spread(every: Duration) -> Duration {
    let mut byte = [128];
    // Without randomness the time is only less spread.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    every.mul_f64(0.9 + f64::from(byte[0]) / 1275.0)
}
