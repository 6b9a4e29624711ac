//! Lines of a child's output, gathered as they come.

use std::io::{BufRead, BufReader, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use crate::wait::{PATIENCE, wait_some};

/// The lines so far. Clones share them.
#[derive(Clone, Default)]
pub struct Output {
    lines: Arc<Mutex<Vec<String>>>,
    ended: Arc<AtomicBool>,
}

impl Output {
    /// Gathers lines until the pipe ends.
    pub fn gather(pipe: impl Read + Send + 'static) -> Output {
        let output = Output::default();
        let theirs = output.clone();
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while matches!(pipe.read_until(b'\n', &mut line), Ok(count) if count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                theirs.lines.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                line.clear();
            }
            theirs.ended.store(true, Ordering::SeqCst);
        });
        output
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The whole text of a child that has ended.
    #[track_caller]
    pub fn whole(&self) -> String {
        wait_some("the end of the output", PATIENCE, || self.ended.load(Ordering::SeqCst).then_some(()));
        self.text()
    }

    /// The text so far.
    pub fn text(&self) -> String {
        self.lines().join("\n")
    }

    /// Waits for a line that contains `needle`, and gives it.
    #[track_caller]
    pub fn wait_line(&self, needle: &str) -> String {
        let find = || self.lines().into_iter().find(|line| line.contains(needle));
        wait_some(&format!("a line with {needle:?}"), PATIENCE, find)
    }

    /// The lines as JSON; panics on one that is none.
    #[track_caller]
    pub fn records(&self) -> Vec<Value> {
        let parse = |line: &String| match serde_json::from_str(line) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {line}"),
        };
        self.lines().iter().map(parse).collect()
    }
}
