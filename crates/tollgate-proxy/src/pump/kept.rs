//! The payload of a request's body that already went out, kept for the case that it has to go out again.

use std::cell::Cell;
use std::rc::Rc;

/// So much of one body is kept. A longer one cannot be sent again once more than this of it was sent.
pub(crate) const KEPT_BYTES_MAX: usize = 64 * 1024;

/// So much is kept of one that is sent again only because of the connection that it was sent on.
pub(crate) const KEPT_SMALL_BYTES_MAX: usize = 16 * 1024;

/// So much a worker keeps of all bodies together: bodies that come in slowly must not add up.
const WORKER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What went out of one body.
pub(super) struct Kept {
    bytes: Vec<u8>,
    max: usize,
    /// Counted in the worker's sum.
    counted: usize,
    sum: Rc<Cell<usize>>,
}

impl Kept {
    /// Nothing yet; `sum` is what the worker keeps of all bodies.
    pub(super) fn new(sum: &Rc<Cell<usize>>) -> Kept {
        Kept::up_to(KEPT_BYTES_MAX, sum)
    }

    /// The same of a body that is kept only while it is small.
    pub(super) fn small(sum: &Rc<Cell<usize>>) -> Kept {
        Kept::up_to(KEPT_SMALL_BYTES_MAX, sum)
    }

    fn up_to(max: usize, sum: &Rc<Cell<usize>>) -> Kept {
        Kept { bytes: Vec::new(), max, counted: 0, sum: sum.clone() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds what went out; false when that is too much, and what is here is of no use any more.
    pub(super) fn push(&mut self, more: &[u8]) -> bool {
        if self.bytes.len() + more.len() > self.max || self.sum.get() + more.len() > WORKER_BYTES_MAX {
            return false;
        }
        self.bytes.extend_from_slice(more);
        let grown = self.bytes.capacity() - self.counted;
        self.counted += grown;
        self.sum.set(self.sum.get() + grown);
        true
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.sum.set(self.sum.get().saturating_sub(self.counted));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_body_and_all_together_are_bounded_and_given_back() {
        let sum = Rc::new(Cell::new(0));
        let mut one = Kept::new(&sum);
        assert!(one.push(&[1; 40 * 1024]) && !one.push(&[2; 25 * 1024]), "a long body");
        assert_eq!(one.bytes(), [1; 40 * 1024]);
        let mut many: Vec<Kept> = std::iter::repeat_with(|| Kept::new(&sum)).take(300).collect();
        let fit = many.iter_mut().filter_map(|kept| kept.push(&[0; 40 * 1024]).then_some(())).count();
        assert_eq!(fit, 203, "with the first one that is all that a worker keeps");
        assert!(sum.get() <= WORKER_BYTES_MAX);
        drop((one, many));
        assert_eq!(sum.get(), 0);
    }
}
