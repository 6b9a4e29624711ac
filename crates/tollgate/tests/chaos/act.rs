//! Does what the script says, and tells the ledger which errors that explains: in most cases none.

use std::fs;
use std::io::Write;
use std::time::Duration;

use tollgate_testkit::{Client, Says, Signal, pause, wait_for, wait_some};

use crate::ask::Ask;
use crate::chain::Chain;
use crate::dice::Dice;
use crate::ledger::{Area, ExcuseId};
use crate::load::World;
use crate::script::{Outage, Step, Turn};
use crate::site::{ADDRESSES, NAME, Site, address, bad};

/// What requests may get that a dying target had in its hands.
const DIES: &[&str] = &[
    "upstream_connect",
    "upstream_reset",
    "no_healthy_target",
    "incomplete",
    "truncated",
    "closed",
    "reset",
];
/// The same while one accepts and does not answer.
const HANGS: &[&str] =
    &["upstream_timeout", "upstream_connect", "no_healthy_target", "incomplete", "overloaded"];
/// A process that has never known the address of a name.
const NO_NAME: &[&str] = &["upstream_dns", "no_healthy_target", "incomplete"];
/// A process that has never seen the issuer's keys.
const NO_KEYS: &[&str] = &["issuer_unavailable"];
/// By the clock that it has, a token is too old or too young.
const OTHER_TIME: &[&str] = &["token_expired", "token_not_yet_valid"];
/// Without a descriptor there is no connection, to clients or to services.
const NO_DESCRIPTOR: &[&str] = &[
    "refused",
    "reset",
    "closed",
    "timeout",
    "truncated",
    "incomplete",
    "overloaded",
    "upstream_connect",
    "upstream_timeout",
    "upstream_dns",
    "no_healthy_target",
];

/// A target that died is known to be dead, and what it had in its hands is told, after this time.
const KNOWN_AFTER: Duration = Duration::from_secs(2);
/// Longer than the upstream's `timeout`.
const GIVEN_UP_AFTER: Duration = Duration::from_millis(3_300);
/// The gateway looks at its clock's file so often, see `clock`.
const CLOCK_SEEN_AFTER: Duration = Duration::from_millis(1_200);
/// How long a file is half written.
const HALF_WRITTEN: Duration = Duration::from_millis(400);
/// Seconds that the clock jumps: longer than any token lives.
const JUMP_S: i64 = 9 * 3600;

/// The run as it goes.
pub(crate) struct Run<'a> {
    pub(crate) site: Site,
    pub(crate) chain: Chain,
    pub(crate) world: &'a World,
    pub(crate) dice: Dice,
    /// Outages that have not ended, with their excuses.
    open: Vec<(Outage, Vec<ExcuseId>)>,
    /// What was done; and what could not be, on this machine.
    pub(crate) tally: Tally,
    which_address: usize,
    descriptors: Option<u64>,
}

/// Counts for the report and for bounds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) reloads: u64,
    pub(crate) refused: u64,
    pub(crate) hand_overs: u64,
    pub(crate) outages: u64,
    /// Times at which Redis lost its buckets or was not asked.
    pub(crate) redis: u64,
    pub(crate) left_out: Vec<String>,
}

impl<'a> Run<'a> {
    pub(crate) fn new(site: Site, chain: Chain, world: &'a World, dice: Dice) -> Run<'a> {
        let (open, tally) = (Vec::new(), Tally::default());
        Run { site, chain, world, dice, open, tally, which_address: 0, descriptors: None }
    }

    /// One step of the script.
    pub(crate) fn step(&mut self, step: Step) {
        match step {
            Step::Hold(millis) => pause(Duration::from_millis(millis)),
            Step::Begin(outage) => self.begin(outage),
            Step::End(outage) => self.end(outage),
            Step::Do(turn) => self.turn(turn),
        }
    }

    fn begin(&mut self, outage: Outage) {
        let world = self.world;
        let excuse = |areas: &[Area], codes| world.ledger.excuse(format!("{outage:?}"), areas, codes);
        let mut excuses = Vec::new();
        match outage {
            Outage::TargetDies(which) => {
                let id = excuse(&[Area::Pair], DIES);
                self.site.pair[which].kill();
                pause(KNOWN_AFTER);
                // From now on the other one serves, and nobody notices.
                self.world.ledger.end(id);
            }
            Outage::TargetHangs(which) => {
                excuses.push(excuse(&[Area::Pair], HANGS));
                self.site.pair[which].pause();
                // Until what it has in its hands is given up.
                pause(GIVEN_UP_AFTER);
            }
            Outage::RedisDies => self.site.redis.kill(),
            Outage::RedisHangs => self.site.redis.pause(),
            Outage::IssuerDies => self.site.issuer.down(),
            Outage::IssuerRaves(0) => self.site.issuer.garbage(),
            Outage::IssuerRaves(1) => self.site.issuer.oversized(),
            Outage::IssuerRaves(2) => self.site.issuer.status(500),
            Outage::IssuerRaves(_) => self.site.issuer.slow(Duration::from_secs(3)),
            Outage::NamesFail(0) => self.site.dns.say(NAME, Says::Failure),
            Outage::NamesFail(1) => self.site.dns.say(NAME, Says::Silence),
            Outage::NamesFail(_) => self.site.dns.forget(NAME),
            Outage::DiskFills if self.site.disk.can_fill() => self.site.disk.fill(),
            Outage::DiskFills => self.left_out("a full disk: no tmpfs can be mounted here"),
            Outage::DescriptorsEnd => {
                excuses.push(excuse(&[Area::Connection], NO_DESCRIPTOR));
                // One is left or none, or it has more than it may, by the dice.
                let most = (self.chain.holding().descriptors + 1).saturating_sub(self.dice.below(4) as u64);
                self.descriptors = self.chain.limit_descriptors(Some(most));
            }
            Outage::ClockJumps(which) => match &self.site.clock {
                Some(clock) => {
                    excuses.push(excuse(&[Area::Token], OTHER_TIME));
                    clock.set(if which == 0 { JUMP_S } else { -JUMP_S });
                }
                None => self.left_out("jumps of the clock: no libfaketime here, or a static binary"),
            },
        }
        // Without a descriptor there is no connection to Redis either.
        let redis = matches!(outage, Outage::RedisDies | Outage::RedisHangs | Outage::DescriptorsEnd);
        self.tally.redis += u64::from(redis);
        self.tally.outages += 1;
        self.open.push((outage, excuses));
    }

    fn end(&mut self, outage: Outage) {
        match outage {
            Outage::TargetDies(which) => self.site.pair[which].start_again(),
            Outage::TargetHangs(which) => self.site.pair[which].resume(),
            Outage::RedisDies => self.site.redis.restart_empty(),
            Outage::RedisHangs => self.site.redis.resume(),
            Outage::IssuerDies => self.site.issuer.up(),
            Outage::IssuerRaves(_) => self.site.issuer.well(),
            Outage::NamesFail(_) => self.site.dns.say(NAME, address(self.which_address)),
            Outage::DiskFills if self.site.disk.can_fill() => self.site.disk.empty(),
            Outage::DiskFills => {}
            Outage::DescriptorsEnd => drop(self.chain.limit_descriptors(self.descriptors)),
            Outage::ClockJumps(_) => self.site.clock.iter().for_each(|clock| clock.set(0)),
        }
        let what = format!("after {outage:?}");
        let excuses = match self.open.iter().position(|(open, _)| *open == outage) {
            Some(at) => self.open.remove(at).1,
            None => Vec::new(),
        };
        if matches!(outage, Outage::RedisDies | Outage::RedisHangs) {
            self.chain.wait_redis();
        }
        if !excuses.is_empty() {
            // The other outage may go on: only what this one broke has to be well again.
            let asks: &[Ask] = match outage {
                Outage::ClockJumps(_) => {
                    pause(CLOCK_SEEN_AFTER);
                    &[Ask::Token(0)]
                }
                Outage::IssuerDies | Outage::IssuerRaves(_) => &[Ask::NEEDS_KEYS],
                Outage::NamesFail(_) => &[Ask::Named],
                Outage::DescriptorsEnd => &[Ask::Pair, Ask::Token(0), Ask::Named, Ask::Parts, Ask::Long],
                _ => &[Ask::Pair, Ask::Long],
            };
            self.world.settle(&what, asks);
            excuses.into_iter().for_each(|id| self.world.ledger.end(id));
        }
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Reload | Turn::ReloadBySignal | Turn::SlowSave => self.reload(turn),
            Turn::BadReload(which) => {
                self.spoil(which);
                self.chain.wait_ready("the configuration to be refused", |ready| {
                    ready["last_reload"]["ok"] == false
                });
                pause(Duration::from_millis(100));
                self.tally.refused += 1;
                self.reload(Turn::Reload);
            }
            Turn::HandOver => self.hand_over(),
            Turn::BadHandOver(which) => {
                self.spoil(which);
                if self.chain.hand_over() {
                    self.world.ledger.complain(format!("{turn:?}: a bad configuration took over"));
                }
                self.tally.refused += 1;
                self.reload(Turn::Reload);
            }
            Turn::NameMoves => {
                self.which_address = 1 - self.which_address;
                // A name server that fails has no news; it tells them once it is well.
                if !self.names_fail() {
                    self.site.dns.say(NAME, address(self.which_address));
                    self.follow_the_name();
                }
            }
        }
    }

    /// Puts a configuration in place that must be refused.
    fn spoil(&mut self, which: usize) {
        let good = self.chain.complete(&self.site.config(self.world.version()));
        match bad(which, &good) {
            Some(text) => self.chain.gateway.replace_file(&text),
            None => fs::remove_file(self.chain.gateway.file()).expect("the file goes"),
        }
    }

    /// The next configuration; from the moment when it is told to run, no other answers.
    pub(crate) fn reload(&mut self, way: Turn) {
        let version = self.world.version() + 1;
        let text = self.chain.complete(&self.site.config(version));
        let before = self.chain.ready()["generation"].as_u64();
        self.world.may_run(version);
        if way == Turn::SlowSave {
            // The first half is good by itself: a gateway with fewer routes and fewer rules.
            let half = text.find("  - path: /token").expect("the route is there");
            let mut file = fs::File::create(self.chain.gateway.file()).expect("the file can be written");
            file.write_all(&text.as_bytes()[..half]).expect("half of it");
            pause(HALF_WRITTEN);
            file.write_all(&text.as_bytes()[half..]).expect("all of it");
        } else {
            self.chain.gateway.replace_file(&text);
        }
        if way == Turn::ReloadBySignal {
            self.chain.signal(Signal::HUP);
        }
        self.chain.wait_ready("the new configuration", |ready| {
            ready["last_reload"]["ok"] == true && ready["generation"].as_u64() > before
        });
        self.world.must_run(version);
        self.tally.reloads += 1;
        let (extra, has) = (self.site.extra.address(), Site::has_extra(version));
        wait_for("the other listener to come or go", || Client::try_connect(&extra).is_ok() == has);
    }

    /// A hand-over. Errors of the new process are explained by what it has had no time to learn.
    fn hand_over(&mut self) {
        let mut learns = Vec::new();
        for (outage, excuses) in &mut self.open {
            let (areas, codes) = match outage {
                Outage::IssuerDies | Outage::IssuerRaves(_) => (&[Area::Token][..], NO_KEYS),
                Outage::NamesFail(_) => (&[Area::Named][..], NO_NAME),
                // It learns anew that this one is dead.
                Outage::TargetDies(_) => (&[Area::Pair][..], DIES),
                _ => continue,
            };
            let id = self.world.ledger.excuse(format!("a hand-over during {outage:?}"), areas, codes);
            match outage {
                Outage::TargetDies(_) => learns.push(id),
                // Until the outage is over and done with.
                _ => excuses.push(id),
            }
        }
        if !self.chain.hand_over() {
            self.world.ledger.complain("a hand-over failed".into());
        }
        self.tally.hand_overs += 1;
        if !learns.is_empty() {
            pause(KNOWN_AFTER);
            learns.into_iter().for_each(|id| self.world.ledger.end(id));
        }
    }

    /// Waits until the address that the name has now is used.
    fn follow_the_name(&self) {
        let wanted = ADDRESSES[self.which_address];
        let said = format!("\"at\":\"{wanted}\"");
        wait_some("the other address to be used", Duration::from_secs(30), || {
            self.chain.gateway.get("/named/0").text().contains(&said).then_some(())
        });
    }

    fn names_fail(&self) -> bool {
        self.open.iter().any(|(outage, _)| matches!(outage, Outage::NamesFail(_)))
    }

    fn left_out(&mut self, what: &str) {
        if !self.tally.left_out.iter().any(|known| known == what) {
            self.tally.left_out.push(what.to_owned());
        }
    }
}
