//! Sets of address blocks: who is a trusted proxy, who may come in.
//!
//! An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`, RFC 4291 section 2.5.5.2) is the IPv4 address it maps, in
//! blocks and in questions alike, so that a dual-stack socket changes no answer.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// One address block, `192.0.2.0/24`. Host bits are refused, not ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    base: IpAddr,
    bits: u8,
}

impl Cidr {
    /// The block of `bits` leading bits that holds `ip`.
    fn around(ip: IpAddr, bits: u8) -> Cidr {
        let base = match ip {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & !host_mask_v4(bits)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !host_mask_v6(bits)).into(),
        };
        Cidr { base, bits }
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Cidr, CidrError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let ip: IpAddr = address.parse().map_err(|_| CidrError::BadAddress)?;
        let max = if ip.is_ipv4() { 32 } else { 128 };
        let bits = match prefix {
            Some(digits) => prefix_bits(digits, max)?,
            None => max,
        };
        let (ip, bits) = match ip.to_canonical() {
            v4 if v4 != ip && bits >= 96 => (v4, bits - 96),
            _ => (ip, bits),
        };
        let block = Cidr::around(ip, bits);
        if block.base == ip { Ok(block) } else { Err(CidrError::HostBits { network: block }) }
    }
}

fn prefix_bits(digits: &str, max: u8) -> Result<u8, CidrError> {
    let plain = (1..=3).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse::<u8>() {
        Ok(bits) if plain && bits <= max => Ok(bits),
        _ => Err(CidrError::BadPrefix { max }),
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.bits)
    }
}

/// Why a text is no address block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CidrError {
    /// What stands before the slash is neither an IPv4 nor an IPv6 address.
    BadAddress,
    /// What stands after the slash is no number of bits up to `max`.
    BadPrefix {
        /// 32 or 128.
        max: u8,
    },
    /// The address lies inside a block and is not its first: a typing error more often than not.
    HostBits {
        /// The block that was probably meant.
        network: Cidr,
    },
}

impl fmt::Display for CidrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CidrError::BadAddress => f.write_str("not an IP address or a block such as 10.0.0.0/8"),
            CidrError::BadPrefix { max } => write!(f, "the number after the slash must be 0 to {max}"),
            CidrError::HostBits { network } => {
                write!(f, "the address has bits set behind its prefix; the block is {network}")
            }
        }
    }
}

impl std::error::Error for CidrError {}

/// Address blocks asked together. Built once, asked on every request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CidrSet {
    blocks: Vec<Cidr>,
    /// First and last address of disjoint ranges, ascending: what overlaps or touches is merged.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl CidrSet {
    /// Whether the address lies in one of the blocks. An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => in_ranges(&self.v4, ip.to_bits()),
            IpAddr::V6(ip) => in_ranges(&self.v6, ip.to_bits()),
        }
    }

    /// Whether every address of the block is in the set, be it in parts.
    pub fn covers(&self, block: &Cidr) -> bool {
        // Ranges that touch are merged: what lies in the set lies in one of them.
        match block.base {
            IpAddr::V4(base) => {
                let (first, last) = (base.to_bits(), base.to_bits() | host_mask_v4(block.bits));
                self.v4.iter().any(|range| range.0 <= first && last <= range.1)
            }
            IpAddr::V6(base) => {
                let (first, last) = (base.to_bits(), base.to_bits() | host_mask_v6(block.bits));
                self.v6.iter().any(|range| range.0 <= first && last <= range.1)
            }
        }
    }

    /// Whether some address of the block is in the set.
    pub fn touches(&self, block: &Cidr) -> bool {
        match block.base {
            IpAddr::V4(base) => {
                let (first, last) = (base.to_bits(), base.to_bits() | host_mask_v4(block.bits));
                self.v4.iter().any(|range| range.0 <= last && first <= range.1)
            }
            IpAddr::V6(base) => {
                let (first, last) = (base.to_bits(), base.to_bits() | host_mask_v6(block.bits));
                self.v6.iter().any(|range| range.0 <= last && first <= range.1)
            }
        }
    }

    /// Whether there is no block at all.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The blocks, as they were given.
    pub fn iter(&self) -> impl Iterator<Item = &Cidr> {
        self.blocks.iter()
    }
}

impl FromIterator<Cidr> for CidrSet {
    fn from_iter<I: IntoIterator<Item = Cidr>>(blocks: I) -> CidrSet {
        let mut set = CidrSet { blocks: blocks.into_iter().collect(), ..CidrSet::default() };
        for block in &set.blocks {
            match block.base {
                IpAddr::V4(base) => {
                    set.v4.push((base.to_bits(), base.to_bits() | host_mask_v4(block.bits)));
                }
                IpAddr::V6(base) => {
                    set.v6.push((base.to_bits(), base.to_bits() | host_mask_v6(block.bits)));
                }
            }
        }
        merge(&mut set.v4, |last| last.checked_add(1));
        merge(&mut set.v6, |last| last.checked_add(1));
        set
    }
}

fn in_ranges<T: Ord + Copy>(ranges: &[(T, T)], ip: T) -> bool {
    let after = ranges.partition_point(|&(first, _)| first <= ip);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|&(_, last)| ip <= last)
}

fn merge<T: Ord + Copy>(ranges: &mut Vec<(T, T)>, next: impl Fn(T) -> Option<T>) {
    ranges.sort_unstable();
    ranges.dedup_by(|later, kept| {
        let joins = next(kept.1).is_none_or(|next| later.0 <= next);
        if joins {
            kept.1 = kept.1.max(later.1);
        }
        joins
    });
    ranges.shrink_to_fit();
}

/// Ones where a block of `bits` leading bits leaves an address free.
fn host_mask_v4(bits: u8) -> u32 {
    u32::MAX.checked_shr(bits.into()).unwrap_or(0)
}

fn host_mask_v6(bits: u8) -> u128 {
    u128::MAX.checked_shr(bits.into()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_parsed_or_the_offence_is_named() {
        #[track_caller]
        fn check(text: &str, expect: &str) {
            let got = match text.parse::<Cidr>() {
                Ok(block) => block.to_string(),
                Err(error) => error.to_string(),
            };
            assert!(got.contains(expect), "{text}: {got}");
        }
        check("10.0.0.0/8", "10.0.0.0/8");
        check("192.0.2.7", "192.0.2.7/32");
        check("0.0.0.0/0", "0.0.0.0/0");
        check("::/0", "::/0");
        check("2001:DB8::/32", "2001:db8::/32");
        check("::1", "::1/128");
        check("::ffff:10.0.0.0/104", "10.0.0.0/8");
        check("::ffff:192.0.2.7", "192.0.2.7/32");
        check("10.0.0.5/8", "the block is 10.0.0.0/8");
        check("2001:db8::1/64", "the block is 2001:db8::/64");
        check("10.0.0.1/0", "the block is 0.0.0.0/0");
        check("::ffff:10.1.0.0/104", "the block is 10.0.0.0/8");
        for prefix in ["33", "", "-1", "+8", "0x8", "8 ", "999", "0008"] {
            check(&format!("10.0.0.0/{prefix}"), "0 to 32");
        }
        check("::/129", "0 to 128");
        for address in
            ["", "10.0.0", "10.0.0.256", "010.0.0.1", "localhost", "[::1]", "1.2.3.4:80", " 1.2.3.4"]
        {
            check(address, "not an IP address");
        }
    }

    #[test]
    fn blocks_lie_in_sets_or_touch_them() {
        for (block, blocks, covers, touches) in [
            ("10.0.0.0/24", "10.0.0.0/8", true, true),
            ("10.0.0.0/8", "10.0.0.0/24", false, true),
            ("10.0.0.0/24", "10.0.0.0/25 10.0.0.128/25", true, true),
            ("10.0.0.0/24", "10.0.0.0/25 10.0.0.192/26", false, true),
            ("10.0.0.0/24", "10.0.1.0/24", false, false),
            ("0.0.0.0/0", "0.0.0.0/1 128.0.0.0/1", true, true),
            ("::/0", "0.0.0.0/0", false, false),
            ("0.0.0.0/0", "::/0", false, false),
            ("2001:db8::/33", "2001:db8::/32", true, true),
            ("10.0.0.1", "", false, false),
        ] {
            let set: CidrSet =
                blocks.split_whitespace().map(|block| block.parse::<Cidr>().unwrap()).collect();
            let block: Cidr = block.parse().unwrap();
            assert_eq!((set.covers(&block), set.touches(&block)), (covers, touches), "{block} and {blocks}");
        }
    }

    #[test]
    fn a_set_contains_what_its_blocks_contain() {
        #[track_caller]
        fn check(blocks: &[&str], inside: &[&str], outside: &[&str]) {
            let set: CidrSet = blocks.iter().map(|b| b.parse::<Cidr>().unwrap()).collect();
            for ip in inside {
                assert!(set.contains(ip.parse().unwrap()), "{ip} in {blocks:?}");
            }
            for ip in outside {
                assert!(!set.contains(ip.parse().unwrap()), "{ip} not in {blocks:?}");
            }
        }
        check(&[], &[], &["0.0.0.0", "::", "::ffff:0.0.0.0"]);
        check(
            &["10.0.0.0/8"],
            &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
            &["9.255.255.255", "11.0.0.0"],
        );
        check(&["0.0.0.0/0"], &["0.0.0.0", "255.255.255.255"], &["::1", "::"]);
        check(&["::/0"], &["::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], &["1.2.3.4", "::ffff:1.2.3.4"]);
        check(
            &["192.0.2.1", "192.0.2.3"],
            &["192.0.2.1", "192.0.2.3"],
            &["192.0.2.2", "192.0.2.0", "192.0.2.4"],
        );
        check(
            &["10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16"],
            &["10.0.0.0", "10.127.255.255", "10.200.0.1"],
            &["11.0.0.0"],
        );
        check(
            &["255.255.255.255", "0.0.0.0"],
            &["255.255.255.255", "0.0.0.0"],
            &["0.0.0.1", "255.255.255.254"],
        );
        check(&["fd00::/8", "10.0.0.0/8"], &["fd12::1", "10.9.9.9"], &["fe80::1", "172.16.0.1"]);
    }

    #[test]
    fn touching_blocks_become_one_range() {
        let set: CidrSet = ["10.128.0.0/9", "10.0.0.0/9", "10.3.0.0/16", "12.0.0.0/8"]
            .map(|b| b.parse().unwrap())
            .into_iter()
            .collect();
        assert_eq!(set.v4.len(), 2);
        assert_eq!(set.iter().count(), 4);
    }
}
