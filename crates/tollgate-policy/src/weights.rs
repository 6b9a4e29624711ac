//! Choices in proportion to weights.

use crate::standing::{Standing, best};

/// The weights of a list of targets or upstreams, made once. A weight of 0 is never chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Weights {
    /// The sum of all weights up to and with this one.
    sums: Box<[u64]>,
    uniform: bool,
}

impl FromIterator<u32> for Weights {
    fn from_iter<I: IntoIterator<Item = u32>>(weights: I) -> Weights {
        let mut sum = 0u64;
        let sums = weights.into_iter().map(|weight| {
            sum += u64::from(weight);
            sum
        });
        let mut weights = Weights { sums: sums.collect(), uniform: false };
        let first = weights.weight(0);
        weights.uniform = first > 0 && (0..weights.len()).all(|at| weights.weight(at) == first);
        weights
    }
}

impl Weights {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.sums.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sums.is_empty()
    }

    /// One by its weight, whatever its standing. `None` when all weights are 0.
    pub fn draw(&self, rng: &mut (impl FnMut() -> u64 + ?Sized)) -> Option<usize> {
        match self.sums.last() {
            None | Some(0) => None,
            _ if self.len() == 1 => Some(0),
            _ if self.uniform => Some(below(self.len() as u64, rng) as usize),
            Some(&total) => Some(self.find(below(total, rng))),
        }
    }

    /// One by its weight among those of the best standing there is (`balance: random`).
    pub fn draw_best(
        &self,
        standing: impl Fn(usize) -> Standing,
        rng: &mut (impl FnMut() -> u64 + ?Sized),
    ) -> Option<usize> {
        let drawn = self.draw(rng)?;
        if standing(drawn) == Standing::Up {
            return Some(drawn);
        }
        let best = self.best(&standing)?;
        self.draw_where(|at| standing(at) == best, rng)
    }

    pub(crate) fn weight(&self, at: usize) -> u64 {
        let before = at.checked_sub(1).and_then(|before| self.sums.get(before)).copied().unwrap_or(0);
        self.sums.get(at).map_or(0, |sum| sum - before)
    }

    /// The best standing of those that have a weight.
    pub(crate) fn best(&self, standing: impl Fn(usize) -> Standing) -> Option<Standing> {
        best(self.len(), |at| if self.weight(at) == 0 { Standing::Down } else { standing(at) })
    }

    /// Another one than `first`, by weight, whatever its standing.
    pub(crate) fn draw_other(&self, first: usize, rng: &mut (impl FnMut() -> u64 + ?Sized)) -> Option<usize> {
        let total = self.sums.last()?.checked_sub(self.weight(first)).filter(|&total| total > 0)?;
        let drawn = if self.len() == 2 { 0 } else { below(total, rng) };
        // As if `first` were not in the row.
        let before = self.sums.get(first)? - self.weight(first);
        Some(self.find(if drawn < before { drawn } else { drawn + self.weight(first) }))
    }

    /// One by its weight among those for which `is_in` holds. Looks at each.
    pub(crate) fn draw_where(
        &self,
        is_in: impl Fn(usize) -> bool,
        rng: &mut (impl FnMut() -> u64 + ?Sized),
    ) -> Option<usize> {
        let members = || (0..self.len()).filter(|&at| is_in(at));
        let total: u64 = members().map(|at| self.weight(at)).sum();
        let mut left = (total > 0).then(|| below(total, rng))?;
        members().find(|&at| match left.checked_sub(self.weight(at)) {
            Some(less) => {
                left = less;
                false
            }
            None => true,
        })
    }

    /// The one whose share of the row 0..total holds `point`.
    fn find(&self, point: u64) -> usize {
        self.sums.partition_point(|&sum| sum <= point)
    }
}

/// A number below `bound`, which is not 0: the high half of a product (Lemire 2019), whose bias is below 2^-31
/// for every bound that occurs here.
fn below(bound: u64, rng: &mut (impl FnMut() -> u64 + ?Sized)) -> u64 {
    ((u128::from(rng()) * u128::from(bound)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{shares, splitmix, standings};

    #[track_caller]
    fn check(weights: &[u32], standing: &str, expect: &[u32]) {
        let weights: Weights = weights.iter().copied().collect();
        let standing = standings(standing);
        let mut rng = splitmix(7);
        let got = shares(weights.len(), || weights.draw_best(|at| standing[at], &mut rng));
        for (at, (got, expect)) in got.iter().zip(expect).enumerate() {
            assert!(got.abs_diff(*expect) <= 10, "{at}: {got} per mille, not {expect}");
            assert_eq!(*got == 0, *expect == 0, "{at}");
        }
    }

    #[test]
    fn choices_follow_the_weights() {
        check(&[1], "u", &[1000]);
        check(&[1, 1], "uu", &[500, 500]);
        check(&[1, 3], "uu", &[250, 750]);
        check(&[95, 5], "uu", &[950, 50]);
        check(&[0, 5, 0], "uuu", &[0, 1000, 0]);
        check(&[1, 1, 1, 1], "uuuu", &[250, 250, 250, 250]);
        check(&[u32::MAX, u32::MAX], "uu", &[500, 500]);
    }

    #[test]
    fn only_the_best_standing_is_chosen() {
        check(&[1, 1, 2], "dud", &[0, 1000, 0]);
        check(&[1, 1, 2], "sus", &[0, 1000, 0]);
        check(&[1, 1, 2], "sds", &[333, 0, 667]);
        check(&[1, 1, 2], "udu", &[333, 0, 667]);
        check(&[5, 1], "du", &[0, 1000]);
        check(&[0, 1], "us", &[0, 1000]);
    }

    #[test]
    fn there_may_be_nothing_to_choose() {
        let mut rng = splitmix(1);
        for (weights, standing) in [(&[][..], ""), (&[0, 0], "uu"), (&[1, 1], "dd"), (&[0, 1], "ud")] {
            let weights: Weights = weights.iter().copied().collect();
            let standing = standings(standing);
            assert_eq!(weights.draw_best(|at| standing[at], &mut rng), None);
        }
        assert_eq!(Weights::default().draw(&mut rng), None);
    }

    #[test]
    fn another_one_is_never_the_same_and_follows_the_weights() {
        let weights: Weights = [2, 1, 1, 4].into_iter().collect();
        let mut rng = splitmix(3);
        for (first, expect) in [(0, [0, 167, 167, 667]), (1, [286, 0, 143, 571]), (3, [500, 250, 250, 0])] {
            let got = shares(4, || weights.draw_other(first, &mut rng));
            assert!(
                got.iter().zip(expect).all(|(got, expect)| got.abs_diff(expect) <= 10),
                "{first}: {got:?}"
            );
            assert_eq!(got[first], 0);
        }
        let alone: Weights = [3, 0].into_iter().collect();
        assert_eq!(alone.draw_other(0, &mut rng), None);
        let pair: Weights = [3, 1].into_iter().collect();
        assert_eq!(pair.draw_other(0, &mut rng), Some(1));
        assert_eq!(pair.draw_other(1, &mut rng), Some(0));
    }
}
