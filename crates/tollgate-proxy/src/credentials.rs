//! Where credentials stand on a request: to find them, and to take them off before the upstream.

use std::borrow::Cow;

use tollgate_plan::auth::{Auth, Place};
use tollgate_plan::query;
use tollgate_wire::{EntryRef, HeaderBlock, Name, RequestHead, name};

/// What stands at one place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing<'a> {
    /// Nothing.
    Absent,
    /// One value.
    One(Cow<'a, [u8]>),
    /// More than one: whoever reads one of them may read another one than the service behind.
    Several,
}

impl<'a> Standing<'a> {
    fn of(mut values: impl Iterator<Item = Cow<'a, [u8]>>) -> Standing<'a> {
        match (values.next(), values.next()) {
            (None, _) => Standing::Absent,
            (Some(one), None) => Standing::One(one),
            (Some(_), Some(_)) => Standing::Several,
        }
    }
}

/// What a request says at `place`.
pub(crate) fn at<'a>(head: &'a RequestHead, place: &'a Place) -> Standing<'a> {
    match place {
        Place::Header(name) => Standing::of(head.headers.get_all(name).map(Cow::Borrowed)),
        Place::Cookie(name) => Standing::of(cookie_values(&head.headers, name).map(Cow::Borrowed)),
        Place::Query(name) => match head.query() {
            Some(raw) => Standing::of(query::values(raw, name)),
            None => Standing::Absent,
        },
    }
}

/// The value of a `Bearer` credential; none of another scheme.
pub(crate) fn bearer(value: &[u8]) -> Option<&[u8]> {
    of_scheme(value, b"bearer")
}

/// The value of a `Basic` credential; none of another scheme.
pub(crate) fn basic(value: &[u8]) -> Option<&[u8]> {
    of_scheme(value, b"basic")
}

/// What follows a scheme (RFC 9110 section 11.4), which may be written in any case. A tab is against the grammar, but
/// services take it for a space: what they find a credential must not pass here as something else.
fn of_scheme<'v>(value: &'v [u8], scheme: &[u8]) -> Option<&'v [u8]> {
    let (start, rest) = value.split_at_checked(scheme.len())?;
    let ends = rest.first().is_none_or(|byte| b" \t".contains(byte));
    (ends && start.eq_ignore_ascii_case(scheme)).then(|| rest.trim_ascii())
}

/// What a 401 asks for (RFC 9110 section 11.6.1): a challenge for each kind of credential that is accepted, one line for
/// each. `error` is what is wrong with the token that came. A 401 has a challenge even where no credential is taken.
pub(crate) fn challenges(
    auth: Option<&Auth>,
    error: Option<&str>,
) -> impl Iterator<Item = Cow<'static, str>> {
    let bearer = match error {
        None => Cow::Borrowed(r#"Bearer realm="tollgate""#),
        Some(why) => Cow::Owned(format!(
            r#"Bearer realm="tollgate", error="invalid_token", error_description="{why}""#
        )),
    };
    let takes = |kind: fn(&Auth) -> bool| auth.is_some_and(kind);
    let bearer = auth.is_none_or(|auth| !auth.issuers.is_empty()).then_some(bearer);
    let key = takes(|auth| auth.api_key.is_some()).then_some(Cow::Borrowed(r#"ApiKey realm="tollgate""#));
    let basic =
        takes(|auth| auth.basic).then_some(Cow::Borrowed(r#"Basic realm="tollgate", charset="UTF-8""#));
    bearer.into_iter().chain(key).chain(basic)
}

/// Whether tokens, or user and password, are taken from the Authorization header.
pub(crate) fn from_authorization(auth: &Auth) -> bool {
    auth.basic || auth.token_from.iter().any(is_authorization)
}

pub(crate) fn is_authorization(place: &Place) -> bool {
    matches!(place, Place::Header(header) if *header == name::AUTHORIZATION)
}

/// What is taken off a request before the upstream.
#[derive(Clone, Copy)]
pub(crate) struct Stripped<'a> {
    auth: &'a Auth,
}

impl<'a> Stripped<'a> {
    /// None where all stays.
    pub(crate) fn of(auth: Option<&'a Auth>) -> Option<Stripped<'a>> {
        auth.filter(|auth| auth.strip).map(|auth| Stripped { auth })
    }

    /// Whether the line goes on. A cookie line with a credential does not: see [`Stripped::cookies`].
    pub(crate) fn keeps(self, entry: EntryRef<'_>) -> bool {
        if entry.is(&name::AUTHORIZATION) && self.carries(entry.value()) {
            return false;
        }
        !self.places().any(|place| match place {
            Place::Header(header) => *header != name::AUTHORIZATION && entry.spells(header),
            Place::Cookie(cookie) => {
                entry.is(&name::COOKIE) && pairs(entry.value()).any(|pair| is_cookie(pair, cookie))
            }
            Place::Query(_) => false,
        })
    }

    /// Writes what is left of the cookie lines that [`Stripped::keeps`] held back, one value for each.
    pub(crate) fn cookies(
        self,
        headers: &HeaderBlock,
        value: &mut Vec<u8>,
        mut put: impl FnMut(&Name, &[u8]),
    ) {
        let named = |pair: &&[u8]| {
            self.places().any(|place| matches!(place, Place::Cookie(cookie) if is_cookie(pair, cookie)))
        };
        for line in headers.get_all(&name::COOKIE) {
            if !pairs(line).any(|pair| named(&pair)) {
                continue;
            }
            value.clear();
            for pair in pairs(line).filter(|pair| !named(pair)) {
                if !value.is_empty() {
                    value.extend_from_slice(b"; ");
                }
                value.extend_from_slice(pair);
            }
            if !value.is_empty() {
                put(&name::COOKIE, value);
            }
        }
    }

    /// Query parameters that are taken off.
    pub(crate) fn parameters(self) -> impl Iterator<Item = &'a str> {
        self.places().filter_map(|place| match place {
            Place::Query(name) => Some(&**name),
            Place::Header(_) | Place::Cookie(_) => None,
        })
    }

    fn places(self) -> impl Iterator<Item = &'a Place> {
        self.auth.token_from.iter().chain(&self.auth.api_key)
    }

    /// Whether an Authorization line is one of the credentials that are accepted; another scheme is for the service.
    fn carries(self, value: &[u8]) -> bool {
        (self.auth.basic && basic(value).is_some())
            || (self.auth.token_from.iter().any(is_authorization) && bearer(value).is_some())
            || self.auth.api_key.as_ref().is_some_and(is_authorization)
    }
}

/// The values of every cookie of that name, of all lines.
pub(crate) fn cookie_values<'a>(headers: &'a HeaderBlock, wanted: &str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(&name::COOKIE)
        .flat_map(pairs)
        .filter(move |pair| is_cookie(pair, wanted))
        .map(cookie_value)
}

/// The pairs of one line (RFC 6265 section 4.2); empty ones are none.
fn pairs(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|&byte| byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty())
}

/// Spaces around a name are against the grammar, and most servers take them off.
fn is_cookie(pair: &[u8], wanted: &str) -> bool {
    let name = memchr::memchr(b'=', pair).and_then(|at| pair.get(..at));
    name.is_some_and(|name| name.trim_ascii() == wanted.as_bytes())
}

fn cookie_value(pair: &[u8]) -> &[u8] {
    memchr::memchr(b'=', pair).and_then(|at| pair.get(at + 1..)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
