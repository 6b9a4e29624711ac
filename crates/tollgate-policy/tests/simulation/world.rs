//! The fleet, the network and one Redis, in steps of a millisecond.

use std::collections::{BTreeMap, HashMap};
use std::num::{NonZeroU32, NonZeroU64};
use std::ops::Range;

use tollgate_policy::limit::Quota;
use tollgate_policy::limit::script::{Ask, Reply};

use crate::dice::Dice;
use crate::gateway::{Clock, Decided, Gateway, Keys, Rules};
use crate::link::{Link, PROBE_EVERY_MS, Server, TIMEOUT_MS};
use crate::store::Kept;
use crate::tally::Tally;

/// Leases that nobody asks for are looked at so often.
const ATTEND_EVERY_MS: u64 = 100;
/// Redis' clock, in microseconds: any time but zero.
const EPOCH_US: u64 = 1_790_000_000_000_000;
const NS_PER_S: u64 = 1_000_000_000;

/// Which gateway a client's requests come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Any.
    Any,
    /// Always the same one: a balancer that goes by the client.
    Sticky,
}

/// Redis is away for a while.
#[derive(Debug, Clone)]
pub(crate) struct Outage {
    pub(crate) ms: Range<u64>,
    pub(crate) server: Server,
    /// It comes back with nothing.
    pub(crate) forgets: bool,
}

/// One fleet and what happens to it.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) group: &'static str,
    pub(crate) seed: u64,
    pub(crate) gateways: u32,
    pub(crate) keys: u32,
    pub(crate) requests_per_s: u64,
    /// Tokens, seconds, burst.
    pub(crate) limit: (u64, u64, u64),
    pub(crate) spread: Spread,
    /// One way, at least and at most.
    pub(crate) delay_ms: (u64, u64),
    /// Of a million messages; none of them is sent again.
    pub(crate) lost_per_million: u64,
    /// Clocks of gateways run faster or slower by up to so much.
    pub(crate) drift_ppm: i64,
    /// What one call takes of Redis' time.
    pub(crate) call_ns: u64,
    pub(crate) outage: Option<Outage>,
    pub(crate) warm_ms: u64,
    pub(crate) measured_ms: u64,
}

/// What is on its way.
enum Event {
    Arrives {
        gateway: u32,
        pipeline: u64,
        calls: Vec<(u32, Ask)>,
    },
    Answered {
        gateway: u32,
        pipeline: u64,
        replies: Vec<(u32, Reply)>,
    },
    /// The pipeline was waited for long enough.
    Late {
        gateway: u32,
        pipeline: u64,
    },
    /// The connection is known to be of no use.
    Broken {
        gateway: u32,
        connection: u32,
    },
    /// An attempt to connect begins.
    Connects {
        gateway: u32,
    },
    /// It ends; the connection began while Redis was there, or not.
    Connected {
        gateway: u32,
        good: bool,
    },
}

pub(crate) struct World {
    pub(crate) setting: Setting,
    pub(crate) rules: Rules,
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) tally: Tally,
    pub(crate) buckets: HashMap<u32, Kept, Keys>,
    dice: Dice,
    events: BTreeMap<u64, Vec<Event>>,
    now_ms: u64,
    /// When Redis has done what it was asked so far.
    busy_until_ns: u64,
    next_pipeline: u64,
    /// Requests that are due, in thousandths.
    due: u64,
    told: Vec<Decided>,
}

impl World {
    pub(crate) fn new(setting: Setting) -> World {
        let (count, seconds, burst) = setting.limit;
        let count = NonZeroU64::new(count).expect("a rate");
        let quota = Quota::new(count, seconds * NS_PER_S, burst).expect("a quota");
        let share = quota.share(NonZeroU32::new(setting.gateways).expect("a gateway"));
        let mut dice = Dice::new(setting.seed);
        let drift = setting.drift_ppm;
        let gateways = (0..setting.gateways).map(|_| {
            let drift_ppm = dice.below(2 * drift as u64 + 1) as i64 - drift;
            Gateway::new(Clock { offset_ns: dice.below(86_400 * NS_PER_S), drift_ppm })
        });
        World {
            gateways: gateways.collect(),
            tally: Tally::new(setting.keys, quota, setting.warm_ms),
            buckets: HashMap::default(),
            rules: Rules { quota, share },
            dice,
            events: BTreeMap::new(),
            now_ms: 0,
            busy_until_ns: 0,
            next_pipeline: 0,
            due: 0,
            told: Vec::new(),
            setting,
        }
    }

    pub(crate) fn run(&mut self) {
        while self.now_ms < self.setting.warm_ms + self.setting.measured_ms {
            self.step();
        }
    }

    /// One millisecond.
    pub(crate) fn step(&mut self) {
        self.now_ms += 1;
        self.shake();
        while let Some(entry) = self.events.first_entry().filter(|entry| *entry.key() <= self.now_ms) {
            entry.remove().into_iter().for_each(|event| self.happens(event));
        }
        self.arrive();
        for gateway in
            (self.now_ms % ATTEND_EVERY_MS..self.gateways.len() as u64).step_by(ATTEND_EVERY_MS as usize)
        {
            self.gateways[gateway as usize].attend(self.now_ms, &self.rules);
        }
        for gateway in 0..self.gateways.len() as u32 {
            if !self.gateways[gateway as usize].outbox.is_empty() {
                self.send(gateway);
            }
        }
        let told = std::mem::take(&mut self.told);
        told.iter().for_each(|told| self.tally.decided(told, self.now_ms));
        self.told = told;
        self.told.clear();
    }

    /// Redis goes, or comes back.
    fn shake(&mut self) {
        let Some(outage) = self.setting.outage.clone() else { return };
        if self.now_ms == outage.ms.end && outage.forgets {
            self.buckets.clear();
        }
        if self.now_ms != outage.ms.start {
            return;
        }
        for gateway in 0..self.gateways.len() as u32 {
            let Some(connection) = self.gateways[gateway as usize].link.number() else { continue };
            // Who asks nothing meanwhile learns of it by a probe.
            let round_trip_ms = 2 * self.delay();
            let probe_ms = self.dice.below(PROBE_EVERY_MS) + outage.server.probe_ms(round_trip_ms);
            let known_ms =
                if outage.server == Server::Refuses { self.delay() } else { TIMEOUT_MS + probe_ms };
            self.at(known_ms, Event::Broken { gateway, connection });
        }
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrives { gateway, pipeline, calls } => self.serve(gateway, pipeline, calls),
            Event::Answered { gateway, pipeline, replies } => {
                let at = &mut self.gateways[gateway as usize];
                at.settle(pipeline, Some(&replies), self.now_ms, &self.rules, &mut self.told);
            }
            Event::Late { gateway, pipeline } => {
                let at = &mut self.gateways[gateway as usize];
                let late = at.settle(pipeline, None, self.now_ms, &self.rules, &mut self.told);
                if let Some(connection) = late {
                    self.fail(gateway, connection);
                }
            }
            Event::Broken { gateway, connection } => {
                for pipeline in self.gateways[gateway as usize].open_on(connection) {
                    let at = &mut self.gateways[gateway as usize];
                    at.settle(pipeline, None, self.now_ms, &self.rules, &mut self.told);
                }
                self.fail(gateway, connection);
            }
            Event::Connects { gateway } => {
                let server = self.server();
                let took_ms = server.connect_ms(2 * self.delay());
                let good = server == Server::Answers && (0..6).all(|_| !self.is_lost());
                self.at(took_ms, Event::Connected { gateway, good });
            }
            Event::Connected { gateway, good } => {
                let good = good && self.server() == Server::Answers;
                let link = &mut self.gateways[gateway as usize].link;
                if let Some(next_ms) = link.connected(good, self.now_ms, &mut self.dice) {
                    self.at(next_ms - self.now_ms, Event::Connects { gateway });
                }
            }
        }
    }

    /// Requests of this millisecond.
    fn arrive(&mut self) {
        self.due += self.setting.requests_per_s;
        while self.due >= 1_000 {
            self.due -= 1_000;
            let key = self.dice.zipf(self.setting.keys);
            let gateways = u64::from(self.setting.gateways);
            let gateway = match self.setting.spread {
                Spread::Any => self.dice.below(gateways),
                Spread::Sticky => Dice::new(u64::from(key)).below(gateways),
            };
            self.tally.offered(key, self.now_ms);
            self.gateways[gateway as usize].request(key, self.now_ms, &self.rules, &mut self.told);
        }
    }

    fn send(&mut self, gateway: u32) {
        let pipeline = self.next_pipeline;
        self.next_pipeline += 1;
        let at = &mut self.gateways[gateway as usize];
        let calls = at.flush(pipeline, self.now_ms, &self.rules, &mut self.told);
        if calls.is_empty() {
            return;
        }
        self.at(TIMEOUT_MS, Event::Late { gateway, pipeline });
        if self.server() == Server::Answers && !self.is_lost() {
            let delay_ms = self.delay();
            self.at(delay_ms, Event::Arrives { gateway, pipeline, calls });
        }
    }

    /// Redis does what a pipeline asks, one call after the other.
    fn serve(&mut self, gateway: u32, pipeline: u64, calls: Vec<(u32, Ask)>) {
        if self.server() != Server::Answers {
            return;
        }
        let took_ns = calls.len() as u64 * self.setting.call_ns;
        self.busy_until_ns = self.busy_until_ns.max(self.now_ms * 1_000_000) + took_ns;
        let done_ms = self.busy_until_ns / 1_000_000;
        let (mut bytes_in, mut bytes_out, mut replies) = (0, 0, Vec::with_capacity(calls.len()));
        for (key, ask) in &calls {
            let args = ask.args(&self.rules.quota);
            let numbers = self.buckets.entry(*key).or_default().run(args, EPOCH_US + done_ms * 1_000);
            bytes_in += bytes_of_question(&args);
            bytes_out += bytes_of_answer(&numbers);
            if matches!(ask, Ask::Lease(_)) {
                replies.push((*key, Reply::read(numbers, &self.rules.quota).expect("what the script says")));
            }
        }
        self.tally.asked(calls.len() as u64, (bytes_in, bytes_out), self.now_ms);
        if !self.is_lost() {
            let delay_ms = done_ms - self.now_ms + self.delay();
            self.at(delay_ms, Event::Answered { gateway, pipeline, replies });
        }
    }

    fn fail(&mut self, gateway: u32, connection: u32) {
        let link: &mut Link = &mut self.gateways[gateway as usize].link;
        if let Some(next_ms) = link.fail(connection, self.now_ms, &mut self.dice) {
            self.at(next_ms - self.now_ms, Event::Connects { gateway });
        }
    }

    fn at(&mut self, after_ms: u64, event: Event) {
        self.events.entry(self.now_ms + after_ms.max(1)).or_default().push(event);
    }

    fn delay(&mut self) -> u64 {
        let (least, most) = self.setting.delay_ms;
        least + self.dice.below(most - least + 1)
    }

    fn is_lost(&mut self) -> bool {
        self.setting.lost_per_million > 0 && self.dice.per_million(self.setting.lost_per_million)
    }

    fn server(&self) -> Server {
        match &self.setting.outage {
            Some(outage) if outage.ms.contains(&self.now_ms) => outage.server,
            _ => Server::Answers,
        }
    }

    /// Buckets that stand in Redis now.
    pub(crate) fn kept(&self) -> usize {
        let now_us = EPOCH_US + self.now_ms * 1_000;
        self.buckets.values().filter(|kept| kept.missing_us(now_us) > 0).count()
    }
}

/// EVALSHA as it stands on the wire (RESP2): 15 words, of which the name, the hash, the number of keys and the key are of
/// one length each.
fn bytes_of_question(args: &[u64; 12]) -> u64 {
    let words = args.iter().map(|arg| digits(*arg)).map(|long| 1 + digits(long) + 2 + long + 2);
    5 + 13 + 47 + 7 + 48 + words.sum::<u64>()
}

fn bytes_of_answer(numbers: &[i64; 4]) -> u64 {
    4 + numbers.iter().map(|number| digits(number.unsigned_abs()) + 3).sum::<u64>()
}

fn digits(number: u64) -> u64 {
    u64::from(number.checked_ilog10().unwrap_or(0)) + 1
}
