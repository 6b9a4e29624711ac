//! The properties of the fuzz target, on its seeds, cut and changed at every place.

mod properties;

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
