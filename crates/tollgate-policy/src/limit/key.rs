//! What is counted: identities of limits, and addresses as keys.

use std::net::IpAddr;

/// A limit's identity from the texts that make it what it is (its name or route, its rate, what it counts by). The
/// same texts give the same identity in every process and version, so buckets outlive a reload.
pub fn limit_identity(parts: &[&str]) -> u64 {
    // Each part behind its length, so that no two lists read alike.
    let framed =
        |part: &&str| (part.len() as u64).to_le_bytes().into_iter().chain(part.bytes()).collect::<Vec<u8>>();
    crate::hash(&parts.iter().flat_map(framed).collect::<Vec<u8>>())
}

/// An address as a key: IPv4 whole, IPv6 its /64, which is what one customer gets. IPv4 in IPv6 is IPv4.
pub fn ip_key(address: IpAddr) -> [u8; 17] {
    let mut key = [0; 17];
    let [family, bytes @ ..] = &mut key;
    match address.to_canonical() {
        IpAddr::V4(address) => {
            *family = 4;
            bytes.iter_mut().zip(address.octets()).for_each(|(to, from)| *to = from);
        }
        IpAddr::V6(address) => {
            *family = 6;
            bytes.iter_mut().zip(address.octets()).take(8).for_each(|(to, from)| *to = from);
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_same(a: &str, b: &str, expect: bool) {
        let key = |text: &str| ip_key(text.parse().unwrap());
        assert_eq!(key(a) == key(b), expect, "{a} and {b}");
    }

    #[test]
    fn an_address_counts_as_its_customer() {
        check_same("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true);
        check_same("2001:db8:1:2::1", "2001:db8:1:3::1", false);
        check_same("192.0.2.1", "192.0.2.2", false);
        check_same("192.0.2.1", "::ffff:192.0.2.1", true);
        check_same("::ffff:192.0.2.1", "::ffff:192.0.2.2", false);
        check_same("192.0.2.1", "c000:201::", false);
    }

    #[test]
    fn identities_are_those_of_the_parts_and_stay_the_same() {
        assert_eq!(limit_identity(&["orders", "100/s", "ip"]), 14_013_155_100_388_519_977);
        assert_ne!(limit_identity(&["ab", "c"]), limit_identity(&["a", "bc"]));
        assert_ne!(limit_identity(&["a"]), limit_identity(&["a", ""]));
        assert_ne!(limit_identity(&[]), limit_identity(&[""]));
    }
}
