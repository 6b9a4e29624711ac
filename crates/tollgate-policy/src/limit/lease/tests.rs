//! Instances that share a limit through a model of Redis, over a network that is slow, lossy, or gone: a seeded
//! simulation in steps of a millisecond.

use std::collections::VecDeque;

use super::*;
use crate::fixture::splitmix;
use crate::limit::bucket::tests::{Model, quota};
use crate::limit::quota::Span;

const STEP_NS: u64 = 1_000_000;
const MINUTE_NS: u64 = 60 * NS_PER_S;
/// How long a request waits for Redis.
const TIMEOUT_NS: u64 = 50_000_000;

/// What the script does, on nanoseconds.
#[derive(Default)]
struct Server {
    full_at: Span,
    latest_ns: u64,
    brimful_ns: u64,
    returns_ns: u64,
    calls: u64,
}

impl Server {
    fn answer(&mut self, ask: Ask, now_ns: u64, quota: &Quota) -> Reply {
        self.calls += 1;
        let (burst, nearly) = (quota.burst_span(), quota.cost(3 * u64::from(lease_max(quota))));
        let mut missing = quota.sub(self.full_at, Span { ns: now_ns, part: 0 }).min(burst);
        let mut moved = 0;
        match ask {
            Ask::Take(n) | Ask::Lease(n) => {
                let left = quota.tokens(quota.sub(burst, missing));
                moved = u64::from(n).min(left) as u32;
                if moved > 0 {
                    if missing < nearly {
                        self.brimful_ns = now_ns;
                    }
                    self.latest_ns = now_ns;
                    missing = quota.add(missing, quota.cost(u64::from(moved)));
                }
            }
            Ask::GiveBack { tokens, taken_at_us } => {
                let taken_ns = taken_at_us * 1_000;
                let mut back = quota.cost(u64::from(tokens));
                if self.latest_ns > taken_ns {
                    self.returns_ns = self.returns_ns.max(now_ns) + back.ns + 1;
                    if self.returns_ns - taken_ns > nearly.ns {
                        self.brimful_ns = self.latest_ns;
                    }
                    if self.brimful_ns > taken_ns {
                        back = quota.sub(back, Span { ns: self.brimful_ns - taken_ns, part: 0 });
                    }
                }
                missing = quota.sub(missing, back);
            }
        }
        self.full_at = quota.add(missing, Span { ns: now_ns, part: 0 });
        Reply { moved, missing, now_us: now_ns / 1_000 }
    }
}

/// One gateway: its lease, who waits, and what is on the wire.
#[derive(Default)]
struct Instance {
    lease: Lease,
    waiting_since: VecDeque<u64>,
    asks: VecDeque<(u64, Ask)>,
    replies: VecDeque<(u64, Reply)>,
    /// When the question that is under way is given up.
    deadline_ns: Option<u64>,
    passed: Vec<u64>,
    /// Requests decided without Redis.
    alone: u64,
}

/// The network between them.
struct Net {
    /// One way, at least and at most.
    delay_ns: (u64, u64),
    /// Of a thousand messages.
    lost: u64,
    down: std::ops::Range<u64>,
}

const CALM: Net = Net { delay_ns: (100_000, 400_000), lost: 0, down: 0..0 };

struct World {
    quota: Quota,
    server: Server,
    instances: Vec<Instance>,
    net: Net,
    random: Box<dyn FnMut() -> u64>,
    now_ns: u64,
}

impl World {
    fn new(quota: Quota, instances: usize, net: Net, seed: u64) -> World {
        let instances = (0..instances).map(|_| Instance::default()).collect();
        // A clock that starts at zero would hide what is only right there.
        let now_ns = 1_000 * NS_PER_S;
        World { quota, server: Server::default(), instances, net, random: Box::new(splitmix(seed)), now_ns }
    }

    /// Lets time pass. `demand` says how many requests a second come to which instance at which moment of it.
    fn run(&mut self, for_ns: u64, demand: impl Fn(usize, u64) -> u64) {
        let start = self.now_ns;
        while self.now_ns < start + for_ns {
            self.now_ns += STEP_NS;
            for which in 0..self.instances.len() {
                let a_second = demand(which, self.now_ns - start);
                let whole = a_second * STEP_NS / NS_PER_S;
                let rest = (self.random)() % NS_PER_S < a_second * STEP_NS % NS_PER_S;
                self.step(which, whole + u64::from(rest));
            }
        }
    }

    fn step(&mut self, which: usize, requests: u64) {
        let (now_ns, quota) = (self.now_ns, self.quota);
        self.serve(which);
        let at = &mut self.instances[which];
        while at.replies.front().is_some_and(|(due, _)| *due <= now_ns) {
            let (_, reply) = at.replies.pop_front().unwrap();
            if at.deadline_ns.take().is_some() {
                at.lease.settle(now_ns, &quota, &reply);
                at.wake(now_ns, &quota);
            }
        }
        if at.deadline_ns.is_some_and(|deadline| deadline <= now_ns) {
            at.deadline_ns = None;
            at.lease.failed();
            at.alone += at.waiting_since.drain(..).count() as u64;
            // An answer to what was given up is none to what is asked next.
            at.replies.clear();
            at.asks.retain(|(_, ask)| matches!(ask, Ask::GiveBack { .. }));
        }
        for _ in 0..requests {
            match at.lease.decide(now_ns, &quota) {
                Verdict::Decided(decision) => at.count(decision, now_ns),
                Verdict::Wait => at.waiting_since.push_back(now_ns),
            }
        }
        self.send(which);
    }

    /// Sends all there is to send.
    fn send(&mut self, which: usize) {
        let (now_ns, quota) = (self.now_ns, self.quota);
        while let Some(ask) = self.instances[which].lease.ask(now_ns, &quota) {
            let due = now_ns + self.delay();
            let is_lost = self.is_lost();
            let at = &mut self.instances[which];
            if matches!(ask, Ask::Lease(_)) {
                at.deadline_ns = Some(now_ns + TIMEOUT_NS);
            }
            if !is_lost {
                at.asks.push_back((due, ask));
            }
        }
        let wake = self.instances[which].lease.wake_at(now_ns, &quota);
        assert!(wake.is_none_or(|at| at > now_ns));
    }

    /// What has arrived is answered.
    fn serve(&mut self, which: usize) {
        while self.instances[which].asks.front().is_some_and(|(due, _)| *due <= self.now_ns) {
            let (_, ask) = self.instances[which].asks.pop_front().unwrap();
            let reply = self.server.answer(ask, self.now_ns, &self.quota);
            if matches!(ask, Ask::Lease(_)) && !self.is_lost() {
                let due = self.now_ns + self.delay();
                self.instances[which].replies.push_back((due, reply));
            }
        }
    }

    fn delay(&mut self) -> u64 {
        let (least, most) = self.net.delay_ns;
        least + (self.random)() % (most - least)
    }

    fn is_lost(&mut self) -> bool {
        self.net.down.contains(&self.now_ns) || (self.random)() % 1_000 < self.net.lost
    }

    fn passed(&self) -> u64 {
        self.instances.iter().map(|at| at.passed.len() as u64).sum()
    }

    /// What passed at all instances must have been there for one bucket whose burst is larger by one lease, and by
    /// what refills while an answer is on its way.
    #[track_caller]
    fn check_never_more_than_a_lease_beyond(&self) {
        let on_its_way = self.quota.tokens(Span { ns: self.net.delay_ns.1 + 2 * STEP_NS, part: 0 }) + 1;
        let burst = self.quota.burst() + u64::from(lease_max(&self.quota)) + on_its_way;
        let mut model = Model::new(quota(self.quota.count(), self.quota.period_ns() / NS_PER_S, burst));
        let mut all: Vec<u64> = self.instances.iter().flat_map(|at| at.passed.iter().copied()).collect();
        all.sort_unstable();
        for (count, at_ns) in all.iter().enumerate() {
            assert!(model.take(*at_ns, 1).allowed, "request {count} at {at_ns} ns is one too many");
        }
    }

    /// Within one percent of what the limit lets pass in that time.
    #[track_caller]
    fn check_within_a_percent(&self, passed: u64, burst: u64, of_ns: u64) {
        let limit = burst + self.quota.tokens(Span { ns: of_ns, part: 0 });
        assert!(passed.abs_diff(limit) * 100 <= limit, "{passed} passed, {limit} is the limit");
    }
}

impl Instance {
    fn wake(&mut self, now_ns: u64, quota: &Quota) {
        for _ in 0..self.waiting_since.len() {
            let since = self.waiting_since.pop_front().unwrap();
            match self.lease.claim(now_ns, quota) {
                Verdict::Decided(decision) => self.count(decision, now_ns),
                Verdict::Wait => self.waiting_since.push_back(since),
            }
        }
    }

    fn count(&mut self, decision: Decision, now_ns: u64) {
        if decision.allowed {
            self.passed.push(now_ns);
        } else {
            assert!(!decision.retry_after.is_zero());
        }
    }
}

const QUOTAS: [(u64, u64, u64); 5] =
    [(100, 1, 200), (2_000, 1, 200), (1_000, 60, 1_000), (10_000, 3_600, 10_000), (20, 1, 20)];

#[test]
fn instances_under_siege_pass_the_limit_within_a_percent() {
    for (seed, (count, period_s, burst)) in QUOTAS.into_iter().enumerate() {
        for instances in [2, 3] {
            let quota = quota(count, period_s, burst);
            let siege = 2 * quota.tokens(Span { ns: NS_PER_S, part: 0 }) / instances as u64 + 200;
            let mut world = World::new(quota, instances, CALM, seed as u64);
            world.run(MINUTE_NS, |_, _| siege);
            // An empty bucket is asked again ten times a second, or as often as it regains a lease.
            let pause_ns = (NS_PER_S / 10).min(held_max_ns(&quota));
            let most = (MINUTE_NS / pause_ns + 100) * instances as u64;
            assert!(world.server.calls <= most, "{} calls", world.server.calls);
            world.check_never_more_than_a_lease_beyond();
            world.check_within_a_percent(world.passed(), burst, MINUTE_NS);
            let before = world.passed();
            world.run(MINUTE_NS, |_, _| siege);
            world.check_within_a_percent(world.passed() - before, 0, MINUTE_NS);
        }
    }
}

#[test]
fn uneven_and_changing_demand_stays_within_the_limit() {
    for seed in 0..4 {
        let quota = quota(500, 1, 500);
        let mut world = World::new(quota, 2, CALM, seed);
        // One is busy, then the other, then none, then both at once.
        world.run(MINUTE_NS, |which, at| match at / NS_PER_S % 8 {
            0..3 => [2_000, 5][which],
            3..5 => [0, 2_000][which],
            5..7 => 0,
            _ => 3_000,
        });
        world.check_never_more_than_a_lease_beyond();
    }
}

#[test]
fn a_rush_meets_no_more_than_a_lease_beyond_the_burst() {
    for seed in 0..40 {
        let mut world = World::new(quota(1_000, 1, 200), 4, CALM, seed);
        world.run(NS_PER_S, |_, _| 200);
        // The bucket fills up, whatever they hold.
        let pause_ns = (world.random)() % IDLE_NS;
        world.run(pause_ns, |_, _| 0);
        world.run(NS_PER_S / 10, |_, _| 20_000);
        world.check_never_more_than_a_lease_beyond();
    }
}

#[test]
fn those_who_wait_are_served_also_when_answers_outlast_a_lease() {
    let net = Net { delay_ns: (8_000_000, 20_000_000), lost: 0, down: 0..0 };
    let quota = quota(200, 1, 8);
    assert!(held_max_ns(&quota) < net.delay_ns.0 * 2);
    let mut world = World::new(quota, 1, net, 11);
    world.run(10 * NS_PER_S, |_, _| 60);
    assert!((500..).contains(&world.passed()), "{} of about 600 passed", world.passed());
    world.check_never_more_than_a_lease_beyond();
}

#[test]
fn below_the_limit_everything_passes_and_few_ask() {
    let mut world = World::new(quota(10_000, 1, 10_000), 2, CALM, 5);
    world.run(10 * NS_PER_S, |_, _| 1_000);
    let (passed, calls) = (world.passed(), world.server.calls);
    assert!(passed > 19_000);
    assert!(world.instances.iter().all(|at| at.alone == 0 && at.waiting_since.len() < 3));
    assert!(calls * 50 < passed, "{calls} calls for {passed} requests");
}

#[test]
fn a_lossy_network_never_lets_more_pass() {
    for seed in 0..4 {
        let net = Net { delay_ns: (200_000, 5_000_000), lost: 50, down: 0..0 };
        let mut world = World::new(quota(500, 1, 500), 3, net, seed);
        world.run(MINUTE_NS, |_, _| 700);
        world.check_never_more_than_a_lease_beyond();
        assert!(world.passed() > 500 * 60 * 8 / 10, "{} passed", world.passed());
    }
}

#[test]
fn a_network_that_was_gone_is_used_again() {
    let second = |s: u64| (1_000 + s) * NS_PER_S;
    let net = Net { down: second(20)..second(30), ..CALM };
    let mut world = World::new(quota(500, 1, 500), 2, net, 3);
    world.run(20 * NS_PER_S, |_, _| 700);
    world.run(10 * NS_PER_S, |_, _| 700);
    assert!(world.instances.iter().all(|at| at.alone > 1_000), "requests are decided alone");
    world.run(NS_PER_S, |_, _| 700);
    let (before, alone) = (world.passed(), world.instances[0].alone);
    world.run(29 * NS_PER_S, |_, _| 700);
    world.check_within_a_percent(world.passed() - before, 0, 29 * NS_PER_S);
    assert_eq!(world.instances[0].alone, alone);
    world.check_never_more_than_a_lease_beyond();
}

#[test]
fn what_is_held_goes_back_when_unused_and_on_drain() {
    for drain in [false, true] {
        // So slow that nothing refills meanwhile.
        let mut world = World::new(quota(10_000, 86_400, 10_000), 2, CALM, 9);
        world.run(NS_PER_S, |_, _| 300);
        assert!(world.instances.iter().any(|at| at.lease.held() > 0));
        if drain {
            world.instances.iter_mut().for_each(|at| at.lease.drain());
            world.run(4_000_000, |_, _| 0);
        } else {
            world.run(IDLE_NS + 4_000_000, |_, _| 0);
            assert!(world.instances.iter().all(|at| at.lease.is_idle(world.now_ns)));
        }
        assert!(world.instances.iter().all(|at| at.lease.held() == 0));
        let missing = world.server.full_at.ns.saturating_sub(world.now_ns);
        let (missing, passed) = (world.quota.tokens(Span { ns: missing, part: 0 }), world.passed());
        assert!(missing <= passed && passed <= missing + 1, "{missing} are missing, {passed} passed");
    }
}

#[test]
fn a_token_of_a_request_that_was_refused_later_is_used_again() {
    let quota = quota(10_000, 86_400, 100);
    let mut lease = Lease::default();
    let mut server = Server::default();
    let now_ns = NS_PER_S;
    assert_eq!(lease.decide(now_ns, &quota), Verdict::Wait);
    let ask = lease.ask(now_ns, &quota).unwrap();
    assert_eq!((ask, lease.ask(now_ns, &quota)), (Ask::Lease(1), None));
    let reply = server.answer(ask, now_ns, &quota);
    lease.settle(now_ns, &quota, &reply);
    assert!(matches!(lease.claim(now_ns, &quota), Verdict::Decided(decision) if decision.allowed));
    lease.give_back();
    assert!(matches!(lease.decide(now_ns, &quota), Verdict::Decided(decision) if decision.allowed));
    assert_eq!(lease.decide(now_ns, &quota), Verdict::Wait);
}

/// Count, seconds, burst; the largest lease.
#[track_caller]
fn check_max(count: u64, period_s: u64, burst: u64, expect: u32) {
    assert_eq!(lease_max(&quota(count, period_s, burst)), expect);
}

#[test]
fn a_lease_is_a_small_part_of_burst_and_minute() {
    check_max(100, 1, 100, 25);
    check_max(1_000, 1, 100, 25);
    check_max(1_000, 1, 10_000, 350);
    check_max(10_000, 3_600, 10_000, 50);
    check_max(1, 1, 1, 1);
    check_max(1_000_000_000, 1, 1_000_000_000, MOVED_MAX / 2);
}
