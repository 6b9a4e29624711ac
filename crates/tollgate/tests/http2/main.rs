//! HTTP/2 from clients: requests and bodies by another's library, rules and attacks frame by frame.

mod bodies;
mod caller;
mod floods;
mod heads;
mod life;
mod peer;
mod spec;
mod trailers;

/// A request line's worth of pseudo fields, and more.
fn fields<'a>(method: &'a str, path: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = vec![(":method", method), (":scheme", "http"), (":path", path), (":authority", "test")];
    all.extend_from_slice(more);
    all
}
