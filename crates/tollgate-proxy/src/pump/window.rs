//! How much of a body is read at once.
//!
//! A long body to a fast receiver is cheapest in large pieces. What a slow receiver does not take has to be kept,
//! so for it the pieces are small: thousands of slow receivers must not hold a large piece each.

use crate::worker::READ_BYTES;

/// The first piece: most bodies are shorter.
const FIRST_BYTES: usize = 64 * 1024;

/// A piece for a receiver that did not take all of the last one.
const SLOW_BYTES: usize = 16 * 1024;

/// How much is read next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window(usize);

impl Default for Window {
    fn default() -> Self {
        Window(FIRST_BYTES)
    }
}

impl Window {
    /// For a receiver that may have room for next to nothing, and takes as many bodies at once as it likes.
    pub(super) fn wary() -> Window {
        Window(SLOW_BYTES)
    }

    /// The part of the read buffer to be filled.
    pub(super) fn of<'b>(&self, buffer: &'b mut [u8]) -> &'b mut [u8] {
        let bytes = self.0.min(buffer.len());
        buffer.split_at_mut(bytes).0
    }

    /// The receiver took everything, or not.
    pub(super) fn adapt(&mut self, took_all: bool) {
        self.0 = if took_all { (self.0 * 2).min(READ_BYTES) } else { SLOW_BYTES };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_grow_for_the_fast_and_shrink_for_the_slow() {
        let mut buffer = vec![0; READ_BYTES];
        let mut window = Window::default();
        let mut next = |took_all| {
            window.adapt(took_all);
            window.of(&mut buffer).len() / 1024
        };
        let pieces = [true, true, true, false, false, true].map(&mut next);
        assert_eq!(pieces, [128, 256, 256, 16, 16, 32]);
    }
}
