//! A configuration that comes from a URL: asked for at the start and from then on, kept on disk when it is good.
//!
//! The text is only trusted as far as its way: `https` with a certificate that the system trusts, or this machine. Its
//! credentials come from the environment and are shown nowhere, and neither is the query of its URL, which may hold
//! some.

mod last_good;
mod poll;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tollgate_logship::{Options, Store};
use tollgate_plan::issuer::HttpUrl;
use tollgate_proxy::{Ask, AskError, ask, dialer};

use last_good::LastGood;
pub(crate) use poll::attend;

/// Bytes of a configuration: what a main file may have.
const TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// From the question for the name to the last byte of the text.
const FETCH_WITHIN: Duration = Duration::from_secs(10);
/// The variable with a bearer token for the URL.
const TOKEN: &str = "TOLLGATE_CONFIG_TOKEN";

/// A configuration at a URL. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Remote(Arc<Inner>);

struct Inner {
    place: Place,
    /// The URL without its query.
    shown: String,
    /// The last part of its path, for diagnostics.
    name: PathBuf,
    authorization: Option<String>,
    copy: Option<LastGood>,
    state: Mutex<State>,
}

/// Where it is.
enum Place {
    Url(HttpUrl),
    /// An object, and its key below the store's prefix.
    Object(Store, String),
}

#[derive(Default)]
struct State {
    /// What came last.
    text: Arc<[u8]>,
    /// How the other side calls it.
    etag: Option<String>,
    /// What was given out last, to be loaded.
    loaded: Arc<[u8]>,
}

/// What a question came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fetched {
    Same,
    Changed,
}

/// Why there is no text: a code for machines, and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoText {
    code: &'static str,
    why: String,
}

impl std::fmt::Display for NoText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.why)
    }
}

impl NoText {
    fn unreachable(why: impl ToString) -> NoText {
        NoText { code: "unreachable", why: why.to_string() }
    }
}

impl From<AskError> for NoText {
    fn from(error: AskError) -> NoText {
        let code = if matches!(error, AskError::TooLong(_)) { "too_large" } else { "unreachable" };
        NoText { code, why: error.to_string() }
    }
}

/// How URLs begin that a configuration can have.
const SCHEMES: [&str; 5] = ["https://", "http://", "s3://", "gs://", "az://"];

/// Whether a configuration that was named is a URL.
pub(crate) fn is_url(named: &Path) -> bool {
    named.to_str().is_some_and(|named| SCHEMES.iter().any(|scheme| named.starts_with(scheme)))
}

/// Waits for a question before there is a runtime to ask it on.
pub(crate) fn block_on<T>(question: impl Future<Output = T>) -> Result<T, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map(|runtime| runtime.block_on(question)).map_err(|error| error.to_string())
}

impl Remote {
    /// Asks for the configuration at `url`; when nobody answers, the copy in `state` counts that was good last.
    pub(crate) async fn open(url: &str, state: Option<&Path>) -> Result<Remote, String> {
        let (remote, shown) = Remote::new(url, state)?;
        let Err(why) = remote.fetch().await else { return Ok(remote) };
        let Some(copy) = &remote.0.copy else {
            return Err(format!(
                "{shown}: {why}; and no copy of it is kept, since there is no `--state` directory"
            ));
        };
        match copy.read() {
            Ok(text) => {
                let path = copy.path().display();
                tracing::warn!("{shown}: {why}; starting with the last good copy, {path}");
                remote.state().text = text.into();
                Ok(remote)
            }
            Err(error) => {
                Err(format!("{shown}: {why}; and there is no copy at {}: {error}", copy.path().display()))
            }
        }
    }

    /// Asks for it once, and keeps nothing: for commands that only look.
    pub(crate) async fn look(url: &str) -> Result<Remote, String> {
        let (remote, shown) = Remote::new(url, None)?;
        remote.fetch().await.map_err(|why| format!("{shown}: {why}"))?;
        Ok(remote)
    }

    fn new(url: &str, state: Option<&Path>) -> Result<(Remote, String), String> {
        let shown = url.split(['?', '#']).next().unwrap_or_default().to_owned();
        let place = Place::of(url, &shown)?;
        let path =
            shown.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
        let name = path.rsplit('/').find(|part| !part.is_empty()).unwrap_or("remote.yaml");
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        let inner = Inner {
            name: PathBuf::from(name),
            shown: shown.clone(),
            authorization: token.map(|token| format!("Bearer {token}")),
            copy: state.map(|state| LastGood::of(state, url)),
            state: Mutex::default(),
            place,
        };
        Ok((Remote(Arc::new(inner)), shown))
    }

    /// The URL, without what may be secret.
    pub(crate) fn shown(&self) -> &str {
        &self.0.shown
    }

    pub(crate) fn name(&self) -> &Path {
        &self.0.name
    }

    /// The text that came last, to be loaded.
    pub(crate) fn text(&self) -> Arc<[u8]> {
        let mut state = self.state();
        state.loaded = state.text.clone();
        state.loaded.clone()
    }

    /// What was loaded last is good: it is what a start without the source goes by.
    pub(crate) fn keep(&self) {
        let Some(copy) = &self.0.copy else { return };
        let text = self.state().loaded.clone();
        if let Err(error) = copy.write(&text) {
            tracing::warn!(path = %copy.path().display(), %error, "the last good configuration cannot be kept");
        }
    }

    /// Asks whether there is another text, and takes it.
    pub(crate) async fn fetch(&self) -> Result<Fetched, NoText> {
        let known = self.state().etag.clone();
        let got = match &self.0.place {
            Place::Url(url) => self.get(url, known).await?,
            Place::Object(store, key) => {
                let got = store.fetch(key, known.as_deref(), TEXT_BYTES_MAX as u64);
                let got = tokio::time::timeout(FETCH_WITHIN, got).await;
                let got = got.map_err(|_| NoText::unreachable("no whole answer in time"))?;
                got.map_err(NoText::unreachable)?.map(|(text, etag)| (text.to_vec(), etag))
            }
        };
        let Some((text, etag)) = got else { return Ok(Fetched::Same) };
        if text.is_empty() {
            return Err(NoText { code: "empty", why: "answered with nothing".to_owned() });
        }
        let mut state = self.state();
        state.etag = etag;
        if *state.text == *text {
            return Ok(Fetched::Same);
        }
        state.text = text.into();
        Ok(Fetched::Changed)
    }

    /// The text at a URL and its entity tag; none while it is the known one.
    async fn get(
        &self,
        url: &HttpUrl,
        known: Option<String>,
    ) -> Result<Option<(Vec<u8>, Option<String>)>, NoText> {
        let mut headers = vec![("accept", "application/yaml, text/yaml;q=0.9, */*;q=0.5".to_owned())];
        headers.extend(self.0.authorization.clone().map(|value| ("authorization", value)));
        headers.extend(known.map(|etag| ("if-none-match", etag)));
        let question =
            Ask { put: false, url, headers: &headers, bytes_max: TEXT_BYTES_MAX, within: FETCH_WITHIN };
        let told = ask(question).await?;
        match told.status {
            200 => Ok(Some((told.body.to_vec(), told.header("etag").map(str::to_owned)))),
            304 => Ok(None),
            status => Err(NoText::unreachable(format!("answered {status}"))),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every update is a plain assignment.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    fn of(url: &str, shown: &str) -> Result<Place, String> {
        if !url.starts_with("http") {
            let (place, key) =
                url.rsplit_once('/').filter(|(place, _)| !place.ends_with('/')).unwrap_or_default();
            if key.is_empty() {
                return Err(format!(
                    "{shown}: an object has a bucket and a key, as in s3://bucket/gateway.yaml"
                ));
            }
            let store = Store::open(place, &Options::default(), dialer(), false);
            let store = store.map_err(|error| format!("{shown}: {error}"))?;
            return Ok(Place::Object(store, key.to_owned()));
        }
        // A user and a password in it would be shown.
        let url = HttpUrl::parse(url).map_err(|why| format!("the URL of the configuration: {why}"))?;
        if !url.tls && !url.is_loopback() {
            return Err(format!(
                "{shown}: a configuration over plain http is taken from this machine only; anybody on the way could change it"
            ));
        }
        Ok(Place::Url(url))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_are_taken() {
        for (url, expect) in [
            ("https://config.example.com/gateways/a.yaml", Ok("a.yaml")),
            ("https://config.example.com/a.yaml?sig=very-secret", Ok("a.yaml")),
            ("https://config.example.com", Ok("remote.yaml")),
            ("https://config.example.com/gateways/", Ok("gateways")),
            ("http://127.0.0.1:8000/a.yaml", Ok("a.yaml")),
            ("http://localhost/a.yaml", Ok("a.yaml")),
            ("http://config.example.com/a.yaml?sig=very-secret", Err("this machine only")),
            ("https://me:very-secret@config.example.com/a.yaml", Err("must not hold a user")),
            ("https:///a.yaml", Err("no host")),
            ("s3://bucket/gateways/a.yaml", Ok("a.yaml")),
            ("s3://bucket", Err("a bucket and a key")),
            ("s3://bucket/", Err("a bucket and a key")),
        ] {
            assert!(is_url(Path::new(url)));
            match (Remote::new(url, None), expect) {
                (Ok((remote, shown)), Ok(name)) => {
                    assert_eq!(
                        (remote.name(), shown.contains("very-secret")),
                        (Path::new(name), false),
                        "{url}"
                    );
                }
                (Err(why), Err(part)) => {
                    assert!(why.contains(part) && !why.contains("very-secret"), "{url}: {why}");
                }
                (seen, expect) => panic!("{url}: {:?}, expected {expect:?}", seen.map(|(_, shown)| shown)),
            }
        }
        for path in ["tollgate.yaml", "/etc/tollgate/tollgate.yaml", "https", "./https://x"] {
            assert!(!is_url(Path::new(path)), "{path}");
        }
    }
}
