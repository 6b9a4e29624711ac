//! P5 with everything on: what the process holds where no part of the gateway is left out.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use super::contestant::{Contestant, Site};
use super::held::idle_with;
use super::load::{Load, send};
use crate::run;

/// As in tables: started, after load, with idle connections.
pub(super) const STARTED: &str = "everything on, idle";
pub(super) const LOADED: &str = "everything on, after load on 64 connections";
pub(super) const IDLE: &str = "everything on, 10,000 idle connections";

const TEMPLATE: &str = "tollgate-everything.yaml";

/// A page of both parts of the aggregate.
const PAGE: &str = "<p>{{ id }} of {{ owner.name }}, {{ two.owner.name }}</p>\n";

/// Owners of tokens.
const OWNERS: usize = 64;

/// Paths whose answers are kept.
const CACHED: usize = 1_000;

/// What the gateway is started with: keys, tokens, a template.
pub(super) struct Everything {
    keys: PathBuf,
    page: PathBuf,
    list: PathBuf,
    tokens: Vec<String>,
}

impl Everything {
    /// Makes a token for each owner, by the gateway's own command.
    pub(super) fn make(site: &Site) -> Result<Everything> {
        let binary = site.gateway().context("the gateway does not take part")?.to_string_lossy().into_owned();
        let place = |name: &str| site.dir().join(name);
        let (key, keys) = (place("everything.jwk"), place("everything-keys.json"));
        let (key_text, keys_text) = (key.to_string_lossy(), keys.to_string_lossy());
        let own =
            ["token", "--iss", "https://id.example.com/", "--aud", "bench", "--alg", "RS256", "--ttl", "1d"];
        let token = |owner| {
            let claim = format!("sub=user-{owner}");
            let rest = ["--key", &key_text, "--jwks", &keys_text, "--claim", &claim];
            let token = run::output(&mut run::command(&binary, &[&own[..], &rest].concat()))?;
            Ok(token.trim().to_owned())
        };
        let tokens = (0..OWNERS).map(token).collect::<Result<Vec<_>>>()?;
        let (page, list) = (place("everything.html"), place("everything.txt"));
        fs::write(&page, PAGE)?;
        fs::write(&list, tokens.join("\n"))?;
        Ok(Everything { keys, page, list, tokens })
    }

    /// Starts the gateway.
    pub(super) fn start(&self, site: &Site) -> Result<Contestant> {
        let (keys, page) = (self.keys.to_string_lossy(), self.page.to_string_lossy());
        site.start_gateway("everything", TEMPLATE, &[("JWKS", &keys), ("PAGE", &page)])
    }

    /// Fills what can be filled: known tokens, buckets, the cache, the log's spool, the collector's queue.
    pub(super) fn load(&self, site: &Site, port: u16, seconds: u64) -> Result<f64> {
        drop(self.idle(port, 4 * CACHED)?);
        Ok(send(site, port, &Load::with_tokens(self.list.clone()), seconds)?.failed)
    }

    /// Opens connections with one request on each, of all kinds in turn; each must be served.
    pub(super) fn idle(&self, port: u16, count: usize) -> Result<Vec<TcpStream>> {
        let request = |at: usize| {
            let token = &self.tokens[at % self.tokens.len()];
            let path = match at % 4 {
                0 => format!("/page/{at}"),
                1 => format!("/cached/{}", at % CACHED),
                _ => format!("/item/{at}"),
            };
            format!("GET {path} HTTP/1.1\r\nHost: bench.example\r\nAuthorization: Bearer {token}\r\n\r\n")
        };
        let (open, refused) = idle_with(port, count, request)?;
        if refused > 0 {
            bail!("{refused} of {count} requests with everything on were not answered with 200");
        }
        Ok(open)
    }
}
