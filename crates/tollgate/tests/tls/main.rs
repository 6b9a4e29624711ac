//! TLS on listeners and to targets, through the binary, with clients and origins that use another's code: rustls
//! driven by hand, nginx.

mod client;
mod pki;

mod listeners;
mod mutual;
mod reload;
mod terms;
mod upstreams;
