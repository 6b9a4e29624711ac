//! Forgetting kept answers because an operator says so.

use std::time::Instant;

use tollgate_plan::{Plan, path};

use super::CachesLive;

/// Which answers are forgotten: those for which everything that is said here holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Purge {
    /// Of the route with this name.
    pub route: Option<String>,
    /// With this URL: `https://host/path?query`, or `/path?query` on whatever host.
    pub url: Option<String>,
    /// With a URL that begins so.
    pub prefix: Option<String>,
}

/// Why nothing was purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeError {
    /// No route has that name.
    UnknownRoute,
    /// The route keeps no answers.
    NothingKept,
    /// What is said is neither a URL nor a path.
    BadUrl,
}

/// A URL in the form of keys.
struct Wanted {
    /// Scheme and authority; none on whatever host.
    origin: Option<Vec<u8>>,
    /// Path and query.
    target: Vec<u8>,
}

impl CachesLive {
    /// Forgets what `purge` says, and what is on its way into the stores. How many answers that were.
    pub(crate) fn purge(&self, plan: &Plan, purge: &Purge, now: Instant) -> Result<u64, PurgeError> {
        let url = purge.url.as_deref().map(Wanted::parse).transpose()?;
        let prefix = purge.prefix.as_deref().map(Wanted::parse).transpose()?;
        let of_route = |name: &str| purge.route.as_deref().is_none_or(|wanted| wanted == name);
        let mut routes =
            plan.routes.iter().zip(&self.routes).filter(|(route, _)| of_route(&route.name)).peekable();
        if routes.peek().is_none() {
            return Err(PurgeError::UnknownRoute);
        }
        let caches: Vec<_> = routes.filter_map(|(_, cache)| cache.as_ref()).collect();
        if caches.is_empty() && purge.route.is_some() {
            return Err(PurgeError::NothingKept);
        }
        self.stamps.purge(now);
        let is_one = |key: &[u8]| {
            url.as_ref().is_none_or(|url| url.is(key))
                && prefix.as_ref().is_none_or(|prefix| prefix.begins(key))
        };
        Ok(caches.into_iter().map(|cache| cache.store.forget(is_one)).sum())
    }
}

impl Wanted {
    fn parse(text: &str) -> Result<Wanted, PurgeError> {
        let (origin, target) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let at = rest.find('/').unwrap_or(rest.len());
                let (authority, target) = rest.split_at(at);
                (Some(format!("{scheme}://{authority}").to_ascii_lowercase().into_bytes()), target)
            }
            None => (None, text),
        };
        let target = if target.is_empty() { "/" } else { target };
        if !target.starts_with('/') || text.contains(|c: char| c.is_control() || c == ' ') {
            return Err(PurgeError::BadUrl);
        }
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let mut normal = path::normalize(path.as_bytes()).map_err(|_| PurgeError::BadUrl)?.into_owned();
        if let Some(query) = query {
            normal.push('?');
            normal.push_str(query);
        }
        Ok(Wanted { origin, target: normal.into_bytes() })
    }

    fn is(&self, url: &[u8]) -> bool {
        let (origin, target) = split(url);
        self.origin.as_ref().is_none_or(|wanted| wanted == origin) && target == self.target
    }

    fn begins(&self, url: &[u8]) -> bool {
        let (origin, target) = split(url);
        self.origin.as_ref().is_none_or(|wanted| wanted == origin) && target.starts_with(&self.target)
    }
}

/// Scheme with authority, and path with query.
fn split(url: &[u8]) -> (&[u8], &[u8]) {
    let authority = memchr::memmem::find(url, b"://").map_or(0, |at| at + 3);
    let path = url
        .get(authority..)
        .and_then(|rest| memchr::memchr(b'/', rest))
        .map_or(url.len(), |at| authority + at);
    url.split_at(path)
}
