//! The Lua sandbox: scripts compiled at load, run within limits, handed values and giving values back.
//!
//! Sans-IO but for the clock that bounds a call. Who reads files, moves bodies and writes logs hands in sources and a
//! [`Host`]; what comes back is a [`Verdict`] and edited values, or a [`Failure`] for the operator's log.
//!
//! ```
//! use std::rc::Rc;
//! use tollgate_script::{Compiler, Limits, Request, Session, Silent, Source, Verdict, Vm};
//!
//! let source = r#"function request(req) req.headers["x-a"] = "b" end"#;
//! let script = Compiler::new()?.compile(Source::inline("a.lua", source), Limits::default())?;
//!
//! let mut vm = Vm::new(Rc::new(Silent))?;
//! let (mut session, mut request) = (Session::default(), Request::default());
//! let verdict = vm.request(&script, &mut session, &mut request)?;
//! assert!(matches!(verdict, Verdict::Continue));
//! assert!(request.changed.headers);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

// What scripts are handed comes from the network: nothing in it may panic here.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod limits;
mod failure;
mod message;
mod host;

mod source;
mod script;

mod vm;
mod machine;
mod desk;
mod sandbox;
mod face;
mod library;

pub use failure::{Cause, Failure, ScriptError};
pub use host::{Host, Level, Silent};
pub use limits::{Limits, MAX_MACHINE_BYTES};
pub use message::{Changed, Claims, Facts, Request, Respond, Response, Verdict};
pub use script::{Compiler, LoadModule, MAX_MODULES, MAX_SOURCE_BYTES, Script, Source};
pub use source::Needs;
pub use vm::{Session, Vm};
