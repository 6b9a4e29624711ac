use std::num::NonZeroU64;
use std::time::Duration;

use tollgate_policy::limit::Bucket;

use super::*;

const S: u64 = 1_000_000_000;

#[test]
fn time_to_more() {
    // Tokens in a period of seconds, burst, and takes at moments in milliseconds: what the last one is told.
    for (count, period_s, burst, takes, remaining, expect) in [
        (100, 1, 200, &[0][..], 199, Some(1)),
        (100, 1, 1, &[0], 0, Some(1)),
        (1, 3600, 100, &[0], 99, Some(3600)),
        (1, 3600, 100, &[0, 0, 0], 97, Some(3600)),
        (1, 3600, 100, &[0, 600_000], 98, Some(3000)),
        (1, 10, 2, &[0, 1_000], 0, Some(9)),
        (1, 10, 2, &[0, 1_000, 2_000], 0, Some(8)),
        (1, 10, 2, &[0, 1_000, 9_999], 0, Some(1)),
        (3, 10, 3, &[0, 0, 0], 0, Some(4)),
        (3, 10, 3, &[0, 0, 0, 0], 0, Some(4)),
    ] {
        let quota = Quota::new(NonZeroU64::new(count).unwrap(), period_s * S, burst).unwrap();
        let mut bucket = Bucket::default();
        let decisions: Vec<Decision> =
            takes.iter().map(|ms| bucket.take(S + ms * 1_000_000, &quota, 1)).collect();
        let last = decisions.last().unwrap();
        assert_eq!(last.remaining, remaining, "{count}/{period_s}s {takes:?}");
        assert_eq!(seconds_to_more(last, &quota), expect, "{count}/{period_s}s {takes:?}");
    }
}

#[test]
fn a_full_bucket_has_no_more_to_come() {
    let quota = Quota::new(NonZeroU64::MIN, S, 5).unwrap();
    let given_back = Decision { allowed: true, remaining: 5, reset_s: 1, retry_after: Duration::ZERO };
    assert_eq!(seconds_to_more(&given_back, &quota), None);
}
