//! What `tollgate demo` needs beside a gateway: two services, an issuer of tokens, a configuration, a
//! little traffic.

pub(crate) mod issuer;
pub(crate) mod origins;
pub(crate) mod setup;
pub(crate) mod traffic;
