//! API keys: the configuration knows their hashes only.

use aws_lc_rs::{constant_time, digest};
use tollgate_plan::Reason;
use tollgate_plan::consumer::ConsumerId;

use super::Refused;
use crate::exchange::Exchange;

/// Whose key it is.
pub(super) fn check(exchange: &Exchange<'_>, key: &[u8]) -> Result<ConsumerId, Refused> {
    let hash = digest::digest(&digest::SHA256, key);
    let keys = &exchange.active.plan.consumers.by_key;
    // Finding it takes a different time for different hashes, which tells nothing: nobody can choose a key whose
    // hash begins in a certain way and learn the rest. What was found is compared all the same.
    let found = <[u8; 32]>::try_from(hash.as_ref()).ok().and_then(|hash| keys.get_key_value(&hash));
    match found {
        Some((known, id)) if constant_time::verify_slices_are_equal(known, hash.as_ref()).is_ok() => Ok(*id),
        _ => Err(Refused::new(Reason::KeyUnknown, "nobody has this API key")),
    }
}
