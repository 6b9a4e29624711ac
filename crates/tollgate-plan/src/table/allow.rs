//! The methods that a 405 answer names.

use std::fmt;

use tollgate_wire::Method;

/// The methods with which the request would have found a route: at least one. Displays as the value of `Allow`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allow {
    methods: Vec<Method>,
}

impl Allow {
    /// The methods, each once.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    pub(super) fn add(&mut self, methods: &[Method]) {
        for method in methods {
            self.insert(method);
            if *method == Method::Get {
                self.insert(&Method::Head);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.methods.is_empty()
    }

    fn insert(&mut self, method: &Method) {
        if !self.methods.contains(method) {
            self.methods.push(method.clone());
        }
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, method) in self.methods.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            f.write_str(method.as_str())?;
        }
        Ok(())
    }
}
