//! P8: long bodies. What counts is bytes per CPU second.

use anyhow::Result;

use super::Args;
use super::contestant::Site;
use super::load::Load;
use super::plain::{Turn, take};
use super::results::Results;

/// 1 MiB answers, then 1 MiB uploads, over 16 connections.
pub(super) fn run(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    let contestants = site.start_all()?;
    let answers = Load { connections: 16, ..Load::get("/mebibyte") };
    let uploads = Load { connections: 16, script: Some("upload.lua"), ..Load::get("/upload") };
    let mut turns = Vec::new();
    for (work, load) in [("1 MiB answers", &answers), ("1 MiB uploads", &uploads)] {
        turns.extend(contestants.iter().map(|who| Turn { who, work, load: load.clone() }));
    }
    take(site, args, &turns, results)
}
