//! What a reload changed, for the log: a line of counts, and what is less protected than before.

use std::sync::Arc;

use tollgate_admin::Reloads;
use tollgate_config::SourceMap;
use tollgate_config::difference::compare;
use tollgate_plan::Plan;
use tollgate_proxy::Control;

/// Weaknesses that are told one by one; the others are in `tollgate diff`.
const WEAKER_MAX: usize = 10;

/// A configuration that runs, or ran.
pub(super) struct Runs {
    sources: Arc<SourceMap>,
    plan: Arc<Plan>,
}

impl Runs {
    pub(super) fn now(control: &Control, reloads: &Reloads) -> Runs {
        Runs { sources: reloads.running().current().1, plan: control.plan() }
    }
}

/// Tells the difference. It is asked for after the new configuration serves: nobody waits for it but the next reload.
pub(super) async fn tell(old: Runs, new: Runs) {
    let compared = tokio::task::spawn_blocking(move || {
        let found = compare((&old.sources, &old.plan), (&new.sources, &new.plan));
        (found.summary(), found.weaker)
    });
    let Ok((summary, weaker)) = compared.await else {
        return tracing::error!("the difference to the configuration before could not be told");
    };
    tracing::info!("what the reload changed: {summary}");
    for weak in weaker.iter().take(WEAKER_MAX) {
        tracing::warn!("less protected than before: {weak}");
    }
    if let Some(more) = weaker.len().checked_sub(WEAKER_MAX).filter(|more| *more > 0) {
        tracing::warn!("less protected than before: {more} more; see `tollgate diff`");
    }
}
