//! Stage 6: who calls, and whether they may.

use crate::exchange::{Exchange, Reject};

/// Finds the caller's credential, checks it, and checks what the route requires of it.
pub(crate) async fn identify(_exchange: &mut Exchange<'_>) -> Result<(), Reject> {
    Ok(())
}
