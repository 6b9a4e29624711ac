//! The arguments of `explain` and `why`.

use std::net::{IpAddr, SocketAddr};

use clap::Args;

use super::{AdminArg, ConfigArg, JsonArg};

pub(super) const EXAMPLES: &str = "Examples:
  tollgate explain GET https://api.example.com/orders/7 -H 'Authorization: Bearer …'
  tollgate explain POST /orders -H 'content-type: application/json' -d '{\"item\": 7}' --ip 203.0.113.9
  tollgate explain GET /orders/7 --live";

/// A request that nobody sends.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// The method.
    #[arg(value_name = "METHOD")]
    pub(crate) method: String,
    /// The URL, or a path.
    #[arg(value_name = "URL")]
    pub(crate) url: String,
    /// A header line; may be given more than once.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    #[arg(short, long, value_name = "BODY")]
    pub(crate) data: Option<String>,
    /// The address of the client, or of the proxy in front.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) ip: IpAddr,
    /// Ask the gateway that runs, at the admin address of the configuration or the one given (token: TOLLGATE_ADMIN_TOKEN).
    #[arg(long, value_name = "ADMIN", num_args = 0..=1, require_equals = true, value_parser = admin)]
    pub(crate) live: Option<Option<SocketAddr>>,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    #[command(flatten)]
    pub(crate) output: JsonArg,
}

/// A request that was served.
#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// Its id.
    #[arg(value_name = "REQUEST_ID")]
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) admin: AdminArg,
    #[command(flatten)]
    pub(crate) output: JsonArg,
}

/// `name: value`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write 'NAME: VALUE'")?;
    if name.is_empty() {
        return Err("the header has no name".to_owned());
    }
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// `ip:port`, or the URL of it.
pub(super) fn admin(text: &str) -> Result<SocketAddr, String> {
    let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
    address.parse().map_err(|_| "write IP:PORT or http://IP:PORT".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_lines() {
        let line = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(header("a: b: c "), line("a", "b: c"));
        assert_eq!(header("a:"), line("a", ""));
        assert!(header("a").is_err() && header(": b").is_err());
    }

    #[test]
    fn admin_addresses() {
        for text in ["127.0.0.1:9900", "http://127.0.0.1:9900", "http://127.0.0.1:9900/"] {
            assert_eq!(admin(text).map(|address| address.to_string()), Ok("127.0.0.1:9900".to_owned()));
        }
        for text in ["", "localhost:9900", "https://127.0.0.1:9900", "127.0.0.1"] {
            assert!(admin(text).is_err(), "{text}");
        }
    }
}
