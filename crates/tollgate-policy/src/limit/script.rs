//! The text that Redis runs, what it is told, and what it answers. No client: that is the data plane's.
