//! What `tollgate demo` needs beside a gateway: two services, a configuration, a little traffic.

pub(crate) mod origins;
pub(crate) mod setup;
pub(crate) mod traffic;
