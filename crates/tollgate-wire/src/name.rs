//! Header names: lower-case, the common ones as small numbers.
//!
//! A name that is in the table below costs one byte in a [`HeaderBlock`](crate::HeaderBlock) and compares as
//! one; any other is text. Looking a name up ignores case and is one hash of four bytes and one comparison.

#![expect(
    clippy::indexing_slicing,
    reason = "tables made by the compiler; indexes are reduced to their size"
)]

use std::cmp::Ordering;
use std::fmt;

use crate::ascii;

/// A header name in lower case.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Known(Known),
    Other(Box<str>),
}

/// The text is no header name: empty, or with bytes that are not token characters (RFC 9110 section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadName;

impl Name {
    /// Reads a name in any case.
    pub fn new(text: &str) -> Result<Name, BadName> {
        Name::from_bytes(text.as_bytes())
    }

    /// Reads a name in any case.
    pub fn from_bytes(text: &[u8]) -> Result<Name, BadName> {
        if !ascii::is_token_text(text) {
            return Err(BadName);
        }
        if let Some(known) = Known::find(text) {
            return Ok(Name(Repr::Known(known)));
        }
        let lower = std::str::from_utf8(text).map_err(|_| BadName)?.to_ascii_lowercase();
        Ok(Name(Repr::Other(lower.into())))
    }

    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Known(known) => known.as_str(),
            Repr::Other(text) => text,
        }
    }

    pub(crate) fn known(&self) -> Option<Known> {
        match self.0 {
            Repr::Known(known) => Some(known),
            Repr::Other(_) => None,
        }
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a header name")
    }
}

impl std::error::Error for BadName {}

/// A set of known names, one bit each. Two words and not one of 128 bits: that would want memory aligned to 16
/// bytes for everything that holds a block, which allocators serve slowly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct KnownSet([u64; 2]);

impl KnownSet {
    pub(crate) const EMPTY: KnownSet = KnownSet([0; 2]);

    pub(crate) const fn of(names: &[Known]) -> KnownSet {
        let mut set = KnownSet::EMPTY;
        let mut i = 0;
        while i < names.len() {
            set.add(names[i]);
            i += 1;
        }
        set
    }

    pub(crate) const fn has(self, name: Known) -> bool {
        self.0[name as usize / 64] & (1 << (name as u8 % 64)) != 0
    }

    pub(crate) const fn meets(self, other: KnownSet) -> bool {
        (self.0[0] & other.0[0]) | (self.0[1] & other.0[1]) != 0
    }

    pub(crate) const fn join(&mut self, other: KnownSet) {
        self.0[0] |= other.0[0];
        self.0[1] |= other.0[1];
    }

    pub(crate) const fn add(&mut self, name: Known) {
        self.0[name as usize / 64] |= 1 << (name as u8 % 64);
    }
}

/// A set has room for every known name.
const _: () = assert!(Known::ALL.len() <= 128);

const SLOTS: usize = 512;

/// Open addressing with linear probing, filled by the compiler. Zero is an empty slot.
static TABLE: [u8; SLOTS] = {
    let mut table = [0u8; SLOTS];
    let mut i = 0;
    while i < Known::ALL.len() {
        let mut slot = hash(Known::TEXT[i].as_bytes());
        while table[slot] != 0 {
            slot = (slot + 1) % SLOTS;
        }
        table[slot] = i as u8 + 1;
        i += 1;
    }
    table
};

/// `text` is not empty. Case does not matter: bit 5 is set in every byte that counts.
const fn hash(text: &[u8]) -> usize {
    let n = text.len();
    let (first, middle, last) = (text[0] | 0x20, text[n / 2] | 0x20, text[n - 1] | 0x20);
    (first as usize * 31 + middle as usize * 7 + last as usize * 3 + n * 97) % SLOTS
}

/// Whether the token `text` is `lower` in any case. Both have one length, and `lower` has only letters,
/// digits and `-`: setting bit 5 maps no other token character onto those.
///
/// A word at a time; the last one reaches back over bytes that were compared before.
fn same(text: &[u8], lower: &[u8]) -> bool {
    const BIT: u64 = 0x2020_2020_2020_2020;
    let word = |a: &[u8; 8], b: &[u8; 8]| u64::from_ne_bytes(*a) | BIT == u64::from_ne_bytes(*b);
    let half = |a: &[u8; 4], b: &[u8; 4]| u32::from_ne_bytes(*a) | BIT as u32 == u32::from_ne_bytes(*b);
    if let (Some(a), Some(b)) = (text.last_chunk(), lower.last_chunk()) {
        return word(a, b) && text.as_chunks().0.iter().zip(lower.as_chunks().0).all(|(a, b)| word(a, b));
    }
    if let (Some(a), Some(b)) = (text.last_chunk(), lower.last_chunk()) {
        return half(a, b) && text.first_chunk().zip(lower.first_chunk()).is_some_and(|(a, b)| half(a, b));
    }
    text.iter().zip(lower).all(|(a, b)| a | 0x20 == *b)
}

macro_rules! names {
    ($($name:ident = $text:literal,)*) => {
        /// A name that has a number of its own. Spelled as the public constants are.
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub(crate) enum Known { $($name,)* }

        impl Known {
            const ALL: &[Known] = &[$(Known::$name,)*];
            const TEXT: &[&str] = &[$($text,)*];
        }

        $(
            #[doc = concat!("`", $text, "`")]
            pub const $name: Name = Name(Repr::Known(Known::$name));
        )*
    };
}

impl Known {
    pub(crate) const fn as_str(self) -> &'static str {
        Known::TEXT[self as usize]
    }

    /// The known name that the token `text` is, in any case.
    pub(crate) fn find(text: &[u8]) -> Option<Known> {
        if text.is_empty() {
            return None;
        }
        let mut slot = hash(text);
        // The table is less than half full, so a probe meets an empty slot.
        loop {
            let index = TABLE[slot].checked_sub(1)? as usize;
            let lower = Known::TEXT[index].as_bytes();
            if lower.len() == text.len() && same(text, lower) {
                return Some(Known::ALL[index]);
            }
            slot = (slot + 1) % SLOTS;
        }
    }
}

// A `KnownSet` has 128 bits.
const _: () = assert!(Known::ALL.len() <= 128);

names! {
    ACCEPT = "accept",
    ACCEPT_CHARSET = "accept-charset",
    ACCEPT_ENCODING = "accept-encoding",
    ACCEPT_LANGUAGE = "accept-language",
    ACCEPT_PATCH = "accept-patch",
    ACCEPT_RANGES = "accept-ranges",
    ACCESS_CONTROL_ALLOW_CREDENTIALS = "access-control-allow-credentials",
    ACCESS_CONTROL_ALLOW_HEADERS = "access-control-allow-headers",
    ACCESS_CONTROL_ALLOW_METHODS = "access-control-allow-methods",
    ACCESS_CONTROL_ALLOW_ORIGIN = "access-control-allow-origin",
    ACCESS_CONTROL_EXPOSE_HEADERS = "access-control-expose-headers",
    ACCESS_CONTROL_MAX_AGE = "access-control-max-age",
    ACCESS_CONTROL_REQUEST_HEADERS = "access-control-request-headers",
    ACCESS_CONTROL_REQUEST_METHOD = "access-control-request-method",
    AGE = "age",
    ALLOW = "allow",
    ALT_SVC = "alt-svc",
    AUTHENTICATION_INFO = "authentication-info",
    AUTHORIZATION = "authorization",
    CACHE_CONTROL = "cache-control",
    CACHE_STATUS = "cache-status",
    CDN_CACHE_CONTROL = "cdn-cache-control",
    CONNECTION = "connection",
    CONTENT_DIGEST = "content-digest",
    CONTENT_DISPOSITION = "content-disposition",
    CONTENT_ENCODING = "content-encoding",
    CONTENT_LANGUAGE = "content-language",
    CONTENT_LENGTH = "content-length",
    CONTENT_LOCATION = "content-location",
    CONTENT_RANGE = "content-range",
    CONTENT_SECURITY_POLICY = "content-security-policy",
    CONTENT_TYPE = "content-type",
    COOKIE = "cookie",
    CROSS_ORIGIN_EMBEDDER_POLICY = "cross-origin-embedder-policy",
    CROSS_ORIGIN_OPENER_POLICY = "cross-origin-opener-policy",
    CROSS_ORIGIN_RESOURCE_POLICY = "cross-origin-resource-policy",
    DATE = "date",
    DNT = "dnt",
    EARLY_DATA = "early-data",
    ETAG = "etag",
    EXPECT = "expect",
    EXPIRES = "expires",
    FORWARDED = "forwarded",
    FROM = "from",
    GRPC_ENCODING = "grpc-encoding",
    GRPC_MESSAGE = "grpc-message",
    GRPC_STATUS = "grpc-status",
    GRPC_TIMEOUT = "grpc-timeout",
    HOST = "host",
    HTTP2_SETTINGS = "http2-settings",
    IDEMPOTENCY_KEY = "idempotency-key",
    IF_MATCH = "if-match",
    IF_MODIFIED_SINCE = "if-modified-since",
    IF_NONE_MATCH = "if-none-match",
    IF_RANGE = "if-range",
    IF_UNMODIFIED_SINCE = "if-unmodified-since",
    KEEP_ALIVE = "keep-alive",
    LAST_EVENT_ID = "last-event-id",
    LAST_MODIFIED = "last-modified",
    LINK = "link",
    LOCATION = "location",
    MAX_FORWARDS = "max-forwards",
    ORIGIN = "origin",
    PERMISSIONS_POLICY = "permissions-policy",
    PRAGMA = "pragma",
    PREFER = "prefer",
    PRIORITY = "priority",
    PROXY_AUTHENTICATE = "proxy-authenticate",
    PROXY_AUTHENTICATION_INFO = "proxy-authentication-info",
    PROXY_AUTHORIZATION = "proxy-authorization",
    PROXY_CONNECTION = "proxy-connection",
    RANGE = "range",
    RATELIMIT = "ratelimit",
    RATELIMIT_POLICY = "ratelimit-policy",
    REFERER = "referer",
    REFERRER_POLICY = "referrer-policy",
    RETRY_AFTER = "retry-after",
    SEC_CH_UA = "sec-ch-ua",
    SEC_CH_UA_MOBILE = "sec-ch-ua-mobile",
    SEC_CH_UA_PLATFORM = "sec-ch-ua-platform",
    SEC_FETCH_DEST = "sec-fetch-dest",
    SEC_FETCH_MODE = "sec-fetch-mode",
    SEC_FETCH_SITE = "sec-fetch-site",
    SEC_FETCH_USER = "sec-fetch-user",
    SEC_WEBSOCKET_ACCEPT = "sec-websocket-accept",
    SEC_WEBSOCKET_EXTENSIONS = "sec-websocket-extensions",
    SEC_WEBSOCKET_KEY = "sec-websocket-key",
    SEC_WEBSOCKET_PROTOCOL = "sec-websocket-protocol",
    SEC_WEBSOCKET_VERSION = "sec-websocket-version",
    SERVER = "server",
    SERVER_TIMING = "server-timing",
    SET_COOKIE = "set-cookie",
    STRICT_TRANSPORT_SECURITY = "strict-transport-security",
    TE = "te",
    TIMING_ALLOW_ORIGIN = "timing-allow-origin",
    TRACEPARENT = "traceparent",
    TRACESTATE = "tracestate",
    TRAILER = "trailer",
    TRANSFER_ENCODING = "transfer-encoding",
    UPGRADE = "upgrade",
    UPGRADE_INSECURE_REQUESTS = "upgrade-insecure-requests",
    USER_AGENT = "user-agent",
    VARY = "vary",
    VIA = "via",
    WARNING = "warning",
    WWW_AUTHENTICATE = "www-authenticate",
    X_API_KEY = "x-api-key",
    X_CONTENT_TYPE_OPTIONS = "x-content-type-options",
    X_FORWARDED_FOR = "x-forwarded-for",
    X_FORWARDED_HOST = "x-forwarded-host",
    X_FORWARDED_PORT = "x-forwarded-port",
    X_FORWARDED_PREFIX = "x-forwarded-prefix",
    X_FORWARDED_PROTO = "x-forwarded-proto",
    X_FORWARDED_SERVER = "x-forwarded-server",
    X_FRAME_OPTIONS = "x-frame-options",
    X_POWERED_BY = "x-powered-by",
    X_RATELIMIT_LIMIT = "x-ratelimit-limit",
    X_RATELIMIT_REMAINING = "x-ratelimit-remaining",
    X_RATELIMIT_RESET = "x-ratelimit-reset",
    X_REAL_IP = "x-real-ip",
    X_REQUEST_ID = "x-request-id",
    X_REQUESTED_WITH = "x-requested-with",
    X_TOLLGATE_COMPLETED = "x-tollgate-completed",
    X_TOLLGATE_FAILED = "x-tollgate-failed",
    X_XSS_PROTECTION = "x-xss-protection",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case_and_only_itself() {
        for (index, text) in Known::TEXT.iter().enumerate() {
            let title: String = text
                .split('-')
                .map(|word| format!("{}{}", word[..1].to_ascii_uppercase(), &word[1..]))
                .collect::<Vec<_>>()
                .join("-");
            for spelling in [text.to_string(), text.to_ascii_uppercase(), title] {
                assert_eq!(Known::find(spelling.as_bytes()), Some(Known::ALL[index]), "{spelling}");
                assert_eq!(Name::new(&spelling).unwrap().as_str(), *text);
            }
            assert!(text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{text}");
            // One byte other than the name's own is another name, or none.
            for at in 0..text.len() {
                for b in (0..=255).filter(|b| ascii::is_token(*b)) {
                    let mut other = text.as_bytes().to_vec();
                    other[at] = b;
                    let found = Known::find(&other).map(Known::as_str);
                    assert!(found.is_none_or(|f| other.eq_ignore_ascii_case(f.as_bytes())), "{other:?}");
                }
            }
        }
    }

    #[test]
    fn names_are_tokens() {
        for bad in ["", " ", "a b", "a:", "a\r", "a\n", "a\0", "\u{e9}", "(a)", "a,b", "host "] {
            assert_eq!(Name::new(bad), Err(BadName), "{bad:?}");
        }
        assert_eq!(Name::new("X-Anything_Else").unwrap().as_str(), "x-anything_else");
        assert_eq!(Name::new("HOST").unwrap(), HOST);
        assert!(Name::new("a").unwrap() < HOST && HOST < Name::new("z").unwrap());
    }
}
