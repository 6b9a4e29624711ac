//! The command line, as clap declares it. Wrong usage ends with clap's message and exit code 2.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tollgate_token::Algorithm;

// By its path, so that `cargo xtask gen` can take this file in from elsewhere.
#[path = "cli/cost.rs"]
mod cost;
#[path = "cli/explain.rs"]
mod explain;
#[path = "cli/test.rs"]
mod test;

pub(crate) use cost::CostArgs;
pub(crate) use explain::{ExplainArgs, WhyArgs};
pub(crate) use test::{RecordArgs, TestArgs};

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
    /// SIGINT finish what is in flight and exit 0, a second one exits 1 at once; SIGUSR2 starts the binary anew, hands
    /// the listening sockets over to it, and ends when it serves. Access records go where `access_log` says; everything
    /// else is logged to standard error.
    #[command(after_help = RUN_ENVIRONMENT)]
    Run(RunArgs),
    /// Check a configuration: every error and warning, then who may reach what.
    Check(Checked),
    /// Show the routes in the order in which they are asked: the more specific one first.
    Routes(Checked),
    /// Ask a running gateway how it is: whether it is ready, and which targets get no requests.
    ///
    /// Address and token of its admin side come from the configuration. With --address the token comes from
    /// TOLLGATE_ADMIN_TOKEN. Exit code 0 when it is ready and every target serves, 1 when not; with
    /// --ready 0 when it is ready.
    Status(StatusArgs),
    /// Explain what would become of a request: every route and why it is not taken, then each step of the way.
    ///
    /// Nothing is sent to any service, and nothing is counted. Out of a configuration it needs no network: limits are full,
    /// caches empty, targets healthy, and what only a network could tell is said to be unknown. Exit code 0 whatever the
    /// verdict, 1 when the configuration is refused or the gateway does not answer.
    #[command(after_help = explain::EXAMPLES)]
    Explain(ExplainArgs),
    /// Tell in words what became of a request that a running gateway has served, by its id.
    ///
    /// The last requests are kept, some thousands of them. The id is `request_id` in refusals, `x-request-id` to services,
    /// `id` in the access log. Exit code 1 when there is no such request any more.
    Why(WhyArgs),
    /// Tell what a configuration changes of another one, and what would be less protected than before.
    ///
    /// Routes are compared by name, and by the requests that they get: a new route that takes requests away from one
    /// that protected more is told. With --samples or --live, requests that were seen are asked about, too.
    #[command(after_help = DIFF_EXITS)]
    Diff(DiffArgs),
    /// Show a running gateway live: rates, latencies, refusals, routes and targets.
    ///
    /// Address and token of its admin side come from the configuration. With --address the token comes from
    /// TOLLGATE_ADMIN_TOKEN.
    #[command(after_help = TOP_KEYS)]
    Top(TopArgs),
    /// Write a first configuration, with comments.
    ///
    /// On a terminal, what no option says is asked. A file that exists is left alone, unless --force is given.
    #[command(after_help = INIT_EXAMPLES)]
    Init(InitArgs),
    /// Print the completions of this command line for a shell.
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArgs),
    /// Run the tests of a configuration, offline: through the code that serves, with stubs for services and issuers.
    ///
    /// Exit code 0 when all pass, 1 when one fails, or when there is none to run. Nothing is asked of the network. With
    /// --record, a gateway that runs is asked, and what it answers becomes tests: exit code 1 when no test came of it.
    #[command(after_help = test::EXAMPLES)]
    Test(TestArgs),
    /// Print the JSON Schema of the configuration file.
    Schema,
    /// Make a configuration of that of another gateway, or of the description of an interface.
    ///
    /// YAML goes to standard output, what became of each element to standard error. What protects and cannot be carried
    /// over exactly makes exit code 1; where less would be protected than before, the route refuses every request.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Make API keys, and the hashes that the configuration holds.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Make a token for development, and the key set that proves it.
    ///
    /// The issuer's name, audience and algorithms come from the configuration, or from --iss and --aud where there
    /// is none. Only the token goes to standard output, ready for `Authorization: Bearer`.
    #[command(after_help = TOKEN_EXAMPLES)]
    Token(TokenArgs),
    /// Read access records: of a file, or of an object store.
    ///
    /// Records go to standard output as they were written, one JSON object a line. Credentials for an object store that is
    /// named by its URL come from the environment (AWS_…, GOOGLE_…, AZURE_STORAGE_…) or the role of the machine.
    #[command(after_help = LOGS_EXAMPLES)]
    Logs(LogsArgs),
    /// Estimate what a month's requests take in machines and in money, from measured CPU and list prices.
    ///
    /// What is not in its sums it says: traffic that a cloud charges for, as a line of its own, load balancers and more. Its
    /// prices are round, and old on the day you read this: look at them by --show-prices, replace them by --prices.
    #[command(after_help = cost::EXAMPLES)]
    Cost(CostArgs),
    /// Print version, commit and target.
    Version(JsonArg),
    /// Run a gateway with two demo services behind it and an issuer of tokens, and requests to try.
    Demo,
}

const RUN_ENVIRONMENT: &str = "Environment:
  TOLLGATE_LOG           how much is logged: off, error, warn, info (default), debug, trace; or per module, as in
                         `info,tollgate_proxy=debug`
  TOLLGATE_CONFIG_TOKEN  sent as `Authorization: Bearer …` to the URL of a configuration
  SSL_CERT_FILE          certificates that URLs are trusted by, instead of the system's";

const LOGS_EXAMPLES: &str = "Examples:
  tollgate logs s3://bucket/logs --last 1h --where 'status>=500'
  tollgate logs access.log --where 'route==orders && duration_ms>250'
  tollgate logs --last 15m --where 'path~/users && headers.user-agent~curl'

A filter compares fields by == != > >= < <= and by ~ for a part of a text, joined by &&.";

const DIFF_EXITS: &str = "Exit codes: 0, or 1 when something would be less protected (with --fail-on any: when anything differs) or
a configuration is refused.

Examples:
  tollgate diff /etc/tollgate/tollgate.yaml new.yaml
  tollgate diff old.yaml new.yaml --samples access.log
  tollgate diff tollgate.yaml new.yaml --live --json";

const TOP_KEYS: &str =
    "Keys: q quits, p pauses, space looks now; r l e n sort routes by rate, latency, errors, name.";

const INIT_EXAMPLES: &str = "Examples:
  tollgate init
  tollgate init --to http://127.0.0.1:3000 --auth key
  tollgate init --to http://127.0.0.1:3000 --auth https://id.example.com/ --audience orders-api -o api.yaml";

const COMPLETIONS_EXAMPLES: &str = "Examples:
  tollgate completions bash > /usr/share/bash-completion/completions/tollgate
  tollgate completions zsh > /usr/local/share/zsh/site-functions/_tollgate
  tollgate completions fish > ~/.config/fish/completions/tollgate.fish";

const TOKEN_EXAMPLES: &str = "Examples:
  tollgate token --issuer main --claim sub=u1 --key key.json --jwks jwks.json
  TOKEN=$(tollgate token --issuer main --claim 'roles=[\"admin\"]' --key key.json)
  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8080/orders/7

The first writes jwks.json, for `jwks_file: jwks.json` in the issuer. An issuer with a `secret`
needs neither file.";

/// One subcommand of `tollgate import`.
#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// A declarative configuration of Kong (kong.yml), format versions 1.1, 2.1 and 3.0.
    Kong(ImportArgs),
    /// A configuration of KrakenD (krakend.json), version 3.
    Krakend(ImportArgs),
    /// A description of an interface in OpenAPI 3.0 or 3.1, YAML or JSON.
    Openapi(ImportArgs),
}

/// What is imported, and where the results go.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The file.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Where the configuration is written, instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Where the report is written, instead of standard error.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Where secrets are written that the configuration refers to, as NAME="value" for a shell or systemd. Without it the
    /// report names what has to be set.
    #[arg(long, value_name = "FILE")]
    pub(crate) secrets: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

/// One subcommand of `tollgate key`.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make an API key: print it once, with the hash for `consumers`.
    Create(JsonArg),
    /// Print the hash of an API key or a password, read from standard input.
    Hash(HashArgs),
}

/// What to hash.
#[derive(Debug, Args)]
pub(crate) struct HashArgs {
    /// The key; left out, it is read from standard input, where others on this machine cannot see it.
    #[arg(conflicts_with = "password")]
    pub(crate) key: Option<String>,
    /// Hash a password for `basic` with argon2id instead.
    #[arg(long)]
    pub(crate) password: bool,
    #[command(flatten)]
    pub(crate) output: JsonArg,
}

/// What a token for development says, and who signs it.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// An issuer of the configuration; its `issuer`, `audience` and algorithms are used.
    #[arg(long, value_name = "NAME", required_unless_present = "iss")]
    pub(crate) issuer: Option<String>,
    /// The claim `iss`, instead of the issuer's own.
    #[arg(long, value_name = "TEXT")]
    pub(crate) iss: Option<String>,
    /// The claim `aud`, instead of the issuer's own.
    #[arg(long, value_name = "TEXT")]
    pub(crate) aud: Option<String>,
    /// A claim; a value that is JSON counts as JSON, any other as text; `null` leaves a claim out.
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim)]
    pub(crate) claims: Vec<(String, serde_json::Value)>,
    /// How it is signed; default the key's own, else the issuer's first.
    #[arg(long, value_name = "NAME", value_parser = algorithm)]
    pub(crate) alg: Option<Algorithm>,
    /// How long it is good: 90s, 15m, 1h, 7d.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    pub(crate) ttl: u64,
    /// The private key, a JWK; made when the file does not exist. Left out, a key is made and forgotten.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Where to put the public key, a JWK set for `jwks_file`; other keys in it are kept.
    #[arg(long, value_name = "FILE")]
    pub(crate) jwks: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    #[command(flatten)]
    pub(crate) output: JsonArg,
}

/// Which access records.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// A file, a folder or URL of batches (`s3://`, `gs://`, `az://`, `file://`), or `-` for standard input. Left out: where
    /// `access_log` of the configuration sends records.
    #[arg(value_name = "FILE|URL")]
    pub(crate) place: Option<String>,
    /// Only records that fit, as in `status>=500 && route==orders`.
    #[arg(long = "where", value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// Only requests that began within this time: 90s, 15m, 1h, 7d.
    #[arg(long, value_name = "TIME", value_parser = last)]
    pub(crate) last: Option<u64>,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// A time in whole seconds, back from now.
fn last(text: &str) -> Result<u64, String> {
    seconds(text).map_err(|_| "write a whole number and s, m, h or d, at most 3650d, as in 15m".to_owned())
}

/// `name=value`.
fn claim(text: &str) -> Result<(String, serde_json::Value), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    if name.is_empty() {
        return Err("the claim has no name".to_owned());
    }
    let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
    Ok((name.to_owned(), value))
}

/// A time between two looks, from a tenth of a second to an hour.
fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || "write a whole number and ms, s or m, from 100ms to 60m".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let milliseconds = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let time = number.checked_mul(milliseconds).filter(|time| (100..=3_600_000).contains(time));
    time.map(Duration::from_millis).ok_or_else(wrong)
}

fn algorithm(text: &str) -> Result<Algorithm, String> {
    let names = || Algorithm::ALL.map(Algorithm::as_str).join(", ");
    text.parse().map_err(|_| format!("the algorithms are {}", names()))
}

/// A time in whole seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err("write a whole number and s, m, h or d".to_owned()),
    };
    let number: Option<u64> =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten();
    let seconds = number.and_then(|number| number.checked_mul(scale)).filter(|seconds| *seconds <= MAX_TTL_S);
    match seconds {
        Some(0) => {
            Err("the token would have expired already; to make such a one, use `--claim exp=1`".to_owned())
        }
        Some(seconds) => Ok(seconds),
        None => Err("write a whole number and s, m, h or d, at most 3650d".to_owned()),
    }
}

/// Ten years, as durations in the configuration.
const MAX_TTL_S: u64 = 3650 * 24 * 3600;

/// What to run.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// Where the last good copy of a configuration from a URL is kept; default $STATE_DIRECTORY, then /var/lib/tollgate
    /// when it exists.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// Which configuration.
#[derive(Debug, Args)]
pub(crate) struct ConfigArg {
    /// The configuration, a file or a URL (https, s3, gs, az); default tollgate.yaml, then /etc/tollgate/tollgate.yaml.
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

/// Which gateway is asked.
#[derive(Debug, Args)]
pub(crate) struct AdminArg {
    /// Where its admin side listens, instead of what the configuration says.
    #[arg(long, value_name = "IP:PORT", conflicts_with = "config")]
    pub(crate) address: Option<SocketAddr>,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
}

/// Which gateway is asked how it is.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArg,
    /// Ask whether it is ready, whatever its upstreams do: for health checks that restart what is not well.
    #[arg(long)]
    pub(crate) ready: bool,
    #[command(flatten)]
    pub(crate) output: JsonArg,
}

/// Which gateway is shown, and how.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    #[command(flatten)]
    pub(crate) admin: AdminArg,
    /// Time between two looks: 500ms, 2s, 1m.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval)]
    pub(crate) every: Duration,
    /// Print one screen as text and end.
    #[arg(long)]
    pub(crate) once: bool,
    /// Print what one screen shows as JSON and end.
    #[arg(long, conflicts_with = "once")]
    pub(crate) json: bool,
}

/// Which configurations are compared.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The configuration before, a file or a URL.
    #[arg(value_name = "OLD")]
    pub(crate) old: PathBuf,
    /// The configuration after, a file or a URL.
    #[arg(value_name = "NEW")]
    pub(crate) new: PathBuf,
    /// Access records, compressed or not, or `-` for standard input: which of these requests would end elsewhere.
    #[arg(long, value_name = "FILE")]
    pub(crate) samples: Option<PathBuf>,
    /// The same of the last requests of a running gateway, at the admin address of OLD or the one given.
    #[arg(long, value_name = "IP:PORT", num_args = 0..=1, require_equals = true, conflicts_with = "samples")]
    pub(crate) live: Option<Option<SocketAddr>>,
    /// What makes exit code 1.
    #[arg(long, value_name = "WHAT", default_value = "weaker")]
    pub(crate) fail_on: FailOn,
    #[command(flatten)]
    pub(crate) output: JsonArg,
}

/// What makes exit code 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Something would be less protected.
    Weaker,
    /// Anything differs.
    Any,
}

/// What a first configuration says.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The service behind the gateway.
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<String>,
    /// Who may call: `all`, `key` (a key is made), or the URL of an issuer of tokens.
    #[arg(long, value_name = "WHO")]
    pub(crate) auth: Option<String>,
    /// Where clients connect.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Whom tokens of the issuer must be for (`aud`).
    #[arg(long, value_name = "NAME")]
    pub(crate) audience: Option<String>,
    /// The file that is written; `-` for standard output.
    #[arg(short, long, value_name = "FILE", default_value = "tollgate.yaml")]
    pub(crate) output: PathBuf,
    /// Replace a file that exists.
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) json: JsonArg,
}

/// Whose completions.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub(crate) shell: Shell,
}

/// A shell that completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
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
    fn claims_are_json_or_text() {
        for (text, expect) in [
            ("sub=u1", Ok(("sub", serde_json::json!("u1")))),
            ("n=7", Ok(("n", serde_json::json!(7)))),
            ("n=\"7\"", Ok(("n", serde_json::json!("7")))),
            ("roles=[\"a\"]", Ok(("roles", serde_json::json!(["a"])))),
            ("scope=a b", Ok(("scope", serde_json::json!("a b")))),
            ("x=a=b", Ok(("x", serde_json::json!("a=b")))),
            ("x=", Ok(("x", serde_json::json!("")))),
            ("exp=null", Ok(("exp", serde_json::Value::Null))),
            ("sub", Err(())),
            ("=u1", Err(())),
        ] {
            let expect = expect.map(|(name, value)| (name.to_owned(), value));
            assert_eq!(claim(text).map_err(|_| ()), expect, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, expect) in [("90s", 90), ("15m", 900), ("1h", 3600), ("7d", 604_800), ("3650d", MAX_TTL_S)]
        {
            assert_eq!(seconds(text), Ok(expect), "{text}");
        }
        for bad in [
            "",
            "0s",
            "00d",
            "1",
            "h",
            "1.5h",
            "-1h",
            "1h30m",
            "3651d",
            "99999999999999999999s",
            "1ms",
            "+1h",
        ] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn intervals() {
        for (text, expect) in [("100ms", 100), ("2s", 2_000), ("1m", 60_000), ("60m", 3_600_000)] {
            assert_eq!(interval(text), Ok(Duration::from_millis(expect)), "{text}");
        }
        for bad in ["", "1", "99ms", "0s", "-1s", "1.5s", "61m", "1h", "99999999999999999999s"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_command_is_wrong_usage() {
        for name in ["", "help", "explode"] {
            let error = Cli::try_parse_from(["tollgate", name]).expect_err(name);
            assert_eq!(error.exit_code(), 2, "{name}");
        }
    }
}
