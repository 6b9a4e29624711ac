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

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u64; 2] = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];

    /// The reference's vectors (`vectors_sip128`) are of SipHash-2-4, with messages 00 01 02 …
    #[track_caller]
    fn check(length: u8, expect: [u8; 16]) {
        let message: Vec<u8> = (0..length).collect();
        let hash = State::new(SECRET).finish::<2, 4>(&message, message.len());
        assert_eq!(hash.map(u64::to_le_bytes).concat(), expect, "of {length} bytes");
    }

    #[test]
    fn the_permutation_is_siphash() {
        check(0, 0xa381_7f04_ba25_a8e6_6df6_7214_c755_0293_u128.to_be_bytes());
        check(1, 0xda87_c1d8_6b99_af44_3476_5911_9b22_fc45_u128.to_be_bytes());
        check(4, 0xf881_64c1_2d9c_8faf_7d0f_6e7c_7bcd_5579_u128.to_be_bytes());
        check(15, 0x5493_e999_33b0_a811_7e08_ec0f_97cf_c3d9_u128.to_be_bytes());
    }

    #[test]
    fn the_number_is_eight_bytes_in_front() {
        let number = 0x0706_0504_0302_0100_u64;
        for length in 0..40u8 {
            let rest: Vec<u8> = (8..8 + length).collect();
            let whole: Vec<u8> = (0..8 + length).collect();
            assert_eq!(hash(SECRET, number, &rest), State::new(SECRET).finish::<1, 3>(&whole, whole.len()));
        }
    }

    #[test]
    fn limits_keys_and_secrets_all_count() {
        let base = hash(SECRET, 1, b"a");
        assert_ne!(hash(SECRET, 2, b"a"), base);
        assert_ne!(hash(SECRET, 1, b"b"), base);
        assert_ne!(hash(SECRET, 1, b"a\0"), base);
        assert_ne!(hash([1, 2], 1, b"a"), base);
        assert_ne!(base[0], base[1]);
    }
}
