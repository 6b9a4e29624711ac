//! What the configuration, or the command line in its place, says about the issuer of a token.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tollgate_config::{Listed, OsSources, Sources};
use tollgate_plan::Plan;
use tollgate_plan::issuer::TokenCheck;
use tollgate_token::mint::{self, Signer};
use tollgate_token::{Algorithm, Audience, Exp, Expectations, KeySet};

use super::No;
use crate::cli::TokenArgs;
use crate::config_file;

/// Whose tokens are made.
pub(super) struct Issuer {
    /// The claim `iss`.
    pub(super) iss: Option<String>,
    /// The claim `aud`.
    pub(super) aud: Option<String>,
    /// What the gateway asks of its tokens; without a configuration, nothing.
    pub(super) expect: Expectations,
    /// The keys that the configuration knows; none where they are fetched.
    pub(super) keys: Option<Arc<KeySet>>,
}

/// The issuer that was named, with what the command line says otherwise.
pub(super) fn find(arguments: &TokenArgs) -> Result<Issuer, No> {
    let (expect, keys) = match &arguments.issuer {
        Some(name) => configured(arguments, name)?,
        None => (anything(), None),
    };
    // Any audience that the gateway takes will do.
    let audience = match &expect.audience {
        Audience::Any => None,
        Audience::AnyOf(names) => names.first().map(|name| name.to_string()),
    };
    let iss = arguments.iss.clone().or(expect.issuer.as_ref().map(|name| name.to_string()));
    Ok(Issuer { iss, aud: arguments.aud.clone().or(audience), expect, keys })
}

fn anything() -> Expectations {
    Expectations {
        issuer: None,
        audience: Audience::Any,
        algorithms: Algorithm::ALL.into_iter().collect(),
        leeway_s: 0,
        exp: Exp::Optional,
        typ: None,
    }
}

fn configured(arguments: &TokenArgs, name: &str) -> Result<(Expectations, Option<Arc<KeySet>>), No> {
    let path = config_file::find(&arguments.config)
        .map_err(|message| format!("{message}; with --iss and --aud instead of --issuer none is needed"))?;
    let sources = BeforeJwks { jwks: arguments.jwks.as_deref().and_then(missing) };
    let plan = match tollgate_config::load(&path, &sources) {
        Ok(loaded) => loaded.plan,
        Err(failed) => {
            config_file::show_failed(&failed);
            return Err(No(None));
        }
    };
    let Some(found) = plan.issuers.iter().find(|issuer| &*issuer.name == name) else {
        return Err(No::from(format!("the configuration has no issuer `{name}`; {}", known(&plan))));
    };
    match &found.check {
        TokenCheck::Fixed(keys) => Ok((found.expect.clone(), Some(keys.clone()))),
        TokenCheck::Fetched(_) => Ok((found.expect.clone(), None)),
        TokenCheck::Introspection(_) => Err(No::from(format!(
            "the tokens of `{name}` are opaque: the issuer is asked about each, so that nobody else can make one"
        ))),
    }
}

fn known(plan: &Plan) -> String {
    let names: Vec<&str> = plan.issuers.iter().map(|issuer| &*issuer.name).collect();
    if names.is_empty() { "it has none at all".to_owned() } else { format!("it has {}", names.join(", ")) }
}

/// The file in one spelling, if it does not exist yet.
fn missing(path: &Path) -> Option<PathBuf> {
    if path.exists() {
        return None;
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(parent.canonicalize().ok()?.join(path.file_name()?))
}

/// The real files, and in place of the key set that this very command will write one that can be read: the
/// configuration names it already, and without it would be refused.
struct BeforeJwks {
    jwks: Option<PathBuf>,
}

impl BeforeJwks {
    fn is_it(&self, path: &Path) -> bool {
        self.jwks.is_some() && missing(path) == self.jwks
    }
}

impl Sources for BeforeJwks {
    fn read(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        if self.is_it(path) {
            return placeholder().map_err(|error| io::Error::other(error.to_string()));
        }
        OsSources.read(path, limit)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<Listed>> {
        OsSources.list(directory)
    }

    fn identity(&self, path: &Path) -> PathBuf {
        OsSources.identity(path)
    }

    fn variable(&self, name: &str) -> Option<String> {
        OsSources.variable(name)
    }

    fn cores(&self) -> usize {
        OsSources.cores()
    }
}

/// A key set with a key for every algorithm that has public keys; nobody has the private ones.
fn placeholder() -> Result<Vec<u8>, mint::MintError> {
    // Without `alg` the RSA key does for every RS* and PS*.
    let kinds = [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::ES512, Algorithm::EdDSA];
    let signers: Vec<Signer> = kinds.into_iter().map(Signer::generate).collect::<Result<_, _>>()?;
    let mut set = mint::public_jwks(&signers.iter().collect::<Vec<_>>());
    for key in set["keys"].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        key.remove("alg");
    }
    Ok(set.to_string().into_bytes())
}
