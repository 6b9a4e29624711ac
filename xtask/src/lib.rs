//! The repository's own tasks: what `./dev` calls once the tools are there.
//!
//! A library so that its rules run as tests (`xtask/tests/`); the binary only reads the command line.

pub mod gate;

pub mod tidy;
pub mod tree;

pub mod audit;
pub mod console;
pub mod docs;
pub mod generate;

pub mod bench;
pub mod billion;
pub mod chaos;
pub mod scale;
pub mod closet;
pub mod bus;
pub mod vps;
mod replay;

pub mod coverage;
pub mod fuzz;
pub mod package;

pub mod plot;
pub mod run;
pub mod say;
