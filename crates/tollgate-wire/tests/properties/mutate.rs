//! Seeded mutation of messages: the same seed gives the same cases.

/// A small generator (xorshift64*, Vigna 2016). The seed is not zero.
pub(crate) struct Random(pub(crate) u64);

/// What smuggling is made of.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0",
    b"5",
    b"+",
    b"0x",
    b"\xa0",
    b"chunked",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b";a=b",
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 0\r\n",
    b"Content-Length:\r\n 5\r\n",
    b"Connection: close\r\n",
    b"Connection: keep-alive\r\n",
    b"Host: a\r\n",
    b"Host: b\r\n",
    b"Expect: 100-continue\r\n",
    b"X: y\r\n",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
];

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 up to, but not including, `bound`, which is not zero.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        ((self.next() >> 32) as usize) % bound
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// One of the seeds, perhaps two, changed in up to five places, perhaps none.
    pub(crate) fn message(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.pick(seeds).clone();
        if self.below(3) == 0 {
            bytes.extend(self.pick(seeds));
        }
        for _ in 0..self.below(6) {
            self.change(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len() + 1);
        let until = (at + 1 + self.below(4)).min(bytes.len());
        match self.below(6) {
            0 | 1 => drop(bytes.splice(at..at, self.pick(WORDS).iter().copied())),
            2 => drop(bytes.drain(at..until)),
            3 => {
                let word = *self.pick(WORDS);
                drop(bytes.splice(at..until, word.iter().copied()));
            }
            4 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            _ => self.repeat_line(bytes),
        }
    }

    /// Copies one line to before another.
    fn repeat_line(&mut self, bytes: &mut Vec<u8>) {
        let lines: Vec<Vec<u8>> = bytes.split_inclusive(|&b| b == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return;
        }
        let (line, before) = (self.below(lines.len()), self.below(lines.len()));
        let at: usize = lines[..before].iter().map(Vec::len).sum();
        drop(bytes.splice(at..at, lines[line].iter().copied()));
    }
}
