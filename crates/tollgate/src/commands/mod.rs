//! One file a command. Each says how it went by its exit code: 0 success, 1 the answer is no.

mod check;
mod demo;
mod import;
mod key;
mod logs;
mod routes;
mod run;
mod schema;
mod status;
mod token;
pub(crate) mod version;

use std::process::ExitCode;

use crate::cli::Command;

/// Runs the command that was asked for.
pub(crate) fn dispatch(command: Command) -> ExitCode {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Routes(arguments) => routes::routes(&arguments),
        Command::Status(arguments) => status::status(&arguments),
        Command::Schema => schema::schema(),
        Command::Import(command) => import::import(&command),
        Command::Key(command) => key::key(&command),
        Command::Logs(arguments) => logs::logs(&arguments),
        Command::Token(arguments) => token::token(&arguments),
        Command::Version(output) => version::version(&output),
        Command::Demo => demo::demo(),
    }
}
