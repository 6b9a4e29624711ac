//! Ports for an example that takes several, all with the same first digits.

use std::net::TcpListener;
use std::ops::Range;

use anyhow::{Context, Result};

/// What they may begin with, so that nobody uses any of those with these last two digits.
pub(crate) fn free(last: Range<u16>) -> Result<u16> {
    let free =
        |ports: &u16| last.clone().all(|last| TcpListener::bind(("127.0.0.1", ports * 100 + last)).is_ok());
    (70..100).find(free).context("no free ports between 7000 and 9999")
}
