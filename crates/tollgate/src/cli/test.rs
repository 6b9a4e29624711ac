//! The arguments of `test`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::explain::{admin, header};
use super::{ConfigArg, JsonArg};

pub(super) const EXAMPLES: &str = "Examples:
  tollgate test
  tollgate test token --junit outcome.xml
  tollgate test --record http://127.0.0.1:8080/orders/7 -H \"Authorization: Bearer $TOKEN\" > recorded.yaml
  tollgate logs --last 1h | tollgate test --record http://127.0.0.1:8080 --from - > recorded.yaml";

/// Which tests are run, and how the outcome is shown; or what is recorded.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Only tests with this in their names, in any case.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Where the outcome is written as JUnit XML, beside what is shown.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    #[command(flatten)]
    pub(crate) output: JsonArg,
    // The last: its heading holds for all that follows.
    #[command(flatten)]
    pub(crate) record: RecordArgs,
}

/// What is recorded.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recording")]
pub(crate) struct RecordArgs {
    /// Send a request to the gateway that runs here, and print a test that expects what it answers: the URL of a request, or with
    /// --from that of the gateway. Each test that is printed passes offline with the configuration.
    #[arg(long = "record", value_name = "URL", value_parser = url, conflicts_with_all = ["name", "junit", "json"])]
    pub(crate) url: Option<String>,
    /// The requests: access records, or lines of METHOD and PATH; `-` for standard input. Each is sent once.
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(crate) from: Option<PathBuf>,
    /// Send those of --from, too, that may change something: other methods than GET and HEAD, without a body.
    #[arg(long, requires = "from")]
    pub(crate) any_method: bool,
    /// The method; default GET, or POST with a body.
    #[arg(short = 'X', long, value_name = "METHOD", requires = "url", conflicts_with = "from")]
    pub(crate) method: Option<String>,
    /// A header line of each request; may be given more than once.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", requires = "url", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    #[arg(short, long, value_name = "BODY", requires = "url", conflicts_with = "from")]
    pub(crate) data: Option<String>,
    /// The gateway's admin side, instead of what the configuration says (token: TOLLGATE_ADMIN_TOKEN).
    #[arg(long, value_name = "ADMIN", requires = "url", value_parser = admin)]
    pub(crate) admin: Option<SocketAddr>,
    /// Print without `tests:`, to be appended to a file that ends with its tests.
    #[arg(long, requires = "url")]
    pub(crate) append: bool,
}

/// The URL of HTTP.
fn url(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    match rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/')) {
        true => Ok(text.to_owned()),
        false => Err("write http://HOST:PORT or https://HOST, with the path of a request".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (text, fits) in [
            ("http://127.0.0.1:8080", true),
            ("https://api.example.com/orders/7?a=b", true),
            ("http://", false),
            ("https:///a", false),
            ("127.0.0.1:8080", false),
            ("ftp://a", false),
        ] {
            assert_eq!(url(text).is_ok(), fits, "{text}");
        }
    }
}
