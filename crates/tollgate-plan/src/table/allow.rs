//! The methods that a 405 answer names.

use std::fmt;

use tollgate_wire::Method;

/// Those of RFC 9110 section 9.3 that reach a route, and PATCH (RFC 5789).
const COMMON: [Method; 6] =
    [Method::Get, Method::Post, Method::Put, Method::Patch, Method::Delete, Method::Options];

/// The methods with which the request would have found a route. Displays as the value of `Allow`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allow {
    methods: Vec<Method>,
}

impl Allow {
    /// The methods, each once.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// What a route with these methods is asked with instead of `refused`. Of one that takes every method these are the
    /// common ones.
    pub fn instead(methods: &[Method], refused: &Method) -> Allow {
        let mut allow = Allow::default();
        allow.add(if methods.is_empty() { &COMMON } else { methods });
        allow.methods.retain(|method| method != refused);
        allow
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
