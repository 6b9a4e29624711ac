//! Limits of one process: keys and cores that share a table with too little room, on clocks that each read a little late,
//! with reloads that change rates and room, and requests that a later limit refuses.

use std::collections::HashMap;

use tollgate_policy::limit::{Counts, Quota, Table, limit_identity};

use crate::dice::Dice;
use crate::level::{Level, NS_PER_S, quota};
use crate::seeds;

const STEPS: u32 = 84_000;
const SEEDS: u64 = 12;
const MS: u64 = 1_000_000;
/// How late a core's clock may be.
const LATE_NS: u64 = 5 * MS;
/// Parts of the table, each with room of its own.
const SHARDS: usize = 64;
/// Tokens, seconds, burst: rates before and after a reload.
const LIMITS: [(u64, u64, u64); 8] = [
    (3, 1, 2),
    (7, 60, 5),
    (100, 1, 200),
    (1, 1, 1),
    (10, 3_600, 10),
    (1_000, 1, 50),
    (13, 86_400, 13),
    (999_999_937, 86_400, 3),
];

#[test]
fn limits_over_cores() {
    let mut seen = Seen::default();
    let all = seeds::each(SEEDS, |seed| run(seed, &mut seen));
    if all {
        assert!(seen.allowed > 100_000 && seen.refused > 50_000 && seen.certain > 100_000, "{seen:?}");
        assert!(seen.returned > 10_000 && seen.reloaded > 300, "{seen:?}");
        assert!(seen.overflowed > 5_000 && seen.evicted > 1_000, "{seen:?}");
    }
}

/// What happened, to know that something did.
#[derive(Debug, Default)]
struct Seen {
    allowed: u64,
    refused: u64,
    /// Decisions of which a model alone could say what they must be.
    certain: u64,
    returned: u64,
    reloaded: u64,
    overflowed: u64,
    evicted: u64,
}

/// What a key may have at most and has at least. Cores' clocks differ, and the table goes by one that is as late as the
/// latest of all or as early as the core's own. Most is there when tokens were taken early and it is late, least when they
/// were taken late and it is early.
struct Bounds {
    most: Level,
    least: Level,
}

struct World {
    seed: u64,
    dice: Dice,
    table: Table,
    /// As they stood after the last decision.
    counts: Counts,
    room: usize,
    /// A limit's identity and what it allows now.
    limits: Vec<(u64, Quota)>,
    bounds: HashMap<(u64, u64), Bounds>,
    now_ns: u64,
    /// The latest that any core has read.
    latest_ns: u64,
}

fn run(seed: u64, seen: &mut Seen) {
    let mut dice = Dice::new(seed);
    let room = SHARDS * (1 + dice.below(6) as usize);
    let table = Table::with_secret(room, [seed, !seed]);
    let mut world = World {
        seed,
        counts: table.counts(),
        table,
        room,
        limits: Vec::new(),
        bounds: HashMap::new(),
        now_ns: 1_000 * NS_PER_S,
        latest_ns: 0,
        dice,
    };
    (0..4).for_each(|_| world.add_limit());
    for _ in 0..STEPS {
        world.step(seen);
        world.sweep();
    }
    seen.evicted += world.table.counts().evicted;
    seen.overflowed += world.table.counts().overflowed;
}

impl World {
    fn step(&mut self, seen: &mut Seen) {
        self.now_ns += match self.dice.below(2_000) {
            0 => self.dice.below(600 * NS_PER_S),
            1..100 => self.dice.below(NS_PER_S),
            _ => self.dice.below(5 * MS),
        };
        match self.dice.below(2_000) {
            0 => self.reload(seen),
            1..20 => self.table.sweep(self.now_ns),
            _ => self.request(seen),
        }
    }

    fn request(&mut self, seen: &mut Seen) {
        // A core read its clock a moment ago; some keys come more often.
        let now_ns = self.now_ns - self.dice.below(LATE_NS);
        self.latest_ns = self.latest_ns.max(now_ns);
        let (identity, quota) = self.limits[self.dice.below(self.limits.len() as u64) as usize];
        let key = u64::from(self.dice.zipf(3_000));
        let decision = self.table.take(identity, &key.to_le_bytes(), &quota, now_ns);
        let overflowed = self.counts.overflowed;
        self.counts = self.table.counts();
        if self.counts.overflowed > overflowed {
            return;
        }
        let (seed, burst) = (self.seed, quota.burst());
        assert!(decision.remaining < burst || !decision.allowed, "seed {seed}: {decision:?}");
        assert_eq!(decision.allowed, decision.retry_after.is_zero(), "seed {seed}: {decision:?}");
        let full = || Level::full(&quota, burst, 0);
        let bounds = self.bounds.entry((identity, key));
        let bounds = bounds.or_insert_with(|| Bounds { most: full(), least: full() });
        let may = bounds.most.tokens(self.latest_ns) > 0;
        let must = bounds.least.had_one(now_ns - 2 * LATE_NS);
        assert!(may || !decision.allowed, "seed {seed}: more than {quota:?} lets pass");
        assert!(decision.allowed || !must, "seed {seed}: refused by {quota:?}, and there was a token");
        seen.certain += u64::from(may == must);
        if !decision.allowed {
            seen.refused += 1;
            return;
        }
        seen.allowed += 1;
        bounds.most.spend(now_ns);
        bounds.least.spend(self.latest_ns);
        if self.dice.percent(10) {
            // A later limit refuses it.
            self.table.give_back(identity, &key.to_le_bytes(), &quota, now_ns);
            bounds.most.add(1, now_ns);
            seen.returned += 1;
        }
    }

    /// A limit goes, another comes, and there is another amount of room.
    fn reload(&mut self, seen: &mut Seen) {
        seen.reloaded += 1;
        let gone = self.dice.below(self.limits.len() as u64) as usize;
        self.limits.swap_remove(gone);
        self.add_limit();
        // Less room is there as soon as those that are too many are full.
        let room = SHARDS * (1 + self.dice.below(6) as usize);
        self.room = self.room.max(room);
        self.table.resize(room);
    }

    /// A limit that was there before finds its buckets again: its identity is made of what it says.
    fn add_limit(&mut self) {
        let at = self.dice.below(LIMITS.len() as u64) as usize;
        self.limits.push((limit_identity(&["route", &at.to_string()]), quota(LIMITS[at])));
    }

    /// What holds after every step.
    fn sweep(&self) {
        let counts = self.counts;
        assert!(counts.buckets <= self.room as u64, "seed {}: {counts:?} in {}", self.seed, self.room);
        let most = 200 * 1024 + 400 * self.room as u64;
        assert!(counts.bytes <= most, "seed {}: {counts:?}, at most {most} bytes", self.seed);
    }
}
