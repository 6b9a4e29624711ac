//! The properties of the fuzz targets on their seeds, and on seeds that are changed.

mod properties;
#[path = "../../../fuzz/replay.rs"]
mod replay;

use replay::replay;

/// Places of a seed at which it is cut, and at which a bit is turned.
const PLACES: usize = 8;

#[test]
fn configurations() {
    replay("config", PLACES, properties::config);
}

#[test]
fn documents_of_kong() {
    replay("import_kong", PLACES, properties::import_kong);
}

#[test]
fn documents_of_krakend() {
    replay("import_krakend", PLACES, properties::import_krakend);
}

#[test]
fn descriptions_of_interfaces() {
    replay("import_openapi", PLACES, properties::import_openapi);
}
