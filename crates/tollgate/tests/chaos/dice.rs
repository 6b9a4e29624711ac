//! Numbers that look like chance and are the same for the same seed (SplitMix64, Steele and others, 2014).

/// A die.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of `0..count`; `count` is not 0.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.number() % count as u64) as usize
    }

    pub(crate) fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at + 1));
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_numbers() {
    let mut dice = Dice::new(1_234_567);
    // The first numbers of the published algorithm for this seed.
    assert_eq!([dice.number(), dice.number()], [6457827717110365317, 3203168211198807973]);
    let mut order = [0, 1, 2, 3, 4];
    dice.shuffle(&mut order);
    order.sort_unstable();
    assert_eq!(order, [0, 1, 2, 3, 4], "nothing is lost");
}
