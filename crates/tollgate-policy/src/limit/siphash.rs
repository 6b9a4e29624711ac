//! SipHash-1-3 with 128 bits of result (Aumasson, Bernstein 2012): a keyed hash, so that nobody outside can make two
//! keys meet, and long enough that no two meet by chance.

/// One key's place among all keys of all limits.
pub(super) type Hash128 = [u64; 2];

/// The hash of a number and bytes.
pub(super) fn hash(secret: [u64; 2], number: u64, bytes: &[u8]) -> Hash128 {
    let mut state = State::new(secret);
    state.word::<1>(number);
    state.finish::<1, 3>(bytes, bytes.len().wrapping_add(8))
}

struct State([u64; 4]);

impl State {
    fn new([k0, k1]: [u64; 2]) -> State {
        // "somepseudorandomlygeneratedbytes", and what asks for 128 bits.
        State([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    #[inline]
    fn word<const ROUNDS: usize>(&mut self, word: u64) {
        self.0[3] ^= word;
        self.rounds::<ROUNDS>();
        self.0[0] ^= word;
    }

    /// Takes the rest, of which `whole` counts all bytes there were.
    #[inline]
    fn finish<const ROUNDS: usize, const LAST: usize>(mut self, rest: &[u8], whole: usize) -> Hash128 {
        let (words, tail) = rest.as_chunks::<8>();
        for word in words {
            self.word::<ROUNDS>(u64::from_le_bytes(*word));
        }
        let tail = tail.iter().rev().fold(0, |word, byte| (word << 8) | u64::from(*byte));
        self.word::<ROUNDS>((whole as u64) << 56 | tail);
        self.0[2] ^= 0xee;
        self.rounds::<LAST>();
        let first = self.folded();
        self.0[1] ^= 0xdd;
        self.rounds::<LAST>();
        [first, self.folded()]
    }

    fn folded(&self) -> u64 {
        self.0[0] ^ self.0[1] ^ self.0[2] ^ self.0[3]
    }

    #[inline]
    fn rounds<const ROUNDS: usize>(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        for _ in 0..ROUNDS {
            a = a.wrapping_add(b);
            b = b.rotate_left(13) ^ a;
            a = a.rotate_left(32);
            c = c.wrapping_add(d);
            d = d.rotate_left(16) ^ c;
            a = a.wrapping_add(d);
            d = d.rotate_left(21) ^ a;
            c = c.wrapping_add(b);
            b = b.rotate_left(17) ^ c;
            c = c.rotate_left(32);
        }
        self.0 = [a, b, c, d];
    }
}
