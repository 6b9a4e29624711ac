//! The properties of the fuzz target, on its seeds, cut and changed at every place.

mod properties;

use std::fs;
use std::path::Path;

use proptest::prelude::*;

const SEEDS: [&[u8]; 8] = [
    include_bytes!("../../../fuzz/seeds/token/signed"),
    include_bytes!("../../../fuzz/seeds/token/header"),
    include_bytes!("../../../fuzz/seeds/token/claims"),
    include_bytes!("../../../fuzz/seeds/token/introspection"),
    include_bytes!("../../../fuzz/seeds/token/jwks"),
    include_bytes!("../../../fuzz/seeds/token/pem-rsa"),
    include_bytes!("../../../fuzz/seeds/token/pem-certificate"),
    include_bytes!("../../../fuzz/seeds/token/none"),
];

#[test]
fn key_sets_cut_and_changed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/jwks");
    let (mut good, mut bad) = (0, 0);
    for file in fs::read_dir(folder).expect("the seeds") {
        let seed = fs::read(file.expect("a seed").path()).expect("a seed");
        for at in (0..=seed.len()).rev().step_by(seed.len() / 24 + 1) {
            let mut changed = seed.clone();
            // The first one is the seed itself.
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= 1 << (at % 8);
            }
            if properties::jwks(&changed) {
                good += 1
            } else {
                bad += 1
            }
            properties::jwks(&seed[..at]);
        }
    }
    assert!(good >= 4 && bad >= 4, "{good} hold a key, {bad} do not");
}

#[test]
fn cut_anywhere() {
    for seed in SEEDS {
        for end in 0..=seed.len() {
            properties::any_bytes(&seed[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2048) })]

    #[test]
    fn changed_anywhere(seed in 0..SEEDS.len(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = SEEDS[seed].to_vec();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        properties::any_bytes(&bytes);
    }

    #[test]
    fn anything(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        properties::any_bytes(&bytes);
    }
}
