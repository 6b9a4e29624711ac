//! What holds for any input at all, wherever this crate takes text from outside. Used by the fuzz targets, and by the
//! tests here on their seeds, so that what a fuzzer finds becomes a test by copying its file.

#![allow(dead_code, unused_imports, reason = "each fuzz target uses its part")]

mod configurations;
mod importers;

pub(crate) use configurations::config;
pub(crate) use importers::{import_kong, import_krakend, import_openapi};
