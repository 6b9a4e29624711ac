//! The properties of the fuzz targets on their seeds, and on seeds that are changed.

mod properties;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

/// Places of a seed at which it is cut, and at which a bit is turned.
const PLACES: usize = 48;

#[test]
fn paths() {
    replay("path", PLACES, properties::path);
}

#[test]
fn queries() {
    replay("query", PLACES, properties::query);
}

#[test]
fn routers() {
    replay("router", PLACES, properties::router);
}

#[test]
fn templates() {
    replay("template", PLACES, properties::template);
}
