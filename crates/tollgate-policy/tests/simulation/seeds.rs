//! Which seeds a simulation runs with.

/// Runs with the seeds `0..count`, or with the one of `TOLLGATE_SEED` alone. Whether it was all of them.
pub(crate) fn each(count: u64, mut run: impl FnMut(u64)) -> bool {
    match std::env::var("TOLLGATE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => {
            run(seed);
            false
        }
        None => {
            (0..count).for_each(run);
            true
        }
    }
}
