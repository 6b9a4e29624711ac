//! The raw samples of one case: kept in `bench/results`, one file a case, the last run only.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::contestant::Site;
use super::{Args, machine};
use crate::tree;

/// One run of one case.
pub(super) struct Results {
    path: PathBuf,
    head: Value,
    samples: Vec<Value>,
}

impl Results {
    pub(super) fn new(case: &str, args: &Args, site: &Site) -> Result<Results> {
        let versions: BTreeMap<_, _> =
            site.versions().into_iter().map(|(kind, version)| (kind.name(), version)).collect();
        let head = json!({
            "case": case,
            "date": machine::date(),
            "command": format!(
                "./dev bench {case} --rounds {} --seconds {} --peers {}",
                args.rounds,
                args.seconds,
                args.peers.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(",")
            ),
            "machine": machine::describe(),
            "versions": versions,
        });
        Ok(Results { path: folder().join(format!("{case}.json")), head, samples: Vec::new() })
    }

    pub(super) fn push(&mut self, sample: Value) {
        self.samples.push(sample);
    }

    /// Replaces the case's file. A run of the peers alone is no result of the gateway, and leaves the file.
    pub(super) fn write(self) -> Result<()> {
        if self.head["versions"].get("tollgate").is_none() {
            return Ok(());
        }
        let head = serde_json::to_string_pretty(&self.head)?;
        let samples: Vec<String> = self.samples.iter().map(|sample| format!("    {sample}")).collect();
        // One sample a line, so that a difference between two runs can be read.
        let text = format!(
            "{},\n  \"samples\": [\n{}\n  ]\n}}\n",
            head.strip_suffix('}').unwrap_or(&head).trim_end(),
            samples.join(",\n")
        );
        fs::create_dir_all(folder())?;
        fs::write(&self.path, text).with_context(|| format!("writing {}", self.path.display()))
    }
}

/// What is on record for a case; none when it was never measured.
pub(super) fn read(case: &str) -> Result<Option<Value>> {
    let path = folder().join(format!("{case}.json"));
    match fs::read_to_string(&path) {
        Ok(text) => {
            Ok(Some(serde_json::from_str(&text).with_context(|| format!("reading {}", path.display()))?))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("reading {}", path.display())),
    }
}

fn folder() -> PathBuf {
    tree::root().join("bench/results")
}
