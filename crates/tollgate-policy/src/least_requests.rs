//! Two random choices, the less loaded one.
//!
//! Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing" (2001): nearly as even as asking every
//! target, without the herd that runs to whichever looked idle a moment ago.

use crate::{Standing, Weights};

/// Draws two different targets of the best standing there is by their weights and returns the one with fewer
/// requests in flight per weight; where that is equal, the one drawn first, so that idle targets share by weight.
pub fn least_requests(
    weights: &Weights,
    standing: impl Fn(usize) -> Standing,
    in_flight: impl Fn(usize) -> u64,
    rng: &mut (impl FnMut() -> u64 + ?Sized),
) -> Option<usize> {
    let first = weights.draw(rng)?;
    let second = weights.draw_other(first, rng);
    let is_up = |at: usize| standing(at) == Standing::Up;
    let (first, second) = match second {
        Some(second) if is_up(first) && is_up(second) => (first, Some(second)),
        None if is_up(first) => return Some(first),
        _ => {
            let best = weights.best(&standing)?;
            let first = weights.draw_where(|at| standing(at) == best, rng)?;
            (first, weights.draw_where(|at| at != first && standing(at) == best, rng))
        }
    };
    let Some(second) = second else {
        return Some(first);
    };
    let per_weight = |at: usize, other: usize| u128::from(in_flight(at)) * u128::from(weights.weight(other));
    let second_is_less_loaded = per_weight(second, first) < per_weight(first, second);
    Some(if second_is_less_loaded { second } else { first })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{shares, splitmix, standings};

    #[track_caller]
    fn check(weights: &[u32], standing: &str, in_flight: &[u64], expect: &[u32]) {
        let weights: Weights = weights.iter().copied().collect();
        let standing = standings(standing);
        let mut rng = splitmix(11);
        let got = shares(weights.len(), || {
            least_requests(&weights, |at| standing[at], |at| in_flight[at], &mut rng)
        });
        for (at, (got, expect)) in got.iter().zip(expect).enumerate() {
            assert!(got.abs_diff(*expect) <= 10, "{at}: {got} per mille, not {expect}");
            assert_eq!(*got == 0, *expect == 0, "{at}");
        }
    }

    #[test]
    fn idle_targets_share_by_weight() {
        check(&[1], "u", &[9], &[1000]);
        check(&[1, 1], "uu", &[0, 0], &[500, 500]);
        check(&[1, 2], "uu", &[0, 0], &[333, 667]);
        check(&[1, 1, 1, 1], "uuuu", &[3, 3, 3, 3], &[250, 250, 250, 250]);
        check(&[1, 2], "uu", &[5, 10], &[333, 667]);
    }

    #[test]
    fn the_less_loaded_of_two_is_taken() {
        check(&[1, 1], "uu", &[5, 4], &[0, 1000]);
        check(&[1, 2], "uu", &[5, 9], &[0, 1000]);
        check(&[1, 2], "uu", &[5, 11], &[1000, 0]);
        // The busiest of three loses against either; the idlest wins against either.
        check(&[1, 1, 1], "uuu", &[2, 1, 0], &[0, 333, 667]);
        check(&[0, 1], "uu", &[0, 9], &[0, 1000]);
    }

    #[test]
    fn only_the_best_standing_is_chosen() {
        check(&[1, 1], "du", &[0, 1000], &[0, 1000]);
        check(&[1, 1], "su", &[0, 1000], &[0, 1000]);
        check(&[1, 1, 1], "sds", &[4, 0, 3], &[0, 0, 1000]);
        check(&[1, 1, 1, 1], "udsu", &[1, 0, 0, 0], &[0, 0, 0, 1000]);
        check(&[9, 9, 1, 2], "dduu", &[0, 0, 0, 0], &[0, 0, 333, 667]);
        let mut rng = splitmix(1);
        let weights: Weights = [1, 1].into_iter().collect();
        assert_eq!(least_requests(&weights, |_| Standing::Down, |_| 0, &mut rng), None);
        assert_eq!(least_requests(&Weights::default(), |_| Standing::Up, |_| 0, &mut rng), None);
    }

    #[test]
    fn loads_stay_level() {
        let weights: Weights = [1, 1, 2, 4].into_iter().collect();
        let mut rng = splitmix(5);
        let mut in_flight = [0u64; 4];
        for _ in 0..8_000 {
            let at = least_requests(&weights, |_| Standing::Up, |at| in_flight[at], &mut rng).unwrap();
            in_flight[at] += 1;
        }
        for (load, expect) in in_flight.iter().zip([1000, 1000, 2000, 4000]) {
            assert!(load.abs_diff(expect) <= 10, "{in_flight:?}");
        }
    }
}
