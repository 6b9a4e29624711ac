//! What a run may use.
//!
//! There is no way to tell the interpreter to stop: many of its loops look at no error. So a run that used up what it
//! has is unwound from wherever it is, with a payload of our own and past the hook for panics, up to [`within`].
//! Nothing outlives the run but its outcome.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::JqFailed;

/// What a run may use.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Steps; [`BYTES_A_STEP`] that are written are one too.
    pub(super) units: usize,
    /// Of one value, in bytes of its text.
    pub(super) weight: usize,
}

/// Bytes that are copied for the price of a step.
const BYTES_A_STEP: usize = 16;

/// Stack that a run may use. Threads here have 2 MiB; what is dropped nests like what ran.
const STACK_BYTES: usize = 512 << 10;

/// Lists and objects in each other. Documents have at most 128.
const DEPTH_MAX: u16 = 192;

struct Meter {
    units: Cell<usize>,
    weight: Cell<usize>,
    /// An address in the frame where the run began.
    stack: Cell<usize>,
}

thread_local! {
    static METER: Meter = const {
        Meter { units: Cell::new(usize::MAX), weight: Cell::new(usize::MAX), stack: Cell::new(0) }
    };
}

/// Runs within bounds. An error says which one it passed.
pub(super) fn within<T>(bounds: Bounds, run: impl FnOnce() -> T) -> Result<T, JqFailed> {
    METER.with(|meter| {
        meter.units.set(bounds.units);
        meter.weight.set(bounds.weight);
        meter.stack.set(address());
    });
    let outcome = catch_unwind(AssertUnwindSafe(run));
    METER.with(|meter| {
        meter.units.set(usize::MAX);
        meter.weight.set(usize::MAX);
    });
    outcome.map_err(|payload| match payload.downcast::<JqFailed>() {
        Ok(stopped) => *stopped,
        // A fault of the interpreter is none of the bounds.
        Err(payload) => resume_unwind(payload),
    })
}

/// One step of the interpreter.
pub(super) fn step() {
    METER.with(|meter| {
        if meter.stack.get().abs_diff(address()) > STACK_BYTES {
            stop(JqFailed::Deep);
        }
    });
    spend(1);
}

/// Work that was done beside the interpreter's steps.
pub(super) fn spend(units: usize) {
    METER.with(|meter| match meter.units.get().checked_sub(units) {
        Some(left) => meter.units.set(left),
        None => stop(JqFailed::Steps),
    });
}

/// Bytes that are copied.
pub(super) fn copy(bytes: usize) {
    spend(1 + bytes / BYTES_A_STEP);
}

/// A value of this weight and depth is about to be there.
pub(super) fn fits(weight: usize, depth: u16) {
    if depth > DEPTH_MAX {
        stop(JqFailed::Deep);
    }
    METER.with(|meter| {
        if weight > meter.weight.get() {
            stop(JqFailed::Large);
        }
    });
}

/// Ends the run.
pub(super) fn stop(why: JqFailed) -> ! {
    resume_unwind(Box::new(why))
}

/// Where the stack is.
fn address() -> usize {
    let here = 0u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}
