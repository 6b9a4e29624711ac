//! The properties of the fuzz targets on their seeds, and on seeds that are changed.

mod properties;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

/// Places of a seed at which it is cut, and at which a bit is turned.
const PLACES: usize = 48;

#[test]
fn shapes() {
    replay("shape", PLACES, properties::shape);
}

#[test]
fn notations() {
    replay("notation", PLACES, properties::notation);
}

#[test]
fn expressions() {
    replay("expression", PLACES, properties::expression);
}

#[test]
fn filters() {
    replay("jq", PLACES, properties::jq);
}

#[test]
fn pages() {
    replay("jinja", PLACES, properties::jinja);
}
