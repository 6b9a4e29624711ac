//! Request ids: UUID version 7 (RFC 9562 section 5.7), made by each worker for itself.
//!
//! An id is unique and sorts by time; it is no secret and must never be used as one: the random bits come
//! from a fast generator that is only seeded by the operating system.

use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

/// An id in its 36 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RequestId([u8; 36]);

impl RequestId {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn as_str(&self) -> &str {
        // Hex digits and hyphens only, so the other branch is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Makes ids that ascend within one worker, also when the clock steps back.
pub(crate) struct RequestIds {
    random: Xoroshiro,
    /// Milliseconds since 1970 of the last id.
    millis: u64,
    /// The 12 bits after the time: counts within a millisecond (RFC 9562 section 6.2, method 1).
    counter: u16,
}

const COUNTER_MAX: u16 = 0xfff;
/// A new millisecond starts its counter at random, below this: half of the values stay free to count up.
const COUNTER_START: u16 = 0x7ff;

impl RequestIds {
    /// A generator of its own stream, seeded by the operating system.
    pub(crate) fn new() -> RequestIds {
        RequestIds { random: Xoroshiro::from_os(), millis: 0, counter: 0 }
    }

    /// Random bits for other ids; no secret.
    pub(crate) fn bits(&mut self) -> u64 {
        self.random.next()
    }

    /// The id of a request that arrived at `now`.
    pub(crate) fn next(&mut self, now: SystemTime) -> RequestId {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = since.as_secs() * 1_000 + u64::from(since.subsec_millis());
        if millis > self.millis {
            self.millis = millis;
            self.counter = (self.random.next() >> 48) as u16 & COUNTER_START;
        } else if self.counter < COUNTER_MAX {
            self.counter += 1;
        } else {
            // More than 2,048 ids in a millisecond, or a clock that stands: run ahead of it rather than repeat.
            self.millis += 1;
            self.counter = 0;
        }
        let high = (self.millis << 16) | 0x7000 | u64::from(self.counter);
        let low = (self.random.next() >> 2) | (1 << 63);
        RequestId(hyphenated((u128::from(high) << 64) | u128::from(low)))
    }
}

fn hyphenated(bits: u128) -> [u8; 36] {
    let mut text = [b'-'; 36];
    let (a, b) = (hex((bits >> 96) as u32), hex((bits >> 64) as u32));
    let (c, d) = (hex((bits >> 32) as u32), hex(bits as u32));
    text[0..8].copy_from_slice(&a);
    text[9..13].copy_from_slice(&b[0..4]);
    text[14..18].copy_from_slice(&b[4..8]);
    text[19..23].copy_from_slice(&c[0..4]);
    text[24..28].copy_from_slice(&c[4..8]);
    text[28..36].copy_from_slice(&d);
    text
}

/// Eight hex digits at once: one digit value in each byte of a word, then all of them made characters together.
#[inline]
fn hex(value: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let spread = u64::from(value);
    let spread = (spread | (spread << 16)) & 0x0000_ffff_0000_ffff;
    let spread = (spread | (spread << 8)) & 0x00ff_00ff_00ff_00ff;
    let digits = (spread | (spread << 4)) & 0x0f0f_0f0f_0f0f_0f0f;
    // Adding 6 carries into the next nibble exactly from 10 on.
    let letters = ((digits + 6 * ONES) >> 4) & ONES;
    (digits + u64::from(b'0') * ONES + letters * u64::from(b'a' - b'0' - 10)).to_be_bytes()
}

/// xoroshiro128++ by Blackman and Vigna (public domain): 128 bits of state, so that the streams of the
/// workers of a fleet do not meet.
struct Xoroshiro([u64; 2]);

impl Xoroshiro {
    fn from_os() -> Xoroshiro {
        // RandomState is SipHash under keys from the operating system: what it makes of fixed inputs is unknown.
        let keys = RandomState::new();
        Xoroshiro([keys.hash_one(1_u64), keys.hash_one(2_u64) | 1])
    }

    #[inline]
    fn next(&mut self) -> u64 {
        let [a, b] = self.0;
        let result = a.wrapping_add(b).rotate_left(17).wrapping_add(a);
        let b = b ^ a;
        self.0 = [a.rotate_left(49) ^ b ^ (b << 21), b.rotate_left(28)];
        result
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;

    const START: u64 = 1_780_000_000_123;

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    #[test]
    fn an_id_has_the_layout_of_version_7() {
        let mut ids = RequestIds::new();
        for step in 0..10_000 {
            let id = ids.next(at(START + step / 7));
            let text = id.as_str();
            assert_eq!(text.len(), 36);
            for (index, byte) in text.bytes().enumerate() {
                match index {
                    8 | 13 | 18 | 23 => assert_eq!(byte, b'-', "{text}"),
                    14 => assert_eq!(byte, b'7', "version in {text}"),
                    19 => assert!(b"89ab".contains(&byte), "variant in {text}"),
                    _ => assert!(byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte), "{text}"),
                }
            }
            let time = u64::from_str_radix(&text.replace('-', "")[..12], 16).unwrap();
            assert_eq!(time, START + step / 7, "the first 48 bits are the time of {text}");
        }
    }

    #[test]
    fn fixed_bits_make_the_example_of_the_rfc() {
        // RFC 9562, appendix A.6.
        let text = hyphenated(0x017F_22E2_79B0_7CC3_98C4_DC0C_0C07_398F);
        assert_eq!(RequestId(text).as_str(), "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    }

    #[test]
    fn ids_of_a_worker_ascend_whatever_the_clock_does() {
        let mut ids = RequestIds::new();
        let mut last = ids.next(at(START));
        let clock = (0..20_000).map(|n| match n {
            0..5_000 => START,
            5_000..6_000 => START - 3_600_000,
            6_000..7_000 => 0,
            _ => START + n,
        });
        for millis in clock.chain([0]) {
            let id = ids.next(at(millis));
            assert!(id > last, "{} after {}", id.as_str(), last.as_str());
            last = id;
        }
        let before_1970 = ids.next(UNIX_EPOCH - Duration::from_secs(1));
        assert!(before_1970 > last);
    }

    #[test]
    fn workers_do_not_repeat_each_other() {
        let mut seen = HashSet::new();
        for _ in 0..8 {
            let mut ids = RequestIds::new();
            for _ in 0..5_000 {
                assert!(seen.insert(ids.next(at(START))));
            }
        }
    }
}
