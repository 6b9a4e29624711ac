//! The properties of the fuzz targets on their seeds, and on seeds that are changed.

mod properties;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

/// Places of a seed at which it is cut, and at which a bit is turned.
const PLACES: usize = 24;

#[test]
fn scripts() {
    replay("lua", PLACES, properties::lua);
}
