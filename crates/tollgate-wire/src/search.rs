//! When a head that arrives in pieces is worth parsing again.

/// How far a head that is still incomplete was looked at.
///
/// A head is parsed when its first bytes are there (most come whole, and nonsense is refused at once), when
/// its end came, and when the buffer has doubled since the last attempt. So a head that is dripped byte by
/// byte costs work in proportion to its length. One value per head; [`Default`] is the start of a head.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeadProgress {
    searched: usize,
    parsed_at: usize,
}

impl HeadProgress {
    /// Whether `buf`, which begins where it began at the last call, should be parsed now.
    pub(crate) fn should_parse(&mut self, buf: &[u8]) -> bool {
        let due = buf.len() >= self.parsed_at.saturating_mul(2)
            || buf.len() < self.searched
            || self.has_line_of_interest(buf);
        self.searched = buf.len();
        if due {
            self.parsed_at = buf.len();
        }
        due
    }

    /// Whether the new bytes have the end of an empty line, or a line end that no head has.
    fn has_line_of_interest(&self, buf: &[u8]) -> bool {
        let fresh = buf.get(self.searched..).unwrap_or_default();
        memchr::memchr_iter(b'\n', fresh).any(|at| {
            let line = buf.get(..self.searched + at).unwrap_or_default();
            match line {
                [before @ .., b'\r'] => before.ends_with(b"\n"),
                _ => true,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `head` byte by byte and gives the lengths at which it would be parsed.
    fn parses(head: &[u8]) -> Vec<usize> {
        let mut progress = HeadProgress::default();
        (1..=head.len()).filter(|&len| progress.should_parse(&head[..len])).collect()
    }

    #[test]
    fn a_dripped_head_is_parsed_when_it_doubles_and_when_it_ends() {
        assert_eq!(parses(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), [1, 2, 4, 8, 16, 27]);
        assert_eq!(parses(b"GET / HTTP/1.1\nHost: a"), [1, 2, 4, 8, 15]);
        assert_eq!(parses(b"\r\nGET / "), [1, 2, 4, 8]);
    }

    #[test]
    fn a_terminator_is_found_wherever_the_pieces_end() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for cut in 1..head.len() {
            let mut progress = HeadProgress::default();
            progress.should_parse(&head[..cut]);
            assert!(progress.should_parse(head), "{cut}");
        }
    }

    /// Behind a head that was taken out of a buffer another one begins, which may be shorter.
    #[test]
    fn a_buffer_that_became_shorter_is_parsed() {
        let mut progress = HeadProgress::default();
        progress.should_parse(&[b'a'; 100]);
        assert!(progress.should_parse(b"GET / HTTP/1.1\r\n\r\n"));
    }
}
