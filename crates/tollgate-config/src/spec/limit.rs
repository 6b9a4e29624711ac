//! How often and how many at once.

use std::time::Duration;

use serde_json::json;
use tollgate_plan::limit::Per;
use tollgate_wire::Name as WireName;

use crate::bounds;
use crate::diagnostic::Code;
use crate::report::{Finding, Report};
use crate::shape::{Catalogue, Description, Int, Shape, plain_name, shown, text};
use crate::suggest;
use crate::yaml::NodeRef;

block! {
    /// One limit: a token bucket for each value of `per`. `rate` refills continuously, `burst` is the most that may pass
    /// at once; over it the answer is 429 `rate_limited` with `Retry-After`.
    "rate_limit" RateLimit {
        /// `100/s`, `1000/m`, `5000/h` or `100000/d`.
        rate: Rate, required;
        /// The most that may pass at once, also after idling. Left out: the rate's own number.
        burst: Int<1, { bounds::BURST as i64 }>;
        /// What it counts by: `all`, `ip` (IPv6 by /64), `consumer` (the owner of a key or password; with a token, issuer
        /// and `sub`), `route-param:NAME`, `header:NAME`, `cookie:NAME`, `query:NAME` or `claim:PATH`. Requests that lack it
        /// count as one of their own. `consumer` and `claim` count after the caller was identified, the others before.
        per: PerKey, required;
        /// Where it counts: `local` is this process, `redis` all gateways together.
        store: Store = Store::Local;
        /// How gateways share it: `leased` takes small leases ahead of use, `exact` asks Redis for each decision. Only with
        /// `store: redis`, where `leased` is the default.
        sync: Sharing;
        /// Limits of the same name are one and share their buckets. Used in metrics and headers. Left out: each route has
        /// its own buckets, also from `defaults`.
        name: LimitName;
    }
}

block! {
    /// How many requests of a route may be in flight in this process; over it 503 `concurrency_limited`.
    "concurrency" Concurrency {
        /// In flight.
        max: Int<1, 1_000_000>, required;
        /// How many more may wait for their turn, first come, first served.
        queue: Int<0, 1_000_000> = Int(0);
    }
}

choice! {
    /// Where a limit counts.
    Store {
        /// In this process.
        "local" => Local,
        /// In Redis.
        "redis" => Redis,
    }
}

choice! {
    /// How gateways share a limit.
    Sharing {
        /// Tokens are taken ahead of use.
        "leased" => Leased,
        /// Redis is asked each time.
        "exact" => Exact,
    }
}

choice! {
    /// Which headers tell a client about its limits.
    RateLimitHeaders {
        /// `RateLimit-Policy` and `RateLimit`.
        "standard" => Standard,
        /// `X-RateLimit-Limit`, `-Remaining`, `-Reset`.
        "legacy" => Legacy,
        /// None.
        "off" => Off,
    }
}

/// So many in such a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) count: u64,
    pub(crate) unit: char,
}

const UNITS: &[(char, u64)] = &[('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];

/// What people write for the units.
const WORDS: &[(char, &[&str])] = &[
    ('s', &["s", "sec", "secs", "second", "seconds"]),
    ('m', &["m", "min", "mins", "minute", "minutes"]),
    ('h', &["h", "hr", "hrs", "hour", "hours"]),
    ('d', &["d", "day", "days"]),
];

impl Rate {
    /// The time of its unit.
    pub(crate) fn period(self) -> Duration {
        let seconds = UNITS.iter().find(|(unit, _)| *unit == self.unit).map_or(1, |(_, seconds)| *seconds);
        Duration::from_secs(seconds)
    }

    fn parse(text: &str) -> Result<Rate, String> {
        let example = "write a whole number and a unit, such as `100/s`, `1000/m`, `5000/h` or `100000/d`";
        let (count, unit) = text.split_once('/').ok_or_else(|| example.to_owned())?;
        let found = UNITS.iter().find(|(known, _)| unit.len() == 1 && unit.starts_with(*known));
        let Some((unit, _)) = found else {
            let word = unit.trim().to_ascii_lowercase();
            let meant = WORDS.iter().find(|(_, words)| words.contains(&&*word));
            return Err(match meant {
                Some((unit, _)) if !count.is_empty() => format!("write `{}/{unit}`", count.trim()),
                _ => "the units are s, m, h, d".to_owned(),
            });
        };
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(example.to_owned());
        }
        match count.parse() {
            Ok(0) => Err("a rate of 0 would refuse everybody; to close a route, use `respond`".to_owned()),
            Ok(count) if count <= bounds::RATE => Ok(Rate { count, unit: *unit }),
            _ => Err(format!("a rate counts {} at most", bounds::RATE)),
        }
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.count, self.unit)
    }
}

impl Shape for Rate {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        // A bare number is a rate without its unit, not a wrong type.
        let scalar = match node.scalar().filter(|scalar| !scalar.unknown) {
            Some(scalar) if !node.is_null() => scalar,
            _ => text(node, what, report)?,
        };
        match Rate::parse(&scalar.text) {
            Ok(rate) => Some(rate),
            Err(hint) => {
                let message =
                    format!("`{what}` must be a rate such as `100/s`, found `{}`", shown(node, report));
                let hint = (!scalar.rewritten).then_some(hint);
                report.push(Finding::error(Code::BadValue, node.span(), message).maybe_hint(hint));
                None
            }
        }
    }

    fn describe(_: &mut Catalogue) -> Description {
        Description::new("rate", json!({ "type": "string", "pattern": r"^[0-9]+/[smhd]$|\$\{" }))
    }
}

/// What a limit counts by, and how it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PerKey {
    pub(crate) per: Per,
    /// `header:x-user`, names in lower case.
    pub(crate) text: String,
}

const PER: &[&str] = &["all", "ip", "consumer", "route-param:", "header:", "cookie:", "query:", "claim:"];

/// What may stand behind `per:`, for hints.
pub(crate) const PER_HINT: &str = "one of `all`, `ip`, `consumer`, `route-param:NAME`, `header:NAME`, `cookie:NAME`, `query:NAME`, `claim:PATH`";

impl PerKey {
    fn parse(text: &str) -> Option<Per> {
        match text.split_once(':') {
            None if text == "all" => Some(Per::All),
            None if text == "ip" => Some(Per::Ip),
            None if text == "consumer" => Some(Per::Consumer),
            Some(("route-param", name)) if !name.is_empty() => Some(Per::RouteParam(name.into())),
            Some(("header", name)) => WireName::new(name).ok().map(Per::Header),
            // A cookie's name is a token, as a header's is, but its case counts (RFC 6265 section 4.1.1).
            Some(("cookie", name)) if WireName::new(name).is_ok() => Some(Per::Cookie(name.into())),
            Some(("query", name)) if !name.is_empty() => Some(Per::Query(name.into())),
            Some(("claim", path)) => path.parse().ok().map(Per::Claim),
            _ => None,
        }
    }
}

impl Shape for PerKey {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        if let Some(per) = PerKey::parse(&scalar.text) {
            let text = match &per {
                Per::Header(name) => format!("header:{name}"),
                _ => scalar.text.to_string(),
            };
            return Some(PerKey { per, text });
        }
        let message = format!("`{}` is nothing to count by", shown(node, report));
        let kind = scalar.text.split_once(':').map_or(&*scalar.text, |(kind, _)| kind);
        let kinds = PER.iter().map(|kind| kind.trim_end_matches(':'));
        let meant =
            (!scalar.rewritten).then(|| suggest::closest(kind, kinds)).flatten().filter(|near| *near != kind);
        let hint = meant.map_or_else(|| PER_HINT.to_owned(), |near| format!("did you mean `{near}`?"));
        report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        let pattern = r"^(all|ip|consumer|(route-param|header|cookie|query|claim):.+)$|\$\{";
        Description::new("key", json!({ "type": "string", "pattern": pattern }))
    }
}

/// The name of a limit: it stands in headers and labels metrics.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LimitName(pub(crate) String);

impl Shape for LimitName {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let scalar = text(node, what, report)?;
        if plain_name(&scalar.text) {
            return Some(LimitName(scalar.text.to_string()));
        }
        let message = format!("`{}` is no name for a limit", shown(node, report));
        let hint = format!("letters, digits, `-`, `_` and `.`, at most {} of them", bounds::NAME_BYTES);
        report.push(Finding::error(Code::BadValue, node.span(), message).hint(hint));
        None
    }

    fn describe(_: &mut Catalogue) -> Description {
        let schema = json!({ "type": "string", "pattern": r"^[A-Za-z0-9._-]{1,200}$|\$\{" });
        Description::new("name", schema)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates() {
        for (text, expect) in [
            ("100/s", (100, 1)),
            ("1000/m", (1000, 60)),
            ("5000/h", (5000, 3_600)),
            ("100000/d", (100_000, 86_400)),
        ] {
            let rate = Rate::parse(text).unwrap_or_else(|hint| panic!("{text}: {hint}"));
            assert_eq!(
                (rate.count, rate.period().as_secs(), rate.to_string()),
                (expect.0, expect.1, text.to_owned())
            );
        }
        for (text, hint) in [
            ("100", "write a whole number and a unit, such as `100/s`, `1000/m`, `5000/h` or `100000/d`"),
            ("/s", "write a whole number and a unit, such as `100/s`, `1000/m`, `5000/h` or `100000/d`"),
            ("-1/s", "write a whole number and a unit, such as `100/s`, `1000/m`, `5000/h` or `100000/d`"),
            ("1.5/s", "write a whole number and a unit, such as `100/s`, `1000/m`, `5000/h` or `100000/d`"),
            ("100/sec", "write `100/s`"),
            ("100 / S", "write `100/s`"),
            ("100/5s", "the units are s, m, h, d"),
            ("10/ms", "the units are s, m, h, d"),
            ("10/month", "the units are s, m, h, d"),
            ("10/Minute", "write `10/m`"),
            ("100/", "the units are s, m, h, d"),
            ("0/s", "a rate of 0 would refuse everybody; to close a route, use `respond`"),
            ("1000000001/s", "a rate counts 1000000000 at most"),
            ("99999999999999999999/s", "a rate counts 1000000000 at most"),
        ] {
            assert_eq!(Rate::parse(text).unwrap_err(), hint, "{text}");
        }
    }
}
