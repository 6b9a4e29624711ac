//! Authorities as clients send them and host patterns as routes name them.

/// A request's authority, parsed and lower-cased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host<'a> {
    /// Name or address without port and without a trailing dot; IPv6 with its brackets. Lower-case.
    pub name: &'a str,
    /// The port, when one was written.
    pub port: Option<u16>,
}
