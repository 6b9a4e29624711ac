//! One file a command. Each says how it went by its exit code: 0 success, 1 the answer is no.

mod check;
mod completions;
mod cost;
mod demo;
mod diff;
mod explain;
mod import;
mod init;
mod key;
mod logs;
mod routes;
mod run;
mod schema;
mod status;
mod test;
mod token;
mod top;
pub(crate) mod version;
mod why;

use std::process::ExitCode;

use crate::cli::Command;

/// Runs the command that was asked for.
pub(crate) fn dispatch(command: Command) -> ExitCode {
    match command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Routes(arguments) => routes::routes(&arguments),
        Command::Status(arguments) => status::status(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Why(arguments) => why::why(&arguments),
        Command::Diff(arguments) => diff::diff(&arguments),
        Command::Top(arguments) => top::top(&arguments),
        Command::Init(arguments) => init::init(&arguments),
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Test(arguments) => test::test(&arguments),
        Command::Schema => schema::schema(),
        Command::Import(command) => import::import(&command),
        Command::Key(command) => key::key(&command),
        Command::Logs(arguments) => logs::logs(&arguments),
        Command::Cost(arguments) => cost::cost(&arguments),
        Command::Token(arguments) => token::token(&arguments),
        Command::Version(output) => version::version(&output),
        Command::Demo => demo::demo(),
    }
}
