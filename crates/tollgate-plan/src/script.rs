//! The scripts of a route.

use tollgate_script::{Needs, Script};

/// What a route's requests and answers are handed to, in order. Never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Scripts {
    /// In the order of the configuration, which is that of both directions.
    pub list: Box<[Script]>,
    /// What all of them together need of a request and its answer.
    pub needs: Needs,
    /// Bytes that the body of an answer may have which they need: more than that is more memory than any of them has.
    pub answer_bytes: usize,
}

impl Scripts {
    /// These scripts, in this order.
    pub fn new(list: Vec<Script>) -> Scripts {
        let needs = list.iter().fold(Needs::default(), |sum, script| sum.and(script.needs()));
        let answer_bytes = list.iter().map(|script| script.limits().memory_bytes).max().unwrap_or_default();
        Scripts { list: list.into(), needs, answer_bytes }
    }

    /// Whether one of them sees answers.
    pub fn have_response(&self) -> bool {
        self.list.iter().any(Script::has_response)
    }
}
