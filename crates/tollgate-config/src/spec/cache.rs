//! Keeping answers.

use serde_json::json;
use tollgate_wire::name;

use crate::report::Report;
use crate::shape::{Catalogue, Description, HeaderName, List, Seconds, Shape, Size, wrong_type};
use crate::yaml::NodeRef;

/// The least that is worth its bookkeeping.
const MAX_SIZE_MIN: u64 = 64 << 10;

block! {
    /// Keeping answers to GET and HEAD, in memory that the workers share, by RFC 9111. Scheme, host, path and query always
    /// tell answers apart.
    "cache" Cache {
        /// How long an answer is fresh where the upstream says nothing explicit about that, for the statuses 200 203 204 300
        /// 301 308 404 410. `0s`: only what the upstream allows.
        ttl: Seconds<0, 31_536_000_000> = Seconds::of(30);
        /// `false`: `ttl` comes before what the upstream says, `no-store` included. `private`, `Set-Cookie` and `Vary: *`
        /// still count.
        respect: bool = true;
        /// Request headers that tell answers apart, beside those that the answer's own `Vary` names. The client
        /// is told them there.
        vary: List<HeaderName> = List::of([HeaderName(name::ACCEPT)]);
        /// For so long a stale answer is given while the upstream is asked again. Left out: as the upstream says.
        stale_while_revalidate: Seconds<0, 31_536_000_000>;
        /// For so long a stale answer is given where the upstream fails. Left out: as the upstream says.
        stale_if_error: Seconds<0, 31_536_000_000>;
        /// What all answers of the route may take in memory; one answer may have an eighth of it, 8 MiB at most.
        max_size: Size<MAX_SIZE_MIN, { 1 << 40 }> = Size(64 << 20);
        /// Each caller has answers of their own. Otherwise answers to callers of whom something is known are kept only where
        /// the upstream says that they are for all.
        private: bool = false;
    }
}

/// `cache` of a route.
#[derive(Debug, Clone)]
pub(crate) enum CacheSetting {
    /// `off`: nothing is kept, whatever the defaults say.
    Off,
    /// In this way.
    Keep(Box<Cache>),
}

impl Shape for CacheSetting {
    fn read(node: NodeRef<'_>, what: &str, report: &mut Report) -> Option<Self> {
        let Some(scalar) = node.scalar() else {
            return Cache::read(node, what, report).map(|cache| CacheSetting::Keep(Box::new(cache)));
        };
        if &*scalar.text == "off" {
            return Some(CacheSetting::Off);
        }
        wrong_type(node, what, "a map of keys, or `off`", report);
        None
    }

    fn describe(catalogue: &mut Catalogue) -> Description {
        let block = Cache::describe(catalogue);
        let schema = json!({ "anyOf": [{ "const": "off" }, block.schema] });
        Description::new(format!("{}, or `off`", block.label), schema)
    }
}
