//! Whether an answer may be kept, and on which terms (RFC 9111 sections 3 and 4.2).

use std::time::{Duration, SystemTime};

use tollgate_plan::cache::Cache;
use tollgate_wire::{HeaderBlock, name};

use super::date::date;
use super::directives::{Directives, Extent, number};

/// Statuses to which `ttl` applies.
const KEPT_BY_DEFAULT: [u16; 8] = [200, 203, 204, 300, 301, 308, 404, 410];

/// An answer as it came.
#[derive(Debug, Clone, Copy)]
pub struct Came<'a> {
    /// The status.
    pub status: u16,
    /// As the upstream sent them.
    pub headers: &'a HeaderBlock,
    /// The client would be sent a `Set-Cookie` of the upstream.
    pub cookies: bool,
    /// When its head came.
    pub at: SystemTime,
    /// From the request to its head.
    pub delay: Duration,
}

/// Whose request it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Anybody's.
    Anonymous,
    /// Somebody's: it has `Authorization`, or the gateway knows who calls.
    Authorized,
    /// Somebody's, and what is kept of it is kept for that caller alone.
    Personal,
}

/// On which terms an answer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// So long it is fresh, from when the origin made it.
    pub lifetime: Duration,
    /// How old it was when it came.
    pub age: Duration,
    /// So long behind its lifetime it may be given while the upstream is asked again.
    pub stale_while_revalidate: Duration,
    /// So long behind its lifetime it may be given where the upstream fails.
    pub stale_if_error: Duration,
    /// The upstream is asked each time.
    pub validate: bool,
    /// It is never given stale because a client says so.
    pub strict: bool,
    /// It may be given to callers of whom something is known, too (RFC 9111 section 3.5).
    pub shareable: bool,
}

/// The terms on which the answer is kept, and the fields that are not kept with it. None: it is not kept.
pub fn terms(came: Came<'_>, asked: Asked, rules: &Cache) -> Option<(Terms, Vec<Box<[u8]>>)> {
    let Came { status, headers, .. } = came;
    if status < 200 || matches!(status, 206 | 304) || status > 599 {
        return None;
    }
    let said = Directives::of(headers);
    let by_default = KEPT_BY_DEFAULT.contains(&status);
    // What the operator overrides is what is said of time. What is said of privacy holds.
    let respect = rules.respect || !by_default;
    let shareable = said.public || said.s_maxage.is_some() || said.must_revalidate;
    let left_out: Vec<Box<[u8]>> = said.left_out().map(Box::from).collect();
    let cookies = came.cookies && !left_out.iter().any(|field| field.eq_ignore_ascii_case(b"set-cookie"));
    let understood = !said.must_understand || is_understood(status);
    let stored = !said.no_store || said.must_understand;
    if cookies || !understood || (respect && !stored) || !is_open_to(asked, &said, shareable) {
        return None;
    }
    let (lifetime, explicit) = match respect {
        true => lifetime(&said, came, by_default.then_some(rules.ttl))?,
        false => (rules.ttl, false),
    };
    let validate = respect && said.no_cache == Extent::All;
    let forbidden = validate || (respect && (said.must_revalidate || said.proxy_revalidate));
    let stale = |ours: Option<Duration>, theirs: Option<Duration>| {
        let theirs = theirs.filter(|_| respect);
        ours.or(theirs).filter(|_| !forbidden).unwrap_or_default()
    };
    let terms = Terms {
        lifetime,
        age: age(came),
        stale_while_revalidate: stale(rules.stale_while_revalidate, said.stale_while_revalidate),
        stale_if_error: stale(rules.stale_if_error, said.stale_if_error),
        validate,
        // `s-maxage` has `proxy-revalidate` in it (RFC 9111 section 5.2.2.10), unless somebody says more.
        strict: forbidden || (respect && said.s_maxage.is_some()),
        shareable,
    };
    is_of_use(&terms, headers, explicit).then_some((terms, left_out))
}

/// Whether this caller's answer may be kept at all.
fn is_open_to(asked: Asked, said: &Directives, shareable: bool) -> bool {
    match asked {
        Asked::Personal => true,
        Asked::Authorized => shareable && said.private != Extent::All,
        Asked::Anonymous => said.private != Extent::All,
    }
}

/// How long the answer is fresh, and whether the upstream says so. None: nobody says anything.
pub(super) fn lifetime(said: &Directives, came: Came<'_>, ttl: Option<Duration>) -> Option<(Duration, bool)> {
    if let Some(lifetime) = said.s_maxage.or(said.max_age) {
        return Some((lifetime, true));
    }
    if !said.targeted
        && let Some(expires) = came.headers.get(&name::EXPIRES)
    {
        let made = came.headers.get(&name::DATE).and_then(date).unwrap_or(came.at);
        let lifetime = date(expires).and_then(|expires| expires.duration_since(made).ok());
        return Some((lifetime.unwrap_or_default(), true));
    }
    if said.no_cache == Extent::All {
        return Some((Duration::ZERO, true));
    }
    ttl.filter(|ttl| !ttl.is_zero()).map(|ttl| (ttl, false))
}

/// How old the answer was when it came (RFC 9111 section 4.2.3).
pub(super) fn age(came: Came<'_>) -> Duration {
    let made = came.headers.get(&name::DATE).and_then(date);
    let apparent = made.and_then(|made| came.at.duration_since(made).ok()).unwrap_or_default();
    // The first member counts; one that is no number is as if it were not there (section 5.1).
    let told = came.headers.get(&name::AGE).and_then(|age| age.split(|b| *b == b',').next());
    let told = told.and_then(|age| number(age.trim_ascii())).unwrap_or_default();
    // A date has whole seconds: within one, nothing is known of an age.
    let apparent = Duration::from_secs(apparent.as_secs());
    apparent.max(Duration::from_secs(told) + came.delay)
}

/// Whether keeping the answer saves anything.
fn is_of_use(terms: &Terms, headers: &HeaderBlock, explicit: bool) -> bool {
    let fresh = terms.lifetime > terms.age && !terms.validate;
    let stale = terms.stale_while_revalidate.max(terms.stale_if_error) + terms.lifetime > terms.age;
    let validator = headers.contains(&name::ETAG) || headers.contains(&name::LAST_MODIFIED);
    fresh || (stale && !terms.validate) || (explicit && validator)
}

/// Whether a cache knows what to do about the status (RFC 9111 section 5.2.2.3): it is one of RFC 9110.
fn is_understood(status: u16) -> bool {
    matches!(status, 200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 426 | 500..=505)
}
