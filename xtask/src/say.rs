//! The one place of the tasks that prints.
#![expect(clippy::print_stdout, reason = "a task reports on standard output")]

use std::fmt::Display;

/// Prints a line.
pub fn line(text: impl Display) {
    println!("{text}");
}

/// Prints the heading of a step.
pub fn step(text: impl Display) {
    println!("\n== {text}");
}
