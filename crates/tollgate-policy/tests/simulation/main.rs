//! Limits that a fleet shares, simulated with the decider's own code: seeds that replay, invariants after every step,
//! and the fleet at scale that `./dev scale` runs.

mod dice;
mod level;
mod seeds;
mod store;

mod limits;
mod upstream;

mod returns;
mod script;
mod siege;

mod gateway;
mod link;
mod scale;
mod tally;
mod world;
