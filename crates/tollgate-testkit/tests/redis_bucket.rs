//! The script that the gateway gives to Redis, in a real redis-server: what it decides on the server's clock and in
//! the server's arithmetic, beside a plain model. The clock is the server's own, so the model is told what it was.

use tollgate_testkit::{Redis, Resp, wait_for};

const SCRIPT: &str = include_str!("../../tollgate-policy/src/limit/bucket.lua");
const SECOND_US: u64 = 1_000_000;
const TAKE: u64 = 0;
const LEASE: u64 = 1;
const GIVE_BACK: u64 = 2;

/// A limit, as the script is told about it.
#[derive(Clone, Copy)]
struct Quota {
    count: u64,
    period_us: u64,
    burst: u64,
    lease: u64,
}

impl Quota {
    fn time(&self, tokens: u64) -> [u64; 2] {
        let exact = u128::from(tokens) * u128::from(self.period_us);
        let count = u128::from(self.count);
        [u64::try_from(exact / count).unwrap(), (exact % count) as u64]
    }
}

/// What the script answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Answer {
    moved: u64,
    missing_us: u64,
    missing_part: u64,
    now_us: u64,
}

struct Bucket<'a> {
    resp: Resp,
    key: &'a str,
    quota: Quota,
}

impl<'a> Bucket<'a> {
    fn new(redis: &Redis, key: &'a str, quota: Quota) -> Bucket<'a> {
        Bucket { resp: redis.connect(), key, quota }
    }

    #[track_caller]
    fn ask(&mut self, what: u64, tokens: u64, taken_us: u64) -> Answer {
        let quota = self.quota;
        let times = [tokens, 1, quota.burst, quota.lease].map(|tokens| quota.time(tokens)).concat();
        let numbers = [&[what, tokens], &*times, &[quota.count, taken_us]].concat();
        let words = ["EVAL", SCRIPT, "1", self.key].map(str::to_owned);
        let command: Vec<String> = words.into_iter().chain(numbers.iter().map(u64::to_string)).collect();
        let answer = self.resp.call(&command).unwrap().ints().expect("a list of integers");
        let [moved, missing_us, missing_part, now_us] = answer[..] else { panic!("{answer:?}") };
        let whole = |number| u64::try_from(number).unwrap();
        Answer {
            moved: whole(moved),
            missing_us: whole(missing_us),
            missing_part: whole(missing_part),
            now_us: whole(now_us),
        }
    }
}

/// A level that rises up to the brim, in `period`ths of a token.
struct Model {
    quota: Quota,
    level: i128,
    at_us: u64,
}

impl Model {
    fn new(quota: Quota) -> Model {
        Model { quota, level: i128::from(quota.burst) * i128::from(quota.period_us), at_us: 0 }
    }

    fn at(&mut self, now_us: u64) {
        let brim = i128::from(self.quota.burst) * i128::from(self.quota.period_us);
        let risen = i128::from(now_us - self.at_us) * i128::from(self.quota.count);
        self.level = (self.level + risen).min(brim);
        self.at_us = now_us;
    }

    fn tokens(&self) -> u64 {
        u64::try_from(self.level / i128::from(self.quota.period_us)).unwrap()
    }

    fn moved(&mut self, tokens: i128) {
        self.level += tokens * i128::from(self.quota.period_us);
    }

    /// What is missing, as the script says it.
    fn missing(&self) -> (u64, u64) {
        let brim = i128::from(self.quota.burst) * i128::from(self.quota.period_us);
        let (missing, count) = (brim - self.level, i128::from(self.quota.count));
        (u64::try_from(missing / count).unwrap(), u64::try_from(missing % count).unwrap())
    }
}

/// Takes, leases and what comes back at once, pseudo-randomly, each beside the model.
#[track_caller]
fn check(redis: &Redis, count: u64, period_s: u64, burst: u64, lease: u64) {
    let quota = Quota { count, period_us: period_s * SECOND_US, burst, lease };
    let key = format!("{count}/{period_s}/{burst}");
    let (mut bucket, mut model) = (Bucket::new(redis, &key, quota), Model::new(quota));
    let mut random = count ^ burst << 32;
    for step in 0..300 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let tokens = [1, 1, lease, (random >> 40) % (burst.min(1 << 20)) + 1][(random >> 33) as usize % 4];
        let what = [TAKE, LEASE][(random >> 50) as usize % 2];
        let answer = bucket.ask(what, tokens, 0);
        model.at(answer.now_us);
        let there = model.tokens();
        let expect = if what == TAKE && there < tokens { 0 } else { tokens.min(there) };
        assert_eq!(answer.moved, expect, "{key}, step {step}: {tokens} wanted, {there} there");
        model.moved(-i128::from(expect));
        assert_eq!((answer.missing_us, answer.missing_part), model.missing(), "{key}, step {step}");
        if expect > 0 && (random >> 60).is_multiple_of(4) {
            let back = bucket.ask(GIVE_BACK, expect, answer.now_us);
            model.moved(i128::from(expect));
            model.at(back.now_us);
            assert_eq!(
                (back.missing_us, back.missing_part),
                model.missing(),
                "{key}, step {step}: given back"
            );
        }
    }
}

#[test]
fn the_script_decides_like_the_plain_model() {
    let redis = Redis::start();
    check(&redis, 3, 1, 10, 2);
    check(&redis, 7, 60, 100, 7);
    check(&redis, 20_000, 1, 300, 75);
    check(&redis, 1_000_000, 1, 1_000, 250);
    check(&redis, 10_000, 3_600, 10_000, 50);
    check(&redis, 100_000, 86_400, 100_000, 500);
    check(&redis, 1, 86_400, 3_650, 1);
    // The largest numbers there may be.
    check(&redis, 999_999_937, 86_400, 1_000_000_000, 1 << 19);
    check(&redis, 1_000_000_000, 1, 1_000_000_000, 1 << 19);
}

#[test]
fn what_comes_back_late_never_makes_more_of_it() {
    let redis = Redis::start();
    let quota = Quota { count: 1, period_us: 3_600 * SECOND_US, burst: 3, lease: 1 };
    let mut bucket = Bucket::new(&redis, "a", quota);
    let taken = bucket.ask(TAKE, 1, 0);
    wait_for("a moment to pass", || bucket.ask(TAKE, 4, 0).now_us > taken.now_us + 1_000);
    // Taken while less than a lease was missing: what refilled of the first token would have run over.
    let second = bucket.ask(TAKE, 1, 0);
    let back = bucket.ask(GIVE_BACK, 1, taken.now_us);
    let whole = 3_600 * SECOND_US;
    assert!(back.missing_us <= whole && back.missing_us + (back.now_us - second.now_us) >= whole, "{back:?}");
}

#[test]
fn a_bucket_expires_when_it_is_full() {
    let redis = Redis::start();
    let mut bucket = Bucket::new(&redis, "a", Quota { count: 10, period_us: SECOND_US, burst: 3, lease: 1 });
    bucket.ask(TAKE, 2, 0);
    let left = |redis: &Redis| match redis.call(&["PTTL", "a"]) {
        tollgate_testkit::Value::Int(left) => left,
        other => panic!("{other:?}"),
    };
    assert!((1..=202).contains(&left(&redis)), "{} ms are left", left(&redis));
    wait_for("the key to go", || left(&redis) == -2);
    assert_eq!(bucket.ask(TAKE, 3, 0).moved, 3);
}

#[test]
fn a_refusal_writes_nothing_and_nonsense_under_the_key_is_a_full_bucket() {
    let redis = Redis::start();
    let quota = Quota { count: 1, period_us: 3_600 * SECOND_US, burst: 1, lease: 1 };
    let mut bucket = Bucket::new(&redis, "a", quota);
    assert_eq!(bucket.ask(TAKE, 1, 0).moved, 1);
    let before = redis.call(&["GET", "a"]);
    assert_eq!(bucket.ask(TAKE, 1, 0).moved, 0);
    assert_eq!(bucket.ask(LEASE, 5, 0).moved, 0);
    assert_eq!(redis.call(&["GET", "a"]), before);
    redis.call(&["SET", "a", "nonsense"]).unwrap();
    assert_eq!(bucket.ask(TAKE, 1, 0).moved, 1);
}

#[test]
fn a_server_clock_that_steps_back_costs_a_burst_at_most() {
    let redis = Redis::start();
    let quota = Quota { count: 10, period_us: SECOND_US, burst: 2, lease: 1 };
    let mut bucket = Bucket::new(&redis, "a", quota);
    let now = bucket.ask(TAKE, 1, 0).now_us;
    // As it was kept an hour ahead of now.
    let ahead = now + 3_600 * SECOND_US;
    redis.call(&["SET", "a", &format!("{ahead}:0:{ahead}:{ahead}")]).unwrap();
    assert_eq!(bucket.ask(TAKE, 1, 0).moved, 0);
    wait_for("a token", || bucket.ask(TAKE, 1, 0).moved == 1);
}
