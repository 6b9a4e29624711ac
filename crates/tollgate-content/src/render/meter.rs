//! What a page may use beside the instructions that the library counts.
//!
//! One instruction may look through a list, and a filter through all of the document. So what hands out data charges for
//! it, wherever that is: within filters, comparisons and `in`. A page that used up what it has is unwound with a payload
//! of our own and past the hook for panics, up to [`within`]: operators swallow errors.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use minijinja::value::{Value, ValueKind};

use super::PAGE_BYTES;
use super::values::is_charged;

/// Elements that are looked at; [`BYTES_A_UNIT`] of text are one too, so that a page copies some 64 MiB.
const UNITS: usize = 4_000_000;

/// Bytes that are copied for the price of a unit.
const BYTES_A_UNIT: usize = 16;

/// Bytes of the template that a turn of a loop puts into a value, for the price of a unit: 256 MiB of a page.
const CAPTURED_A_UNIT: usize = 64;

/// Namespaces of a page: each is looked at again with each element.
const NAMESPACES_MAX: usize = 16;

/// Why a page was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    Work,
    Text,
    Late,
    Namespace,
}

impl Stopped {
    pub(super) fn message(self) -> &'static str {
        match self {
            Stopped::Work => "it looks at more data than a page may",
            Stopped::Text => "it makes a text of more than 16 MiB",
            Stopped::Late => "it takes too long",
            Stopped::Namespace => {
                "a namespace holds texts, numbers and what is in the document, 16 MiB in all, and a page has 16"
            }
        }
    }
}

struct Meter {
    units: Cell<usize>,
    /// What a turn of a loop costs beside its element.
    surcharge: Cell<usize>,
    late: RefCell<Option<Box<dyn Fn() -> bool>>>,
    /// What outlives a turn of a loop, and so may grow with each.
    namespaces: RefCell<Vec<Value>>,
}

thread_local! {
    static METER: Meter = const {
        Meter {
            units: Cell::new(usize::MAX),
            surcharge: Cell::new(0),
            late: RefCell::new(None),
            namespaces: RefCell::new(Vec::new()),
        }
    };
}

/// Makes a page within its bounds. `captured` is the text of the template that each turn of a loop may add to a value.
pub(super) fn within<T>(
    captured: usize,
    late: Box<dyn Fn() -> bool>,
    run: impl FnOnce() -> T,
) -> Result<T, Stopped> {
    METER.with(|meter| {
        meter.units.set(UNITS);
        meter.surcharge.set(captured / CAPTURED_A_UNIT);
        meter.late.replace(Some(late));
    });
    let outcome = catch_unwind(AssertUnwindSafe(run));
    let namespaces = METER.with(|meter| {
        meter.units.set(usize::MAX);
        meter.surcharge.set(0);
        meter.late.replace(None);
        meter.namespaces.take()
    });
    drop(namespaces);
    outcome.map_err(|payload| match payload.downcast::<Stopped>() {
        Ok(stopped) => *stopped,
        // A fault of the library is none of the bounds.
        Err(payload) => resume_unwind(payload),
    })
}

/// Work of so many elements.
pub(super) fn spend(units: usize) {
    METER.with(|meter| match meter.units.get().checked_sub(units) {
        Some(left) => meter.units.set(left),
        None => stop(Stopped::Work),
    });
}

/// An element is handed out that may be the next of a loop.
pub(super) fn turn() {
    spend(METER.with(|meter| meter.surcharge.get()));
    step();
}

/// An element is handed out.
pub(super) fn step() {
    look();
    METER.with(|meter| {
        spend(1);
        for namespace in meter.namespaces.borrow().iter() {
            weigh(namespace);
        }
    });
}

/// Looks at the clock. Operators on texts are the library's and charge nothing, so this is what bounds them: it happens with
/// each element and each filter, and between two of those lies what the template itself says in a row.
pub(super) fn look() {
    if METER.with(|meter| meter.late.borrow().as_ref().is_some_and(|late| late())) {
        stop(Stopped::Late);
    }
}

/// A text is handed out, or is about to be made.
pub(super) fn text(bytes: usize) {
    if bytes > PAGE_BYTES {
        stop(Stopped::Text);
    }
    spend(bytes / BYTES_A_UNIT);
}

/// A namespace was made.
pub(super) fn watch(namespace: &Value) {
    METER.with(|meter| {
        let mut namespaces = meter.namespaces.borrow_mut();
        if namespaces.len() == NAMESPACES_MAX {
            stop(Stopped::Namespace);
        }
        namespaces.push(namespace.clone());
    });
}

/// Ends the page.
pub(super) fn stop(why: Stopped) -> ! {
    resume_unwind(Box::new(why))
}

/// What a turn of a loop leaves in a namespace is bounded before the next. Lists of the template's own making could nest
/// until dropping them ends the stack.
fn weigh(namespace: &Value) {
    let mut bytes = 0;
    for name in namespace.try_iter().into_iter().flatten() {
        let value = namespace.get_item(&name).unwrap_or_default();
        spend(1);
        bytes += value.as_str().map_or(0, str::len);
        let is_own = matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable | ValueKind::Map);
        if bytes > PAGE_BYTES || (is_own && !is_charged(&value)) {
            stop(Stopped::Namespace);
        }
    }
}
