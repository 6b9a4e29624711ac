//! Smooth weighted round robin.
//!
//! As nginx does it: every choice adds each target's weight to its credit, and the target with most credit pays
//! the sum of all weights. Weights 5, 1, 1 give `a a b a c a a`, not `a a a a a b c`.

use crate::{Standing, Weights};

/// Rounds that a new state may be ahead: enough to keep workers from walking in step.
const AHEAD_MAX: u64 = 64;

/// Whose turn it is. One per worker and upstream; made anew when the targets change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoundRobin {
    credit: Box<[i64]>,
}

impl RoundRobin {
    /// A fresh state for these weights. `start` is any number: workers that begin with different ones do not send
    /// their first requests to the same target.
    pub fn new(weights: &Weights, start: u64) -> RoundRobin {
        let mut state = RoundRobin { credit: vec![0; weights.len()].into() };
        for _ in 0..start % AHEAD_MAX {
            state.next(weights, |_| Standing::Up);
        }
        state
    }

    /// The next target among those of the best standing there is. `weights` are those the state was made for.
    pub fn next(&mut self, weights: &Weights, standing: impl Fn(usize) -> Standing) -> Option<usize> {
        let best = weights.best(&standing)?;
        let mut chosen: Option<(usize, i64)> = None;
        let mut total = 0;
        for (at, credit) in self.credit.iter_mut().enumerate() {
            let weight = weights.weight(at) as i64;
            if weight == 0 || standing(at) != best {
                continue;
            }
            total += weight;
            *credit += weight;
            if chosen.is_none_or(|(_, most)| *credit > most) {
                chosen = Some((at, *credit));
            }
        }
        let (at, _) = chosen?;
        if let Some(credit) = self.credit.get_mut(at) {
            *credit -= total;
        }
        Some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::standings;

    #[track_caller]
    fn check(weights: &[u32], standing: &str, expect: &str) {
        let weights: Weights = weights.iter().copied().collect();
        let standing = standings(standing);
        let mut state = RoundRobin::new(&weights, 0);
        let got: String = expect
            .chars()
            .map(|_| state.next(&weights, |at| standing[at]).map_or('-', |at| (b'a' + at as u8) as char))
            .collect();
        assert_eq!(got, expect, "{weights:?}");
    }

    #[test]
    fn turns_are_smooth_and_follow_the_weights() {
        check(&[1], "u", "aaa");
        check(&[1, 1, 1], "uuu", "abcabc");
        check(&[5, 1, 1], "uuu", "aabacaaaabacaa");
        check(&[1, 2], "uu", "babbab");
        check(&[0, 1], "uu", "bbb");
        check(&[u32::MAX, u32::MAX], "uu", "abab");
    }

    #[test]
    fn only_the_best_standing_has_a_turn() {
        check(&[1, 1, 1], "udu", "acac");
        check(&[1, 1, 1], "sus", "bbb");
        check(&[1, 1, 1], "sds", "acac");
        check(&[1, 1], "dd", "--");
        check(&[0, 0], "uu", "--");
        check(&[], "", "-");
    }

    #[test]
    fn a_target_that_comes_back_does_not_catch_up() {
        let weights: Weights = [1, 1].into_iter().collect();
        let mut state = RoundRobin::new(&weights, 0);
        for _ in 0..100 {
            assert_eq!(
                state.next(&weights, |at| if at == 0 { Standing::Down } else { Standing::Up }),
                Some(1)
            );
        }
        let turns: Vec<usize> = (0..6).filter_map(|_| state.next(&weights, |_| Standing::Up)).collect();
        assert_eq!(turns.iter().sum::<usize>(), 3, "{turns:?}");
    }

    #[test]
    fn workers_can_begin_with_different_targets() {
        let weights: Weights = [1, 1, 1].into_iter().collect();
        let first = |start| RoundRobin::new(&weights, start).next(&weights, |_| Standing::Up);
        assert_eq!([first(0), first(1), first(2), first(u64::MAX)], [Some(0), Some(1), Some(2), Some(0)]);
    }
}
