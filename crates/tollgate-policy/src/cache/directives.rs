//! `Cache-Control` of answers and of requests, and the field that speaks to caches like this one in its place.

use std::time::Duration;

use tollgate_wire::{HeaderBlock, Name, name};

use super::field::{Member, Value, dictionary};

/// A number of seconds above this is this (RFC 9111 section 1.2.2).
const SECONDS_MAX: u64 = 1 << 31;

/// What an answer says about being kept. Of a directive that stands twice the first counts, and one that is not written
/// as it should be says zero: an answer whose freshness is not clear is stale (RFC 9111 section 4.2.1).
#[derive(Debug, Default)]
pub(super) struct Directives {
    /// It is the word of `CDN-Cache-Control`: neither `Cache-Control` nor `Expires` count beside it.
    pub(super) targeted: bool,
    pub(super) no_store: bool,
    pub(super) no_cache: Extent,
    pub(super) private: Extent,
    pub(super) public: bool,
    pub(super) must_revalidate: bool,
    pub(super) proxy_revalidate: bool,
    pub(super) must_understand: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) s_maxage: Option<Duration>,
    pub(super) stale_while_revalidate: Option<Duration>,
    pub(super) stale_if_error: Option<Duration>,
}

/// What a directive is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Extent {
    /// It is not there.
    #[default]
    Nothing,
    /// These fields.
    Fields(Vec<Box<[u8]>>),
    /// All of the answer.
    All,
}

impl Directives {
    /// What the answer says to this cache.
    pub(super) fn of(headers: &HeaderBlock) -> Directives {
        if headers.contains(&name::CDN_CACHE_CONTROL)
            && let Some(members) = dictionary(headers.get_all(&name::CDN_CACHE_CONTROL))
            && !members.is_empty()
        {
            let mut said = Directives { targeted: true, ..Directives::default() };
            members.iter().for_each(|member| said.take_member(member));
            return said;
        }
        let mut said = Directives::default();
        for (directive, value) in directives(headers, &name::CACHE_CONTROL) {
            said.take(directive, value);
        }
        said
    }

    fn take_member(&mut self, Member { name, value }: &Member<'_>) {
        match value {
            Value::True => self.take(name, None),
            Value::Integer(digits) => self.take(name, Some(digits)),
            // Whatever is said of some fields is taken to be said of all.
            Value::Other if matches!(*name, b"no-cache" | b"private") => self.take(name, None),
            // Of another kind than the directive has: as if it were not there (RFC 9213 section 2.1).
            Value::False | Value::Other => {}
        }
    }

    fn take(&mut self, directive: &[u8], value: Option<&[u8]>) {
        match &*directive.to_ascii_lowercase() {
            b"no-store" => self.no_store = true,
            b"no-cache" => self.no_cache.widen(value),
            b"private" => self.private.widen(value),
            b"public" => self.public = true,
            b"must-revalidate" => self.must_revalidate = true,
            b"proxy-revalidate" => self.proxy_revalidate = true,
            b"must-understand" => self.must_understand = true,
            b"max-age" => self.max_age = self.max_age.or(Some(seconds(value))),
            b"s-maxage" => self.s_maxage = self.s_maxage.or(Some(seconds(value))),
            b"stale-while-revalidate" => {
                self.stale_while_revalidate = self.stale_while_revalidate.or(Some(seconds(value)));
            }
            b"stale-if-error" => self.stale_if_error = self.stale_if_error.or(Some(seconds(value))),
            _ => {}
        }
    }

    /// Fields that are not kept.
    pub(super) fn left_out(&self) -> impl Iterator<Item = &[u8]> {
        [&self.no_cache, &self.private].into_iter().flat_map(|extent| match extent {
            Extent::Fields(fields) => fields.iter().map(|field| &**field).collect(),
            Extent::Nothing | Extent::All => Vec::new(),
        })
    }
}

impl Extent {
    fn widen(&mut self, fields: Option<&[u8]>) {
        let named = fields.map(unquoted).unwrap_or_default();
        let named = named.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|field| !field.is_empty());
        let named: Vec<Box<[u8]>> = named.map(Box::from).collect();
        match self {
            Extent::All => {}
            _ if named.is_empty() => *self = Extent::All,
            Extent::Nothing => *self = Extent::Fields(named),
            Extent::Fields(fields) => fields.extend(named),
        }
    }
}

/// What a client asks of caches (RFC 9111 section 5.2.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// The upstream must be asked.
    pub no_cache: bool,
    /// Nothing of this may be kept.
    pub no_store: bool,
    /// The upstream must not be asked.
    pub only_if_cached: bool,
    /// The answer may not be older.
    pub max_age: Option<Duration>,
    /// The answer must stay fresh for so long.
    pub min_fresh: Duration,
    /// The answer may be stale, for so long.
    pub max_stale: Duration,
}

impl Wish {
    /// What this request asks for. `Pragma: no-cache` counts where there is no `Cache-Control` (RFC 9111 section 5.4).
    pub fn of(headers: &HeaderBlock) -> Wish {
        let mut wish = Wish::default();
        if !headers.contains(&name::CACHE_CONTROL) {
            wish.no_cache = headers.has_token(&name::PRAGMA, "no-cache");
            return wish;
        }
        for (directive, value) in directives(headers, &name::CACHE_CONTROL) {
            match &*directive.to_ascii_lowercase() {
                b"no-cache" => wish.no_cache = true,
                b"no-store" => wish.no_store = true,
                b"only-if-cached" => wish.only_if_cached = true,
                b"max-age" => wish.max_age = wish.max_age.or(Some(seconds(value))),
                b"min-fresh" => wish.min_fresh = seconds(value),
                b"max-stale" if value.is_none() => wish.max_stale = Duration::from_secs(SECONDS_MAX),
                b"max-stale" => wish.max_stale = seconds(value),
                _ => {}
            }
        }
        wish
    }
}

/// The directives of all lines, in order: name, and what stands behind the equals sign, quotes included.
fn directives<'a>(
    headers: &'a HeaderBlock,
    field: &'a Name,
) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> {
    headers.get_all(field).flat_map(|line| Members { rest: line }).map(|member| {
        match member.iter().position(|b| *b == b'=') {
            None => (member, None),
            Some(at) => {
                let (directive, value) = member.split_at(at);
                (directive, value.get(1..))
            }
        }
    })
}

/// The members of a list in which commas between quotes separate nothing.
pub(super) struct Members<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Iterator for Members<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let (mut quoted, mut escaped) = (false, false);
            let end = self.rest.iter().position(|b| {
                let ends = *b == b',' && !quoted;
                quoted ^= *b == b'"' && !escaped;
                escaped = quoted && *b == b'\\' && !escaped;
                ends
            });
            let (member, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
            self.rest = rest.get(1..).unwrap_or_default();
            let member = member.trim_ascii();
            if !member.is_empty() {
                return Some(member);
            }
        }
        None
    }
}

/// A number of seconds, in quotes or not; zero where it is none.
fn seconds(value: Option<&[u8]>) -> Duration {
    Duration::from_secs(number(value.map(unquoted).unwrap_or_default()).unwrap_or_default())
}

/// A number of seconds; one that is too large is the largest.
pub(super) fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add).min(SECONDS_MAX))
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}
