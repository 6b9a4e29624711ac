//! Moving bodies between two connections, with back-pressure: nothing is read before what was read is written.

mod download;
mod head;
mod kept;
mod pending;
mod tunnel;
mod upload;
mod watch;
mod window;

pub(crate) use download::{Blocked, Download, Framing};
pub(crate) use head::Head;
pub(crate) use kept::KEPT_BYTES_MAX;
pub(crate) use pending::Pending;
pub(crate) use tunnel::{Ended, Patience, Side, Tunnel};
pub(crate) use upload::{Upload, UploadError, WaitsFor};
pub(crate) use watch::Watch;
