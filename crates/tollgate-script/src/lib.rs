//! The Lua sandbox: scripts compiled at load and run within limits.
