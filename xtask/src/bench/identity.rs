//! P2, P3 and the flood of bad tokens: what it costs to know who calls.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::Args;
use super::contestant::{Contestant, Kind, Site};
use super::held::get;
use super::load::{Load, send};
use super::plain::{Turn, sample, take};
use super::results::Results;
use crate::{run, say, tree};

/// More tokens than a worker remembers, so that each is new when its turn comes again.
const MANY: usize = 10_000;

/// As in tables.
const PLAIN: &str = "plain proxying";
const KNOWN: &str = "token, limit, log";
const NEW: &str = "new tokens";
pub(super) const SECRET: &str = "HS256 token, limit, log";

/// From the Debian package libnginx-mod-http-lua.
const LUA_MODULE: &str = "/usr/lib/nginx/modules/ngx_http_lua_module.so";

/// P2: the gateway with tokens that it has seen, beside itself as a plain proxy, and nginx as one.
pub(super) fn few_tokens(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    let Some(tokens) = Tokens::make(site, 64)? else { return Ok(()) };
    let (plain, identity) = (plain(site)?, tokens.gateway(site, "identity")?);
    let nginx = site.start(Kind::Nginx, "nginx", site.origin_port(), 1)?;
    let turns = [
        Turn { who: &plain, work: PLAIN, load: Load::get("/") },
        Turn { who: &identity, work: KNOWN, load: tokens.load("few") },
        Turn { who: &nginx, work: PLAIN, load: Load::get("/") },
    ];
    take(site, args, &turns, results)?;
    let mib = identity.process.resident_bytes()? as f64 / 1048576.0;
    say::line(format_args!("resident after the load: {mib:.1} MiB"));
    results.push(json!({ "who": "identity", "work": "resident", "round": 1, "mib": mib }));
    Ok(())
}

/// P3: a new token on every request, beside tokens that it has seen, and the time of one signature check.
pub(super) fn many_tokens(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    let Some(tokens) = Tokens::make(site, MANY)? else { return Ok(()) };
    let (few, many) = (tokens.gateway(site, "few")?, tokens.gateway(site, "many")?);
    let turns = [
        Turn { who: &few, work: KNOWN, load: tokens.load("few") },
        Turn { who: &many, work: NEW, load: tokens.load("many") },
    ];
    for turn in &turns {
        send(site, turn.who.port, &turn.load, 1)?;
    }
    for round in 1..=args.rounds {
        for turn in &turns {
            results.push(sample(site, args, turn, round)?);
        }
        let micros = tokens.check(site)?;
        say::line(format_args!("round {round}  one signature check: {micros:.1} µs"));
        results.push(json!({ "who": "aws-lc", "work": "signature check", "round": round, "us": micros }));
    }
    Ok(())
}

/// Tokens that are refused, each kind for itself, beside plain proxying.
pub(super) fn flood(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    let Some(tokens) = Tokens::make(site, 64)? else { return Ok(()) };
    let (plain, identity) = (plain(site)?, tokens.gateway(site, "identity")?);
    let bad = |work: &'static str, list: &str| Turn { who: &identity, work, load: tokens.load(list) };
    let turns = [bad("garbage", "garbage"), bad("unknown key", "unknown"), bad("forged", "forged")];
    let good = Turn { who: &plain, work: PLAIN, load: Load::get("/") };
    send(site, plain.port, &good.load, 1)?;
    for round in 1..=args.rounds {
        results.push(sample(site, args, &good, round)?);
        for turn in &turns {
            let counted = sample(site, args, turn, round)?;
            if counted["requests"] != counted["failed"] {
                bail!("not every bad token was refused: {counted}");
            }
            results.push(counted);
        }
    }
    Ok(())
}

/// A token signed by a shared secret, another one on each request, a limit for its owner and a log record: the gateway, and nginx
/// with the same in Lua.
pub(super) fn shared_secret(site: &Site, args: &Args, results: &mut Results) -> Result<()> {
    let Some(tokens) = Tokens::make(site, MANY)? else { return Ok(()) };
    let secret = fs::read_to_string(tokens.folder.join("hs256.secret"))?;
    let plain = plain(site)?;
    let own = site.start_gateway("hs256", "tollgate-hs256.yaml", &[("SECRET", &secret)])?;
    let lua = Path::new(LUA_MODULE)
        .exists()
        .then(|| site.start_with(Kind::Nginx, "nginx-lua", "nginx-lua.conf", &[("SECRET", &secret)]));
    if lua.is_none() {
        say::line(format_args!("nginx with Lua is left out: {LUA_MODULE} is missing"));
    }
    let lua = lua.transpose()?;
    let mut turns = vec![Turn { who: &plain, work: PLAIN, load: Load::get("/") }];
    for who in std::iter::once(&own).chain(&lua) {
        if get(who.port, "/")? != 401 {
            bail!("{} lets requests through without a token", who.name);
        }
        turns.push(Turn { who, work: SECRET, load: tokens.load("hs256") });
    }
    take(site, args, &turns, results)
}

/// The gateway as in P1.
fn plain(site: &Site) -> Result<Contestant> {
    site.start(Kind::Tollgate, "tollgate", site.origin_port(), 1)
}

/// Lists of tokens in the folder of the run, and the key set that proves them.
struct Tokens {
    program: PathBuf,
    folder: PathBuf,
}

impl Tokens {
    /// None when the gateway does not take part.
    fn make(site: &Site, count: usize) -> Result<Option<Tokens>> {
        if site.gateway().is_none() {
            say::line("needs the gateway: left out");
            return Ok(None);
        }
        let words = ["build", "--release", "--locked", "--package", "xtask", "--example", "tokens"];
        run::required(&mut run::cargo(&words))?;
        let program = tree::target().join("release/examples/tokens");
        let tokens = Tokens { program, folder: site.dir().to_owned() };
        say::line(format_args!("making {count} tokens"));
        let folder = tokens.folder.to_string_lossy().into_owned();
        run::output(&mut run::command(&tokens.program(), &["make", &folder, &count.to_string()]))?;
        Ok(Some(tokens))
    }

    fn gateway(&self, site: &Site, name: &str) -> Result<Contestant> {
        let jwks = self.folder.join("jwks.json");
        site.start_gateway(name, "tollgate-identity.yaml", &[("JWKS", &jwks.to_string_lossy())])
    }

    fn load(&self, list: &str) -> Load {
        Load::with_tokens(self.folder.join(format!("{list}.txt")))
    }

    /// Microseconds of one signature check, on the core of whoever is measured.
    fn check(&self, site: &Site) -> Result<f64> {
        let core = site.core.to_string();
        let printed = run::output(&mut run::command("taskset", &["-c", &core, &self.program(), "check"]))?;
        printed.trim().parse().context("what the signature check printed")
    }

    fn program(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }
}
