//! What happens, and in which order: made from the seed alone, so that a run can be repeated.

use std::fmt;

use crate::dice::Dice;

/// Something that is broken for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outage {
    /// One of two targets is killed.
    TargetDies(usize),
    /// One of two targets is stopped (SIGSTOP): it accepts and says nothing.
    TargetHangs(usize),
    RedisDies,
    RedisHangs,
    IssuerDies,
    /// The issuer answers with garbage, too much, errors, or very slowly.
    IssuerRaves(usize),
    /// The name server fails, is silent, or knows the name no more.
    NamesFail(usize),
    /// No room for the spool of the access log.
    DiskFills,
    /// The gateway may open no more descriptors than it has.
    DescriptorsEnd,
    /// The gateway's wall clock jumps, ahead or back.
    ClockJumps(usize),
}

impl Outage {
    /// Whether both can be at the same time: what is dead cannot hang, and without descriptors nothing else is seen.
    fn goes_with(self, other: Outage) -> bool {
        let redis = |outage| matches!(outage, Outage::RedisDies | Outage::RedisHangs);
        let issuer = |outage| matches!(outage, Outage::IssuerDies | Outage::IssuerRaves(_));
        other != Outage::DescriptorsEnd && !(redis(self) && redis(other)) && !(issuer(self) && issuer(other))
    }
}

/// Something that happens at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Another configuration, by rename.
    Reload,
    /// Another configuration, by rename and SIGHUP.
    ReloadBySignal,
    /// Another configuration, written in place with a long pause in the middle.
    SlowSave,
    /// A configuration that must be refused, and then a good one.
    BadReload(usize),
    HandOver,
    /// A hand-over with a configuration that must be refused, and then a good one.
    BadHandOver(usize),
    /// A name gets another address.
    NameMoves,
}

/// One step of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Begin(Outage),
    End(Outage),
    Do(Turn),
    /// Milliseconds of load and nothing else.
    Hold(u64),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Begin(outage) => write!(f, "begin {outage:?}"),
            Step::End(outage) => write!(f, "end {outage:?}"),
            Step::Do(turn) => write!(f, "{turn:?}"),
            Step::Hold(millis) => write!(f, "hold {millis} ms"),
        }
    }
}

/// How many bad configurations there are, see `site::bad`.
pub(crate) const BAD_ONES: usize = 6;

/// One round: every kind of outage once, alone or two at a time, and some ten turns dealt in between.
pub(crate) fn round(dice: &mut Dice) -> Vec<Step> {
    let mut steps = vec![Step::Hold(500)];
    let mut outages = outages(dice);
    dice.shuffle(&mut outages);
    let mut turns = turns(dice);
    dice.shuffle(&mut turns);
    while let Some(first) = outages.pop() {
        // With no descriptor left the gateway cannot be asked how it is, which every turn does.
        if first == Outage::DescriptorsEnd {
            steps.extend([Step::Begin(first), Step::Hold(800), Step::End(first)]);
            continue;
        }
        let second = match outages.last() {
            Some(next) if first.goes_with(*next) && dice.below(2) == 0 => outages.pop(),
            _ => None,
        };
        steps.push(Step::Begin(first));
        steps.extend(second.map(Step::Begin));
        steps.push(Step::Hold(200 + dice.number() % 400));
        for _ in 0..=dice.below(2) {
            steps.extend(turns.pop().map(Step::Do));
        }
        steps.push(Step::Hold(100 + dice.number() % 300));
        steps.push(Step::End(first));
        steps.extend(second.map(Step::End));
    }
    steps.extend(turns.into_iter().map(Step::Do));
    steps.push(Step::Hold(500));
    steps
}

fn outages(dice: &mut Dice) -> Vec<Outage> {
    // One that is dead cannot hang as well.
    let dies = dice.below(2);
    vec![
        Outage::TargetDies(dies),
        Outage::TargetHangs(1 - dies),
        Outage::RedisDies,
        Outage::RedisHangs,
        Outage::IssuerDies,
        Outage::IssuerRaves(dice.below(4)),
        Outage::NamesFail(dice.below(3)),
        Outage::DiskFills,
        Outage::DescriptorsEnd,
        Outage::ClockJumps(dice.below(2)),
    ]
}

fn turns(dice: &mut Dice) -> Vec<Turn> {
    let bad = dice.below(BAD_ONES);
    vec![
        Turn::Reload,
        Turn::ReloadBySignal,
        Turn::SlowSave,
        Turn::BadReload(bad),
        Turn::BadReload((bad + 1) % BAD_ONES),
        Turn::BadReload((bad + 2) % BAD_ONES),
        Turn::BadHandOver((bad + 3) % BAD_ONES),
        Turn::HandOver,
        Turn::HandOver,
        Turn::HandOver,
        Turn::NameMoves,
        Turn::NameMoves,
    ]
}

#[test]
fn a_round_is_whole_and_follows_from_its_seed() {
    let steps = round(&mut Dice::new(7));
    assert_eq!(steps, round(&mut Dice::new(7)));
    assert_ne!(steps, round(&mut Dice::new(8)));
    for seed in 0..200 {
        let steps = round(&mut Dice::new(seed));
        let begun = steps.iter().filter(|step| matches!(step, Step::Begin(_))).count();
        let ended = steps.iter().filter(|step| matches!(step, Step::End(_))).count();
        let done = steps.iter().filter(|step| matches!(step, Step::Do(_))).count();
        assert_eq!((begun, ended, done), (10, 10, 12), "seed {seed}");
    }
}
