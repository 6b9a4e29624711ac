//! What a bucket is called in Redis.

use std::sync::Arc;

use aws_lc_rs::hmac;
use tollgate_plan::redis::Redis;

/// In front of every key of the gateway's.
pub(super) const PREFIX: &str = "tollgate:";

/// Bytes of the hash that make the name: 128 bits, so that no two keys meet by chance.
const HASH_BYTES: usize = 16;

/// Names buckets so that every gateway that shares the store gives the same name, and nobody who reads the store
/// finds an address or a credential in it.
///
/// HMAC-SHA256 over the limit and its key. It is keyed by the store's password, which the gateways share anyway; without
/// one a search over all addresses could still find them, so a store without a password has no secrets from
/// whoever reads it.
pub(super) struct KeyNames(hmac::Key);

impl KeyNames {
    pub(super) fn new(settings: &Redis) -> KeyNames {
        let password = settings.nodes.first().and_then(|node| node.password.as_ref());
        let password = password.map_or("", |password| password.expose());
        KeyNames(hmac::Key::new(hmac::HMAC_SHA256, password.as_bytes()))
    }

    /// The name of the bucket of `key` under the limit called `limit`.
    pub(super) fn of(&self, limit: &str, key: &[u8]) -> Arc<str> {
        let mut context = hmac::Context::with_key(&self.0);
        // The length keeps limit and key apart.
        context.update(&limit.len().to_le_bytes());
        context.update(limit.as_bytes());
        context.update(key);
        let tag = context.sign();
        let mut name = String::with_capacity(PREFIX.len() + 2 * HASH_BYTES);
        name.push_str(PREFIX);
        for byte in tag.as_ref().iter().take(HASH_BYTES) {
            for digit in [byte >> 4, byte & 15] {
                name.extend(char::from_digit(digit.into(), 16));
            }
        }
        name.into()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tollgate_plan::redis::{OnFailure, RedisNode};

    use super::*;

    fn names(password: Option<&str>) -> KeyNames {
        let node = RedisNode {
            tls: false,
            host: "127.0.0.1".into(),
            port: 6379,
            user: None,
            password: password.map(Into::into),
            db: 0,
        };
        KeyNames::new(&Redis {
            nodes: vec![node],
            cluster: false,
            roots: None,
            timeout: Duration::from_millis(50),
            on_failure: OnFailure::Local,
            instances: 1,
        })
    }

    #[test]
    fn a_name_tells_nothing_and_is_the_same_everywhere() {
        let (a, b) = (names(Some("s3cret")), names(Some("s3cret")));
        let name = a.of("route:orders#0", b"192.0.2.1");
        assert_eq!(name, b.of("route:orders#0", b"192.0.2.1"));
        assert_eq!(name.len(), PREFIX.len() + 32);
        for other in [
            a.of("route:orders#1", b"192.0.2.1"),
            a.of("route:orders#0", b"192.0.2.2"),
            // What ends one and begins the other makes a difference.
            a.of("route:orders#01", b"92.0.2.1"),
            names(Some("other")).of("route:orders#0", b"192.0.2.1"),
            names(None).of("route:orders#0", b"192.0.2.1"),
        ] {
            assert_ne!(name, other);
        }
    }
}
