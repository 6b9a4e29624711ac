//! Bounds on what a configuration may cost to read. Each is far above what people write.

/// Bytes of one configuration file.
pub(crate) const FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of one `${file:…}`: secrets and certificates are a few KiB.
pub(crate) const EXPANSION_FILE_BYTES: u64 = 1024 * 1024;
/// Bytes that all expansions of a load may produce together.
pub(crate) const EXPANDED_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of one file that a route responds with; it is held in memory.
pub(crate) const RESPOND_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Maps and lists inside each other.
pub(crate) const DEPTH: usize = 64;
/// Scalars, lists and maps of one file after aliases are written out.
pub(crate) const NODES: usize = 1_000_000;
/// Bytes of scalars of one file after aliases are written out.
pub(crate) const NODE_BYTES: usize = 64 * 1024 * 1024;
/// Included files.
pub(crate) const INCLUDES: usize = 1_000;
/// Routes of all files.
pub(crate) const ROUTES: usize = 100_000;
/// Tests of all files.
pub(crate) const TESTS: usize = 100_000;
/// Diagnostics that are kept; the rest is counted.
pub(crate) const DIAGNOSTICS: usize = 10_000;
/// Bytes of a name of a route or an upstream: it is a metric label and stands in every log line.
pub(crate) const NAME_BYTES: usize = 200;
/// Bytes of a unix socket path: `sun_path` holds 108 with its terminating NUL.
pub(crate) const SOCKET_PATH_BYTES: usize = 107;
/// Issuers: an index is 16 bits wide, and each may have a task that fetches.
pub(crate) const ISSUERS: usize = 1_000;
/// Limits of one route: every request counts in each.
pub(crate) const ROUTE_LIMITS: usize = 32;
/// What a rate may count; the deciders of limits hold no more.
pub(crate) const RATE: u64 = 1_000_000_000;
/// What a burst may hold; the deciders of limits hold no more.
pub(crate) const BURST: u64 = 1_000_000_000;
/// How long a whole burst may take to come back: ten years; the deciders of limits count no further.
pub(crate) const REFILL_S: u64 = 3_650 * 86_400;
/// Gateways that may share limits; the deciders of limits divide by no more.
pub(crate) const INSTANCES: i64 = 1_000;
/// DNS servers: a question that all of them leave open has waited long enough.
pub(crate) const NAME_SERVERS: usize = 8;
/// Certificates of one listener: a client's wish is looked up among them.
pub(crate) const CERTIFICATES: usize = 10_000;
/// Bytes of one template.
pub(crate) const TEMPLATE_FILE_BYTES: u64 = 1024 * 1024;
/// Templates that one template may name, by way of others too.
pub(crate) const TEMPLATES: usize = 100;
/// Bytes of one file with a schema.
pub(crate) const SCHEMA_FILE_BYTES: u64 = 1024 * 1024;
/// Bytes of one file of a description of an interface.
pub(crate) const INTERFACE_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// Bytes of a file with keys or certificates.
pub(crate) const KEY_FILE_BYTES: u64 = 1024 * 1024;
