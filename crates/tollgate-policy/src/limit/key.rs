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
