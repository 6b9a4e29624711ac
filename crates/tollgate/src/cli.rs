//! The command line, as clap declares it. Wrong usage ends with clap's message and exit code 2.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// An API gateway in one static binary and one YAML file.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 success, 1 the answer is no, 2 wrong usage.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One subcommand, each a file in `commands/`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the gateway.
    ///
    /// A bad configuration is refused before any port is bound. SIGHUP or a changed file reloads; SIGTERM and
    /// SIGINT finish what is in flight and exit 0, a second one exits 1 at once. Access records go where
    /// `access_log` says; everything else is logged to standard error.
    #[command(
        after_help = "Environment:\n  TOLLGATE_LOG  how much is logged: off, error, warn, info (default), \
                            debug, trace; or per module, as in `info,tollgate_proxy=debug`"
    )]
    Run(ConfigArg),
    /// Check a configuration: every error and warning, then who may reach what.
    Check(Checked),
    /// Show the routes in the order in which they are asked: the more specific one first.
    Routes(Checked),
    /// Print the JSON Schema of the configuration file.
    Schema,
    /// Print version, commit and target.
    Version(JsonArg),
    /// Run a gateway with two demo services behind it, and requests to try.
    Demo,
}

/// Which configuration.
#[derive(Debug, Args)]
pub(crate) struct ConfigArg {
    /// The configuration file; default tollgate.yaml, then /etc/tollgate/tollgate.yaml.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// Output for people or for machines.
#[derive(Debug, Args)]
pub(crate) struct JsonArg {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// A configuration to look at, and how to show it.
#[derive(Debug, Args)]
pub(crate) struct Checked {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    #[command(flatten)]
    pub(crate) output: JsonArg,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_declaration_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_of_later_versions_are_wrong_usage() {
        for name in ["explain", "test", "diff", "import", "init", "key", "token", "status", "top", "", "help"]
        {
            let error = Cli::try_parse_from(["tollgate", name]).expect_err(name);
            assert_eq!(error.exit_code(), 2, "{name}");
        }
    }
}
