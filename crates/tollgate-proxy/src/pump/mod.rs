//! Moving bodies between two connections, with back-pressure: nothing is read before what was read is written.

mod download;
mod pending;
mod upload;
mod watch;
mod window;

pub(crate) use download::{Blocked, Download, Framing};
pub(crate) use pending::Pending;
pub(crate) use upload::{Upload, UploadError, WaitsFor};
pub(crate) use watch::Watch;
