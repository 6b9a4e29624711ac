//! Who may call at all, before anybody is identified: addresses, user agents, and browsers of other origins.

use std::time::Duration;

use tollgate_wire::{Method, Name};

use crate::cidr::CidrSet;
use crate::table::ValueMatch;

/// `allow_ips` and `deny_ips`. A denied address is refused also where it is allowed.
#[derive(Debug, Clone, Default)]
pub struct AddressRules {
    /// Who may call; none lets everybody.
    pub allow: Option<CidrSet>,
    /// Who may not.
    pub deny: CidrSet,
}

/// `user_agents`: programs that may not call, by the name that they give themselves.
#[derive(Debug, Clone, Default)]
pub struct UserAgents {
    /// Who may not.
    pub deny: Vec<ValueMatch>,
    /// Exceptions from `deny`.
    pub allow: Vec<ValueMatch>,
    /// Whether a request that names no program may not.
    pub deny_empty: bool,
}

impl UserAgents {
    /// Whether a request with these values of `User-Agent` may pass. With several, each must: which one counts for
    /// those behind is not known here.
    pub fn may_call<'v>(&self, values: impl Iterator<Item = &'v [u8]>) -> bool {
        let mut values = values.peekable();
        if values.peek().is_none() {
            return !self.deny_empty;
        }
        let any = |patterns: &[ValueMatch], value| patterns.iter().any(|pattern| pattern.accepts(value));
        values.all(|value| match value.is_empty() {
            true => !self.deny_empty,
            false => !any(&self.deny, value) || any(&self.allow, value),
        })
    }
}

/// Answers to browsers of other origins (Fetch Standard, section 3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cors {
    /// Origins that may read answers.
    pub origins: Origins,
    /// Methods that a preflight allows.
    pub methods: Vec<Method>,
    /// Request headers that a preflight allows.
    pub headers: AllowedHeaders,
    /// Response headers that scripts may read: the value of `Access-Control-Expose-Headers`, empty for none.
    pub expose: Box<str>,
    /// Whether cookies and credentials may come along. Never together with [`Origins::Any`].
    pub credentials: bool,
    /// How long a browser may remember a preflight.
    pub max_age: Duration,
}

/// Origins that may read answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// `*`.
    Any,
    /// These, as browsers write them: `https://app.example.com`, lower case, no path.
    These(Vec<OriginPattern>),
}

/// One origin, or all sub-domains of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginPattern {
    /// Exactly this one.
    Exact(Box<str>),
    /// `https://*.example.com`: one label or more in front.
    Subdomains {
        /// `https://`.
        scheme: Box<str>,
        /// `.example.com`, with the port if any.
        suffix: Box<str>,
    },
}

/// Request headers that a preflight allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedHeaders {
    /// `*`: whatever the browser asks for.
    Any,
    /// These.
    These(Vec<Name>),
}

impl Origins {
    /// Whether a browser's `Origin` may read answers.
    pub fn allow(&self, origin: &[u8]) -> bool {
        match self {
            Origins::Any => true,
            Origins::These(patterns) => patterns.iter().any(|pattern| pattern.matches(origin)),
        }
    }
}

impl OriginPattern {
    fn matches(&self, origin: &[u8]) -> bool {
        match self {
            OriginPattern::Exact(exact) => exact.as_bytes() == origin,
            OriginPattern::Subdomains { scheme, suffix } => {
                let host = origin.strip_prefix(scheme.as_bytes());
                let label = host.and_then(|host| host.strip_suffix(suffix.as_bytes()));
                // Only what a host name can have: nothing that would end the host and begin something else.
                let named = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
                label.is_some_and(|label| {
                    !label.is_empty() && label.iter().all(named) && !label.starts_with(b".")
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_agents() {
        let patterns = |texts: &[&str]| texts.iter().map(|text| ValueMatch::parse(text).unwrap()).collect();
        let rules = UserAgents {
            deny: patterns(&["~(?i)bot", "curl/8.0"]),
            allow: patterns(&["GoodBot/1.0", "~^Friend"]),
            deny_empty: false,
        };
        for (values, expect) in [
            (&["Mozilla/5.0"][..], true),
            (&["BadBot/1"], false),
            (&["curl/8.0"], false),
            (&["curl/8.0.1"], true),
            (&["GoodBot/1.0"], true),
            (&["GoodBot/1.0.1"], false),
            (&["Friendly robot"], true),
            (&["Mozilla/5.0", "BadBot/1"], false),
            (&["GoodBot/1.0", "Mozilla/5.0"], true),
            (&["GoodBot/1.0", "BadBot/1"], false),
            (&[], true),
            (&[""], true),
            (&["", "BadBot/1"], false),
        ] {
            let values = || values.iter().map(|value| value.as_bytes());
            assert_eq!(rules.may_call(values()), expect, "{:?}", values().collect::<Vec<_>>());
        }
        let named = UserAgents { deny_empty: true, ..UserAgents::default() };
        for (values, expect) in
            [(&[][..], false), (&[""], false), (&["x"], true), (&["", "x"], false), (&["x", ""], false)]
        {
            assert_eq!(named.may_call(values.iter().map(|value| value.as_bytes())), expect, "{values:?}");
        }
    }

    #[test]
    fn origins() {
        let these = Origins::These(vec![
            OriginPattern::Exact("https://app.example.com".into()),
            OriginPattern::Subdomains { scheme: "https://".into(), suffix: ".example.org".into() },
        ]);
        for (origin, expect) in [
            ("https://app.example.com", true),
            ("http://app.example.com", false),
            ("https://app.example.com.evil.net", false),
            ("https://app.example.com:8443", false),
            ("https://a.example.org", true),
            ("https://a.b.example.org", true),
            ("https://example.org", false),
            ("https://.example.org", false),
            ("https://evil.net/.example.org", false),
            ("https://evil.net#.example.org", false),
            ("https://u@x.example.org", false),
            ("null", false),
        ] {
            assert_eq!(these.allow(origin.as_bytes()), expect, "{origin}");
        }
        assert!(Origins::Any.allow(b"null"));
    }
}
