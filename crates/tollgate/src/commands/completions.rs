//! `tollgate completions`: what shells complete. The texts are made by `cargo xtask gen`, so that what makes them is not
//! part of the gateway.

use std::process::ExitCode;

use crate::cli::{CompletionsArgs, Shell};
use crate::output;

pub(super) fn completions(arguments: &CompletionsArgs) -> ExitCode {
    let text = match arguments.shell {
        Shell::Bash => include_str!("../../../../packaging/completions/tollgate.bash"),
        Shell::Zsh => include_str!("../../../../packaging/completions/_tollgate"),
        Shell::Fish => include_str!("../../../../packaging/completions/tollgate.fish"),
    };
    output::out(text).exit(true)
}
