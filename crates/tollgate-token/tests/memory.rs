//! The memory of verified tokens against a plain model: it may forget, but never invent, never outlive, never grow.

use std::collections::HashMap;
use std::rc::Rc;

use proptest::prelude::*;
use tollgate_token::Memory;

/// Over what an entry costs beside its token and value.
const ENTRY_BYTES: usize = 256;

#[derive(Clone, Debug)]
enum Step {
    Insert { token: u8, size: usize, lives_s: i64 },
    Get { token: u8 },
    Wait { s: i64 },
    NewPlan,
    Clear,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), 0..3000usize, -5..60i64).prop_map(|(token, size, lives_s)| Step::Insert { token, size, lives_s }),
        8 => any::<u8>().prop_map(|token| Step::Get { token }),
        2 => (0..20i64).prop_map(|s| Step::Wait { s }),
        1 => Just(Step::NewPlan),
        1 => Just(Step::Clear),
    ]
}

/// Every fourth token ends like another one, and differs before: the same hash, another token.
fn text(token: u8) -> Vec<u8> {
    let tail = if token.is_multiple_of(4) { token / 8 } else { token };
    format!("header.{token}.{tail:0>40}").into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn never_more_than_a_map(limit in 0..20_000usize, steps in prop::collection::vec(step(), 0..300)) {
        let mut memory = Memory::new(limit);
        let mut model: HashMap<u8, (Rc<u64>, i64, u64)> = HashMap::new();
        let (mut now, mut generation, mut serial) = (1_000, 0, 0);
        for step in steps {
            match step {
                Step::Insert { token, size, lives_s } => {
                    serial += 1;
                    let value = Rc::new(serial);
                    memory.insert(&text(token), Rc::clone(&value), size, now, now + lives_s, generation);
                    model.insert(token, (value, now + lives_s, generation));
                }
                Step::Get { token } => {
                    if let Some(found) = memory.get(&text(token), now, generation) {
                        let (value, expires, of) = &model[&token];
                        prop_assert!(Rc::ptr_eq(&found, value), "an older value");
                        prop_assert!(now < *expires, "outlived its end");
                        prop_assert_eq!(*of, generation, "outlived its plan");
                    }
                }
                Step::Wait { s } => now += s,
                Step::NewPlan => generation += 1,
                Step::Clear => {
                    memory.clear();
                    prop_assert!(memory.is_empty());
                }
            }
            prop_assert!(memory.used_bytes() <= limit);
            prop_assert!(memory.len() * ENTRY_BYTES <= memory.used_bytes());
        }
    }
}

#[test]
fn what_was_just_remembered_is_there() {
    let (mut memory, generation) = (Memory::new(1 << 20), 1);
    for token in 0..=255u8 {
        memory.insert(&text(token), Rc::new(token), 100, 0, 10, generation);
        assert_eq!(memory.get(&text(token), 9, generation).as_deref(), Some(&token));
    }
    assert_eq!(memory.get(&text(255), 10, generation), None, "the second at which it ends");
    let len = memory.len();
    assert_eq!(memory.get(&text(255), 9, generation), None, "gone for good");
    for other in [0, 2] {
        let token = text(253 - other as u8);
        assert_eq!(memory.get(&token, 9, other), None);
        assert_eq!(memory.get(&token, 9, generation), None, "a mismatch frees");
    }
    assert_eq!(memory.len(), len - 2);
}

/// What is used stays when there is no room for all, and what nobody asks for goes.
#[test]
fn the_used_stay() {
    let generation = 0;
    let mut memory = Memory::new(100 * (ENTRY_BYTES + 100));
    let busy = b"the token of a busy client, asked for again and again";
    memory.insert(busy, Rc::new(0), 0, 0, i64::MAX, generation);
    for serial in 0..10_000u32 {
        memory.insert(
            format!("a client that comes once, {serial:0>40}").as_bytes(),
            Rc::new(1),
            0,
            0,
            i64::MAX,
            generation,
        );
        assert_eq!(memory.get(busy, 0, generation).as_deref(), Some(&0), "{serial}");
    }
    assert!((90..=120).contains(&memory.len()), "{}", memory.len());
}

#[test]
fn nothing_too_large_is_kept() {
    let (mut memory, generation) = (Memory::new(80_000), 0);
    memory.insert(b"small", Rc::new(1), 0, 0, 10, generation);
    memory.insert(b"large", Rc::new(2), 10_000, 0, 10, generation);
    memory.insert(b"huge", Rc::new(3), usize::MAX, 0, 10, generation);
    memory.insert(b"over", Rc::new(4), 0, 10, 10, generation);
    assert_eq!((memory.len(), memory.get(b"small", 0, generation).as_deref()), (1, Some(&1)));
    let mut none = Memory::new(0);
    none.insert(b"small", Rc::new(1), 0, 0, 10, generation);
    assert!(
        none.is_empty()
            && none.get(b"small", 0, generation).is_none()
            && none.get(b"", 0, generation).is_none()
    );
    assert!(!format!("{memory:?}").contains("small"));
}
