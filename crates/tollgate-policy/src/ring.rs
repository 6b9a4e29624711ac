//! Consistent hashing on a ring (Karger et al. 1997): the same key goes to the same target, and when a target
//! comes or goes only the keys of its share move.
//!
//! A point on the ring depends on nothing but the target's URL and the point's number, so every worker, every
//! instance and every generation of the configuration places a target alike.

use crate::Standing;
use crate::standing::best;

/// Points of a target per weight: shares then differ by about 8%.
const POINTS_PER_WEIGHT: u64 = 160;
/// Points of a whole ring. Heavy weights are scaled down to it; the ring then takes 2 MiB at most.
const POINTS_MAX: u64 = 1 << 17;

/// The targets of one upstream on a ring. Built once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ring {
    /// Place and target, ascending.
    points: Box<[(u64, u32)]>,
    targets: usize,
}

impl Ring {
    /// Places targets, given as URL and weight. A URL that is there twice has two places.
    pub fn new<'a>(targets: impl IntoIterator<Item = (&'a str, u32)>) -> Ring {
        let targets: Vec<(&str, u32)> = targets.into_iter().collect();
        let wanted: u64 = targets.iter().map(|(_, weight)| u64::from(*weight) * POINTS_PER_WEIGHT).sum();
        let mut points = Vec::with_capacity(wanted.min(POINTS_MAX) as usize);
        for (at, (url, weight)) in targets.iter().enumerate() {
            let twins = targets.iter().take(at).filter(|(other, _)| other == url).count() as u64;
            let all = u64::from(*weight) * POINTS_PER_WEIGHT;
            let count = if wanted <= POINTS_MAX { all } else { (all * POINTS_MAX / wanted).max(all.min(1)) };
            let seed = hash(url.as_bytes()) ^ mix(twins);
            points.extend((0..count).map(|point| (mix(seed.wrapping_add(mix(point))), at as u32)));
        }
        points.sort_unstable();
        Ring { points: points.into(), targets: targets.len() }
    }

    /// The target for a key's [`hash`]: the first of the best standing there is, from the key's place onwards.
    pub fn pick(&self, hash: u64, standing: impl Fn(usize) -> Standing) -> Option<usize> {
        let at = self.points.partition_point(|(place, _)| *place < hash);
        let (before, after) = self.points.split_at_checked(at)?;
        let mut onwards = after.iter().chain(before).map(|(_, target)| *target as usize);
        let first = onwards.next()?;
        if standing(first) == Standing::Up {
            return Some(first);
        }
        let best = best(self.targets, &standing)?;
        std::iter::once(first).chain(onwards).find(|&target| standing(target) == best)
    }
}

/// A key's place: FNV-1a with a final mix. The same in every version of the program, because instances of
/// different versions share their keys' homes.
pub fn hash(key: &[u8]) -> u64 {
    mix(key
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |state, byte| (state ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood 2014): every bit of the input moves half of the output's.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{shares, standings};

    const KEYS: u64 = 20_000;

    fn ring(targets: &[(&str, u32)]) -> Ring {
        Ring::new(targets.iter().copied())
    }

    fn homes(targets: &[(&str, u32)], standing: &str) -> Vec<Option<String>> {
        let (ring, standing) = (ring(targets), standings(standing));
        let home = |key: u64| ring.pick(hash(format!("user-{key}").as_bytes()), |at| standing[at]);
        (0..KEYS).map(|key| home(key).map(|at| targets[at].0.to_owned())).collect()
    }

    #[test]
    fn shares_follow_the_weights() {
        let weights = [("http://a:1", 1), ("http://b:1", 1), ("http://c:1", 2)];
        let ring = ring(&weights);
        let mut key = 0u64;
        let got = shares(3, || {
            key += 1;
            ring.pick(hash(&key.to_le_bytes()), |_| Standing::Up)
        });
        for (got, expect) in got.iter().zip([250, 250, 500]) {
            assert!(got.abs_diff(expect) <= expect / 4, "{got} per mille, not about {expect}");
        }
    }

    #[test]
    fn only_the_keys_of_a_target_that_goes_move() {
        let all = [("http://a:1", 1), ("http://b:1", 1), ("http://c:1", 1), ("http://d:1", 1)];
        let full = homes(&all, "uuuu");
        // Gone from the configuration, order changed, or only not to be used: all the same.
        let less = [("http://d:1", 1), ("http://c:1", 1), ("http://a:1", 1)];
        for rest in [homes(&less, "uuu"), homes(&all, "uduu"), homes(&all, "usuu")] {
            for (before, after) in full.iter().zip(&rest) {
                let was_there = before.as_deref() == Some("http://b:1");
                assert!(after.as_deref() != Some("http://b:1"));
                assert!(was_there || before == after, "{before:?} moved to {after:?}");
            }
        }
        assert_eq!(homes(&less, "uuu"), homes(&all, "uduu"));
    }

    #[test]
    fn more_weight_takes_keys_and_moves_no_others() {
        let before = homes(&[("a", 1), ("b", 1)], "uu");
        let after = homes(&[("a", 2), ("b", 1)], "uu");
        assert!(
            before.iter().zip(&after).all(|(before, after)| before == after || after.as_deref() == Some("a"))
        );
        assert!(before != after);
    }

    #[test]
    fn only_the_best_standing_is_chosen() {
        let all = [("a", 1), ("b", 1), ("c", 1)];
        let only = |homes: Vec<Option<String>>, allowed: &[Option<&str>]| {
            assert!(homes.iter().all(|home| allowed.contains(&home.as_deref())), "{allowed:?}");
        };
        only(homes(&all, "ddu"), &[Some("c")]);
        only(homes(&all, "ssu"), &[Some("c")]);
        only(homes(&all, "sds"), &[Some("a"), Some("c")]);
        only(homes(&all, "ddd"), &[None]);
        only(homes(&[], ""), &[None]);
        only(homes(&[("a", 0)], "u"), &[None]);
    }

    #[test]
    fn heavy_weights_are_scaled_down() {
        let ring = ring(&[("a", u32::MAX), ("b", u32::MAX / 2), ("c", 1)]);
        assert!(ring.points.len() as u64 <= POINTS_MAX + 3);
        let of = |target| ring.points.iter().filter(|(_, at)| *at == target).count();
        assert!(of(0).abs_diff(2 * of(1)) <= 2 && of(2) == 1);
    }

    #[test]
    fn places_are_the_same_for_ever() {
        // Computed by another program from the description in this file.
        assert_eq!(hash(b""), 0xc381_7c01_6ba4_ff30);
        assert_eq!(hash(b"user-1"), 0xf16d_8d44_0fbb_25d5);
        let ring = ring(&[("http://a:1", 1), ("http://a:1", 1), ("http://b:1", 1)]);
        let picks: Vec<_> = (0..12u64).map(|key| ring.pick(mix(key), |_| Standing::Up).unwrap()).collect();
        assert_eq!(picks, [1, 1, 2, 0, 1, 2, 1, 2, 1, 2, 1, 0]);
    }
}
