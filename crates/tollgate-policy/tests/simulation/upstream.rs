//! One upstream with many targets, failing and flapping, under load, with a clock that leaps, reloads that bring and take
//! targets and change the rules, and a drain in the end: what must hold after every step, whatever happens. The seed is
//! in every message; `TOLLGATE_SEED=<seed>` runs that one alone.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tollgate_plan::resilience::{
    CircuitBreaker, HealthCheck, Outlier, Probe, Retry, RetryMethods, RetryOn, StatusSet,
};

use tollgate_policy::{Breaker, Budget, Circuit, Ending, Health, Outliers, Ticket};

use crate::dice::Dice;
use crate::seeds;

const STEPS: u32 = 21_000;
const SEEDS: u64 = 48;

#[test]
fn failing_upstreams_under_load() {
    let mut seen = Seen::default();
    let all = seeds::each(SEEDS, |seed| seen.add(&run(seed)));
    // A simulation in which nothing happens proves nothing.
    if all {
        assert!(seen.ejected > 100 && seen.opened > 100 && seen.closed > 20, "{seen:?}");
        assert!(seen.retried > 1000 && seen.refused_retries > 1000 && seen.unhealthy > 100, "{seen:?}");
        assert!(seen.nobody > 0 && seen.given_back > 20, "{seen:?}");
        assert!(seen.reloaded > 300 && seen.kept_out > 30 && seen.tried_again > 5, "{seen:?}");
    }
}

/// What happened, to know that something did.
#[derive(Debug, Default)]
struct Seen {
    ejected: u32,
    unhealthy: u32,
    nobody: u32,
    opened: u32,
    closed: u32,
    given_back: u32,
    retried: u32,
    refused_retries: u32,
    reloaded: u32,
    /// Targets that were ejected before a reload and after it.
    kept_out: u32,
    /// Breakers that were not closed when the drain ended, and let the next ones try.
    tried_again: u32,
}

impl Seen {
    fn add(&mut self, other: &Seen) {
        for (sum, part) in [
            (&mut self.ejected, other.ejected),
            (&mut self.unhealthy, other.unhealthy),
            (&mut self.nobody, other.nobody),
            (&mut self.opened, other.opened),
            (&mut self.closed, other.closed),
            (&mut self.given_back, other.given_back),
            (&mut self.retried, other.retried),
            (&mut self.refused_retries, other.refused_retries),
            (&mut self.reloaded, other.reloaded),
            (&mut self.kept_out, other.kept_out),
            (&mut self.tried_again, other.tried_again),
        ] {
            *sum += part;
        }
    }
}

struct Rules {
    outlier: Outlier,
    breaker: CircuitBreaker,
    check: HealthCheck,
    retry: Retry,
}

impl Rules {
    fn draw(random: &mut Dice) -> Rules {
        let seconds = |random: &mut Dice, max| Duration::from_secs(1 + random.below(max));
        Rules {
            outlier: Outlier {
                consecutive_failures: 1 + random.below(6) as u32,
                eject: seconds(random, 40),
                max_ejected_percent: random.below(101) as u32,
            },
            breaker: CircuitBreaker {
                failure_percent: 1 + random.below(100) as u32,
                min_requests: 1 + random.below(30) as u32,
                window: seconds(random, 20),
                open: seconds(random, 20),
                half_open_requests: 1 + random.below(5) as u32,
            },
            check: HealthCheck {
                probe: Probe::Tcp,
                every: Duration::from_secs(5),
                timeout: Duration::from_secs(1),
                healthy_after: 1 + random.below(4) as u32,
                unhealthy_after: 1 + random.below(4) as u32,
            },
            retry: Retry {
                attempts: 1,
                on: RetryOn { statuses: StatusSet::range(500, 599), ..RetryOn::default() },
                methods: RetryMethods::Idempotent,
                budget_percent: random.below(50) as u32,
                backoff: Duration::from_millis(25),
            },
        }
    }
}

/// An attempt on its way. `answered`: its success was told, its end was not.
struct InFlight {
    at: usize,
    /// The reloads before it began: it reports to the targets of that time.
    reloads: u32,
    /// Breakers before its own.
    breakers: u32,
    ticket: Ticket,
    answered: bool,
}

/// What the breaker's probes must be, counted from outside.
#[derive(Default)]
struct Probes {
    out: Vec<Ticket>,
    succeeded: u32,
}

struct World {
    seed: u64,
    random: Dice,
    rules: Rules,
    now: Instant,
    outliers: Outliers,
    health: Vec<Health>,
    reloads: u32,
    breakers: u32,
    /// Ejected when the last reload was done: it may have taken those that were not.
    inherited: usize,
    /// How likely a request to each target fails, in percent.
    failing: Vec<u64>,
    breaker: Breaker,
    opened: Option<Instant>,
    probes: Probes,
    budget: Budget,
    requests: VecDeque<Instant>,
    retries: VecDeque<Instant>,
    in_flight: Vec<InFlight>,
    seen: Seen,
}

fn run(seed: u64) -> Seen {
    let mut random = Dice::new(seed);
    let targets = 1 + random.below(12) as usize;
    let rules = Rules::draw(&mut random);
    let mut world = World {
        seed,
        now: Instant::now(),
        outliers: Outliers::new((0..targets).map(|_| Default::default())),
        health: vec![Health::default(); targets],
        reloads: 0,
        breakers: 0,
        inherited: 0,
        failing: vec![0; targets],
        breaker: Breaker::new(rules.breaker),
        opened: None,
        probes: Probes::default(),
        budget: Budget::default(),
        requests: VecDeque::new(),
        retries: VecDeque::new(),
        in_flight: Vec::new(),
        seen: Seen::default(),
        random,
        rules,
    };
    for _ in 0..STEPS {
        world.step();
        world.sweep();
    }
    world.drain();
    world.seen
}

impl World {
    fn step(&mut self) {
        self.now += match self.random.below(1000) {
            0 => Duration::from_secs(self.random.below(100)),
            1..50 => Duration::from_millis(self.random.below(2000)),
            _ => Duration::from_millis(self.random.below(20)),
        };
        match self.random.below(100) {
            0 if self.random.percent(10) => self.reload(),
            0 => self.flap(),
            1..6 => self.check(),
            6..55 => self.request(),
            _ => self.end(),
        }
    }

    /// A worker's clock may have been read a moment ago.
    fn clock(&mut self) -> Instant {
        self.now.checked_sub(Duration::from_millis(self.random.below(30))).unwrap_or(self.now)
    }

    fn flap(&mut self) {
        let (at, all) = (self.random.below(self.failing.len() as u64) as usize, self.random.percent(20));
        let failing = [0, 0, 5, 50, 100][self.random.below(5) as usize];
        for (target, percent) in self.failing.iter_mut().enumerate() {
            if all || target == at {
                *percent = failing;
            }
        }
    }

    fn check(&mut self) {
        let at = self.random.below(self.health.len() as u64) as usize;
        let good = !self.random.percent(self.failing[at]);
        match self.health[at].observed(good, &self.rules.check) {
            true if good => self.outliers.pardon(at),
            true => self.seen.unhealthy += 1,
            false => {}
        }
    }

    fn request(&mut self) {
        self.budget.request(self.now);
        self.requests.push_back(self.now);
        self.attempt();
    }

    fn retry(&mut self) {
        if !self.budget.withdraw(&self.rules.retry, self.now) {
            self.seen.refused_retries += 1;
            return;
        }
        self.seen.retried += 1;
        self.retries.push_back(self.now);
        let since = |times: &VecDeque<Instant>, now: Instant| {
            times.iter().rev().take_while(|at| now - **at < Duration::from_secs(10)).count() as u64
        };
        let (requests, retries) = (since(&self.requests, self.now), since(&self.retries, self.now));
        let share = requests * u64::from(self.rules.retry.budget_percent) / 100;
        assert!(retries <= share.max(30), "seed {}: {retries} retries of {requests} requests", self.seed);
        self.attempt();
    }

    fn attempt(&mut self) {
        let now = self.clock();
        let usable: Vec<usize> = (0..self.health.len()).filter(|at| self.health[*at].is_healthy()).collect();
        let favoured: Vec<usize> =
            usable.iter().copied().filter(|at| !self.outliers.is_ejected(*at, now)).collect();
        let choice = if favoured.is_empty() { &usable } else { &favoured };
        if choice.is_empty() {
            self.seen.nobody += 1;
            return;
        }
        let at = choice[self.random.below(choice.len() as u64) as usize];
        let Some(ticket) = self.admit(now) else { return };
        let (reloads, breakers) = (self.reloads, self.breakers);
        self.in_flight.push(InFlight { at, reloads, breakers, ticket, answered: false });
    }

    fn admit(&mut self, now: Instant) -> Option<Ticket> {
        let before = self.breaker.circuit(now);
        let admitted = self.breaker.admit(now);
        let (probes, max) = (&mut self.probes, self.rules.breaker.half_open_requests);
        let free = probes.out.len() + (probes.succeeded as usize) < max as usize;
        let expected = match before {
            Circuit::Closed => true,
            Circuit::Open => false,
            Circuit::HalfOpen => free,
        };
        assert_eq!(admitted.is_ok(), expected, "seed {}: {before:?}, {:?}", self.seed, probes.out.len());
        if before == Circuit::Open {
            let opened = self.opened.expect("it opened once");
            assert!(now < opened + self.rules.breaker.open, "seed {}: open for too long", self.seed);
        }
        let ticket = admitted.ok()?;
        if before == Circuit::HalfOpen {
            probes.out.push(ticket);
        }
        Some(ticket)
    }

    /// One of the attempts comes to its end, or to the head of its answer.
    fn end(&mut self) {
        if self.in_flight.is_empty() {
            return;
        }
        let which = self.random.below(self.in_flight.len() as u64) as usize;
        let one = self.in_flight.swap_remove(which);
        let now = self.clock();
        let old = one.reloads != self.reloads;
        let fails = self.random.percent(if old { 30 } else { self.failing[one.at] });
        match (one.answered, fails) {
            (false, _) if self.random.percent(3) => self.settle(&one, Ending::Unknown, now),
            (false, true) => {
                self.settle(&one, Ending::Failure, now);
                self.failed(&one, now);
                self.retry();
            }
            (false, false) => {
                self.settle(&one, Ending::Success, now);
                self.in_flight.push(InFlight { answered: true, ..one });
            }
            (true, true) => {
                self.settle(&one, Ending::BrokenOff, now);
                self.failed(&one, now);
            }
            (true, false) if old => {}
            (true, false) => self.outliers.succeeded(one.at),
        }
    }

    /// Other targets in another order, and perhaps other rules, as `live/shield.rs` of the data plane carries them over.
    fn reload(&mut self) {
        self.seen.reloaded += 1;
        self.reloads += 1;
        let old = self.health.len();
        let mut places: Vec<Option<usize>> = (0..old).map(Some).chain([None, None]).collect();
        // Some leave, some come, all in another order.
        for at in (1..places.len()).rev() {
            places.swap(at, self.random.below(at as u64 + 1) as usize);
        }
        places.truncate(1 + self.random.below(12) as usize);
        let out = |world: &World, at: &usize| world.outliers.is_ejected(*at, world.now);
        let before: Vec<bool> = places.iter().map(|place| place.is_some_and(|at| out(self, &at))).collect();
        let carried = places.iter().map(|place| place.map(|at| self.outliers.target(at)).unwrap_or_default());
        self.outliers = Outliers::new(carried);
        let after: Vec<bool> = (0..places.len()).map(|at| out(self, &at)).collect();
        assert_eq!(after, before, "seed {}: a reload ejects nobody and takes nobody back", self.seed);
        self.inherited = after.iter().filter(|out| **out).count();
        self.seen.kept_out += self.inherited as u32;
        let carry = |place: &Option<usize>, known: &[u64]| place.map_or(0, |at| known[at]);
        self.failing = places.iter().map(|place| carry(place, &self.failing)).collect();
        let health = |place: &Option<usize>| place.map(|at| self.health[at]).unwrap_or_default();
        self.health = places.iter().map(health).collect();
        let rules = Rules::draw(&mut self.random);
        if self.random.percent(50) {
            // A breaker with other rules is a new one; who asked the old one reports to that.
            self.rules.breaker = rules.breaker;
            self.breaker = Breaker::new(rules.breaker);
            self.breakers += 1;
            self.probes = Probes::default();
        }
        self.rules.outlier.max_ejected_percent = rules.outlier.max_ejected_percent;
    }

    /// Nobody comes any more and everybody leaves: then no place of a breaker is taken for ever.
    fn drain(&mut self) {
        for one in std::mem::take(&mut self.in_flight) {
            if !one.answered {
                self.settle(&one, Ending::Unknown, self.now);
            }
        }
        assert!(self.probes.out.is_empty(), "seed {}: probes without an end", self.seed);
        self.now += self.rules.breaker.open;
        let closed = self.breaker.circuit(self.now) == Circuit::Closed;
        let left = self.rules.breaker.half_open_requests - self.probes.succeeded;
        for _ in 0..left {
            assert!(self.breaker.admit(self.now).is_ok(), "seed {}: a place was lost", self.seed);
        }
        self.seen.tried_again += u32::from(!closed);
    }

    fn failed(&mut self, one: &InFlight, now: Instant) {
        if one.reloads != self.reloads {
            return;
        }
        let at = one.at;
        let health = &self.health;
        let until = self.outliers.failed(at, now, &self.rules.outlier, |at| health[at].is_healthy());
        if until.is_none() {
            return;
        }
        self.seen.ejected += 1;
        let left = (0..health.len()).any(|at| health[at].is_healthy() && !self.outliers.is_ejected(at, now));
        assert!(left, "seed {}: the last target was ejected", self.seed);
    }

    fn settle(&mut self, one: &InFlight, ending: Ending, now: Instant) {
        if one.breakers != self.breakers {
            return;
        }
        let ticket = one.ticket;
        let before = self.breaker.circuit(now);
        self.breaker.settle(ticket, ending, now);
        let after = self.breaker.circuit(now);
        let probe = self.probes.out.iter().position(|out| *out == ticket);
        match (probe, ending) {
            (Some(probe), Ending::Success) => {
                self.probes.out.swap_remove(probe);
                self.probes.succeeded += 1;
            }
            (Some(probe), Ending::Unknown) => {
                self.probes.out.swap_remove(probe);
                self.seen.given_back += 1;
            }
            _ => {}
        }
        let enough = self.probes.succeeded >= self.rules.breaker.half_open_requests;
        if before != after {
            self.probes = Probes::default();
            if after == Circuit::Open {
                self.opened = Some(now);
            }
            let fair = match (before, after) {
                (Circuit::Closed | Circuit::HalfOpen, Circuit::Open) => {
                    self.seen.opened += 1;
                    matches!(ending, Ending::Failure | Ending::BrokenOff)
                }
                (Circuit::HalfOpen, Circuit::Closed) => {
                    self.seen.closed += 1;
                    enough
                }
                _ => false,
            };
            assert!(fair, "seed {}: {before:?} to {after:?} by {ending:?}", self.seed);
        } else {
            assert!(before != Circuit::HalfOpen || !enough, "seed {}: it should have closed", self.seed);
        }
    }

    /// What holds after every step.
    fn sweep(&mut self) {
        let targets = self.health.len();
        let ejected = (0..targets).filter(|at| self.outliers.is_ejected(*at, self.now)).count();
        let room = targets * self.rules.outlier.max_ejected_percent as usize / 100;
        self.inherited = self.inherited.min(ejected);
        let most = room.min(targets - 1).max(self.inherited);
        assert!(ejected <= most, "seed {}: {ejected} of {targets} ejected", self.seed);
        let out = self.probes.out.len() + self.probes.succeeded as usize;
        assert!(out <= self.rules.breaker.half_open_requests as usize, "seed {}: {out} probes", self.seed);
        for times in [&mut self.requests, &mut self.retries] {
            while times.front().is_some_and(|at| self.now - *at > Duration::from_secs(20)) {
                times.pop_front();
            }
        }
    }
}
