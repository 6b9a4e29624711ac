//! A few instances that share one bucket, and everything that can happen to them: questions and answers that are late,
//! lost, overtaken or doubled, clocks that differ in pace, instances that drain or are killed, requests that leave or
//! are refused later, a Redis that comes back empty. What must hold is looked at after every step.

use std::collections::{BTreeMap, VecDeque};

use tollgate_policy::limit::lease::{Lease, Verdict, lease_max};
use tollgate_policy::limit::script::{Ask, Reply};
use tollgate_policy::limit::{Decision, Quota};

use crate::dice::Dice;
use crate::gateway::Clock;
use crate::level::{Level, NS_PER_S, quota};
use crate::seeds;
use crate::store::Kept;

const STEPS: u32 = 21_000;
const SEEDS: u64 = 48;
const MS: u64 = 1_000_000;
/// How long a question waits for its answer.
const TIMEOUT_NS: u64 = 50 * MS;
/// How long a token waits for the request that it was asked for.
const CLAIM_NS: u64 = 100 * MS;
/// Tokens, seconds, burst.
const LIMITS: [(u64, u64, u64); 8] = [
    (100, 1, 200),
    (2_000, 1, 200),
    (1_000, 60, 1_000),
    (10_000, 3_600, 10_000),
    (20, 1, 20),
    (5, 1, 1),
    (3, 1, 7),
    (1_000_000, 1, 50_000),
];

#[test]
fn leases_under_siege() {
    let mut seen = Seen::default();
    let all = seeds::each(SEEDS, |seed| seen.add(&run(seed)));
    // A simulation in which nothing happens proves nothing.
    if all {
        assert!(seen.passed > 100_000 && seen.refused > 100_000 && seen.late > 500, "{seen:?}");
        assert!(seen.lost > 500 && seen.doubled > 300 && seen.killed > 300, "{seen:?}");
        assert!(seen.drained > 300 && seen.returned > 1_000 && seen.left > 300, "{seen:?}");
        assert!(seen.emptied > 10 && seen.given_back > 1_000, "{seen:?}");
    }
}

/// What happened, to know that something did.
#[derive(Debug, Default)]
struct Seen {
    passed: u64,
    refused: u64,
    late: u64,
    lost: u64,
    doubled: u64,
    killed: u64,
    drained: u64,
    returned: u64,
    left: u64,
    emptied: u64,
    given_back: u64,
}

impl Seen {
    fn add(&mut self, other: &Seen) {
        self.passed += other.passed;
        self.refused += other.refused;
        self.late += other.late;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.killed += other.killed;
        self.drained += other.drained;
        self.returned += other.returned;
        self.left += other.left;
        self.emptied += other.emptied;
        self.given_back += other.given_back;
    }
}

/// How bad it is, of a thousand.
struct Net {
    delay_ns: (u64, u64),
    lost: u64,
    doubled: u64,
    /// Of ten thousand steps.
    killed: u64,
    emptied: u64,
}

/// A question that an answer is waited for.
struct Flight {
    number: u64,
    deadline_ns: u64,
}

struct Instance {
    lease: Lease,
    clock: Clock,
    /// Who waits: since when, by the true clock.
    waiting: VecDeque<u64>,
    flight: Option<Flight>,
    draining: bool,
    /// When the last answer came, by the true clock.
    answered_ns: u64,
    /// Requests that passed by its tokens and may yet be refused by a later limit.
    undecided: u64,
    /// Tokens that came, less those that were used or went back: what it must hold.
    balance: i64,
}

enum Event {
    Asked { from: usize, number: u64, ask: Ask },
    Answered { to: usize, number: u64, reply: Reply },
}

struct World {
    seed: u64,
    dice: Dice,
    quota: Quota,
    net: Net,
    kept: Kept,
    instances: Vec<Instance>,
    events: BTreeMap<(u64, u64), Event>,
    now_ns: u64,
    /// Between two steps, at most.
    pace_ns: u64,
    next: u64,
    /// One bucket whose burst is larger by a lease, and by what refills while an answer is on its way.
    beyond: Level,
    seen: Seen,
}

fn run(seed: u64) -> Seen {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step();
        world.sweep();
    }
    world.rest();
    world.seen
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let quota = quota(LIMITS[seed as usize % LIMITS.len()]);
        // Some networks are calm: there, nothing may be missing in the end.
        let bad = |dice: &mut Dice, most: u64| if seed.is_multiple_of(3) { 0 } else { dice.below(most) };
        let least_ns = 50_000 + dice.below(2 * MS);
        let net = Net {
            delay_ns: (least_ns, least_ns + dice.below(30 * MS)),
            lost: bad(&mut dice, 60),
            doubled: bad(&mut dice, 60),
            killed: bad(&mut dice, 20),
            emptied: bad(&mut dice, 4),
        };
        let now_ns = 1_000 * NS_PER_S;
        let instances = (0..1 + dice.below(7)).map(|_| Instance::new(&mut dice)).collect();
        // By how much clocks may run fast, and a lease be held too short or too long: a thousandth of it and of the way.
        let way_ns = net.delay_ns.1 + 3 * MS;
        let slack = way_ns * quota.count() / quota.period_ns() + u64::from(lease_max(&quota)) / 500 + 2;
        let burst = quota.burst() + u64::from(lease_max(&quota)) + slack;
        let beyond = Level::full(&quota, burst, now_ns);
        let kept = Kept::default();
        World {
            seed,
            dice,
            quota,
            net,
            kept,
            instances,
            events: BTreeMap::new(),
            now_ns,
            pace_ns: MS,
            next: 0,
            beyond,
            seen: Seen::default(),
        }
    }

    fn step(&mut self) {
        // Rushes and quiet times: what is held through these is too much in those.
        if self.dice.below(150) == 0 {
            self.pace_ns = [MS / 20, MS, 5 * MS, 40 * MS, 150 * MS][self.dice.below(5) as usize];
        }
        self.now_ns += match self.dice.below(2_000) {
            0 => self.dice.below(3 * NS_PER_S),
            _ => self.dice.below(self.pace_ns),
        };
        self.deliver();
        let at = self.dice.below(self.instances.len() as u64) as usize;
        match self.dice.below(1_000) {
            0..30 => self.refused_later(at),
            30..40 => self.leaves(at),
            40..42 => self.drains(at),
            _ if self.dice.below(10_000) < self.net.killed => self.is_killed(at),
            _ if self.dice.below(10_000) < self.net.emptied => self.is_emptied(),
            // One is busier than the others.
            _ if self.dice.percent(40) => self.request(0),
            _ => self.request(at),
        }
        self.ask_all();
    }

    fn request(&mut self, at: usize) {
        let now_ns = self.local(at);
        let (instance, quota) = (&mut self.instances[at], self.quota);
        match instance.lease.decide(now_ns, &quota) {
            Verdict::Decided(decision) => self.decided(at, decision),
            Verdict::Wait => instance.waiting.push_back(self.now_ns),
        }
    }

    fn decided(&mut self, at: usize, decision: Decision) {
        if !decision.allowed {
            self.seen.refused += 1;
            assert!(
                !decision.retry_after.is_zero(),
                "seed {}: refused, and to come again at once",
                self.seed
            );
            assert_eq!(decision.remaining, 0, "seed {}", self.seed);
            return;
        }
        self.seen.passed += 1;
        let instance = &mut self.instances[at];
        instance.balance -= 1;
        instance.undecided += 1;
        assert!(decision.remaining < self.quota.burst(), "seed {}: {decision:?}", self.seed);
        assert!(
            self.beyond.take(self.now_ns),
            "seed {}: more than a lease beyond the limit of {:?} passed at {} ns",
            self.seed,
            self.quota,
            self.now_ns
        );
    }

    /// A later limit refused a request: its token is as if never taken.
    fn refused_later(&mut self, at: usize) {
        let instance = &mut self.instances[at];
        if instance.undecided > 0 {
            instance.undecided -= 1;
            instance.lease.give_back();
            instance.balance += 1;
            self.beyond.add(1, self.now_ns);
            self.seen.returned += 1;
        }
    }

    /// A client leaves while its request waits, and nothing was asked for it yet.
    fn leaves(&mut self, at: usize) {
        // All that wait are asked for at the end of each step, so it waits for no answer only where one is under way
        // for others.
        let instance = &mut self.instances[at];
        if instance.waiting.len() > 1 && instance.waiting.pop_back().is_some() {
            instance.lease.leave();
            self.seen.left += 1;
        }
    }

    fn drains(&mut self, at: usize) {
        self.instances[at].lease.drain();
        self.instances[at].draining = true;
        self.seen.drained += 1;
    }

    /// Its place is taken by a new one, which knows nothing.
    fn is_killed(&mut self, at: usize) {
        self.instances[at] = Instance::new(&mut self.dice);
        self.seen.killed += 1;
    }

    /// Redis comes back empty: a bucket that is full, as documented.
    fn is_emptied(&mut self) {
        self.kept = Kept::default();
        self.beyond.add(u64::MAX, self.now_ns);
        self.seen.emptied += 1;
    }

    fn ask_all(&mut self) {
        for at in 0..self.instances.len() {
            let now_ns = self.local(at);
            let mut questions = 0;
            while let Some(ask) = self.instances[at].lease.ask(now_ns, &self.quota) {
                questions += 1;
                assert!(questions <= 5, "seed {}: questions without end", self.seed);
                self.send(at, ask);
            }
            let wake = self.instances[at].lease.wake_at(now_ns, &self.quota);
            assert!(wake.is_none_or(|wake| wake > now_ns), "seed {}: to be woken in the past", self.seed);
        }
    }

    fn send(&mut self, from: usize, ask: Ask) {
        let (number, instance) = (self.next, &mut self.instances[from]);
        self.next += 1;
        match ask {
            Ask::Lease(tokens) => {
                assert!(instance.flight.is_none(), "seed {}: two questions at once", self.seed);
                let waiting = instance.waiting.len() as u32;
                let allowed = if instance.draining { waiting } else { waiting + lease_max(&self.quota) };
                assert!(tokens <= allowed.max(1), "seed {}: {tokens} asked, {waiting} wait", self.seed);
                instance.flight = Some(Flight { number, deadline_ns: self.now_ns + TIMEOUT_NS });
            }
            Ask::GiveBack { tokens, .. } => {
                instance.balance -= i64::from(tokens);
                self.seen.given_back += 1;
            }
            Ask::Take(_) => panic!("seed {}: leases do not ask for one token", self.seed),
        }
        self.post(Event::Asked { from, number, ask });
        if self.dice.below(1_000) < self.net.doubled {
            self.seen.doubled += 1;
            if let Ask::GiveBack { tokens, .. } = ask {
                // A return that is heard twice gives what it says twice: no more.
                self.beyond_later(tokens);
            }
            self.post(Event::Asked { from, number, ask });
        }
    }

    fn beyond_later(&mut self, tokens: u32) {
        self.beyond.lift(u64::from(tokens));
    }

    fn post(&mut self, event: Event) {
        if self.dice.below(1_000) < self.net.lost {
            self.seen.lost += 1;
            return;
        }
        let (least, most) = self.net.delay_ns;
        let due_ns = self.now_ns + least + self.dice.below(most - least + 1);
        let order = self.next;
        self.next += 1;
        self.events.insert((due_ns, order), event);
    }

    fn deliver(&mut self) {
        while let Some(first) = self.events.first_entry().filter(|first| first.key().0 <= self.now_ns) {
            match first.remove() {
                Event::Asked { from, number, ask } => {
                    let reply = self.kept.answer(ask, &self.quota, self.now_ns / 1_000);
                    if matches!(ask, Ask::Lease(_)) {
                        self.post(Event::Answered { to: from, number, reply });
                    }
                }
                Event::Answered { to, number, reply } => self.answered(to, number, &reply),
            }
        }
        for at in 0..self.instances.len() {
            let late = self.instances[at].flight.as_ref().is_some_and(|it| it.deadline_ns <= self.now_ns);
            if late {
                self.seen.late += 1;
                let instance = &mut self.instances[at];
                instance.flight = None;
                instance.lease.failed();
                // They are decided for without Redis.
                instance.waiting.clear();
            }
        }
    }

    /// An answer that is not waited for any more, or that came before, is dropped.
    fn answered(&mut self, to: usize, number: u64, reply: &Reply) {
        let (now_ns, quota) = (self.local(to), self.quota);
        let instance = &mut self.instances[to];
        if instance.flight.take_if(|flight| flight.number == number).is_none() {
            return;
        }
        instance.answered_ns = self.now_ns;
        instance.balance += i64::from(reply.moved);
        instance.lease.settle(now_ns, &quota, reply);
        for _ in 0..instance.waiting.len() {
            let Some(since_ns) = self.instances[to].waiting.pop_front() else { break };
            match self.instances[to].lease.claim(now_ns, &quota) {
                Verdict::Decided(decision) => self.decided(to, decision),
                Verdict::Wait => self.instances[to].waiting.push_back(since_ns),
            }
        }
    }

    fn local(&self, at: usize) -> u64 {
        self.instances[at].clock.at_ns(self.now_ns)
    }

    /// What holds after every step; that no more than a lease beyond the limit passes is looked at with each request.
    fn sweep(&self) {
        for (at, instance) in self.instances.iter().enumerate() {
            let (held, seed) = (i64::from(instance.lease.held()), self.seed);
            assert_eq!(held, instance.balance, "seed {seed}: tokens appeared or vanished in instance {at}");
            let asked = instance.flight.is_some();
            assert!(asked || instance.waiting.is_empty(), "seed {seed}: somebody waits for nothing");
            let way_ns = self.net.delay_ns.1 + 3 * NS_PER_S;
            let since = instance.waiting.front().map_or(self.now_ns, |since| *since);
            assert!(self.now_ns <= since + TIMEOUT_NS * 2 + way_ns, "seed {seed}: somebody waits for ever");
            let claimed = self.now_ns > instance.answered_ns + 2 * CLAIM_NS;
            assert!(!instance.draining || held == 0 || !claimed, "seed {seed}: drained, and holds {held}");
        }
    }

    /// Nobody comes any more: everything goes back, and nothing is asked.
    fn rest(&mut self) {
        for _ in 0..400 {
            self.now_ns += 10 * MS;
            self.deliver();
            self.ask_all();
            self.sweep();
        }
        for at in 0..self.instances.len() {
            let (now_ns, instance) = (self.local(at), &self.instances[at]);
            assert_eq!(instance.lease.held(), 0, "seed {}: held for nobody", self.seed);
            let pause_ns = self.quota.period_ns() / self.quota.count() + NS_PER_S;
            assert!(instance.lease.is_idle(now_ns + pause_ns), "seed {}: still at work", self.seed);
        }
    }
}

impl Instance {
    fn new(dice: &mut Dice) -> Instance {
        let clock =
            Clock { offset_ns: dice.below(86_400 * NS_PER_S), drift_ppm: dice.below(401) as i64 - 200 };
        Instance {
            lease: Lease::default(),
            clock,
            waiting: VecDeque::new(),
            flight: None,
            draining: false,
            answered_ns: 0,
            undecided: 0,
            balance: 0,
        }
    }
}
