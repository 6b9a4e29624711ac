//! RSA moduli of a generator that took a short cut: ROCA, CVE-2017-15361 (Nemec and others, "The Return of
//! Coppersmith's Attack", 2017).
//!
//! Its primes are powers of 65537 modulo a product of small primes, and so is the modulus: modulo each of them. A
//! modulus of another generator is so by chance less than once in a hundred million.

/// The first 39 primes: the product that the generator used for its shortest keys, and part of all its longer ones.
const PRIMES: [u32; 39] = [
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
    107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];
const GENERATOR: u32 = 65537;

/// Whether the modulus, big-endian, bears that mark.
pub(crate) fn suspect(modulus: &[u8]) -> bool {
    PRIMES.into_iter().all(|prime| {
        let residue = modulus.iter().fold(0, |residue, byte| (residue << 8 | u32::from(*byte)) % prime);
        // The powers return to 1 after at most `prime` steps.
        let powers = std::iter::successors(Some(1), |power| Some(power * GENERATOR % prime));
        powers.take(prime as usize).any(|power| power % prime == residue)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_of_the_generator_is_suspect_and_its_neighbour_is_not() {
        // 65537 squared, and two more.
        let square = 65537u64 * 65537;
        assert!(suspect(&square.to_be_bytes()));
        assert!(!suspect(&(square + 2).to_be_bytes()));
        assert!(!suspect(&[]));
    }
}
