//! What the tests of several deciders need.

use crate::Standing;

/// Randomness that replays: SplitMix64 from a seed.
pub(crate) fn splitmix(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let value = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }
}

/// `u` up, `s` suspect, `d` down.
pub(crate) fn standings(letters: &str) -> Vec<Standing> {
    let of = |letter| match letter {
        'u' => Standing::Up,
        's' => Standing::Suspect,
        _ => Standing::Down,
    };
    letters.chars().map(of).collect()
}

/// How often each was chosen, per mille of many choices.
pub(crate) fn shares(count: usize, mut choose: impl FnMut() -> Option<usize>) -> Vec<u32> {
    const CHOICES: u32 = 100_000;
    let mut counts = vec![0u32; count];
    for _ in 0..CHOICES {
        counts[choose().expect("there is something to choose")] += 1;
    }
    counts.iter().map(|count| (count * 10).div_ceil(CHOICES / 100)).collect()
}
