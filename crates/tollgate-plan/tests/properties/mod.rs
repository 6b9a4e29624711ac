//! What holds for any input at all, wherever this crate takes text from outside. Used by the fuzz targets, and by the
//! tests here on their seeds, so that what a fuzzer finds becomes a test by copying its file.

#![allow(dead_code, unused_imports, reason = "each fuzz target uses its part")]

mod paths;
mod queries;
mod router;
mod templates;

pub(crate) use paths::path;
pub(crate) use queries::query;
pub(crate) use router::router;
pub(crate) use templates::template;
