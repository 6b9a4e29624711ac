//! Asks for the configuration again and again, and whenever somebody asks for a reload.

use std::time::Duration;

use tokio::sync::mpsc;
use tollgate_admin::Reloads;
use tollgate_proxy::Control;

use super::{Fetched, Remote};
use crate::config_file;
use crate::reload::{Request, reject};

/// Passes requests for a reload on to `loader` when there is something new to load, or when somebody asked.
pub(crate) async fn attend(
    remote: Remote,
    control: Control,
    reloads: Reloads,
    mut asked: mpsc::Receiver<Request>,
    loader: mpsc::Sender<Request>,
) {
    let mut failing: Option<String> = None;
    loop {
        let request = tokio::select! {
            request = asked.recv() => match request {
                Some(request) => Some(request),
                None => return,
            },
            () = tokio::time::sleep(spread(control.plan().reload_every)) => None,
        };
        let outcome = remote.fetch().await;
        let failed = outcome.as_ref().err().map(ToString::to_string);
        match (outcome, request) {
            (Ok(Fetched::Same), None) => {}
            (Ok(_), request) => {
                if loader.send(request.flatten()).await.is_err() {
                    return;
                }
            }
            (Err(why), Some(request)) => {
                let message = format!("{}: {why}", remote.shown());
                tracing::error!("not reloaded: {message}");
                let fault = config_file::fault("unreachable", &message);
                let refused = reject(vec![fault], &control, &reloads);
                // Who asked may have gone.
                let _ = request.map(|request| request.send(refused));
            }
            // Each reason is said once; that it is over, too.
            (Err(_), None) if failing == failed => {}
            (Err(why), None) => {
                tracing::warn!("{}: {why}; the configuration that is there goes on", remote.shown());
            }
        }
        if failing.is_some() && failed.is_none() {
            tracing::info!("{}: answers again", remote.shown());
        }
        failing = failed;
    }
}

/// Up to a tenth earlier or later: gateways that started together do not ask together.
fn spread(every: Duration) -> Duration {
    let mut byte = [128];
    // Without randomness the time is only less spread.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    every.mul_f64(0.9 + f64::from(byte[0]) / 1275.0)
}
